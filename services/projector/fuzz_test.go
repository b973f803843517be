package projector_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// Whatever is asked of the views is answered, or refused with a code; that they have failed is never the answer.
func FuzzQuery(f *testing.F) {
	r := &rig{House: servicetest.New(f, events.Types, projector.BucketSubscriptions), config: newDatabase(f), heads: make(map[esjs.StreamID]esjs.Revision)}
	r.Append(events.CategoryOrder, "o-1", events.OrderCreated{OrderID: "o-1", CustomerID: "c-1", Currency: "EUR"})
	r.Append(events.CategoryProduct, "beans", events.ProductListed{Name: "Beans", Price: euros("24.90")})
	env := r.Env("projector")
	env.Log = zerolog.Nop()
	r.Run(projector.New(env, r.config).Run)
	r.Ready(env)
	all := queries.All()
	for i := range all {
		for _, body := range []string{
			`{}`, `{"order_id":"o-1"}`, `{"limit":7,"cursor":"WyJhIiwiYiJd","text":"a%_\\"}`, `{"sku":"beans","from":"2026-01-02T03:04:05Z","before":"2026-01-03T00:00:00Z"}`,
			`{"event_id":"x","category":"order","customer_id":"c-1","state":["Completed"],"limit":201}`,
		} {
			f.Add(uint8(i), []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, question uint8, body []byte) {
		if bytes.Contains(body, []byte("min_revision")) {
			return // which is waited for
		}
		subject := all[int(question)%len(all)].Subject
		answer, err := r.NC.Request(subject, body, servicetest.Patience)
		if errors.Is(err, nats.ErrNoResponders) { // another service answers it
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		var problem struct {
			Code   string `json:"code"`
			Status int    `json:"status"`
		}
		if !jsontext.Value(answer.Data).IsValid() {
			t.Fatalf("%s %q is answered %q", subject, body, answer.Data)
		}
		if failed := answer.Header.Get("Nats-Service-Error"); failed != "" {
			if err := json.Unmarshal(answer.Data, &problem); err != nil || problem.Code != failed || problem.Status >= 500 {
				t.Errorf("%s %q is answered %s: %v", subject, body, answer.Data, err)
			}
		}
	})
}
