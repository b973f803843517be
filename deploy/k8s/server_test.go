package k8s

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The server takes the configuration that its pods get, with the keys that were made and the variables that are set.
func TestServersTakeTheConfiguration(t *testing.T) {
	for _, overlay := range overlays {
		t.Run(overlay, func(t *testing.T) {
			p := newServerPod(t, render(t, overlay), newAuthority(t))
			if out, err := p.check(); err != nil || !strings.Contains(out, "configuration file") || !strings.Contains(out, "is valid") {
				t.Errorf("%v: %s", err, out)
			}
			if err := os.RemoveAll(filepath.Join(p.root, "etc", "nats", "keys.conf")); err != nil {
				t.Fatal(err)
			}
			if out, err := p.check(); err == nil || !strings.Contains(out, "keys.conf") {
				t.Errorf("the keys do not matter: %v: %s", err, out)
			}
			p.env = nil
			if out, err := p.check(); err == nil || !strings.Contains(out, "NATS_SERVER_NAME") {
				t.Errorf("the variables do not matter: %v: %s", err, out)
			}
		})
	}
}

// serverPod is what a pod of NATS has, in a directory instead of a root.
type serverPod struct {
	root    string
	moved   *strings.Replacer // of what files say
	command []string
	env     []string
}

// newServerPod lays out the files that the pod mounts. What they say of addresses is replaced by pairs.
func newServerPod(t *testing.T, m manifests, by *authority, addresses ...string) *serverPod {
	t.Helper()
	w, nats := server(m)
	p := &serverPod{root: t.TempDir(), command: nats.Command}
	p.moved = strings.NewReplacer(append([]string{`: "/`, `: "` + p.root + "/"}, addresses...)...)
	for _, v := range nats.Env {
		if value := v.Value; value != "" {
			p.env = append(p.env, v.Name+"="+value)
		} else if at(v.ValueFrom, "fieldRef", "fieldPath") == "metadata.name" {
			p.env = append(p.env, v.Name+"=nats-0")
		}
	}
	for _, v := range w.spec.Volumes {
		for _, mount := range nats.VolumeMounts {
			if mount.Name != v.Name {
				continue
			}
			for _, s := range v.Projected.Sources {
				p.writeAll(t, mount.MountPath, decode[map[string]string](at(m.find("ConfigMap/"+s.ConfigMap.Name), "data")))
			}
			if certificate := m.find("Certificate/" + v.Secret.SecretName); certificate != nil {
				p.mount(t, mount.MountPath, by.of(t, certificate))
			}
		}
	}
	return p
}

// mount replaces all files of a directory at once, as a kubelet does.
func (p *serverPod) mount(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	data, err := os.MkdirTemp(p.root, "mounted-")
	if err != nil {
		t.Fatal(err)
	}
	p.writeAll(t, filepath.Base(data), files)
	link := filepath.Join(p.root, dir)
	if err := errors.Join(os.MkdirAll(filepath.Dir(link), 0o700), os.Symlink(data, data+".link"), os.Rename(data+".link", link)); err != nil {
		t.Fatal(err)
	}
}

// writeAll makes the files of a ConfigMap or Secret.
func (p *serverPod) writeAll(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		p.write(t, filepath.Join(dir, name), text)
	}
}

// write makes a file; paths in it that are absolute are those of the root.
func (p *serverPod) write(t *testing.T, path, text string) {
	t.Helper()
	path = filepath.Join(p.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(p.moved.Replace(text)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// server is its command, with further arguments.
func (p *serverPod) server(args ...string) *exec.Cmd {
	for _, arg := range p.command[1:] {
		if strings.HasPrefix(arg, "/") {
			arg = filepath.Join(p.root, arg)
		}
		args = append(args, arg)
	}
	cmd := exec.Command(filepath.Join(bin, p.command[0]), args...)
	cmd.Env = p.env
	return cmd
}

// check asks the server whether it would start.
func (p *serverPod) check() (string, error) {
	out, err := p.server("-t").CombinedOutput()
	return string(out), err
}
