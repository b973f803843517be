package esjs_test

import (
	"context"
	"fmt"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// VoucherUsed is all that can happen to a voucher.
type VoucherUsed struct{}

func (VoucherUsed) EventType() string { return "VoucherUsed" }

// UseVoucher needs to know when it is handled. It does not read the clock: the
// handler tells it, so that the decision can be taken again.
type UseVoucher struct {
	Until time.Time
	now   time.Time
}

// At makes UseVoucher a Timed. It returns an any, because that is the type of
// the aggregate's commands.
func (c UseVoucher) At(now time.Time) any {
	c.now = now
	return c
}

func decideVoucher(used bool, command any) ([]esjs.Event, error) {
	switch c := command.(UseVoucher); {
	case used:
		return nil, nil
	case c.now.After(c.Until):
		return nil, esjs.Reject("expired", "the voucher was valid until %s", c.Until.Format(time.DateOnly))
	}
	return []esjs.Event{VoucherUsed{}}, nil
}

// Decide is pure, so the time comes with the command.
func ExampleTimed() {
	withStore(func(ctx context.Context, _ esjs.Dial, store *esjs.Store) error {
		codec, err := esjs.NewCodec(esjs.TypeOf[esjs.Event, VoucherUsed]())
		if err != nil {
			return err
		}
		vouchers, err := esjs.NewCommandHandler(ctx, store, esjs.Aggregate[bool, any, esjs.Event]{
			Category: "voucher",
			Codec:    codec,
			Apply:    func(bool, esjs.Event) bool { return true },
			Decide:   decideVoucher,
		}, esjs.HandlerConfig[bool]{})
		if err != nil {
			return err
		}
		may := time.Date(2026, 5, 31, 0, 0, 0, 0, time.UTC)
		_, err = vouchers.Handle(ctx, "v-1", UseVoucher{Until: may}) // now, which is later
		fmt.Println(err)
		// At gives the command, and its events, another time than now.
		result, err := vouchers.Handle(ctx, "v-1", UseVoucher{Until: may}, esjs.At(may.AddDate(0, 0, -1)))
		fmt.Println(result.Version, err)
		return nil
	})
	// Output:
	// expired: the voucher was valid until 2026-05-31
	// 1 <nil>
}
