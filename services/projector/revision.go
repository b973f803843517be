package projector

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// patience is how long a query waits for the revision that it asks for.
const patience = 2 * time.Second

// waiter gives read-your-writes: the revision that a command's reply carried,
// given as min_revision, is waited for. After 2 s the answer is a
// *[esjs.Rejection] "not_yet", 409: asking again helps. (425 would fit by its
// name, but is about replayed TLS data, and browsers treat it so.)
func waiter(p *projector) func(ctx context.Context, minRevision string) error {
	return func(ctx context.Context, minRevision string) error {
		if minRevision == "" {
			return nil
		}
		revision, err := esjs.ParseRevision(minRevision)
		if err != nil {
			return &esjs.Rejection{
				Code:    "bad_request",
				Message: fmt.Sprintf(`"min_revision" is %.60q; give the "revision" of a command's reply, such as "3-1871", or none`, minRevision),
				Status:  http.StatusBadRequest,
			}
		}
		ctx, cancel := context.WithTimeoutCause(ctx, patience, errNotYet)
		defer cancel()
		err = p.WaitFor(ctx, revision.Position())
		if err == nil || !errors.Is(context.Cause(ctx), errNotYet) {
			return err
		}
		progress := p.Progress()
		return &esjs.Rejection{
			Code: "not_yet",
			Message: fmt.Sprintf("the view %s is at %s, and revision %s is at %s; ask again, or without \"min_revision\"",
				progress.Name, progress.Position, revision, revision.Position()),
			Status: http.StatusConflict,
		}
	}
}

// errNotYet tells this file's deadline from the caller's.
var errNotYet = errors.New("the view has not come so far")
