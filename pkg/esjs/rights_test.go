package esjs_test

import (
	"context"
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// program is one of those that the page on operations gives rights to.
type program struct {
	category string   // that it appends to
	buckets  []string // of its own
	run      func(t *testing.T, own, admin *esjs.Store)
}

var programs = map[string]program{
	"CommandHandler": {"account", []string{"SNAPSHOTS_a"}, handlesCommands},
	"AppendAll":      {"account", nil, guardsItsAppends},
	"Subscribe":      {"", []string{"SUBSCRIPTIONS_a"}, subscribes},
	"Projector":      {"", []string{"SUBSCRIPTIONS_b"}, projects},
	"Process":        {"assembly", []string{positions, openOnes, snapshots}, runsAProcess},
}

// Each program of the page gets along with the rights that the page gives it, and no others: the server refuses it nothing. The
// page itself is read, so that what is tried is what is written there.
func TestTheRightsOnThePageAreEnough(t *testing.T) {
	page := read(t, docs+"/operations.md")
	rights, users := tableOf(page, "right"), map[string]*server.Permissions{}
	for name, needs := range tableOf(page, "program") {
		p, found := programs[name]
		if !found {
			t.Fatalf("nothing tries %s", name)
		}
		may := &server.Permissions{Publish: &server.SubjectPermission{}, Subscribe: &server.SubjectPermission{}}
		for _, right := range needs {
			if len(rights[right]) == 0 {
				t.Fatalf("%s needs %q, and the page does not say what that is", name, right)
			}
			for _, subject := range rights[right] {
				subject = strings.NewReplacer("CATEGORY", p.category, "SERVICE", "test", "USER", name).Replace(subject)
				switch {
				case strings.HasPrefix(subject, "_INBOX."):
					may.Subscribe.Allow = append(may.Subscribe.Allow, subject)
				case strings.Contains(subject, "BUCKET"):
					for _, bucket := range p.buckets {
						may.Publish.Allow = append(may.Publish.Allow, strings.ReplaceAll(subject, "BUCKET", bucket))
					}
				default:
					may.Publish.Allow = append(may.Publish.Allow, subject)
				}
			}
		}
		users[name] = may
	}
	url := startGuarded(t, users).url
	cfg := esjs.Config{MaxBytes: 16 << 20}
	dial := esjs.DialURL(url("admin"))
	err := errors.Join(esjs.Provision(testContext(t), dial, cfg), esjs.ProvisionTimers(testContext(t), dial, 1))
	if err != nil {
		t.Fatal(err)
	}
	admin := openAs(t, dial, cfg)
	for name, p := range programs {
		t.Run(name, func(t *testing.T) {
			if users[name] == nil {
				t.Fatal("the page does not have it")
			}
			for _, bucket := range p.buckets {
				if err := esjs.ProvisionBucket(testContext(t), dial, bucket, 1); err != nil {
					t.Fatal(err)
				}
			}
			refused := nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { t.Errorf("refused: %v", err) })
			p.run(t, openAs(t, esjs.DialURL(url(name), nats.CustomInboxPrefix("_INBOX."+name), refused), cfg), admin)
		})
	}
}

func openAs(t *testing.T, dial esjs.Dial, cfg esjs.Config) *esjs.Store {
	t.Helper()
	store, err := esjs.Open(testContext(t), dial, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

var quotedWords = regexp.MustCompile("`([^`]+)`")

// tableOf reads the table of a page whose first column has a title: of each row the first word in
// backquotes, and all those of its second column.
func tableOf(page, title string) map[string][]string {
	rows := map[string][]string{}
	_, table, _ := strings.Cut(page, "\n| "+title+" |")
	table, _, _ = strings.Cut(table, "\n\n")
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		first := quotedWords.FindStringSubmatch(cells[1])
		if first == nil {
			continue
		}
		for _, word := range quotedWords.FindAllStringSubmatch(cells[2], -1) {
			rows[first[1]] = append(rows[first[1]], word[1])
		}
	}
	return rows
}

func handlesCommands(t *testing.T, own, _ *esjs.Store) {
	for n := range 3 {
		h, err := esjs.NewCommandHandler(testContext(t), own, accountAggregate(t), esjs.HandlerConfig[balance]{
			Snapshots: &esjs.SnapshotPolicy[balance]{Bucket: "SNAPSHOTS_a", Every: 1},
		})
		if err != nil {
			t.Fatal(err)
		}
		if l, err := h.Load(testContext(t), "handled"); err != nil || l.Revision.Version() != uint64(n) {
			t.Fatalf("loaded %+v, %v", l, err)
		}
		_, err = h.Handle(testContext(t), "handled", 1)
		if err := errors.Join(err, h.Close(testContext(t))); err != nil {
			t.Fatal(err)
		}
	}
	if read, err := versions(own.Read(testContext(t), account("handled"), 0, 0)); err != nil || len(read) != 3 {
		t.Errorf("read %v, %v", read, err)
	}
}

func guardsItsAppends(t *testing.T, own, _ *esjs.Store) {
	one, err := own.Append(testContext(t), account("guarded"), esjs.Any(), deposited{Amount: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := own.AppendAll(testContext(t), put(account("written"), esjs.Any(), 1), esjs.Unchanged(account("guarded"), one.Revision)); err != nil {
		t.Error(err)
	}
}

func subscribes(t *testing.T, own, admin *esjs.Store) {
	appendTo(t, admin, account("subscribed"), deposited{Amount: 1})
	subscription := esjs.Subscription{Store: own, Bucket: "SUBSCRIPTIONS_a", Name: "a"}
	ctx, stop := context.WithCancel(testContext(t))
	defer stop()
	parks, released := true, make(chan error, 1)
	err := esjs.Subscribe(ctx, own, esjs.SubscriptionConfig[esjs.Event]{
		Name: "a", Codec: accountAggregate(t).Codec, Bucket: "SUBSCRIPTIONS_a",
		Query:      esjs.Query{Streams: []esjs.StreamID{account("subscribed")}},
		OnCaughtUp: func() { released <- subscription.Release(testContext(t), account("subscribed").String()) }, // not ctx: the key may be handled before it returns
	}, func(context.Context, esjs.Recorded[esjs.Event]) error {
		if parks {
			parks = false
			return esjs.Park(errors.New("not yet"))
		}
		stop()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(<-released, subscription.Rewind(testContext(t), esjs.Position{})); err != nil {
		t.Error(err)
	}
}

func projects(t *testing.T, own, admin *esjs.Store) {
	at := appendTo(t, admin, esjs.StreamID{Category: "giftcard", Key: "card-1"}, CardIssued{Cents: 50_00})
	projection, err := balances()
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqlsink.OpenSQLite(filepath.Join(t.TempDir(), "views.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	projector := esjs.NewProjector(own, sqlsink.New(db), projection, esjs.ProjectionConfig{Bucket: "SUBSCRIPTIONS_b"})
	ctx, stop := context.WithCancel(testContext(t))
	ended := make(chan error, 1)
	go func() { ended <- projector.Run(ctx) }()
	if err := projector.WaitFor(testContext(t), at); err != nil {
		t.Error(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func runsAProcess(t *testing.T, own, admin *esjs.Store) {
	process := assemblyProcess(t)
	process.Handler.Snapshots = &esjs.SnapshotPolicy[assembly]{Bucket: snapshots, Every: 1}
	p, err := esjs.NewProcess(testContext(t), own, process, esjs.ProcessConfig{Service: "test", Bucket: positions, Instances: openOnes})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(testContext(t))
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	appendTo(t, admin, esjs.StreamID{Category: "order", Key: "late"}, placed{Order: "late", WaitMS: 10})
	seen := keepJournal(t, admin)
	seen.await(t, "late", "AssemblyStarted", "Reminded", "GivenUp")
	if err := p.Quarantine(testContext(t), "other", errors.New("look at it")); err != nil {
		t.Error(err)
	}
	appendTo(t, admin, esjs.StreamID{Category: "order", Key: "other"}, placed{Order: "other", WaitMS: time.Hour.Milliseconds()})
	if err := p.Release(testContext(t), "other"); err != nil {
		t.Error(err)
	}
	seen.await(t, "other", "AssemblyStarted")
	stop()
	if err := errors.Join(<-ended, p.Close(testContext(t))); err != nil {
		t.Error(err)
	}
}

func appendTo(t *testing.T, store *esjs.Store, id esjs.StreamID, event esjs.Event) esjs.Position {
	t.Helper()
	stored, err := store.Append(testContext(t), id, esjs.Any(), event)
	if err != nil {
		t.Fatal(err)
	}
	return stored.Revision.Position()
}
