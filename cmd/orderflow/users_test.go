package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write deploy/nats/accounts.conf as the table of users is now")

// The permissions that a server gets are those of the table.
func TestTheAccountsFileIsTheTable(t *testing.T) {
	path := filepath.Join("..", "..", "deploy", "nats", "accounts.conf")
	if *rewrite {
		if err := os.WriteFile(path, []byte(accountsFile()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != accountsFile() {
		t.Errorf("%s is not what the table says; go test ./cmd/orderflow -run TestTheAccountsFile -rewrite writes it", path)
	}
}
