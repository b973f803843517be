package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/nats-io/jsm.go"
	"github.com/nats-io/jsm.go/api"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

const (
	eventStream   = "EVENTS"
	timerStream   = "TIMERS"
	commandStream = "COMMANDS"
	// backupIdle is how long a server may send nothing of a stream.
	backupIdle = time.Minute
	// backupTries of one stream: a server sends nothing to who was not there two seconds after it began, and ends
	// when nobody has thanked for five, as happens on a machine that is busy or while a cluster elects.
	backupTries = 3
	// managing bounds a request about a stream.
	managing = 10 * time.Second
)

// backupStreams are all streams that a backup has, in the order in which they are
// taken. The system runs meanwhile, so that each is older than those behind it: what
// a subscription has handled before its position was taken is in the other streams, and
// what it did later it will do again. Nothing knows more than the events, which are last.
//
// Snapshots of aggregates are left out: they are made of the events, and one that is newer
// than the events that were taken would be of a past that did not happen.
func backupStreams() (names []string) {
	var others []string
	for _, s := range services() {
		for _, bucket := range s.buckets {
			switch name := "KV_" + bucket; {
			case isSnapshots(name):
			case strings.HasPrefix(bucket, "SUBSCRIPTIONS_"):
				names = append(names, name)
			default:
				others = append(others, name)
			}
		}
	}
	return slices.Concat(names, others, []string{timerStream, commandStream, "KV_COMMANDS_PARKED", eventStream})
}

// snapshotStreams are those that a backup does not have.
func snapshotStreams() (names []string) {
	for _, s := range services() {
		for _, bucket := range s.buckets {
			if name := "KV_" + bucket; isSnapshots(name) {
				names = append(names, name)
			}
		}
	}
	return names
}

func isSnapshots(stream string) bool { return strings.HasPrefix(stream, "KV_SNAPSHOTS_") }

func newBackup() *cobra.Command {
	var (
		s    shellFlags
		keep int
	)
	cmd := &cobra.Command{
		Use:   "backup FILE | --keep N DIR",
		Short: "Keep everything that is stored in a file",
		Long: `Keep everything that is stored in a file: the events, timers that are set, queued commands,
and how far every service is. The system may run meanwhile; what is stored after the events
were taken is not in it. Read models are not in it either: a projector makes them of the
events.

The file is a tar archive with a directory for each stream, as "nats backup stream" makes it, and a
manifest with counts and checksums. The server checks each message that it sends, and
the events are checked to have no gap. The file is read again when it is written, and
gets its name only if all is in it as it was sent. One that is there already is not
overwritten, and one that is not complete is not left behind. That it is complete is noted on
the server, in the bucket BACKUPS: "orderflow monitor" tells Prometheus when that was.

With --keep the file is named for the time, in a directory that has nothing but backups
and is written by one program at a time. The newest N stay there and older ones are
removed, after the new one was found to be good. It needs room for N+1 of them and, while
it works, once more for the largest stream. No other file is written.

` + exitHelp(service.ExitOK, service.ExitUsage, exitBadDirectory, exitLocked, exitUnsound),
		Args: exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("keep") {
				return s.backup(cmd, args[0])
			}
			if keep < 1 {
				return usageError("--keep is %d; it must be at least 1", keep)
			}
			dir, err := openBackups(args[0])
			if err != nil {
				return err
			}
			file := dir.next(time.Now())
			err = s.backup(cmd, file)
			if err == nil {
				err = dir.thin(keep, file)
			}
			return errors.Join(err, dir.close())
		},
	}
	f := cmd.Flags()
	s.addServer(f)
	addPatience(f, &s.timeout)
	f.BoolVar(&s.json, "json", false, "print the manifest as JSON, for programs")
	f.IntVar(&keep, "keep", 0, "keep the newest `N` backups in the directory that is named, and name the new one for the time")
	return cmd
}

// backup takes everything into a new file and says what is in it.
func (s *shellFlags) backup(cmd *cobra.Command, path string) error {
	return s.manage(cmd, userBackup, func(nc *nats.Conn, m *jsm.Manager) error {
		done, err := backup(cmd.Context(), nc, m, path, newBar(cmd))
		if err != nil {
			return err
		}
		if err := noteBackup(cmd.Context(), nc, path, done); err != nil {
			fmt.Fprintln(cmd.ErrOrStderr(), err) // it is a backup all the same
		}
		if s.json {
			return printJSON(cmd.OutOrStdout(), done)
		}
		events := done.part(eventStream)
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s has %d streams, and %d commits up to position 0-%d\nchain  %s\n",
			plain(path), len(done.Parts), events.Messages, events.Last, events.Chain)
		return err
	})
}

// manage connects as a user of the server, whose JetStream must answer, calls f, and disconnects.
func (s *shellFlags) manage(cmd *cobra.Command, user string, f func(*nats.Conn, *jsm.Manager) error) error {
	log := service.NewLogger(cmd.ErrOrStderr(), zerolog.ErrorLevel)
	dial := s.dialExternal(user, log)
	if err := s.reach(cmd.Context(), dial, 0, log); err != nil {
		return err
	}
	nc, err := dial("streams")
	if err != nil {
		return err
	}
	defer nc.Close()
	m, err := jsm.New(nc, jsm.WithTimeout(min(managing, s.timeout)))
	if err != nil {
		return err
	}
	if err := s.answers(cmd, nc, m); err != nil {
		return err
	}
	return explainSilence(f(nc, m))
}

// answers is an error unless the server says something of the event stream, be it that there is none, within --timeout.
func (s *shellFlags) answers(cmd *cobra.Command, nc *nats.Conn, m *jsm.Manager) error {
	limited, cancel := context.WithTimeout(cmd.Context(), s.timeout)
	defer cancel()
	defer tellWaiting(cmd.ErrOrStderr(), waitingForStore)()
	_, err := loadStream(limited, m, eventStream)
	const noJetStream, notForAccount = 10076, 10039
	switch {
	case err == nil, jsm.IsNatsError(err, noStream):
		return nil
	case jsm.IsNatsError(err, noJetStream), jsm.IsNatsError(err, notForAccount), errors.Is(err, nats.ErrNoResponders):
		return fail(exitNoJetStream, "the NATS server at %s has no JetStream, or none for who connects: %w", nc.ConnectedUrlRedacted(), err)
	case errors.Is(limited.Err(), context.DeadlineExceeded):
		return silentError(eventStream, s.timeout)
	}
	return err
}

// backup takes all streams into a new file.
func backup(ctx context.Context, nc *nats.Conn, m *jsm.Manager, path string, bar *bar) (done manifest, err error) {
	w, err := createBackup(path)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, w.close(err == nil)) }()
	w.manifest = manifest{Format: backupFormat, TakenAt: time.Now().UTC(), Server: nc.ConnectedServerVersion()}
	for _, name := range backupStreams() {
		if err := w.take(ctx, m, name, bar); err != nil {
			return done, fmt.Errorf("backup of stream %s: %w", name, err)
		}
	}
	if err := w.finish(); err != nil {
		return done, err
	}
	return w.manifest, w.check(bar)
}

// take adds one stream to the file.
func (w *backupWriter) take(ctx context.Context, m *jsm.Manager, name string, bar *bar) error {
	stream, err := loadStream(ctx, m, name)
	if jsm.IsNatsError(err, noStream) {
		return fail(exitConfiguration, "there is no such stream; is this the server of the system?")
	}
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		came, err := w.tryTake(ctx, stream, bar)
		if err == nil || came || try == backupTries || ctx.Err() != nil {
			return err
		}
	}
}

// tryTake is one try, and tells whether the stream came as it should, whatever became of it then.
func (w *backupWriter) tryTake(ctx context.Context, stream *jsm.Stream, bar *bar) (came bool, err error) {
	spool, err := os.CreateTemp(w.directory(), backupTemporary)
	if err != nil {
		return false, err
	}
	defer func() { _ = spool.Close(); _ = os.Remove(spool.Name()) }()
	p, config, err := receive(ctx, stream, spool, bar)
	if err != nil {
		return false, err
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return true, err
	}
	bar.end("%s: %d messages, %s", p.Stream, p.Messages, bytesOf(p.Bytes))
	return true, w.add(p, []byte(config), spool)
}

// receive lets the server send a stream into a file, and reads what came.
func receive(ctx context.Context, stream *jsm.Stream, spool *os.File, bar *bar) (p piece, config string, err error) {
	name := stream.Name()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := time.AfterFunc(backupIdle, func() { cancel(fmt.Errorf("the server has sent nothing for %v", backupIdle)) })
	defer idle.Stop()
	size := int64(0)
	data := writing(func(p []byte) (int, error) {
		idle.Reset(backupIdle)
		n, err := spool.Write(p)
		size += int64(n)
		bar.show("%s: %s taken", name, bytesOf(size))
		return n, err
	})
	var meta strings.Builder
	options := []jsm.SnapshotOption{jsm.SnapshotHealthCheck()}
	if name == commandStream {
		options = append(options, jsm.SnapshotConsumers()) // which know what is carried out already
	}
	if _, err := stream.SnapshotToBuffer(ctx, data, writing(func(p []byte) (int, error) { return meta.WriteString(string(p)) }), options...); err != nil {
		if ctx.Err() != nil {
			return p, "", context.Cause(ctx)
		}
		return p, "", err
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return p, "", err
	}
	p, err = scan(name, spool, size)
	return p, meta.String(), err
}

// writing is a writer that need not be closed.
type writing func([]byte) (int, error)

func (w writing) Write(p []byte) (int, error) { return w(p) }
func (writing) Close() error                  { return nil }

// bar shows what long work is doing: to a person on one line, which it overwrites, and to
// everybody what is done.
type bar struct {
	out    io.Writer
	person bool
	shown  time.Time
}

func newBar(cmd *cobra.Command) *bar {
	return &bar{out: cmd.ErrOrStderr(), person: service.IsTerminal(cmd.ErrOrStderr())}
}

func (b *bar) show(format string, args ...any) {
	if b.person && time.Since(b.shown) > 100*time.Millisecond {
		fmt.Fprintf(b.out, "\r"+format+"\x1b[K", args...)
		b.shown = time.Now()
	}
}

func (b *bar) end(format string, args ...any) {
	if b.person {
		format = "\r" + format + "\x1b[K"
	}
	fmt.Fprintf(b.out, format+"\n", args...)
}

// clear removes the line of somebody who watches.
func (b *bar) clear() {
	if b.person {
		fmt.Fprint(b.out, "\r\x1b[K")
	}
}

// bytesOf writes a size for people.
func bytesOf(n int64) string {
	const unit = 1 << 20
	if n < unit {
		return fmt.Sprintf("%d KiB", (n+1023)/1024)
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/unit)
}

// streamConfig is what the server tells of a stream beside its messages.
type streamConfig struct {
	Config api.StreamConfig `json:"config"`
	State  api.StreamState  `json:"state"`
}
