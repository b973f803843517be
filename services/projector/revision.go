package projector

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/services/projector/view"
)

// patience is how long a query waits for the revision that it asks for.
const patience = 2 * time.Second

// open opens the live version of a view. It gives read-your-writes: the revision
// that a command's reply carried, given as min_revision, is waited for, in the version
// that is live then when the one that was goes meanwhile. After 2 s
// the answer is a *[esjs.Rejection] "not_yet", 409: asking again helps. (425 would
// fit by its name, but is about replayed TLS data, and browsers treat it so.) Where
// the live version is one that only an earlier program has the code for, the answer
// is "view_building", 503, until this program's own has taken over.
func (k *keeper) open(name string) view.Open {
	return func(ctx context.Context, after string) (view.Reader, error) {
		waiting, cancel := context.WithTimeoutCause(ctx, patience, errNotYet)
		defer cancel()
		for {
			v, err := k.live(ctx, name)
			if err != nil {
				return view.Reader{}, err
			}
			if err = v.waitFor(waiting, after); !errors.Is(err, errGone) {
				return view.NewReader(k.db, view.Name(v.Name)), err
			}
		}
	}
}

// live returns the live version of a view.
func (k *keeper) live(ctx context.Context, name string) (*version, error) {
	live, err := k.sink.Live(ctx, name)
	if err != nil && !errors.Is(err, esjs.ErrNotFound) {
		return nil, err
	}
	v := k.version(live)
	if v == nil { // it took over just now, and another instance began it
		if err := k.settled(ctx); err != nil {
			return nil, err
		}
		v = k.version(live)
	}
	if v == nil || v.view == nil {
		return nil, &esjs.Rejection{
			Code:    "view_building",
			Message: fmt.Sprintf("the view %s is being built in the form that this program reads; \"query.projections.list\" tells how far it is", name),
			Status:  http.StatusServiceUnavailable,
		}
	}
	return v, nil
}

// waitFor waits until the version has passed a revision, "" for none. It is [errGone]
// when the keeper runs the version no longer, or by another entry.
func (v *version) waitFor(ctx context.Context, minRevision string) error {
	if minRevision == "" {
		return nil
	}
	revision, err := esjs.ParseRevision(minRevision)
	if err != nil {
		return view.BadRequest(`"min_revision" is %.60q; give the "revision" of a command's reply, such as "3-1871", or none`, minRevision)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-v.gone:
			cancel(errGone)
		case <-ctx.Done():
		}
	}()
	err = v.projector.WaitFor(ctx, revision.Position())
	if err == nil {
		return nil
	}
	switch why := context.Cause(ctx); {
	case errors.Is(why, errGone):
		return errGone
	case !errors.Is(why, errNotYet):
		return err
	}
	progress := v.projector.Progress()
	return &esjs.Rejection{
		Code: "not_yet",
		Message: fmt.Sprintf("the view %s is at %s, and revision %s is at %s; ask again, or without \"min_revision\"",
			progress.Name, progress.Position, revision, revision.Position()),
		Status: http.StatusConflict,
	}
}

// errNotYet tells this file's deadline from the caller's.
var errNotYet = errors.New("the view has not come so far")
