package esjs

import (
	"sync"
	"time"
)

// part is what one key has of a commit. err says why it cannot be handled:
// then the key is parked.
type part[T any] struct {
	key     string
	payload T
	err     error
}

// task is a part that waits in its lane.
type task[T any] struct {
	entry   *commitEntry
	payload T
	err     error
}

// lane is the queue of one key. It is taken by one worker at a time, and stays
// taken while its head waits for a retry or for the other parts of its commit.
type lane[T any] struct {
	key      string
	tasks    []task[T]
	taken    bool      // by a worker, or waiting for something
	woken    bool      // while it was taken
	attempts int       // failed ones of the head
	ahead    []message // of a released key, read ahead
	decided  *decision // that the key is to be parked, until that is stored
}

// queue schedules lanes over workers: the commits of a key one after the other,
// different keys at the same time. What is not finished is bounded by the window.
// It is safe for concurrent use.
type queue[T any] struct {
	window   int
	bytes    int
	full     func(bool) // told when delivery starts and stops to wait
	finished func(int)  // told when so many commits were finished; does not block

	mu       sync.Mutex
	progress *progress
	held     int // bytes not finished
	lanes    map[string]*lane[T]
	ready    []*lane[T]
	waiting  map[*commitEntry][]*lane[T] // lanes whose head's commit has other parts
	stopped  bool
	some     sync.Cond // a lane is ready
	room     sync.Cond // a commit was finished
}

// windowBytes bounds the memory of the commits that are not finished; one
// commit is always allowed.
const windowBytes = 64 << 20

func newQueue[T any](start place, window, bytes int, full func(bool), finished func(int)) *queue[T] {
	q := &queue[T]{
		window: window, bytes: bytes, full: full, finished: finished,
		progress: newProgress(start), lanes: map[string]*lane[T]{}, waiting: map[*commitEntry][]*lane[T]{},
	}
	q.some.L, q.room.L = &q.mu, &q.mu
	return q
}

// add queues a delivered commit. It waits for room in the window, until the
// queue stops. Parts of one commit have different keys.
func (q *queue[T]) add(m message, parts []part[T]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.progress.saw(m)
	late := m.sequence <= q.progress.head
	if !late && q.progress.finished(m.sequence) || len(parts) == 0 {
		q.progress.pass(m.sequence)
		q.finished(0)
		return
	}
	q.waitForRoom(len(m.data))
	if q.stopped {
		return
	}
	e := &commitEntry{sequence: m.sequence, stored: m.stored, size: len(m.data), parts: len(parts)}
	q.progress.deliver(e)
	q.held += e.size
	for _, p := range parts {
		l := q.lane(p.key)
		l.tasks = append(l.tasks, task[T]{entry: e, payload: p.payload, err: p.err})
		q.offer(l)
	}
}

func (q *queue[T]) waitForRoom(size int) {
	crowded := func() bool {
		n := q.progress.open.Len()
		return !q.stopped && n > 0 && (n >= q.window || q.held+size > q.bytes)
	}
	if !crowded() {
		return
	}
	q.full(true)
	for crowded() {
		q.room.Wait()
	}
	q.full(false)
}

// pass tells that everything up to sequence was delivered.
func (q *queue[T]) pass(sequence uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.progress.pass(sequence)
	q.finished(0)
}

// lane returns the key's lane and makes it where there is none.
func (q *queue[T]) lane(key string) *lane[T] {
	l := q.lanes[key]
	if l == nil {
		l = &lane[T]{key: key}
		q.lanes[key] = l
	}
	return l
}

// offer makes a lane ready unless it is taken.
func (q *queue[T]) offer(l *lane[T]) {
	if !l.taken {
		l.taken = true
		q.ready = append(q.ready, l)
		q.some.Signal()
	}
}

// wake makes the lane of a key ready even where nothing waits in it.
func (q *queue[T]) wake(key string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lane(key)
	l.woken = l.taken
	q.offer(l)
}

// take waits for ready lanes and takes at most limit of them; none when the
// queue has stopped.
func (q *queue[T]) take(limit int) []*lane[T] {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.ready) == 0 && !q.stopped {
		q.some.Wait()
	}
	if q.stopped {
		return nil
	}
	n := min(limit, len(q.ready))
	taken := append([]*lane[T](nil), q.ready[:n]...)
	clear(q.ready[:n])
	q.ready = q.ready[n:]
	return taken
}

// tasks returns what waits in a lane, its head first. The caller has taken the lane.
func (q *queue[T]) tasks(l *lane[T]) []task[T] {
	q.mu.Lock()
	defer q.mu.Unlock()
	return l.tasks[:len(l.tasks):len(l.tasks)]
}

// head returns the first task of a lane.
func (q *queue[T]) head(l *lane[T]) (task[T], bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(l.tasks) == 0 {
		return task[T]{}, false
	}
	return l.tasks[0], true
}

// finish finishes the head of a lane and gives the lane back. Where the commit
// has other parts the lane waits for them, so that a commit that is handled
// again after a takeover never comes after a later one of the same key.
func (q *queue[T]) finish(l *lane[T]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.pop(l)
	if e.parts > 0 {
		q.waiting[e] = append(q.waiting[e], l)
		return
	}
	q.give(l)
}

// absorb finishes the first n tasks of a lane that are safe elsewhere; the
// lane stays taken.
func (q *queue[T]) absorb(l *lane[T], n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for range n {
		q.pop(l)
	}
}

// pop removes the head of a lane and returns its commit, which is finished
// when it was the last part.
func (q *queue[T]) pop(l *lane[T]) *commitEntry {
	e := l.tasks[0].entry
	l.tasks[0] = task[T]{}
	l.tasks = l.tasks[1:]
	l.attempts = 0
	if e.parts--; e.parts > 0 {
		return e
	}
	q.progress.finish(e)
	q.held -= e.size
	for _, other := range q.waiting[e] {
		q.give(other)
	}
	delete(q.waiting, e)
	q.room.Signal()
	q.finished(1)
	return e
}

// release gives a lane back as it is.
func (q *queue[T]) release(l *lane[T]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.give(l)
}

func (q *queue[T]) give(l *lane[T]) {
	l.taken = false
	if len(l.tasks) > 0 || l.woken {
		l.woken = false
		q.offer(l)
	} else {
		delete(q.lanes, l.key)
	}
}

// again makes a taken lane ready after d, whether something waits in it or not.
func (q *queue[T]) again(l *lane[T], d time.Duration) {
	ready := func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.ready = append(q.ready, l)
		q.some.Signal()
	}
	if d <= 0 {
		ready()
		return
	}
	time.AfterFunc(d, ready)
}

// stop ends take and add; what is taken may still be finished.
func (q *queue[T]) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped = true
	q.some.Broadcast()
	q.room.Broadcast()
}

// place, head and backlog tell where the subscription stands.
func (q *queue[T]) place() place {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.progress.place()
}

// delivered is the sequence up to which everything was delivered.
func (q *queue[T]) delivered() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.progress.head
}

// backlog is how many commits are not finished, and when the oldest was stored.
func (q *queue[T]) backlog() (n int, oldest time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e := q.progress.oldest(); e != nil {
		oldest = e.stored
	}
	return q.progress.open.Len(), oldest
}
