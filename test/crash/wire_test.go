package crash

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// wire is a proxy between the services and their NATS server. It reads the
// protocol as far as it has to: whole messages, their subjects and reply subjects.
type wire struct {
	trap   *trap
	server string // host:port
	kill   func() // of the process, and waits for its end
}

// serve takes connections until the listener is closed.
func (w wire) serve(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", w.server)
		if err != nil {
			client.Close()
			continue
		}
		c := &connection{wire: w, client: client, server: server}
		go c.down()
		go c.up()
	}
}

// connection is one of the services' connections.
type connection struct {
	wire
	client, server net.Conn

	mu      sync.Mutex
	awaited string        // the reply subject whose answer must not arrive
	came    chan struct{} // closed when it came
}

func (c *connection) close() {
	c.client.Close()
	c.server.Close()
}

// up carries what the services send. A message at which the program dies is
// held back, or passed on and its answer held back.
func (c *connection) up() {
	defer c.close()
	r := bufio.NewReaderSize(c.client, 64<<10)
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return
		}
		fields := strings.Fields(string(line))
		if len(fields) == 0 || fields[0] != "PUB" && fields[0] != "HPUB" {
			if _, err := c.server.Write(line); err != nil {
				return
			}
			continue
		}
		size, err := strconv.Atoi(fields[len(fields)-1])
		if err != nil {
			return
		}
		message := make([]byte, size+2)
		if _, err := io.ReadFull(r, message); err != nil {
			return
		}
		reply, fixed := "", map[string]int{"PUB": 3, "HPUB": 4}[fields[0]]
		if len(fields) == fixed+1 {
			reply = fields[2]
		}
		before, after := c.trap.passes(published(fields[1]))
		if before {
			c.kill()
			return
		}
		var came <-chan struct{}
		if after {
			came = c.await(reply)
		}
		if _, err := c.server.Write(append(line, message...)); err != nil {
			return
		}
		if after {
			select {
			case <-came:
			case <-time.After(300 * time.Millisecond): // the middle of a batch is not answered
			}
			c.kill()
			return
		}
	}
}

// await holds back the answer on a reply subject.
func (c *connection) await(reply string) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.awaited, c.came = reply, make(chan struct{})
	return c.came
}

// held tells that a message of the server is the answer that must not arrive.
func (c *connection) held(subject string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.awaited == "" || subject != c.awaited {
		return false
	}
	c.awaited = ""
	close(c.came)
	return true
}

// down carries what the server sends.
func (c *connection) down() {
	defer c.close()
	r := bufio.NewReaderSize(c.server, 64<<10)
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return
		}
		fields := strings.Fields(string(line))
		if len(fields) > 0 && (fields[0] == "MSG" || fields[0] == "HMSG") {
			size, err := strconv.Atoi(fields[len(fields)-1])
			if err != nil {
				return
			}
			message := make([]byte, size+2)
			if _, err := io.ReadFull(r, message); err != nil {
				return
			}
			if c.held(fields[1]) {
				continue
			}
			line = append(line, message...)
		}
		if _, err := c.client.Write(line); err != nil {
			return
		}
	}
}

// front is an HTTP proxy in front of somebody: the partners when the services
// call, the services when the partners tell news.
type front struct {
	trap *trap
	who  func(*http.Request) string // "" lets it pass
	to   func(*http.Request) *url.URL
	kill func()
}

func (f front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	what := ""
	if who := f.who(r); who != "" {
		what = called(who, r.Method, r.URL.Path)
	}
	before, after := f.trap.passes(what)
	if before {
		f.kill()
		panic(http.ErrAbortHandler)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(f.to(p.In)) },
		ModifyResponse: func(*http.Response) error {
			if after {
				return errAnswered
			}
			return nil
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) {
			if after {
				f.kill()
			}
			panic(http.ErrAbortHandler)
		},
	}
	proxy.ServeHTTP(w, r)
}

// errAnswered: it was answered, and the answer must not arrive.
var errAnswered = errors.New("answered")
