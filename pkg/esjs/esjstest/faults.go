package esjstest

import (
	"bytes"
	"sync"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/nats-io/nats.go"
)

// Faults sits between a store and its server and does to appends and reads what
// networks and replicas do. Open the store with [Faults.Dial]; each fault is
// armed for the next so many cases and then everything passes again. A store
// survives all of them: what a test looks at is what its own service makes of
// the answer. Safe for concurrent use.
type Faults struct {
	deployment *Deployment

	mu         sync.Mutex
	armed      map[fault]int
	before     []func()
	lastAnswer map[string][]byte // of get-last, by subject: the newest answer
	oldAnswer  map[string][]byte // the one before that
}

type fault int

const (
	loseAck fault = iota
	loseRequest
	refuse
	staleRead
)

// Faults returns a fault injector for stores of the deployment, with nothing armed.
func (d *Deployment) Faults() *Faults {
	return &Faults{
		deployment: d, armed: map[fault]int{},
		lastAnswer: map[string][]byte{}, oldAnswer: map[string][]byte{},
	}
}

// Dial opens connections that the faults apply to.
func (f *Faults) Dial() esjs.Dial {
	return f.deployment.dial(f.deployment.URL(), nats.SetCustomDialer(dialer{f}),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // the connections are meant to break
}

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

// Armed returns how many faults have not come yet: a test waits until it is 0.
func (f *Faults) Armed() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.before)
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

// answer remembers a true answer about subject and returns what the client shall get.
func (f *Faults) answer(subject string, body []byte) []byte {
	stale := f.take(staleRead)
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
	return []byte("NATS/1.0 404 Message Not Found\r\n\r\n")
}
