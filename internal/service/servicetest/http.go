package servicetest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Listen listens on a free loopback port. Whoever serves there closes it.
func Listen(t testing.TB) (listener net.Listener, url string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener, "http://" + listener.Addr().String()
}

// Post sends a body with headers, each a name and a value, and returns the
// status of the answer.
func Post(t testing.TB, url, body string, header ...string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode
}

// HoldLittle is a server's ConnContext with which a connection holds a few KB for a client who takes nothing.
func HoldLittle(ctx context.Context, conn net.Conn) context.Context {
	if c, ok := conn.(*net.TCPConn); ok {
		_ = c.SetWriteBuffer(4096) // what is not set is seen by what is held
	}
	return ctx
}

// Held sends the beginning of a request to a server and returns how long it holds
// the connection, on a clock that waits for nobody.
func Held(t *testing.T, begun string, serve func(context.Context, net.Listener) error) time.Duration {
	t.Helper()
	return held(t, begun, serve, func(client net.Conn) error {
		_, err := io.Copy(io.Discard, client)
		return err
	})
}

// Trickled is [Held] with a client who takes a byte of the answer every ten seconds.
func Trickled(t *testing.T, request string, serve func(context.Context, net.Listener) error) time.Duration {
	t.Helper()
	return held(t, request, serve, func(client net.Conn) error {
		for {
			<-time.After(10 * time.Second)
			if n, err := client.Read(make([]byte, 1)); n == 0 {
				return onlyEOF(err)
			}
		}
	})
}

func onlyEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func held(t *testing.T, begun string, serve func(context.Context, net.Listener) error, take func(net.Conn) error) (held time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		client, server := net.Pipe()
		listener := oneListener{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
		listener.conns <- server
		done := make(chan error, 1)
		go func() { done <- serve(ctx, listener) }()
		started := time.Now()
		if _, err := io.Copy(client, strings.NewReader(begun)); err != nil {
			t.Fatal(err)
		}
		if err := take(client); err != nil { // until the server hangs up
			t.Fatal(err)
		}
		held = time.Since(started)
		_ = client.Close()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return held
}

// oneListener accepts one connection.
type oneListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l oneListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l oneListener) Close() error {
	close(l.closed)
	return nil
}

func (l oneListener) Addr() net.Addr { return &net.TCPAddr{} }
