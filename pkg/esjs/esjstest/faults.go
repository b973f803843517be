package esjstest

import (
	"bytes"
	"strings"
	"sync"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/nats-io/nats.go"
)

// Faults sits between a store and its server and does to appends, reads and
// deliveries what networks and replicas do. Open the store with [Faults.Dial]; each fault is
// armed for the next so many cases and then everything passes again. A store
// survives all of them: what a test looks at is what its own service makes of
// the answer. Safe for concurrent use.
type Faults struct {
	dial func(*Faults) esjs.Dial

	mu         sync.Mutex
	armed      map[fault]int
	before     []func()
	lastAnswer map[string][]byte // of get-last, by question: the newest answer
	oldAnswer  map[string][]byte // the one before that
	requests   int
	steps      []step
	open       map[*faultyConn]bool
}

type fault int

const (
	loseAck fault = iota
	loseRequest
	refuse
	staleRead
	staleLeader
	deliverTwice
	deliverOutOfOrder
	deliverLate
	loseDelivery
	missingRead
	rottenRead
	loseAnyRequest
)

// Faults returns a fault injector for stores of the deployment, with nothing armed.
func (d *Deployment) Faults() *Faults {
	return newFaults(func(f *Faults) esjs.Dial { return d.dial(d.URL(), -1, f, ignoreErrors) })
}

// NewFaults is [Deployment.Faults] for servers that run elsewhere: url lists
// them, separated by commas.
func NewFaults(url string, options ...nats.Option) *Faults {
	return newFaults(func(f *Faults) esjs.Dial {
		return esjs.DialURL(url, append(options, nats.SetCustomDialer(dialer{f}), ignoreErrors)...)
	})
}

// ignoreErrors: the connections are meant to break.
var ignoreErrors = nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})

func newFaults(dial func(*Faults) esjs.Dial) *Faults {
	return &Faults{
		dial: dial, armed: map[fault]int{}, open: map[*faultyConn]bool{},
		lastAnswer: map[string][]byte{}, oldAnswer: map[string][]byte{},
	}
}

// Dial opens connections that the faults apply to.
func (f *Faults) Dial() esjs.Dial { return f.dial(f) }

// LoseAcks breaks the connection when the answers of the next n appends come
// back: each is stored, and its writer does not know.
func (f *Faults) LoseAcks(n int) { f.arm(loseAck, n) }

// LoseAppends breaks the connection before the next n appends reach the server.
func (f *Faults) LoseAppends(n int) { f.arm(loseRequest, n) }

// RefuseAppends makes the server refuse the next n appends as conflicts although
// nobody else has written, as a cluster does now and then.
func (f *Faults) RefuseAppends(n int) { f.arm(refuse, n) }

// BeforeAppend calls other when the next append is on its way and before the
// server has it. An append to the same aggregate in it is a conflict that comes
// at the worst moment. It must use another store.
func (f *Faults) BeforeAppend(other func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = append(f.before, other)
}

// StaleReads answers the next n reads of an aggregate's last commit as a replica
// would that is one commit behind, as far as the commits were read through
// these faults before; otherwise as one that has none.
func (f *Faults) StaleReads(n int) { f.arm(staleRead, n) }

// StaleLeader answers the next n questions to the leader for an aggregate's last
// commit as a leader would that was paused and came back: it is one commit
// behind, as [Faults.StaleReads] says.
func (f *Faults) StaleLeader(n int) { f.arm(staleLeader, n) }

// Armed returns how many faults have not come yet: a test waits until it is 0.
func (f *Faults) Armed() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.before) + len(f.steps)
	for _, left := range f.armed {
		n += left
	}
	return n
}

func (f *Faults) arm(what fault, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed[what] += n
}

func (f *Faults) take(what fault) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.armed[what] == 0 {
		return false
	}
	f.armed[what]--
	return true
}

func (f *Faults) runBefore() {
	f.mu.Lock()
	var other func()
	if len(f.before) > 0 {
		other, f.before = f.before[0], f.before[1:]
	}
	f.mu.Unlock()
	if other != nil {
		other()
	}
}

// answer remembers a true answer to a question and returns what the client shall get.
func (f *Faults) answer(subject string, body []byte) []byte {
	what, none := staleRead, "NATS/1.0 404 Message Not Found\r\n\r\n"
	if strings.HasPrefix(subject, leaderGet) {
		what, none = staleLeader, `{"error":{"code":404,"err_code":10037,"description":"no message found"}}`
	}
	stale := f.take(what)
	f.mu.Lock()
	defer f.mu.Unlock()
	if last, found := f.lastAnswer[subject]; found && !bytes.Equal(last, body) {
		f.oldAnswer[subject] = last
	}
	f.lastAnswer[subject] = body
	switch old, found := f.oldAnswer[subject]; {
	case !stale:
		return body
	case found:
		return old
	}
	return []byte(none)
}
