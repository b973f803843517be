package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/order"
	"github.com/nats-io/nats.go/jetstream"
)

func TestVerifyReadsTheWholeStore(t *testing.T) {
	p := up(t, t.TempDir())
	t.Setenv("ORDERFLOW_NATS_URL", p.natsURL)
	for _, line := range [][]string{
		{"product", "list", "beans", "--name", "Beans", "--price", "24.90", "--currency", "EUR"},
		{"stock", "receive", "beans", "--quantity", "40", "--reference", "PO-1"},
		{"order", "create", "o-1", "--customer", "c-1", "--currency", "EUR"},
		{"order", "add-item", "o-1", "--sku", "beans", "--quantity", "2"},
		{"order", "set-shipping", "o-1", "--address", "addr-1", "--country", "DE"},
		{"order", "set-payment-method", "o-1", "--method", "card-ok"},
		{"order", "submit", "o-1"},
	} {
		if status, stdout, stderr := call(t, line...); status != 0 {
			t.Fatalf("%q: %d %s %s", line, status, stdout, stderr)
		}
	}
	awaitState(t, p.client, "o-1", queries.Completed)
	js, err := jetstream.New(p.client.nc)
	if err != nil {
		t.Fatal(err)
	}
	snapshots, err := js.KeyValue(t.Context(), order.BucketSnapshots)
	if err != nil {
		t.Fatal(err)
	}
	written, err := snapshots.Watch(t.Context(), "order.o-1") // off the order's path
	if err != nil {
		t.Fatal(err)
	}
	entry := <-written.Updates()
	for entry == nil {
		entry = <-written.Updates()
	}

	status, stdout, stderr := call(t, "verify")
	if status != 0 || !strings.Contains(strings.Join(strings.Fields(stdout), " "), " order 1 11 11 ") || !strings.HasSuffix(stdout, "\nAll is as it was written.\n") {
		t.Errorf("%d\n%s%s", status, stdout, stderr)
	}
	var reports []esjs.VerifyReport
	status, stdout, stderr = call(t, "verify", "--json", "--each-replica")
	if err := json.Unmarshal([]byte(stdout), &reports); err != nil || status != 0 || len(reports) != 1 {
		t.Fatalf("%d %v\n%s%s", status, err, stdout, stderr)
	}
	if r := reports[0]; !r.Sound() || r.Aggregates != 7 || r.Commits == 0 || r.Snapshots == 0 || r.Unused != 0 {
		t.Errorf("%+v", r)
	}

	damaged := bytes.Replace(entry.Value(), []byte(`"version":`), []byte(`"version":1`), 1)
	if _, err := snapshots.Update(t.Context(), entry.Key(), damaged, entry.Revision()); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr = call(t, "verify")
	if status != exitUnsound || !strings.Contains(stdout, `snapshot "order/o-1" version 1`) || !strings.Contains(stderr, "not as it was written; found: 1") {
		t.Errorf("%d\n%s%s", status, stdout, stderr)
	}
	p.stop(t)
}
