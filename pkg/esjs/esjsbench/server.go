package esjsbench

import (
	"io"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/natsproc"
)

// Sync is how the server syncs what it stores.
type Sync string

// With the default, where nothing hides what the library costs, and with what an event
// store needs.
const (
	SyncDefault Sync = natsproc.SyncDefault
	SyncAlways  Sync = natsproc.SyncAlways
)

// Serve is what the process of a server does: [Config.Server] with two more
// arguments, dir and sync. It ends when in does.
func Serve(dir string, sync Sync, in io.Reader, out io.Writer) error {
	return natsproc.Serve(dir, string(sync), in, out)
}
