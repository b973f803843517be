package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/nats-io/jsm.go"
	"github.com/nats-io/jsm.go/api"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

func newRestore() *cobra.Command {
	var (
		s        shellFlags
		replicas int
		check    bool
	)
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Bring back what \"backup\" has kept, on a server that has none of it",
		Long: `Bring back what "backup" has kept, on a server that has none of it.

The whole file is checked first. A server on which one of the streams has ever had a message is
refused, so stop the services, and use an empty server. Sequences are kept. Everything
is read back and compared; only what ends by itself, as timers do, may be missing when its
time has come since the backup was taken. When something fails, what was brought back so far is
removed again. At last everything is verified as by "orderflow verify". What that finds was
there when the backup was taken, and stays.

A projector whose database knows more than the backup refuses to run: give it an empty one
(another --data or --database-url), and it makes its views of the events.

` + exitHelp(service.ExitOK, service.ExitRefused, exitUnsound),
		Args: exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("replicas") {
				if err := (&settings{replicas: replicas, eventsMax: 1}).checkStore(); err != nil {
					return err
				}
			}
			bar := newBar(cmd)
			b, err := openBackup(args[0], bar)
			if err != nil {
				return err
			}
			defer func() { _ = b.file.Close() }()
			if check {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is as it was taken at %s\n", plain(args[0]), when(b.manifest.TakenAt))
				return err
			}
			return s.manage(cmd, userRestore, func(nc *nats.Conn, m *jsm.Manager) error {
				return s.restore(cmd, nc, m, b, replicas, bar)
			})
		},
	}
	f := cmd.Flags()
	s.addServer(f)
	addPatience(f, &s.timeout)
	f.IntVar(&replicas, "replicas", 0, "copies of every stream: 1, or 3 or 5 on a cluster of as many servers (default as many as there were)")
	f.BoolVar(&check, "check", false, "only check the file; no server is needed")
	withoutVariable(f, "replicas")
	withoutVariable(f, "check")
	return cmd
}

func (s *shellFlags) restore(cmd *cobra.Command, nc *nats.Conn, m *jsm.Manager, b *backupReader, replicas int, bar *bar) error {
	ctx := cmd.Context()
	if err := wantEmpty(ctx, m); err != nil {
		return err
	}
	_, events, _, err := b.stream(eventStream)
	if err != nil {
		return err
	}
	spool, err := b.spool()
	if err != nil {
		return err
	}
	defer func() { _ = spool.Close(); _ = os.Remove(spool.Name()) }()
	cfg := esjs.Config{Replicas: max(1, events.Config.Replicas), MaxBytes: events.Config.MaxBytes}
	if replicas > 0 {
		cfg.Replicas = replicas
	}
	// The events come last: a store that has any has everything.
	for i, p := range b.manifest.Parts {
		if err := b.bringBack(ctx, m, p, cfg.Replicas, bar); err != nil {
			return errors.Join(fmt.Errorf("restore of stream %s: %w", p.Stream, err), remove(ctx, m, b.manifest.Parts[:i+1]))
		}
	}
	for _, p := range b.manifest.Parts {
		if p.Stream == eventStream {
			err = compare(ctx, nc, p, bar)
		} else if err = b.compareKept(ctx, m, p, spool, bar); err != nil {
			err = fmt.Errorf("stream %s: %w", p.Stream, err)
		}
		if err != nil {
			return errors.Join(err, remove(ctx, m, b.manifest.Parts))
		}
	}
	return s.readAs(ctx, userRestore, cmd, func(store *esjs.Store) error {
		if err := provision(ctx, s.dialExternal(userRestore, zerolog.Nop()), cfg); err != nil {
			return err
		}
		reports, err := s.verify(ctx, store, false)
		if err != nil {
			return err
		}
		if err := printReports(cmd.OutOrStdout(), reports); err != nil {
			return err
		}
		return soundOr(reports)
	})
}

// wantEmpty refuses a server on which a stream of the system has ever had a message, and
// removes those that never had: a restored stream must not be there before.
func wantEmpty(ctx context.Context, m *jsm.Manager) error {
	var empty []*jsm.Stream
	for _, name := range slices.Concat(backupStreams(), snapshotStreams()) {
		stream, err := loadStream(ctx, m, name)
		if jsm.IsNatsError(err, noStream) {
			continue
		}
		if err != nil {
			return err
		}
		state, err := stream.LatestState() // as it was loaded
		if err != nil {
			return err
		}
		begin := max(1, stream.Configuration().FirstSeq) // timers begin at the time
		if state.LastSeq >= begin {
			return fail(service.ExitRefused, "the stream %s on this server has had %d messages; restore into a server, or an account, that has none of the system's streams", name, state.LastSeq-begin+1)
		}
		empty = append(empty, stream)
	}
	for _, stream := range empty {
		if err := deleteStream(ctx, m, stream.Name()); err != nil {
			return fmt.Errorf("the empty stream %s is in the way: %w", stream.Name(), err)
		}
	}
	return nil
}

// noStream is the server's code for a stream that is not there.
const noStream = 10059

// loadStream looks a stream up.
func loadStream(ctx context.Context, m *jsm.Manager, name string) (stream *jsm.Stream, err error) {
	err = service.Answered(ctx, func(context.Context) error { // of which each try ends after "managing"
		if stream, err = m.LoadStream(name); err != nil {
			return err
		}
		info, err := stream.LatestInformation()
		if err == nil && info.Cluster != nil && info.Cluster.Leader == "" { // says a server that is left of its cluster
			return fmt.Errorf("the stream %s has no leader: %w", name, nats.ErrTimeout)
		}
		return err
	})
	return stream, err
}

// deleteStream removes a stream, if it is there.
func deleteStream(ctx context.Context, m *jsm.Manager, name string) error {
	err := service.Answered(ctx, func(context.Context) error { return m.DeleteStream(name) })
	if jsm.IsNatsError(err, noStream) {
		return nil
	}
	return err
}

const (
	restoreTries = 20 // of one stream, on a cluster that is not ready for it
	restorePause = 500 * time.Millisecond
)

// bringBack restores one stream.
func (b *backupReader) bringBack(ctx context.Context, m *jsm.Manager, p piece, replicas int, bar *bar) error {
	_, stored, _, err := b.stream(p.Stream)
	if err != nil {
		return err
	}
	// What ended by itself since the backup was taken the server removes at once, and says so in the stream; a timer
	// that was due meanwhile fires.
	changes := stored.Config.AllowMsgTTL || stored.Config.AllowMsgSchedules
	for try := 1; ; try++ {
		state, err := b.send(ctx, m, p, replicas, bar)
		switch {
		case err == nil && (state.LastSeq < p.Last || !changes && (state.LastSeq != p.Last || state.Msgs != p.Messages)):
			return fail(exitUnsound, "the server has %d messages up to %d; there should be %d up to %d", state.Msgs, state.LastSeq, p.Messages, p.Last)
		case err == nil:
			bar.end("%s: %d messages are restored", p.Stream, p.Messages)
			return nil
		case try == restoreTries || !passes(err, try):
			return err
		}
		// What was begun is in the way of the next try.
		if err := deleteStream(ctx, m, p.Stream); err != nil {
			return err
		}
		select {
		case <-time.After(restorePause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// passes tells what a cluster says that has just been started, or has lost a server: one
// of its servers takes the stream and the one that is asked has not heard of it yet, or not
// all of them are there, or nobody answers. A stream that is there is what another try has begun.
// It is also what a server says that was too busy to write a part within 5 s: it then takes the restore for
// stalled, closes the pipe that it writes to, and answers with the pipe's error, which jsm.go quotes
// (processStreamRestore of nats-server 2.15.2).
func passes(err error, try int) bool {
	const inUse = 10058
	return service.Unanswered(err) || try > 1 && jsm.IsNatsError(err, inUse) || strings.Contains(err.Error(), io.ErrClosedPipe.Error())
}

// send sends one stream to the server, and returns what that has made of it.
func (b *backupReader) send(ctx context.Context, m *jsm.Manager, p piece, replicas int, bar *bar) (*api.StreamState, error) {
	meta, config, archive, err := b.stream(p.Stream)
	if err != nil {
		return nil, err
	}
	config.Config.Replicas = replicas
	sent := int64(0)
	data := reading(func(to []byte) (int, error) {
		n, err := archive.Read(to)
		sent += int64(n)
		bar.show("%s: %d %% of %s", p.Stream, 100*sent/max(1, p.Bytes), bytesOf(p.Bytes))
		return n, err
	})
	return m.RestoreSnapshotFromBuffer(ctx, p.Stream, data, io.NopCloser(bytes.NewReader(meta)), jsm.RestoreConfiguration(config.Config))
}

// reading is a reader that need not be closed.
type reading func([]byte) (int, error)

func (r reading) Read(p []byte) (int, error) { return r(p) }
func (reading) Close() error                 { return nil }

// compare reads the events back from the server.
func compare(ctx context.Context, nc *nats.Conn, want piece, bar *bar) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	var consumer jetstream.Consumer
	err = service.Answered(ctx, func(ctx context.Context) error {
		consumer, err = js.OrderedConsumer(ctx, want.Stream, jetstream.OrderedConsumerConfig{})
		return err
	})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	var links chain
	for n := uint64(0); n < want.Messages; {
		message, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		at, err := message.Metadata()
		if err != nil {
			return err
		}
		if n++; at.Sequence.Stream != n {
			return fail(exitUnsound, "after commit %d the server sends commit %d", n-1, at.Sequence.Stream)
		}
		if err := links.add(n, at.Timestamp.UnixNano(), message.Subject(), bytes.NewReader(message.Data())); err != nil {
			return err
		}
		bar.show("%s: %d of %d compared", want.Stream, n, want.Messages)
	}
	if links.String() != want.Chain {
		return fail(exitUnsound, "the events that the server has now are not those of the backup: their chain is %s, and should be %s", links.String(), want.Chain)
	}
	bar.end("%s: the chain is that of the backup", want.Stream)
	return nil
}

// remove removes what was restored, also when ctx has ended.
func remove(ctx context.Context, m *jsm.Manager, parts []piece) error {
	var errs []error
	for _, p := range parts {
		if err := deleteStream(context.WithoutCancel(ctx), m, p.Stream); err != nil {
			errs = append(errs, fmt.Errorf("%s stays behind: %w", p.Stream, err))
		}
	}
	return errors.Join(errs...)
}
