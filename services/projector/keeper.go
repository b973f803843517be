package projector

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/projector/view"
)

// settleEvery is how often the record of versions is looked at for what other
// instances have changed.
const settleEvery = time.Second

// keeper runs the versions of all views that are on record and that this program
// has the code for: the live one of each view, and those beside it.
type keeper struct {
	env      *service.Env
	cfg      Config
	db       *sql.DB
	sink     *sqlsink.Sink
	registry registry
	commands commandLog
	codec    *esjs.Codec[events.Event]
	views    []view.View

	changed chan struct{}   // a version has caught up, or ended
	asked   chan chan error // who wants to know that the record is carried out

	mu       sync.Mutex
	versions []*version // by view, in the order of the list, and by version
}

// version is one version of a view.
type version struct {
	entry
	end       esjs.Position // of the store when this instance came to know of the version
	view      *view.View    // nil: this program has no code for its form
	projector *projector    // knows where the version is, whether it runs or not
	sample    *sample       // that is compared before it takes over; used by the projector alone
	cancel    context.CancelFunc
	ended     chan struct{} // closed when it has ended, with err; nil when it was not started
	err       error
	told      bool          // that it failed, in the log; used by the keeper's loop alone
	gone      chan struct{} // closed when the keeper runs the version no longer, or by another entry
}

func newKeeper(env *service.Env, cfg Config, db *sql.DB, codec *esjs.Codec[events.Event], list list) *keeper {
	return &keeper{
		env: env, cfg: cfg, db: db, codec: codec,
		sink: sqlsink.New(db), registry: registry{db}, commands: commandLog{db: db}, views: list(env.Store, codec),
		changed: make(chan struct{}, 1), asked: make(chan chan error),
	}
}

// run carries out what is on record until ctx ends, or until a live version cannot
// go on.
func (k *keeper) run(ctx context.Context) (err error) {
	defer k.stopAll()
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	told := "" // why the record cannot be read, as it was logged
	created, first := false, true
	settle := func() (fatal, err error) {
		if !created {
			if err := k.registry.create(ctx); err != nil {
				return nil, err
			}
			created = true
		}
		return k.settle(ctx)
	}
	for ctx.Err() == nil {
		fatal, err := settle()
		switch {
		case ctx.Err() != nil:
			return nil
		case fatal != nil:
			return fatal
		case err != nil && first && !k.passes(err):
			return err
		case err != nil && err.Error() != told:
			k.env.Log.Warn().Err(err).Msg("the record of versions cannot be read; it is tried again")
			told = err.Error()
		case err == nil && told != "":
			k.env.Log.Info().Msg("the record of versions can be read again")
			told = ""
		}
		first = first && err != nil
		select {
		case <-tick.C:
		case <-k.changed:
		case answer := <-k.asked:
			_, err := settle()
			answer <- err
		case <-ctx.Done():
		}
	}
	return nil
}

// settled returns when the record, as it is now, is carried out here.
func (k *keeper) settled(ctx context.Context) error {
	answer := make(chan error, 1)
	select {
	case k.asked <- answer:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begun returns when the record is carried out here for the first time; a database that is away is waited for.
// When ctx ends before, it returns nil.
func (k *keeper) begun(ctx context.Context) error {
	for {
		switch err := k.settled(ctx); {
		case err == nil, ctx.Err() != nil:
			return nil //nolint:nilerr // what was asked last was given up
		case !k.passes(err):
			return err
		}
		select {
		case <-time.After(settleEvery):
		case <-ctx.Done():
			return nil
		}
	}
}

// settle starts and stops versions until what runs is what is on record. fatal is
// why a live version has ended.
func (k *keeper) settle(ctx context.Context) (fatal, err error) {
	entries, err := k.recorded(ctx)
	if err != nil {
		return nil, err
	}
	isNew := func(e entry) bool { v := k.version(e.Name); return v == nil || v.entry != e }
	var end esjs.Position
	if slices.ContainsFunc(entries, isNew) {
		if end, err = k.env.Store.Last(ctx); err != nil {
			return nil, err
		}
	}
	var kept []*version
	for _, e := range entries {
		v := k.version(e.Name)
		if isNew(e) {
			if v != nil {
				v.stop()
			}
			v = k.make(e, end)
			if v.view != nil && !e.Paused {
				k.start(ctx, v)
			}
		}
		kept = append(kept, v)
	}
	k.mu.Lock()
	before := k.versions
	k.versions = kept
	k.mu.Unlock()
	for _, v := range before {
		if !slices.Contains(kept, v) {
			v.stop()
			close(v.gone)
		}
	}
	k.tellFailed(kept)
	if fatal, err := k.inspect(ctx, kept); fatal != nil || err != nil {
		return fatal, err
	}
	if some, err := k.dropOutlived(ctx, kept); !some || err != nil {
		return nil, err
	}
	return k.settle(ctx)
}

// recorded reads the record, after adding what is missing: every view has a
// version of the form that this program's code is for.
func (k *keeper) recorded(ctx context.Context) ([]entry, error) {
	entries, err := k.registry.all(ctx)
	if err != nil {
		return nil, err
	}
	missing := false
	for _, v := range k.views {
		own := slices.DeleteFunc(slices.Clone(entries), func(e entry) bool { return e.View != v.Name })
		if slices.ContainsFunc(own, func(e entry) bool { return e.Form == v.Form }) {
			continue
		}
		missing = true
		if len(own) == 0 {
			// A version that is live and not on record was built before there was one.
			if own, err = k.adopt(ctx, v); err != nil {
				return nil, err
			}
		}
		if err := k.registry.add(ctx, v, next(own), v.Form, false); err != nil {
			return nil, err
		}
	}
	if missing {
		if entries, err = k.registry.all(ctx); err != nil {
			return nil, err
		}
	}
	place := func(e entry) int {
		return slices.IndexFunc(k.views, func(v view.View) bool { return v.Name == e.View })
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(place(a), place(b)) })
	return entries, nil
}

// adopt puts on record the live version of a view that has no versions there.
func (k *keeper) adopt(ctx context.Context, v view.View) ([]entry, error) {
	live, err := k.sink.Live(ctx, v.Name)
	if errors.Is(err, esjs.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	_, number, err := esjs.SplitFullName(live)
	if err != nil {
		return nil, err
	}
	return []entry{{Version: number}}, k.registry.add(ctx, v, number, formUnknown, true)
}

// formUnknown is the form of versions from before there was a record.
const formUnknown = 0

// next is the number of a view's next version.
func next(entries []entry) int {
	highest := 0
	for _, e := range entries {
		highest = max(highest, e.Version)
	}
	return highest + 1
}

func (k *keeper) make(e entry, end esjs.Position) *version {
	v := &version{entry: e, end: end, gone: make(chan struct{})}
	if i := slices.IndexFunc(k.views, func(known view.View) bool { return known.Name == e.View && known.Form == e.Form }); i >= 0 {
		v.view = &k.views[i]
	}
	projection := (&view.View{Name: e.View}).Projection(e.Version, k.codec)
	if v.view != nil {
		projection = v.view.Projection(e.Version, k.codec)
		projection.Init = k.unlessDropped(e.Name, projection.Init)
	}
	v.projector = esjs.NewProjector(k.env.Store, k.sink, projection, esjs.ProjectionConfig{
		Bucket: k.cfg.bucket(), Owner: k.env.Owner, Lease: k.cfg.Lease,
		Observer: k.env.Observer(), ByHand: e.ByHand,
		MayTakeOver: func(ctx context.Context, from string) bool { return k.mayTakeOver(ctx, v, from) },
		OnCaughtUp: func() {
			k.env.Log.Info().Str("view", e.Name).Msg("view has caught up")
			k.tell()
		},
	})
	return v
}

// errGone: the version was dropped, perhaps before it was begun, or is run by another entry.
var errGone = errors.New("the version was dropped")

// unlessDropped keeps a version that another instance has dropped from coming back.
func (k *keeper) unlessDropped(name string, init func(context.Context, *sql.Tx) error) func(context.Context, *sql.Tx) error {
	return func(ctx context.Context, tx *sql.Tx) error {
		switch has, err := k.registry.has(ctx, tx, name); {
		case err != nil:
			return err
		case !has:
			return errGone
		}
		return init(ctx, tx)
	}
}

func (k *keeper) start(ctx context.Context, v *version) {
	ctx, cancel := context.WithCancel(ctx)
	v.cancel, v.ended = cancel, make(chan struct{})
	go func() {
		defer k.tell()
		defer close(v.ended)
		v.err = v.projector.Run(ctx)
	}()
}

// tellFailed logs which versions have ended by themselves. One that was dropped finds no
// tables any more, and is not among those that are on record.
func (k *keeper) tellFailed(versions []*version) {
	for _, v := range versions {
		if err := v.failed(); err != nil && !v.told {
			k.env.Log.Error().Err(err).Str("version", v.Name).Msg("a version of a view cannot go on")
			v.told = true
		}
	}
}

// stop ends a version and waits until it has ended.
func (v *version) stop() {
	if v.ended != nil {
		v.cancel()
		<-v.ended
	}
}

// failed is why a version ended by itself, or nil.
func (v *version) failed() error {
	if v.ended == nil {
		return nil
	}
	select {
	case <-v.ended:
		return v.err
	default:
		return nil
	}
}

func (k *keeper) stopAll() {
	for _, v := range k.all() {
		v.stop()
	}
}

// tell wakes the keeper.
func (k *keeper) tell() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

func (k *keeper) all() []*version {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.versions)
}

// version returns the version with a full name, or nil.
func (k *keeper) version(name string) *version {
	for _, v := range k.all() {
		if v.Name == name {
			return v
		}
	}
	return nil
}

// inspect looks how the versions are: a view is ready when its live version has
// come to where the store ended when this instance came to know of it. A view cannot go on without
// its live version, nor begin without its first one.
func (k *keeper) inspect(ctx context.Context, versions []*version) (fatal, err error) {
	for _, known := range k.views {
		live, err := k.sink.Live(ctx, known.Name)
		none := errors.Is(err, esjs.ErrNotFound)
		if err != nil && !none {
			return nil, err
		}
		for _, v := range versions {
			if v.view == nil || v.View != known.Name || v.Name != live && !none {
				continue
			}
			if err := v.failed(); err != nil && !errors.Is(err, errGone) {
				return fmt.Errorf("%s: %w", ready(known.Name), err), nil
			}
			if !none && k.env.Health.Err() != nil && k.hasCaughtUp(ctx, v) {
				k.env.Health.Set(ready(known.Name), nil)
			}
		}
	}
	return nil, nil
}

// hasCaughtUp tells it of a version that this instance projects, or another one.
func (k *keeper) hasCaughtUp(ctx context.Context, v *version) bool {
	if progress := v.projector.Progress(); progress.Active {
		return progress.CaughtUp
	}
	stored, err := k.sink.Load(ctx, v.Name)
	return err == nil && stored.Position.Covers(v.end)
}
