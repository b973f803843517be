package esjsbench

import (
	"net"
	"sync"
	"time"
)

// link is an instance's network, which can be cut for good: that is what others see
// of a process that was killed or of a host that is gone.
type link struct {
	mu    sync.Mutex
	gone  bool
	conns []net.Conn
}

// Dial is the client's hook.
func (l *link) Dial(network, address string) (net.Conn, error) {
	c, err := net.DialTimeout(network, address, 5*time.Second) //nolint:noctx // the client gives none
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	l.conns = append(l.conns, c)
	return c, nil
}

func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = true
	for _, c := range l.conns {
		_ = c.Close()
	}
}
