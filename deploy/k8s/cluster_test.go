//go:build apiserver

package k8s

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/b144f99b/orderflow/deploy/k8s/schema"
	"github.com/b144f99b/orderflow/test/program"
)

// programs are what a cluster is made of, built when it is needed into bin/apiserver of the repository, where it stays.
var programs = map[string][]string{
	"etcd":                    {"build", "-modfile=deploy/k8s/apiserver.mod", "-o", "bin/apiserver/etcd", "go.etcd.io/etcd/server/v3"},
	"kube-apiserver":          {"build", "-modfile=deploy/k8s/apiserver.mod", "-o", "bin/apiserver/", "k8s.io/kubernetes/cmd/kube-apiserver"},
	"kube-controller-manager": {"build", "-modfile=deploy/k8s/apiserver.mod", "-o", "bin/apiserver/", "k8s.io/kubernetes/cmd/kube-controller-manager"},
	"kube-scheduler":          {"build", "-modfile=deploy/k8s/apiserver.mod", "-o", "bin/apiserver/", "k8s.io/kubernetes/cmd/kube-scheduler"},
	"kubelet":                 {"build", "-modfile=deploy/k8s/apiserver.mod", "-o", "bin/apiserver/", "k8s.io/kubernetes/cmd/kubelet"},
	"kube-proxy":              {"build", "-modfile=deploy/k8s/apiserver.mod", "-o", "bin/apiserver/", "k8s.io/kubernetes/cmd/kube-proxy"},
	"dns":                     {"build", "-C", "deploy/k8s/dns", "-o", "../../../bin/apiserver/", "."},
	"kubectl":                 {"build", "-modfile=deploy/k8s/apiserver.mod", "-o", "bin/apiserver/", "k8s.io/kubernetes/cmd/kubectl"},
	"kwok":                    {"install", strings.Replace(kwok, "@", "/cmd/kwok@", 1)},
}

var built = map[string]bool{}

// program builds one of them, once. Tests of clusters run one after the other.
func (c *cluster) program(t *testing.T, name string) (path string) {
	t.Helper()
	if path = filepath.Join(c.programs, name); built[name] {
		return path
	}
	cmd := exec.Command("go", programs[name]...)
	cmd.Dir, cmd.Env = filepath.Join("..", ".."), append(os.Environ(), "GOBIN="+c.programs)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %v: %v\n%s", programs[name], err, out)
	}
	built[name] = true
	return path
}

// cluster is etcd and an API server on loopback, with a copy of deploy for itself alone.
type cluster struct {
	// dir has deploy; commands run in it, as they are documented.
	dir      string
	programs string // where they are
	server   string // host and port
	logs     string
}

// installed is where programs stay.
func installed(t *testing.T) (dir string) {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "..", "bin", "apiserver"))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// newCluster starts an API server that has the definitions of what is others', and nothing that acts.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{dir: t.TempDir(), programs: installed(t), logs: t.TempDir()}
	c.program(t, "kubectl")
	if err := os.CopyFS(filepath.Join(c.dir, "deploy"), os.DirFS(tree)); err != nil {
		t.Fatal(err)
	}
	at, err := program.FreeAddresses(3)
	if err != nil {
		t.Fatal(err)
	}
	etcd, peers := "http://"+at[0], "http://"+at[1]
	c.server = at[2]
	c.start(t, "etcd", "--data-dir", t.TempDir(), "--unsafe-no-fsync", "--listen-client-urls", etcd, "--advertise-client-urls", etcd,
		"--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", "default="+peers)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	c.write(t, "accounts.key", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
	c.write(t, "tokens.csv", "admin,admin,1,system:masters\nkubelet,system:node:machine,2,system:nodes\nkube-proxy,system:kube-proxy,3\n")
	for name, content := range newAuthority(t).issue(t, []string{"kube-apiserver"}) { // by which kubelets know it
		c.write(t, "kubelets-"+name, content)
	}
	c.start(t, "kube-apiserver", "--etcd-servers", etcd, "--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1", "--secure-port", program.Port(c.server),
		"--endpoint-reconciler-type", "none", "--cert-dir", c.dir, // where it puts the certificate that it makes
		"--authorization-mode", "Node,RBAC", "--token-auth-file", filepath.Join(c.dir, "tokens.csv"), "--service-cluster-ip-range", "10.96.0.0/16",
		"--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", filepath.Join(c.dir, "accounts.key"),
		"--service-account-signing-key-file", filepath.Join(c.dir, "accounts.key"),
		"--kubelet-client-certificate", filepath.Join(c.dir, "kubelets-tls.crt"), "--kubelet-client-key", filepath.Join(c.dir, "kubelets-tls.key"), "--kubelet-preferred-address-types", "InternalIP")
	c.kubeconfig(t, "admin")
	program.Until(t, patience, "the API server is ready", func() bool { _, err := c.try("kubectl get --raw /readyz"); return err == nil })
	definitions, err := schema.Definitions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.run(t, "kubectl apply --server-side -f "+strings.Join(definitions, " -f "))
	c.run(t, "kubectl wait --for=condition=Established crd --all --timeout=5m")
	return c
}

// kubeconfig writes how a user, by his token, reaches the API server.
func (c *cluster) kubeconfig(t *testing.T, token string) (path string) {
	t.Helper()
	return c.write(t, token+".json", fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "test",
		"contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
		"clusters": [{"name": "test", "cluster": {"server": "https://%s", "certificate-authority": %q}}],
		"users": [{"name": "test", "user": {"token": %q}}]}`, c.server, filepath.Join(c.dir, "apiserver.crt"), token))
}

func (c *cluster) write(t *testing.T, name, content string) (path string) {
	t.Helper()
	path = filepath.Join(c.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// start runs a program until the test ends.
func (c *cluster) start(t *testing.T, program string, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(c.logs, program))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(c.program(t, program), args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL) // nothing of it is needed
		_ = cmd.Wait()                          // it was killed
		_ = log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("%s: …%s", program, text[max(0, len(text)-3000):])
		}
	})
}

// command is a line for a shell in dir, as an administrator who has kubectl, kustomize and orderflow.
func (c *cluster) command(line string) *exec.Cmd {
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", line)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(c.dir, "admin.json"), "PATH="+c.programs+":"+bin+":"+os.Getenv("PATH"))
	return cmd
}

// try runs a line, and returns what it printed, its errors too.
func (c *cluster) try(line string) (string, error) {
	out, err := c.command(line).CombinedOutput()
	return string(out), err
}

// run runs a line that has to succeed, and about which the server warns of nothing.
func (c *cluster) run(t *testing.T, line string) string {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd := c.command(line)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", line, err, tail(out.String()), &errOut)
	}
	if strings.Contains(errOut.String(), "Warning:") {
		t.Errorf("%s: %s", line, &errOut)
	}
	return out.String()
}

// refused runs a line that has to fail for a reason.
func (c *cluster) refused(t *testing.T, line, because string) {
	t.Helper()
	if out, err := c.try(line); err == nil || !strings.Contains(out, because) {
		t.Errorf("%s: %v, want %q: %s", line, err, because, tail(out))
	}
}

func tail(s string) string { return s[max(0, len(s)-2000):] }

// documented returns the lines of the block of a page that begins with a line; what is continued in the next line is one.
func documented(t *testing.T, page, first string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(text), "```sh\n"+first)
	if !found { // or in a list
		_, block, found = strings.Cut(string(text), "```sh\n   "+first)
	}
	block, _, closed := strings.Cut(block, "```")
	if !found || !closed {
		t.Fatalf("%s has no block that begins with %q", page, first)
	}
	for line := range strings.Lines(strings.ReplaceAll(first+block, "\\\n", " ")) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "   #")
		if line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}
