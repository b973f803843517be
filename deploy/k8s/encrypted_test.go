package k8s

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/test/program"
	"github.com/nats-io/nats.go"
)

// encrypted are the three servers of production: processes on loopback, each with the command, the variables and the
// files of its pod, keys by "orderflow keys", and a certificate as cert-manager makes it.
type encrypted struct {
	pods      []*serverPod
	addresses []string // of each for clients, for health and for the others; then one more
	urls      []string
	ca        string // file
}

func startEncrypted(t *testing.T, m manifests, by *authority) *encrypted {
	t.Helper()
	addresses, err := program.FreeAddresses(3*3 + 1)
	if err != nil {
		t.Fatal(err)
	}
	e := &encrypted{addresses: addresses}
	var routes []string
	for i := range 3 {
		e.urls = append(e.urls, "tls://"+addresses[3*i])
		routes = append(routes, strconv.Quote("tls://"+addresses[3*i+2]))
	}
	for i := range 3 {
		p := newServerPod(t, m, by, "0.0.0.0:4222", addresses[3*i], "0.0.0.0:8222", addresses[3*i+1], "0.0.0.0:6222", addresses[3*i+2])
		p.env = append(p.env, fmt.Sprint("NATS_SERVER_NAME=nats-", i), "NATS_ROUTES=["+strings.Join(routes, ", ")+"]")
		if err := os.MkdirAll(filepath.Join(p.root, "run", "nats"), 0o700); err != nil { // for its process id
			t.Fatal(err)
		}
		begin(t, filepath.Join(p.root, "nats.log"), p.server())
		e.pods = append(e.pods, p)
	}
	e.ca = filepath.Join(e.pods[0].root, "etc", "nats-tls", "ca.crt")
	for i := range 3 {
		program.Until(t, patience, fmt.Sprintf("nats-%d is healthy", i), func() bool {
			answer, err := http.Get("http://" + addresses[3*i+1] + "/healthz")
			if err != nil {
				return false
			}
			answer.Body.Close()
			return answer.StatusCode == http.StatusOK
		})
	}
	return e
}

// begin starts a process, which ends with the test, and says what it has said when the test has failed.
func begin(t *testing.T, log string, cmd *exec.Cmd) {
	t.Helper()
	file, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd.Stdout, cmd.Stderr = file, file
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // which says that it was killed
		if said, _ := os.ReadFile(log); t.Failed() {
			t.Logf("%q has said:\n%s", cmd.Args, said)
		}
	})
}

// orderflow is a command of a user of all servers, who knows their authority if ca is not "".
func (e *encrypted) orderflow(ca, user string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(bin, "orderflow"), args...)
	cmd.Env = append(os.Environ(), "ORDERFLOW_NATS_URL="+strings.Join(e.urls, ","), "ORDERFLOW_NATS_NKEY="+filepath.Join(tree, "secrets", user+".nk"), "ORDERFLOW_NATS_CA="+ca)
	return cmd
}

// must runs a command that succeeds.
func (e *encrypted) must(t *testing.T, user string, args ...string) string {
	t.Helper()
	out, err := e.orderflow(e.ca, user, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("orderflow %q: %v: %s", args, err, out)
	}
	return string(out)
}

// connect makes a connection to one server that is never made again.
func (e *encrypted) connect(t *testing.T, server int) *nats.Conn {
	t.Helper()
	key, err := nats.NkeyOptionFromSeed(filepath.Join(tree, "secrets", "operator.nk"))
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(e.urls[server], key, nats.RootCAs(e.ca), nats.NoReconnect())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// serves tells whether the server of a connection has shown the certificate that its pod has now.
func (p *serverPod) serves(t *testing.T, nc *nats.Conn) bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(p.root, "etc", "nats-tls", "tls.crt"))
	if err != nil {
		t.Fatal(err)
	}
	state, err := nc.TLSConnectionState()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	return bytes.Equal(state.PeerCertificates[0].Raw, block.Bytes)
}

// The three servers of production run: clients need the authority's certificate and nothing else but their key, servers
// check each other's. When cert-manager has renewed the certificate, the second container of each pod has its
// server take it up, and no connection is lost.
func TestServersRunEncrypted(t *testing.T) {
	m, by := render(t, "prod"), newAuthority(t)
	e := startEncrypted(t, m, by)
	e.must(t, "provision", "provision", "--replicas", "3", "--wait", "2m")
	health := e.addresses[len(e.addresses)-1]
	begin(t, filepath.Join(t.TempDir(), "order.log"), e.orderflow(e.ca, "order", "order", "--http", health))
	program.Until(t, patience, "the order service is ready", func() bool {
		return e.orderflow(e.ca, "order", "healthcheck", "--http", health).Run() == nil
	})
	e.must(t, "operator", "order", "create", "o-1", "--customer", "c-1", "--currency", "EUR")
	if said := e.must(t, "operator", "verify", "--each-replica"); strings.Count(said, "All is as it was written.") != 3 {
		t.Errorf("not three replicas were verified: %s", said)
	}

	stranger := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(stranger, []byte(newAuthority(t).issue(t, nil)["ca.crt"]), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, ca := range []string{"", stranger} {
		cmd := e.orderflow(ca, "operator", "verify")
		if out, err := cmd.CombinedOutput(); err == nil || cmd.ProcessState.ExitCode() != 15 || !strings.Contains(string(out), "unknown authority") {
			t.Errorf("with the authority %q: %v: %s", ca, err, out)
		}
	}
	for i := range e.pods {
		if err := e.asServer(t, e.addresses[3*i+2]); err == nil || !strings.Contains(err.Error(), "certificate required") {
			t.Errorf("nats-%d does not check other servers: %v", i, err)
		}
	}

	w, _ := server(m)
	var kept []*nats.Conn
	for i, p := range e.pods {
		kept = append(kept, e.connect(t, i))
		p.reloads(t, w)
	}
	for i, p := range e.pods {
		p.mount(t, "/etc/nats-tls", by.of(t, m.find("Certificate/nats-tls")))
		if p.serves(t, kept[i]) {
			t.Fatal("the certificate is not another one")
		}
	}
	for i, p := range e.pods {
		program.Until(t, patience, fmt.Sprintf("nats-%d has taken up its new certificate", i), func() bool {
			nc := e.connect(t, i)
			defer nc.Close()
			return p.serves(t, nc)
		})
		if err := kept[i].FlushTimeout(patience); err != nil {
			t.Errorf("the connection that nats-%d had is lost: %v", i, err)
		}
	}
	e.must(t, "operator", "order", "set-shipping", "o-1", "--address", "addr-1", "--country", "DE")
}

// reloads runs what the second container of the pod runs, which looks once a second instead of once a minute, until it
// has looked for the first time.
func (p *serverPod) reloads(t *testing.T, w workload) {
	t.Helper()
	for _, c := range w.spec.Containers {
		if c.Name != "reload" {
			continue
		}
		script := strings.NewReplacer("/etc/", p.root+"/etc/", "/run/", p.root+"/run/", "sleep 60", "sleep 1").Replace(c.Command[2])
		cmd := exec.Command(c.Command[0], "-x", c.Command[1], script)
		cmd.Env = []string{"PATH=" + bin + string(filepath.ListSeparator) + os.Getenv("PATH")}
		log := filepath.Join(p.root, "reload.log")
		begin(t, log, cmd)
		program.Until(t, patience, "the certificate is known", func() bool {
			said, err := os.ReadFile(log)
			return err == nil && strings.Contains(string(said), "+ sleep 1")
		})
		return
	}
	t.Fatal("there is no second container")
}

// asServer connects as another server does that has no certificate, and tells why it is refused.
func (e *encrypted) asServer(t *testing.T, address string) error {
	t.Helper()
	text, err := os.ReadFile(e.ca)
	if err != nil {
		t.Fatal(err)
	}
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(text)
	conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: authorities})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = conn.Read(make([]byte, 1)) // the refusal comes after the client's part of the handshake
	return err
}
