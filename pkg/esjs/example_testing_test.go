package esjs_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
)

// One call checks what every aggregate must be.
func TestGiftCardIsAnAggregate(t *testing.T) {
	card, err := giftCard()
	if err != nil {
		t.Fatal(err)
	}
	esjstest.CheckAggregate(t, card, esjstest.Samples[any, esjs.Event]{
		Events:   []esjs.Event{CardIssued{Cents: 50_00}, CardRedeemed{Cents: 20_00}},
		Commands: []any{IssueCard{Cents: 50_00}, RedeemCard{Cents: 30_00}, RedeemCard{Cents: 90_00}},
		// Redeeming twice takes twice: an id tells one command from another.
		AddsUp: func(command any) bool { _, redeems := command.(RedeemCard); return redeems },
	})
}

func TestGiftCardScenarios(t *testing.T) {
	card, err := giftCard()
	if err != nil {
		t.Fatal(err)
	}
	script := esjstest.NewAggregateScript(card)
	script.Commands = map[string]any{"issue": IssueCard{}, "redeem": RedeemCard{}}
	script.Play(t, "testdata/giftcard.txt")
}

func TestDunning(t *testing.T) {
	dunning, err := dunningProcess()
	if err != nil {
		t.Fatal(err)
	}
	invoice := esjs.StreamID{Category: "invoice", Key: "i-1"}
	due := esjstest.StartOfTime.AddDate(0, 0, 14)
	sent := esjstest.GivenProcess(t, dunning).
		When(invoice, InvoiceSent{Due: due}).
		Then(DunningStarted{Due: due}).ThenDue("due", due)
	sent.Next().WhenFired("due").
		Then(ReminderRequested{}).ThenArmed().ThenDone(true)
	sent.Next().When(invoice, InvoicePaid{}).
		Then(DunningEnded{}).ThenArmed().AndAgain()
}

func TestDunningIsAProcess(t *testing.T) {
	dunning, err := dunningProcess()
	if err != nil {
		t.Fatal(err)
	}
	invoice := esjs.StreamID{Category: "invoice", Key: "i-1"}
	due := esjstest.StartOfTime.AddDate(0, 0, 14)
	esjstest.CheckProcess(t, dunning, esjstest.ProcessSamples[esjs.Event, esjs.Event]{
		Inputs: []esjstest.InputSample[esjs.Event]{{Stream: invoice, Event: InvoiceSent{Due: due}}, {Stream: invoice, Event: InvoicePaid{}}},
		Own:    []esjs.Event{InvoiceSent{Due: due}, InvoicePaid{}, DunningStarted{Due: due}, ReminderRequested{}, DunningEnded{}},
	})
}

func TestDunningScenarios(t *testing.T) {
	dunning, err := dunningProcess()
	if err != nil {
		t.Fatal(err)
	}
	esjstest.NewProcessScript(dunning).Play(t, "testdata/dunning.txt")
}

func TestBalances(t *testing.T) {
	projection, err := balances()
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqlsink.OpenSQLite(filepath.Join(t.TempDir(), "views.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	one := esjs.StreamID{Category: "giftcard", Key: "card-1"}
	two := esjs.StreamID{Category: "giftcard", Key: "card-2"}
	esjstest.GivenProjection(t, esjstest.Server(t).Store(t), sqlsink.New(db), projection, readBalances(db)).
		Given(one, CardIssued{Cents: 50_00}).
		Given(two, CardIssued{Cents: 20_00}).
		Then(map[string]int{"card-1": 50_00, "card-2": 20_00}).
		Given(one, CardRedeemed{Cents: 12_50}, CardRedeemed{Cents: 37_50}).
		Then(map[string]int{"card-1": 0, "card-2": 20_00})
}

func readBalances(db *sql.DB) func(context.Context) (map[string]int, error) {
	return func(ctx context.Context) (map[string]int, error) {
		rows, err := db.QueryContext(ctx, `SELECT card, cents FROM balances_v1`)
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		found := map[string]int{}
		for rows.Next() {
			var card string
			var cents int
			if err := rows.Scan(&card, &cents); err != nil {
				return nil, err
			}
			found[card] = cents
		}
		return found, rows.Err()
	}
}

// The answer to an append is lost, and another clerk is faster: the card is
// redeemed once for each command all the same.
func TestACardOnABadLine(t *testing.T) {
	server := esjstest.Server(t)
	beside, faults := server.Store(t), server.Faults()
	store, err := esjs.Open(t.Context(), faults.Dial(), server.Config())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	aggregate, err := giftCard()
	if err != nil {
		t.Fatal(err)
	}
	cards, err := esjs.NewCommandHandler(t.Context(), store, aggregate, esjs.HandlerConfig[Card]{})
	if err != nil {
		t.Fatal(err)
	}
	faults.LoseAcks(1)
	if _, err := cards.Handle(t.Context(), "card-1", IssueCard{Cents: 50_00}); err != nil {
		t.Fatal(err)
	}
	faults.BeforeAppend(func() {
		card := esjs.StreamID{Category: "giftcard", Key: "card-1"}
		_, err := beside.Append(context.Background(), card, esjs.Any(), CardRedeemed{Cents: 40_00})
		if err != nil {
			t.Error(err)
		}
	})
	_, err = cards.Handle(t.Context(), "card-1", RedeemCard{Cents: 20_00})
	var refused *esjs.Rejection
	if !errors.As(err, &refused) || refused.Code != "insufficient" || faults.Armed() != 0 {
		t.Errorf("the second clerk redeems what is not there: %v", err)
	}
}

// Deliveries come twice, late, out of order or not at all; the subscription
// hands over each event once, and those of a card in order.
func TestCardsThatComeOutOfOrder(t *testing.T) {
	server := esjstest.Server(t)
	faults := server.Faults()
	server.Store(t) // makes the stream
	store, err := esjs.Open(t.Context(), faults.Dial(), server.Config())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	codec, err := cardCodec()
	if err != nil {
		t.Fatal(err)
	}
	card := esjs.StreamID{Category: "giftcard", Key: "card-1"}
	for _, event := range []esjs.Event{CardIssued{Cents: 50_00}, CardRedeemed{Cents: 1}, CardRedeemed{Cents: 2}, CardRedeemed{Cents: 3}} {
		if _, err := store.Append(t.Context(), card, esjs.Any(), event); err != nil {
			t.Fatal(err)
		}
	}
	faults.DeliverOutOfOrder(1)
	faults.DeliverTwice(1)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	next := uint64(1)
	err = esjs.Subscribe(ctx, store, esjs.SubscriptionConfig[esjs.Event]{Name: "show", EveryInstance: true, Codec: codec},
		func(_ context.Context, e esjs.Recorded[esjs.Event]) error {
			if e.Version != next {
				t.Errorf("version %d comes where %d should", e.Version, next)
			}
			if next++; next == 5 {
				stop()
			}
			return nil
		})
	if err != nil || next != 5 {
		t.Errorf("it ended before version %d: %v", next, err)
	}
}

// A handler is called again for what it has handled, after a crash before the
// position was stored. This one remembers, beside each total, what is in it.
func TestTotalsAfterACrash(t *testing.T) {
	type total struct {
		cents   int
		version uint64
	}
	totals := map[esjs.StreamID]total{}
	add := func(_ context.Context, e esjs.Recorded[esjs.Event]) error {
		have := totals[e.Stream]
		if redeemed, ok := e.Event.(CardRedeemed); ok && e.Version > have.version {
			totals[e.Stream] = total{have.cents + redeemed.Cents, e.Version}
		}
		return nil
	}
	handle := esjstest.Rewound(3, add)
	card := esjs.StreamID{Category: "giftcard", Key: "card-1"}
	for version := range uint64(9) {
		e := esjs.Recorded[esjs.Event]{Event: CardRedeemed{Cents: 1}}
		e.ID, e.Stream, e.Version = fmt.Sprint("event-", version), card, version+1
		if err := handle(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if got := totals[card].cents; got != 9 {
		t.Errorf("%d cents were counted, want 9", got)
	}
}
