package crash

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/inventory"
	"github.com/b144f99b/orderflow/services/order"
	"github.com/b144f99b/orderflow/services/partners"
	"github.com/b144f99b/orderflow/services/payment"
	"github.com/b144f99b/orderflow/services/saga"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
	"github.com/b144f99b/orderflow/services/shipping"
	"github.com/b144f99b/orderflow/test/truth"
)

// patience bounds every wait: much longer than anything takes on a loaded machine.
const patience = 3 * time.Minute

// lane is one shop whose services are killed again and again: a NATS server and
// partners that live, and the process between them that does not.
type lane struct {
	t        *testing.T
	nc       *nats.Conn // of customers, straight to the server
	store    *esjs.Store
	runner   *esjs.ProcessRunner[fulfilment.State, events.Event, events.Event] // of operators: it does not run
	partners *partners.Server
	ledger   string // URL
	trap     trap

	command func() *exec.Cmd // makes the process
	mu      sync.Mutex
	process *exec.Cmd     // that runs
	ended   chan struct{} // closed when it has ended
	killed  bool          // it was, by us

	shop    *truth.Shop
	types   map[string]map[string]int // by order, what was stored for it, and how often
	changed chan struct{}             // closed when shop changes
}

// newLane opens a shop and starts its services.
func newLane(t *testing.T) *lane {
	server := esjstest.Server(t)
	l := &lane{t: t, shop: truth.NewShop(), types: map[string]map[string]int{}, changed: make(chan struct{})}
	l.nc = server.Connect(t)
	l.store = server.StoreWith(t, storeConfig())
	l.check(esjs.ProvisionTimers(t.Context(), server.Dial(), 1))
	for _, bucket := range slices.Concat(order.Buckets(), inventory.Buckets(), payment.Buckets(), shipping.Buckets(), saga.Buckets()) {
		l.check(esjs.ProvisionBucket(t.Context(), server.Dial(), bucket, 1))
	}
	l.check(service.ProvisionQueue(t.Context(), server.Dial(), 1, events.CategoryOrder, events.CategoryProduct, events.CategoryStock, saga.Category))
	l.runner = l.newRunner()
	l.follow()

	// Between the services and the server.
	between, _ := servicetest.Listen(t)
	t.Cleanup(func() { between.Close() })
	target, err := url.Parse(server.URL())
	l.check(err)
	go wire{&l.trap, target.Host, l.kill}.serve(between)

	// Between the partners and the services, both ways.
	paid, paidURL := servicetest.Listen(t)
	shipped, shippedURL := servicetest.Listen(t)
	news := func(to, who string) *httptest.Server {
		return l.front(to, func(*http.Request) string { return who })
	}
	payments, shipments := news(paidURL, "news of the PSP"), news(shippedURL, "news of the carrier")
	listener, ledger := servicetest.Listen(t)
	l.ledger = ledger
	l.partners, err = partners.New(partners.Config{
		Listener: listener, PSPWebhookURL: payments.URL, CarrierWebhookURL: shipments.URL, WebhookSecret: secret,
		Slow: 150 * time.Millisecond, Hang: time.Second, Retry: 50 * time.Millisecond,
	})
	l.check(err)
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- l.partners.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
	calls := l.front(ledger, func(r *http.Request) string {
		if strings.HasPrefix(r.URL.Path, "/psp/") {
			return "PSP"
		}
		return "carrier"
	})

	l.command = func() *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), variableNATS+"=nats://"+between.Addr().String(), variablePartners+"="+calls.URL)
		cmd.Stderr = os.Stderr
		for _, l := range []net.Listener{paid, shipped} {
			file, err := l.(*net.TCPListener).File()
			if err != nil {
				t.Error(err)
				continue
			}
			cmd.ExtraFiles = append(cmd.ExtraFiles, file)
		}
		return cmd
	}
	t.Cleanup(func() { paid.Close(); shipped.Close() })
	l.supervise()
	return l
}

func (l *lane) check(err error) {
	if err != nil {
		l.t.Helper()
		l.t.Fatal(err)
	}
}

// front puts an HTTP proxy in front of a URL; who names the caller's points.
func (l *lane) front(to string, who func(*http.Request) string) *httptest.Server {
	target, err := url.Parse(to)
	l.check(err)
	s := httptest.NewUnstartedServer(front{trap: &l.trap, who: who, to: func(*http.Request) *url.URL { return target }, kill: l.kill})
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // requests that are cut off are what this is about
	s.Start()
	l.t.Cleanup(s.Close)
	return s
}

// mostFailures bounds how often in a row the services may end before they are ready.
const mostFailures = 10

// supervise starts the services, again each time that they were killed, until the
// test ends.
func (l *lane) supervise() {
	closing, done := make(chan struct{}), make(chan struct{})
	ready := make(chan struct{}, 1)
	go func() {
		defer close(done)
		for failures := 0; failures < mostFailures; {
			cmd := l.command()
			out, err := cmd.StdoutPipe()
			if err == nil {
				_, err = cmd.StdinPipe() // it ends when nobody holds the other end any more
			}
			if err == nil {
				err = cmd.Start()
			}
			for _, file := range cmd.ExtraFiles {
				file.Close()
			}
			if err != nil {
				l.t.Errorf("the services do not start: %v", err)
				return
			}
			ended := make(chan struct{})
			l.mu.Lock()
			l.process, l.ended, l.killed = cmd, ended, false
			l.mu.Unlock()
			select {
			case <-closing: // the one before it was killed, and nobody will kill this one
				_ = cmd.Process.Kill()
			default:
			}
			if line, _ := bufio.NewReader(out).ReadString('\n'); line != "" {
				failures = 0
				select {
				case ready <- struct{}{}:
				default:
				}
			}
			_, _ = io.Copy(io.Discard, out)
			_ = cmd.Wait() // says that it was killed
			close(ended)
			l.mu.Lock()
			killed := l.killed
			l.mu.Unlock()
			if !killed { // a server that is slow to answer ends them; whoever runs them starts them again
				failures++
				l.t.Logf("the services ended by themselves, %d times in a row", failures)
			}
			select {
			case <-closing:
				return
			default:
			}
		}
		l.t.Errorf("the services ended by themselves %d times in a row", mostFailures)
	}()
	l.t.Cleanup(func() {
		close(closing)
		l.kill()
		<-done
	})
	select {
	case <-ready:
	case <-time.After(patience):
		l.t.Fatal("the services are not ready")
	}
}

// kill ends the services' process as a power failure does, and returns when
// nothing of it is left.
func (l *lane) kill() {
	l.mu.Lock()
	process, ended := l.process, l.ended
	l.killed = true
	l.mu.Unlock()
	_ = process.Process.Kill() // unless it has ended
	<-ended
}

// follow folds what is stored, while it is stored.
func (l *lane) follow() {
	codec, err := esjs.NewCodecFrom(events.Types)
	l.check(err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- esjs.Subscribe(ctx, l.store, esjs.SubscriptionConfig[events.Event]{
			Name: "witness", EveryInstance: true, Codec: codec, Workers: 1,
			Query: esjs.Query{Categories: []string{
				events.CategoryOrder, events.CategoryStock, events.CategoryReservation, events.CategoryPayment,
				events.CategoryShipment, events.CategoryFulfilment, events.CategoryRefund,
			}},
		}, func(_ context.Context, e esjs.Recorded[events.Event]) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.shop.Apply(e)
			id := l.orderOf(e.Stream)
			if l.types[id] == nil {
				l.types[id] = map[string]int{}
			}
			l.types[id][e.Type]++
			close(l.changed)
			l.changed = make(chan struct{})
			return nil
		})
	}()
	l.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			l.t.Error(err)
		}
	})
}

// orderOf is the order that a stream is about, or else the stream's key; l.mu is locked.
func (l *lane) orderOf(id esjs.StreamID) string {
	switch id.Category {
	case events.CategoryPayment:
		return l.shop.Payments[id.Key].OrderID
	case events.CategoryShipment:
		return l.shop.Shipments[id.Key].OrderID
	case events.CategoryRefund:
		return l.shop.Refunds[id.Key].OrderID
	}
	return id.Key
}

// until waits for something that is stored; false when it does not come.
func (l *lane) until(come func(*truth.Shop) bool) bool {
	timeout := time.After(patience)
	for {
		l.mu.Lock()
		found, changed := come(l.shop), l.changed
		l.mu.Unlock()
		if found {
			return true
		}
		select {
		case <-changed:
		case <-timeout:
			return false
		}
	}
}

// send gives a command under one id until it is answered, however often the
// services die meanwhile. It returns the problem's code, "" when there is none.
func (l *lane) send(subject, body string) (code string) {
	l.t.Helper()
	msg := nats.NewMsg(subject)
	msg.Header.Set("Command-Id", "of "+subject+" "+body)
	msg.Header.Set("Actor", "somebody")
	msg.Data = []byte(body)
	for deadline := time.Now().Add(patience); ; {
		answer, err := l.nc.RequestMsg(msg, time.Second)
		if err == nil {
			if code = answer.Header.Get("Nats-Service-Error"); code != "busy" {
				return code
			}
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("%s is not answered: %v %s", subject, err, code)
		}
		<-time.After(10 * time.Millisecond) // it is asked again
	}
}

func (l *lane) must(subject, format string, args ...any) {
	l.t.Helper()
	if code := l.send(subject, fmt.Sprintf(format, args...)); code != "" {
		l.t.Fatalf("%s: %s", subject, code)
	}
}
