package esjs_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go"
)

// link is the network between one instance and the servers: it can be frozen,
// as by a pause of the process or a partition, and cut for ever.
type link struct {
	mu     sync.Mutex
	change sync.Cond
	frozen bool
	cut    bool
	conns  []net.Conn
}

func newLink() *link {
	l := &link{}
	l.change.L = &l.mu
	return l
}

func (l *link) set(frozen, cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frozen, l.cut = frozen, cut
	l.change.Broadcast()
	if cut {
		for _, c := range l.conns {
			_ = c.Close()
		}
	}
}

func (l *link) pass() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.frozen && !l.cut {
		l.change.Wait()
	}
	if l.cut {
		return net.ErrClosed
	}
	return nil
}

// Dial is the client's hook.
func (l *link) Dial(network, address string) (net.Conn, error) {
	if err := l.pass(); err != nil {
		return nil, err
	}
	c, err := net.DialTimeout(network, address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, c)
	return linkConn{c, l}, nil
}

type linkConn struct {
	net.Conn
	link *link
}

func (c linkConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if broken := c.link.pass(); broken != nil {
		return 0, broken
	}
	return n, err
}

func (c linkConn) Write(b []byte) (int, error) {
	if err := c.link.pass(); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// instance is another process's store, on the given network.
func (r *rig) instance(t *testing.T, dialer nats.CustomDialer) *rig {
	t.Helper()
	return r.instanceOn(t, esjs.DialURL(r.URL(), nats.SetCustomDialer(dialer), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})))
}

func (r *rig) instanceOn(t *testing.T, dial esjs.Dial) *rig {
	t.Helper()
	store, err := esjs.Open(within(t), dial, r.Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	other := *r
	other.store = store
	return &other
}

// owner is who has the lease.
func (r *rig) owner(t *testing.T) string {
	t.Helper()
	status, err := esjs.Subscriptions(within(t), r.store, subscriptions)
	if err != nil {
		t.Fatal(err)
	}
	if len(status) == 0 {
		return ""
	}
	return status[0].Owner
}

func TestLeaseIsReleasedByACleanStop(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	cfg := r.cfg
	cfg.Lease = 20 * time.Second
	one := newHandled(t, 1)
	first := r.start(t, cfg, one.handle)
	r.tick(t, "a")
	one.wait()
	two := newHandled(t, 1)
	second := r.start(t, cfg, two.handle)
	eventually(t, "nobody watches the lease", func() bool {
		return len(consumers(t, jetStream(t, r.Connect(t)), "KV_"+subscriptions)) == 2
	})
	r.tick(t, "b") // may still be handled by the first one
	began := time.Now()
	first.stopped(t)
	r.tick(t, "a")
	eventually(t, "the second one does not handle", func() bool { return two.versions("a") == "2" })
	took := time.Since(began)
	t.Logf("taken over within %s of the stop", took)
	if took > cfg.Lease/4 {
		t.Errorf("it took %s", took)
	}
	second.stopped(t)
}

func TestLeaseIsTakenOverAfterACrash(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	network := newLink()
	crashing := r.instance(t, network)
	stuck := make(chan struct{})
	one := newHandled(t, 11) // all but the one that is stuck
	first := crashing.start(t, r.cfg, func(ctx context.Context, e esjs.Recorded[esjs.Event]) error {
		if e.Stream.Key == "stuck" {
			close(stuck)
			<-ctx.Done()
			return ctx.Err()
		}
		one.add(e)
		return nil
	})
	r.tick(t, "a")
	r.tick(t, "stuck")
	for range 5 {
		r.tick(t, "a")
		r.tick(t, "b")
	}
	one.wait()
	<-stuck
	eventually(t, "the position is not stored", func() bool { // the ranges above the floor with it
		status, err := esjs.Subscriptions(within(t), r.store, subscriptions)
		return err == nil && len(status) == 1 && status[0].Position.Sequence() == 1
	})
	network.set(true, false) // what it handles now it cannot store
	for range 3 {
		r.tick(t, "a")
	}
	network.set(false, true)
	began := time.Now()
	two := newHandled(t, 1)
	second := r.start(t, r.cfg, two.handle)
	two.wait()
	took := time.Since(began)
	eventually(t, "what waits is not handled", func() bool {
		return two.versions("stuck") == "1" && strings.HasSuffix(two.versions("a"), "7 8 9")
	})
	t.Logf("taken over %s after the crash, with a lease of %s", took, r.cfg.Lease)
	first.stop()
	second.stopped(t)
	for key, versions := range two.all {
		for i := 1; i < len(versions); i++ {
			if versions[i] != versions[i-1]+1 {
				t.Errorf("%s: %v", key, versions)
			}
		}
	}
	if took < r.cfg.Lease/2 || took > 10*r.cfg.Lease {
		t.Errorf("a takeover after %s", took)
	}
}

// shift tells whose handlers run.
type shift struct {
	mu      sync.Mutex
	running map[string]int
	overlap []string
	began   chan string
}

func (s *shift) handler(who string) func(context.Context, esjs.Recorded[esjs.Event]) error {
	return func(ctx context.Context, _ esjs.Recorded[esjs.Event]) error {
		s.mu.Lock()
		s.running[who]++
		for other, n := range s.running {
			if other != who && n > 0 {
				s.overlap = append(s.overlap, fmt.Sprintf("%s began while %d of %s were running", who, n, other))
			}
		}
		s.mu.Unlock()
		select {
		case s.began <- who:
		default:
		}
		<-ctx.Done() // as long as it may
		s.mu.Lock()
		defer s.mu.Unlock()
		s.running[who]--
		return ctx.Err()
	}
}

func TestLeaseFencesAnOwnerThatCannotRenewIt(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	cfg := r.cfg
	cfg.HandlerTimeout = time.Hour
	for k := range 5 {
		r.tick(t, fmt.Sprint("k", k))
	}
	s := &shift{running: map[string]int{}, began: make(chan string, 1)}
	network := newLink()
	cut := r.instance(t, network)
	cfg.Owner = "one"
	one := cut.start(t, cfg, s.handler("one"))
	if who := <-s.began; who != "one" {
		t.Fatal(who)
	}
	cfg.Owner = "two"
	two := r.start(t, cfg, s.handler("two"))
	eventually(t, "nobody watches the lease", func() bool {
		return len(consumers(t, jetStream(t, r.Connect(t)), "KV_"+subscriptions)) == 2
	})
	network.set(true, false)
	eventually(t, "nobody took over", func() bool {
		select {
		case who := <-s.began:
			return who == "two"
		default:
			return false
		}
	})
	network.set(false, false)
	eventually(t, "two does not stay", func() bool { return r.owner(t) == "two" })
	two.stopped(t)
	eventually(t, "one does not come back", func() bool { return r.owner(t) == "one" })
	one.stopped(t)
	for _, o := range s.overlap {
		t.Error(o)
	}
}

func TestLeaseSurvivesALostAnswer(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	lossy := r.Faults()
	inst := r.instanceOn(t, lossy.Dial())
	cfg := r.cfg
	activity := &activity{}
	cfg.Observer = activity
	got := newHandled(t, 2)
	run := inst.start(t, cfg, got.handle)
	r.tick(t, "a")
	eventually(t, "nobody has the lease", func() bool { return r.owner(t) != "" })
	lossy.LoseAcks(1)
	lossy.LoseAppends(1)
	lossy.RefuseAppends(1)
	eventually(t, "not every renewal was damaged", func() bool { return lossy.Armed() == 0 })
	r.tick(t, "a")
	got.wait()
	run.stopped(t)
	if activity.String() != "on off" {
		t.Errorf("the lease went %s", activity)
	}
	if got.versions("a") != "1 2" {
		t.Errorf("handled %s", got.versions("a"))
	}
}

// activity observes when an instance is the active one.
type activity struct {
	mu  sync.Mutex
	log string
}

func (a *activity) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.log
}

func (a *activity) note(s string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.log != "" {
		a.log += " "
	}
	a.log += s
}

func (a *activity) Active(_ string, active bool) {
	if active {
		a.note("on")
	} else {
		a.note("off")
	}
}

func (*activity) Handled(string, time.Duration, error)    {}
func (*activity) Lag(string, uint64, time.Duration)       {}
func (*activity) ParkedKeys(string, int)                  {}
func (*activity) WindowFull(string, bool)                 {}
func (*activity) TimerLate(string, time.Duration)         {}
func (*activity) Unexpected(process, state, input string) {}
