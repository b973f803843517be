package esjs_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// DunningSetAside keeps why an invoice's reminders were stopped.
type DunningSetAside struct {
	Reason string `json:"reason"`
}

func (DunningSetAside) EventType() string { return "DunningSetAside" }

// A process can keep in an instance's own stream that it was set aside, and why.
func ExampleQuarantine() {
	withStore(func(ctx context.Context, dial esjs.Dial, store *esjs.Store) error {
		for _, bucket := range []string{"SUBSCRIPTIONS_billing", "INSTANCES_billing"} {
			if err := esjs.ProvisionBucket(ctx, dial, bucket, 1); err != nil {
				return err
			}
		}
		if err := esjs.ProvisionTimers(ctx, dial, 1); err != nil {
			return err
		}
		process, err := dunningProcess()
		if err != nil {
			return err
		}
		if process.Out, err = esjs.NewCodec(
			esjs.TypeOf[esjs.Event, DunningStarted](), esjs.TypeOf[esjs.Event, ReminderRequested](),
			esjs.TypeOf[esjs.Event, DunningEnded](), esjs.TypeOf[esjs.Event, DunningSetAside](),
		); err != nil {
			return err
		}
		process.Quarantined = func(_ dunning, q esjs.Quarantine) esjs.Event { return DunningSetAside{Reason: q.Reason} }
		runner, err := esjs.NewProcess(ctx, store, process, esjs.ProcessConfig{
			Service: "billing", Bucket: "SUBSCRIPTIONS_billing", Instances: "INSTANCES_billing",
		})
		if err != nil {
			return err
		}
		if err := runner.Quarantine(ctx, "i-1", errors.New("the amount is disputed")); err != nil {
			return err
		}
		for r, err := range store.Read(ctx, esjs.StreamID{Category: "dunning", Key: "i-1"}, 0, 0) {
			if err != nil {
				return err
			}
			fmt.Println(r.Type, string(r.Data))
		}
		return nil
	})
	// Output: DunningSetAside {"reason":"the amount is disputed"}
}
