package esjsbench

import (
	"context"
	"fmt"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// handler is a command handler of accounts; nil policy: without snapshots.
func (r *rig) handler(ctx context.Context, store *esjs.Store, policy *snapshots) (*accountHandler, error) {
	aggregate, err := accounts()
	if err != nil {
		return nil, err
	}
	h, err := esjs.NewCommandHandler(ctx, store, aggregate, esjs.HandlerConfig[balance]{Snapshots: policy})
	if err != nil {
		return nil, err
	}
	r.ending = append(r.ending, func() error { return h.Close(context.WithoutCancel(ctx)) })
	return h, nil
}

func measureHandle(ctx context.Context, r *rig) (measure, error) {
	raw, err := r.raw(ctx, 1)
	if err != nil {
		return nil, err
	}
	h, err := r.handler(ctx, r.store, nil)
	if err != nil {
		return nil, err
	}
	key := r.account().Key
	handle := side{"handle", func() error {
		_, err := h.Handle(ctx, key, deposit(1))
		return err
	}}
	for range windowFull {
		if err := handle.run(); err != nil {
			return nil, err
		}
	}
	return compare([]side{raw, handle}), nil
}

const (
	// current is an aggregate whose snapshot is of its last commit, and behind one
	// with so many commits after its snapshot.
	current, behind = "current", "behind"

	snapshotAt = 100
	behindBy   = 10
)

// shop is a store with the two aggregates that are loaded cold.
type shop struct {
	store *esjs.Store
	cold  *accountHandler // writes no snapshots
}

// openShop writes the two aggregates into a store. Before each of their snapshotAt + behindBy
// commits it calls between, which may write others; nil: nothing.
func (r *rig) openShop(ctx context.Context, store *esjs.Store, bucket string, between func() error) (*shop, error) {
	if between == nil {
		between = func() error { return nil }
	}
	if err := r.bucket(ctx, bucket); err != nil {
		return nil, err
	}
	h, err := r.handler(ctx, store, &snapshots{Bucket: bucket, Every: snapshotAt})
	if err != nil {
		return nil, err
	}
	for range snapshotAt {
		if err := between(); err != nil {
			return nil, err
		}
		for _, key := range []string{current, behind} {
			if _, err := h.Handle(ctx, key, deposit(1)); err != nil {
				return nil, err
			}
		}
	}
	if err := h.Close(ctx); err != nil { // the snapshots are written
		return nil, err
	}
	for range behindBy {
		if err := between(); err != nil {
			return nil, err
		}
		if _, err := store.Append(ctx, account(behind), esjs.Any(), deposited{Amount: 1}); err != nil {
			return nil, err
		}
	}
	cold, err := r.handler(ctx, store, &snapshots{Bucket: bucket, Every: -1})
	return &shop{store, cold}, err
}

// load loads one of the two as if it had never been seen.
func (s *shop) load(ctx context.Context, name, key string) side {
	want := snapshotAt
	if key == behind {
		want += behindBy
	}
	return loadCold(ctx, s.cold, name, key, want)
}

// loadCold loads an account as if it had never been seen.
func loadCold(ctx context.Context, h *accountHandler, name, key string, want int) side {
	return side{name, func() error {
		h.Forget(key)
		loaded, err := h.Load(ctx, key)
		if err == nil && loaded.State.Total != want {
			err = fmt.Errorf("esjsbench: %s was loaded with %d, want %d", key, loaded.State.Total, want)
		}
		return err
	}}
}

// getLast asks for an account's last message as a client would that has no library.
func (r *rig) getLast(key string) side {
	request := "$JS.API.DIRECT.GET.EVENTS.ev.account." + key
	return side{"get-last", func() error {
		_, err := r.nc.Request(request, nil, 5*time.Second)
		return err
	}}
}

func measureLoad(ctx context.Context, r *rig) (measure, error) {
	s, err := r.openShop(ctx, r.store, "SNAPSHOTS_bench", nil)
	if err != nil {
		return nil, err
	}
	return compare([]side{r.getLast(current), s.load(ctx, "load-current", current), s.load(ctx, "load-behind", behind)}), nil
}
