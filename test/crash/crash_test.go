package crash

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/test/truth"
)

var (
	every    = flag.Int("every", share, "kill at one of so many `points`; 1: at each")
	killSeed = flag.Uint64("seed", 0, "`seed` by which the points are chosen; 0: of the clock")
)

// The program is killed at every point of every way that an order can take, and
// started again: the order ends truthfully (P3), the PSP's ledger is ours and
// nothing was done twice (P6), and stock is conserved (P1).
//
// The test kills at one point of twelve, others each time, and with the race detector, as make test does, at one of 96, at
// least at one of each kind; make crash kills at all of them.
// The same points again:
//
//	go test ./test/crash -v -seed SEED
func TestKilledAtEveryPoint(t *testing.T) {
	if *every < 1 {
		t.Fatalf("-every is %d; it must be at least 1: at each point", *every)
	}
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d, one point of %d", seed, *every)
	var mu sync.Mutex
	var next atomic.Int64
	kills, total, points := map[string]int{}, 0, 0
	t.Run("lanes", func(t *testing.T) {
		for i := range lanes {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				l := newLane(t)
				l.stockUp()
				var cuts []cut
				for n := next.Add(1) - 1; n < int64(len(lives)); n = next.Add(1) - 1 {
					done, all := l.playAll(lives[n], lives[n].certain(int(n), seed), rand.New(rand.NewPCG(seed, uint64(n))))
					cuts = append(cuts, done...)
					mu.Lock()
					points += all
					mu.Unlock()
				}
				l.checkTruth(cuts)
				mu.Lock()
				defer mu.Unlock()
				for _, c := range cuts {
					if c.sprung {
						kills[c.point.what]++
						total++
					}
				}
			})
		}
	})
	for _, what := range slices.Sorted(maps.Keys(kills)) {
		t.Logf("%4d %s", kills[what], what)
	}
	t.Logf("killed %d times, at points of %d", total, points)
	for _, kind := range kinds() {
		if kills[kind] == 0 && !t.Failed() {
			t.Errorf("nothing was killed at %s", kind)
		}
	}
}

// lanes are shops that are killed at the same time: one waits while another works.
const lanes = 3

// cut is an order in whose life the program was to be killed.
type cut struct {
	order  string
	point  point
	sprung bool
}

func (l *lane) stockUp() {
	for _, sku := range []string{"beans", "rare"} {
		l.must("cmd.product."+sku+".list", `{"name":%q,"price":"24.90","currency":"EUR"}`, sku)
	}
	l.must("cmd.stock.beans.receive", `{"quantity":100000,"reference":"PO-1"}`)
	l.must("cmd.stock.rare.receive", `{"quantity":1,"reference":"PO-2"}`)
}

// playAll plays a life once uncut, to learn its points, and then once for every
// point that is chosen; of certain kinds one is. It returns how many there are.
func (l *lane) playAll(s life, certain []string, random *rand.Rand) (cuts []cut, all int) {
	l.t.Helper()
	passed, _ := l.play(s, s.name+"-uncut", nil)
	var points []point
	for _, p := range passed {
		points = append(points, p)
		p.after = true
		points = append(points, p)
	}
	for i, p := range choose(points, certain, random) {
		id, begun := fmt.Sprintf("%s-%d", s.name, i), time.Now()
		_, sprung := l.play(s, id, &p)
		cuts = append(cuts, cut{id, p, sprung})
		l.t.Logf("%s: %v, reached %t, in %v", id, p, sprung, time.Since(begun).Round(time.Millisecond))
		if sprung || p.n == 1 && !slices.Contains(s.kinds(), p.what) {
			continue
		}
		// How often something is sent, and whether anybody is asked twice, is a matter of time.
		// That it is sent is not: then the program is killed at the first one.
		p.n, id, begun = 1, id+"-first", time.Now()
		_, sprung = l.play(s, id, &p)
		cuts = append(cuts, cut{id, p, sprung})
		l.t.Logf("%s: %v, reached %t, in %v", id, p, sprung, time.Since(begun).Round(time.Millisecond))
		if !sprung && slices.Contains(s.kinds(), p.what) {
			l.t.Errorf("%s was not killed %v, which has to come", id, p)
		}
	}
	return cuts, len(points)
}

// choose takes a share of the points by chance, and of certain kinds at least one each.
func choose(points []point, certain []string, random *rand.Rand) []point {
	points = slices.Clone(points)
	random.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
	for i, kind := range certain {
		if at := i + slices.IndexFunc(points[i:], func(p point) bool { return p.what == kind }); at >= i {
			points[i], points[at] = points[at], points[i]
		}
	}
	return points[:max((len(points)+*every-1) / *every, len(certain))]
}

// await ends the test when something does not happen to an order.
func (l *lane) await(id string, p *point, what string, come func(*truth.Shop) bool) {
	l.t.Helper()
	if !l.until(come) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.t.Fatalf("killed %v: order %s never %s: it is %s, fulfilment %+v", p, id, what, l.shop.Orders[id].Status, l.shop.Fulfilments[id])
	}
}

// checkTruth compares the books when the partners have told everything.
func (l *lane) checkTruth(cuts []cut) {
	l.t.Helper()
	for deadline := time.Now().Add(patience); l.partners.Untold() > 0; {
		if time.Now().After(deadline) {
			l.t.Fatalf("%d webhooks of the partners are not taken", l.partners.Untold())
		}
		<-time.After(20 * time.Millisecond) // nothing announces it
	}
	books, err := truth.ReadLedger(context.Background(), http.DefaultClient, l.ledger)
	l.check(err)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, v := range l.shop.Check(books, time.Now()) {
		l.t.Errorf("%v", v)
		for _, c := range cuts {
			if strings.Contains(v.Text, " "+c.order+" ") || strings.Contains(v.Text, " "+c.order+":") {
				l.t.Errorf("%s was killed %v", c.order, c.point)
			}
		}
	}
}
