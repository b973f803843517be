//go:build !race

package crash

// share is how many points have one at which is killed, unless a flag says otherwise.
const share = 12
