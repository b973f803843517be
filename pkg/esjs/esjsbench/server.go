package esjsbench

import (
	"context"
	"errors"
	"io"
	"strings"

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

// Servers are one nats-server or a cluster, each in a process of its own. Stop them.
type Servers []*natsproc.Server

// StartServers starts so many servers that store in dir, which must be there, and waits until they answer. More than
// one keep copies of each other's streams. Command runs [Serve].
func StartServers(ctx context.Context, command []string, dir string, sync Sync, n int) (Servers, error) {
	if n > 1 {
		return natsproc.StartCluster(ctx, command, dir, string(sync), n)
	}
	s, err := natsproc.Start(command, storeDir(dir), string(sync))
	if err != nil {
		return nil, err
	}
	return Servers{s}, nil
}

// URL is where all are reached: their URLs, separated by commas.
func (s Servers) URL() string {
	var urls []string
	for _, one := range s {
		urls = append(urls, one.URL())
	}
	return strings.Join(urls, ",")
}

// Stop ends all.
func (s Servers) Stop() (err error) {
	for _, one := range s {
		err = errors.Join(err, one.Stop())
	}
	return err
}

// Process is a program that runs as long as this one, and answers what it takes of the machine because it calls [AnswerAs].
type Process = natsproc.Process

// Begin starts command and waits for its greeting. Stop or kill it.
func Begin(command ...string) (*Process, error) { return natsproc.Begin(command...) }

// AnswerAs writes the greeting to out, then answers there what [Process] asks on in, and returns when in ends.
func AnswerAs(greeting string, in io.Reader, out io.Writer) error {
	return natsproc.Answer(greeting, in, out, nil)
}
