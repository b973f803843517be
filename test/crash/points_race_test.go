//go:build race

package crash

// share is how many points have one at which is killed, unless a flag says otherwise. With the race detector each
// start takes four times the processors; CI also runs "make crash EVERY=12", which does without it. At least one of each kind is
// among them.
const share = 96
