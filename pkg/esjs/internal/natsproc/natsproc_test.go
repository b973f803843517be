package natsproc

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A server that cannot listen says why, and does not wait until it is ready.
func TestServeSaysWhyItCannotStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := filepath.Join(t.TempDir(), "0")
	m := member{Name: "alone", Port: taken.Addr().(*net.TCPAddr).Port, Routes: []string{"nats://127.0.0.1:1"}}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(memberFile(dir), text, 0o600); err != nil {
		t.Fatal(err)
	}
	err = Serve(dir, SyncDefault, strings.NewReader(""), io.Discard)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprint(m.Port)) || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("it ended with %v", err)
	}
}
