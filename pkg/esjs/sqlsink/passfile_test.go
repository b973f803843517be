package sqlsink_test

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
)

// A file of passwords that cannot be read is named, unless the URL has a password; nothing listens here, so
// what is not refused before is not there.
func TestAFileOfPasswordsThatCannotBeReadIsRefused(t *testing.T) {
	dir := t.TempDir()
	missing, loop, good := filepath.Join(dir, "missing"), filepath.Join(dir, "loop"), filepath.Join(dir, "good")
	if err := errors.Join(os.Symlink(loop, loop), os.WriteFile(good, []byte("*:*:*:*:secret\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	nobody := "/shop?" + url.Values{"host": {dir}}.Encode()
	for name, c := range map[string]struct {
		file, url string
		want      error
		says      string
	}{
		"missing":      {missing, "postgres://orderflow@" + nobody, esjs.ErrConfig, missing + ": no such file"},
		"beyond reach": {loop, "postgres://orderflow@" + nobody, esjs.ErrConfig, loop + ": too many levels of symbolic links"},
		"not needed":   {missing, "postgres://orderflow:secret@" + nobody, esjs.ErrUnavailable, "failed to connect"},
		"there":        {good, "postgres://orderflow@" + nobody, esjs.ErrUnavailable, "failed to connect"},
		"none":         {"", "postgres://orderflow@" + nobody, esjs.ErrUnavailable, "failed to connect"},
	} {
		t.Setenv("PGPASSFILE", c.file)
		_, err := sqlsink.OpenPostgres(t.Context(), c.url)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %v that says %q", name, err, c.want, c.says)
		}
	}
}
