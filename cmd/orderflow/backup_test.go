package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/gofrs/flock"
	"github.com/nats-io/nats.go/jetstream"
)

// The drill: a system that has orders is backed up while it runs, and brought back on
// a server that knows nothing of it, where it goes on.
func TestASystemIsBackedUpAndBroughtBack(t *testing.T) {
	dir := t.TempDir()
	p := up(t, dir)
	at := func(url string) []string { return []string{"--nats-url", url} }
	must := func(args ...string) string {
		t.Helper()
		status, stdout, stderr := call(t, args...)
		if status != 0 {
			t.Fatalf("%q: %d %s %s", args, status, stdout, stderr)
		}
		return stdout
	}
	place := func(url, id, method string) {
		t.Helper()
		for _, line := range [][]string{
			{"order", "create", id, "--customer", "c-1", "--currency", "EUR"},
			{"order", "add-item", id, "--sku", "beans", "--quantity", "2"},
			{"order", "set-shipping", id, "--address", "addr-1", "--country", "DE"},
			{"order", "set-payment-method", id, "--method", method},
			{"order", "submit", id},
		} {
			must(append(line, at(url)...)...)
		}
	}
	must(append([]string{"product", "list", "beans", "--name", "Beans", "--price", "24.90", "--currency", "EUR"}, at(p.natsURL)...)...)
	must(append([]string{"stock", "receive", "beans", "--quantity", "40", "--reference", "PO-1"}, at(p.natsURL)...)...)
	place(p.natsURL, "o-1", "card-ok")
	place(p.natsURL, "o-2", "card-declined") // it waits for another card, and a timer is set
	awaitState(t, p.client, "o-1", queries.Completed)
	must(append([]string{"order", "create", "o-1", "--customer", "c-1", "--currency", "EUR", "--queued"}, at(p.natsURL)...)...) // which is refused, and parked
	awaitParked(t, p)

	// Some orders are under way when the backup is taken.
	var underWay []string
	for i := range 6 {
		id := fmt.Sprint("under-way-", i)
		underWay = append(underWay, id)
		create(t, p.client, id)
		p.command(t, "order", id, "add-item", map[string]any{"sku": "beans", "quantity": 1})
		p.command(t, "order", id, "set-shipping", map[string]any{"address_ref": "addr-1", "country": "DE"})
		p.command(t, "order", id, "set-payment-method", map[string]any{"method_ref": "card-ok"})
	}
	for _, id := range underWay {
		p.command(t, "order", id, "submit", map[string]any{})
	}
	file := filepath.Join(dir, "shop.backup")
	var taken manifest
	if err := json.Unmarshal([]byte(must(append([]string{"backup", file, "--json"}, at(p.natsURL)...)...)), &taken); err != nil {
		t.Fatal(err)
	}
	if e := taken.part(eventStream); e.Messages < 15 || e.First != 1 || e.Last != e.Messages || e.Chain == "" || taken.part("KV_COMMANDS_PARKED").Messages != 1 {
		t.Errorf("taken is %+v", taken)
	}
	if status, _, stderr := once(t, dir, append([]string{"backup", file}, at(p.natsURL)...)...); status != service.ExitUsage || !strings.Contains(stderr, "there already") {
		t.Errorf("a backup over another one: %d %s", status, stderr)
	}
	if status, _, stderr := once(t, dir, append([]string{"restore", file}, at(p.natsURL)...)...); status != service.ExitRefused || !strings.Contains(stderr, "has had") {
		t.Errorf("a restore over a system: %d %s", status, stderr)
	}
	asked := [][]string{{"order", "show", "o-1", "--json"}, {"order", "timeline", "o-1", "--json"}, {"events", "history", "order", "o-2", "--json"}}
	for _, id := range underWay { // here and, what the partners know of, there
		awaitState(t, p.client, id, queries.Completed)
	}
	var before []string
	for _, line := range asked {
		before = append(before, must(append(line, at(p.natsURL)...)...))
	}
	p.stop(t)

	fresh := esjstest.Server(t).URL()
	if out := must(append([]string{"restore", file}, at(fresh)...)...); !strings.Contains(out, "All is as it was written.") {
		t.Errorf("restored:\n%s", out)
	}
	if out := must(append([]string{"verify"}, at(fresh)...)...); !strings.Contains(out, "All is as it was written.") {
		t.Errorf("verified:\n%s", out)
	}
	there := t.TempDir() // with partners that go on, and a new read side
	if err := os.CopyFS(filepath.Join(there, "data", "partners"), os.DirFS(filepath.Join(dir, "data", "partners"))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(there, "data", lockName), nil, 0o600); err != nil { // it is orderflow's
		t.Fatal(err)
	}
	q := begin(t, there, "up", "--nats-url", fresh, "--http", "127.0.0.1:0", "--data", "data")
	q.until(t, "Ctrl-C stops it.")
	for i, line := range asked {
		if got := must(append(line, at(fresh)...)...); got != before[i] {
			t.Errorf("%q after the restore:\n%s\nbefore:\n%s", line, got, before[i])
		}
	}
	if out := must(append([]string{"queue", "list"}, at(fresh)...)...); !strings.Contains(out, "o-1") {
		t.Errorf("what was parked is\n%s", out)
	}
	place(fresh, "o-3", "card-ok")
	for _, id := range append(underWay, "o-3") {
		awaitState(t, connect(t, fresh), id, queries.Completed)
	}
	q.stop(t)
}

// awaitParked waits until a queued command is parked.
func awaitParked(t *testing.T, p *running) {
	t.Helper()
	js, err := jetstream.New(p.client.nc)
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := js.KeyValue(t.Context(), "COMMANDS_PARKED")
	if err != nil {
		t.Fatal(err)
	}
	parked, err := bucket.WatchAll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for entry := range parked.Updates() {
		if entry != nil {
			return
		}
	}
	t.Fatal("nothing is parked")
}

// One server's backup is brought back on three, and that of three on one.
func TestABackupIsOfAnyNumberOfReplicas(t *testing.T) {
	dir := t.TempDir()
	one := esjstest.Server(t)
	if err := provision(t.Context(), one.Dial(), esjs.Config{Replicas: 1, MaxBytes: 64 << 20}); err != nil {
		t.Fatal(err)
	}
	store := one.StoreWith(t, esjs.Config{Replicas: 1, MaxBytes: 64 << 20})
	for i := range 50 {
		id := esjs.StreamID{Category: events.CategoryOrder, Key: fmt.Sprint("o-", i%7)}
		if _, err := store.Append(t.Context(), id, esjs.Any(), events.OrderConfirmed{RequestID: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	backedUp := func(url, file string) (m manifest) {
		t.Helper()
		status, stdout, stderr := once(t, dir, "backup", file, "--json", "--nats-url", url)
		if err := json.Unmarshal([]byte(stdout), &m); err != nil || status != 0 {
			t.Fatalf("backup: %d %v %s", status, err, stderr)
		}
		return m
	}
	restored := func(url, file, replicas string) {
		t.Helper()
		if status, stdout, stderr := once(t, dir, "restore", file, "--replicas", replicas, "--nats-url", url); status != 0 || !strings.Contains(stdout, "All is as it was written.") {
			t.Fatalf("restore on %s: %d %s %s", replicas, status, stdout, stderr)
		}
	}
	first := backedUp(one.URL(), "one.backup")
	cluster := esjstest.Cluster(t)
	restored(cluster.URL(), "one.backup", "3")
	if status, stdout, stderr := once(t, dir, "verify", "--each-replica", "--nats-url", cluster.URL()); status != 0 || strings.Count(stdout, "All is as it was written.") != 3 {
		t.Errorf("verify: %d %s %s", status, stdout, stderr)
	}
	second := backedUp(cluster.URL(), "three.backup")
	again := esjstest.Server(t)
	restored(again.URL(), "three.backup", "1")
	third := backedUp(again.URL(), "again.backup")
	if a, b, c := first.part(eventStream), second.part(eventStream), third.part(eventStream); a.Messages != 50 || a.Chain != b.Chain || b.Chain != c.Chain {
		t.Errorf("the events are %+v, %+v and %+v", a, b, c)
	}
}

func TestABackupThatIsNotAsItWasTakenIsRefused(t *testing.T) {
	dir := t.TempDir()
	server := esjstest.Server(t)
	if err := provision(t.Context(), server.Dial(), esjs.Config{Replicas: 1, MaxBytes: 64 << 20}); err != nil {
		t.Fatal(err)
	}
	store := server.StoreWith(t, esjs.Config{Replicas: 1, MaxBytes: 64 << 20})
	for i := range 20 {
		id := esjs.StreamID{Category: events.CategoryOrder, Key: fmt.Sprint("o-", i)}
		if _, err := store.Append(t.Context(), id, esjs.NoStream(), events.OrderCreated{OrderID: id.Key}); err != nil {
			t.Fatal(err)
		}
	}
	if status, _, stderr := once(t, dir, "backup", "good", "--nats-url", server.URL()); status != 0 {
		t.Fatalf("%d %s", status, stderr)
	}
	good, err := os.ReadFile(filepath.Join(dir, "good"))
	if err != nil {
		t.Fatal(err)
	}
	if status, stdout, stderr := once(t, dir, "restore", "good", "--check"); status != 0 || !strings.Contains(stdout, "is as it was taken") {
		t.Errorf("the good one: %d %s %s", status, stdout, stderr)
	}
	// As earlier builds wrote it: without what is behind the last checksum.
	if err := os.WriteFile(filepath.Join(dir, "earlier"), good[:bytes.Index(good, []byte("SHA256\x00"))+512+65], 0o600); err != nil {
		t.Fatal(err)
	}
	if status, stdout, stderr := once(t, dir, "restore", "earlier", "--check"); status != 0 || !strings.Contains(stdout, "is as it was taken") {
		t.Errorf("one of an earlier build: %d %s %s", status, stdout, stderr)
	}
	other := bytes.Clone(good) // another archive, of the same length
	for i := range other {
		other[i] ^= byte(i)
	}
	at := func(entry string) int { return bytes.Index(good, []byte(entry)) }
	events := at("EVENTS/stream.arc.s2")
	damaged := map[string][]byte{
		"its end":                        good[:len(good)-4096],
		"its second half":                good[:len(good)/2],
		"everything":                     nil,
		"all but its first bytes":        good[:100],
		"it is something different":      []byte(strings.Repeat("something different\n", 100)),
		"the tail is another archive's":  slices.Concat(good[:events+600], other[events+600:]),
		"another archive follows":        slices.Concat(good, good),
		"a byte follows":                 slices.Concat(good, []byte{0}),
		"a stream and the next, swapped": swapped(good, at("KV_SUBSCRIPTIONS_order/backup.json"), at("KV_SUBSCRIPTIONS_inventory/backup.json"), at("KV_SUBSCRIPTIONS_payment/backup.json")),
		"parts of the events, swapped":   swapped(good, events+512+40, events+512+140, events+512+240),
		"a bit of the events":            flipped(good, events+512+200),
		"a bit of a configuration":       flipped(good, at("EVENTS/backup.json")+512+30),
		"a bit of the manifest's time":   flipped(good, at(`"taken_at": "20`)+len(`"taken_at": "20`)),
		"a bit of the manifest's names":  flipped(good, at(`"server"`)+1),
		"a bit of the last checksum":     flipped(good, at("SHA256\x00")+512+3),
		"the last bit":                   flipped(good, len(good)-1),
	}
	random := rand.New(rand.NewPCG(1, 2)) // the same places each time
	for range 60 {
		n := random.IntN(len(good))
		damaged[fmt.Sprint("a bit of byte ", n)] = flipped(good, n)
	}
	file := filepath.Join(dir, "damaged")
	for name, damaged := range damaged {
		if err := os.WriteFile(file, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		status, _, stderr := call(t, "restore", file, "--nats-url", "nats://127.0.0.1:1") // which is never asked
		if status != exitUnsound || !strings.Contains(stderr, "the backup "+file+": ") {
			t.Errorf("%s: %d %s", name, status, stderr)
		}
	}
	for _, line := range [][]string{{"restore", "nothing"}, {"restore", "good", "--replicas", "2"}, {"backup", "no/such/directory", "--nats-url", server.URL()}} {
		if status, _, stderr := once(t, dir, line...); status != service.ExitUsage {
			t.Errorf("%q: %d %s", line, status, stderr)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, ".backup-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind are %v, %v", left, err)
	}
}

// swapped has what is from a to b and what is from there to c in the other order.
func swapped(data []byte, a, b, c int) []byte {
	return slices.Concat(data[:a], data[b:c], data[a:b], data[c:])
}

func flipped(data []byte, at int) []byte {
	data = bytes.Clone(data)
	data[at] ^= 1
	return data
}

// In a directory of backups the newest ones stay, and only a good one takes an old one's place.
func TestTheNewestBackupsAreKept(t *testing.T) {
	dir := t.TempDir()
	server := esjstest.Server(t)
	at := []string{"--nats-url", server.URL()}
	older := []string{"orderflow-20250101T000000Z.backup", "orderflow-20250102T000000Z.backup", "orderflow-20250103T000000Z.backup"}
	others := []string{"notes.txt", "orderflow-of-mine.backup"}
	for _, name := range slices.Concat(older, others, []string{".backup-123"}) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("a backup"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	there := func() (names []string) {
		t.Helper()
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Name() != lockName {
				names = append(names, e.Name())
			}
		}
		return names
	}
	// No stream is there: nothing is made, nothing is removed but what a killed one has left.
	if status, _, stderr := once(t, dir, append([]string{"backup", "--keep", "2", dir}, at...)...); status != exitConfiguration || !strings.Contains(stderr, "no such stream") {
		t.Errorf("without streams: %d %s", status, stderr)
	}
	if got, want := there(), slices.Sorted(slices.Values(slices.Concat(older, others))); !slices.Equal(got, want) {
		t.Errorf("after a backup that failed there are %v, want %v", got, want)
	}
	if err := provision(t.Context(), server.Dial(), esjs.Config{Replicas: 1, MaxBytes: 64 << 20}); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := once(t, t.TempDir(), append([]string{"backup", "--keep", "2", dir}, at...)...)
	made, _, _ := strings.Cut(filepath.Base(stdout[:max(0, strings.Index(stdout, " has "))]), " ")
	if want := slices.Sorted(slices.Values(append(others, older[2], made))); status != 0 || !slices.Equal(there(), want) {
		t.Errorf("%d %s%s: there are %v, want %v", status, stdout, stderr, there(), want)
	}
	if status, _, stderr := once(t, dir, "restore", made, "--check"); status != 0 {
		t.Errorf("the new one: %d %s", status, stderr)
	}

	lock := flock.New(filepath.Join(dir, lockName))
	if locked, err := lock.TryLock(); !locked || err != nil {
		t.Fatalf("lock: %v %v", locked, err)
	}
	defer func() { _ = lock.Unlock() }()
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"--keep", "2", dir}, exitLocked, "another backup is written"},
		{[]string{"--keep", "2", filepath.Join(dir, "none")}, exitBadDirectory, "no such file or directory"},
		{[]string{"--keep", "2", filepath.Join(dir, "notes.txt")}, exitBadDirectory, "it is a file"},
		{[]string{"--keep", "0", dir}, service.ExitUsage, "--keep is 0"},
	} {
		if status, _, stderr := once(t, dir, slices.Concat([]string{"backup"}, c.args, at)...); status != c.status || !strings.Contains(stderr, c.says) {
			t.Errorf("%q: %d %s, want %d …%s…", c.args, status, stderr, c.status, c.says)
		}
	}
}
