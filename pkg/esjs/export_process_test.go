package esjs

import (
	"context"
	"time"
)

// ForgetAfter changes after which time a sweep removes the entry of an instance
// that never came to be.
func (r *ProcessRunner[S, In, Out]) ForgetAfter(d time.Duration) { r.instances.stays = d }

// Replace opens replace to tests.
func (t *Timers) Replace(ctx context.Context, id StreamID, old, timer Timer) error {
	return t.replace(ctx, id, old, timer)
}
