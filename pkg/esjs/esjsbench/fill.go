package esjsbench

import (
	"context"
	"sync"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// aggregates are many of one shape that a store is filled with.
type aggregates struct {
	commits  int  // of each
	exist    bool // they have commits already
	metadata func(aggregate, commit int) esjs.Metadata
	id       func(aggregate int) esjs.StreamID
	events   func(aggregate int) []esjs.Event // of one commit
}

// fillWriters write to different aggregates at the same time.
const fillWriters = 64

// fill writes commits to the aggregates from first up to, and not including, end.
func fill(ctx context.Context, store *esjs.Store, a aggregates, first, end int) error {
	one := func(aggregate int) error {
		id, events := a.id(aggregate), a.events(aggregate)
		expect := esjs.Any()
		if !a.exist {
			expect = esjs.NoStream()
		}
		for i := range a.commits {
			write := esjs.Write{Stream: id, Expect: expect, Events: events}
			if a.metadata != nil {
				write.Metadata = a.metadata(aggregate, i)
			}
			out, err := store.AppendWrite(ctx, write)
			if err != nil {
				return err
			}
			expect = esjs.AtRevision(out.Revision)
		}
		return nil
	}
	errs := make([]error, fillWriters)
	var wg sync.WaitGroup
	for w := range fillWriters {
		wg.Go(func() {
			for n := first + w; n < end && errs[w] == nil; n += fillWriters {
				errs[w] = one(n)
			}
		})
	}
	wg.Wait()
	return firstError(errs)
}
