package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/internal/service"
)

// Keys are made once: those that are there are kept, and the file of public keys names every user
// of the accounts.
func TestKeysAreMadeOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "secrets")
	for _, mountPoint := range []string{keysFile, "order.nk", webhookSecretFile, databaseSecretFile, passFile, routesFile} { // docker-compose was faster
		if err := os.MkdirAll(filepath.Join(dir, mountPoint), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if created, err := createKeys(dir); err != nil || created != len(keyUsers())+len(passwordFiles()) {
		t.Fatalf("%d secrets created, %v", created, err)
	}
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	order, public := read("order.nk"), read(keysFile)
	if password := strings.TrimSpace(read(databaseSecretFile)); len(password) < 20 || read(passFile) != "*:*:*:orderflow:"+password+"\n" {
		t.Errorf("the password is %q, and clients read %q", password, read(passFile))
	}
	password, routes := strings.TrimSpace(read(routesSecretFile)), read(routesFile)
	if len(password) < 20 || strings.Count(routes, `"nats://routes:`+password+`@nats`) != 3 || !strings.Contains(routes, `: "`+password+`"`) {
		t.Errorf("servers ask each other for %q, and read %q", password, routes)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory is %v, %v", info.Mode(), err)
	}
	for _, name := range keyUsers() {
		if strings.Count(public, keyVariable(name)+": U") != 1 || !strings.Contains(accountsFile(), "$"+keyVariable(name)+" ") && !strings.Contains(accountsFile(), "$"+keyVariable(name)+",") {
			t.Errorf("%s is not in both files", name)
		}
		if strings.Contains(public, strings.TrimSpace(read(name+seedSuffix))) {
			t.Errorf("the seed of %s is among the public keys", name)
		}
	}
	for _, name := range keyUsers() { // people take their keys along
		made := strings.Contains(read(kustomizationFile), "name: "+name+"-key\n    files: [seed="+name+seedSuffix+"]\n")
		if people := name == userOperator || name == userRestore || name == userSysadmin; made == people {
			t.Errorf("a Kubernetes Secret is made of the key of %s: %v", name, made)
		}
	}
	for _, name := range []string{"restore.nk", webhookSecretFile} { // one is in a safe, one is lost
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if created, err := createKeys(dir); err != nil || created != 1 || read(keysFile) != public || read(routesFile) != routes {
		t.Errorf("%d secrets created, %v; the webhooks' was missing, and the others are those of before:\n%s", created, err, read(keysFile))
	}
	secret := read(webhookSecretFile)
	if _, err := createKeys(dir, "sega"); exitStatus(err) != service.ExitUsage || !strings.Contains(err.Error(), "saga") {
		t.Errorf("a new key for nobody: %v", err)
	}
	if created, err := createKeys(dir, "saga"); err != nil || created != 1 {
		t.Errorf("%d secrets created, %v; one was asked for", created, err)
	}
	if read("order.nk") != order || read(webhookSecretFile) != secret || read(keysFile) == public {
		t.Error("not only the key that was missing is another one")
	}
	if err := os.Chmod(filepath.Join(dir, "order.nk"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "order.nk"), []byte("no seed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := createKeys(dir); exitStatus(err) != exitBadDirectory || !strings.Contains(err.Error(), "order.nk does not hold the seed") {
		t.Errorf("a damaged seed: %v", err)
	}
}
