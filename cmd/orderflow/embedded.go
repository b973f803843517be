package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"
)

// accounts are there from the first day: streams made in the global account
// would be out of sight as soon as accounts are added. Who brings no
// credentials is the one user of APP, and nobody can connect to SYS.
const accounts = `
accounts {
  APP { jetstream: enabled, users: [ { nkey: %[1]s } ] }
  SYS { }
}
system_account: SYS
no_auth_user: %[1]s
`

const (
	// bucketsMax is room for positions, queued commands and timers, and for snapshots beside few events.
	bucketsMax = int64(1) << 30
	// recoveryTime bounds how long the server reads its streams before it
	// accepts connections: 1 M aggregates take about two seconds after a kill.
	recoveryTime = 10 * time.Minute
	memoryMax    = int64(64) << 20 // nothing of ours is kept in memory
)

// storeMax is what the server may store so that the events may have so many bytes. A
// stream's limit is reserved when it is created, so this must be above their sum.
func storeMax(eventsMax int64) int64 {
	return eventsMax + bucketsMax + int64(len(snapshotStreams()))*(snapshotsMax(eventsMax)-snapshotsMin)
}

// embedded is a nats-server inside this process.
type embedded struct{ srv *server.Server }

// startServer runs a server with its streams in dir, listening on addr, until
// it accepts connections. Every message is synced to disk before it is
// acknowledged: an event store that loses acknowledged events in a power
// failure is none.
func startServer(ctx context.Context, dir, addr string, eventsMax int64, log zerolog.Logger) (*embedded, error) {
	host, port, err := splitAddress(addr)
	if err != nil {
		return nil, err
	}
	opts, err := accountOptions()
	if err != nil {
		return nil, fmt.Errorf("configure the embedded nats-server: %w", err)
	}
	opts.ServerName = "orderflow"
	opts.Host, opts.Port = host, port
	opts.JetStream = true
	opts.StoreDir = dir
	opts.JetStreamMaxStore = storeMax(eventsMax)
	opts.JetStreamMaxMemory = memoryMax
	opts.SyncAlways = true
	opts.NoSigs = true
	opts.DisableJetStreamBanner = true

	srv, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("configure the embedded nats-server: %w", err)
	}
	logger := &serverLog{log: log.With().Str("component", "nats-server").Logger(), fatal: make(chan error, 1)}
	srv.SetLoggerV2(logger, false, false, false)
	e := &embedded{srv: srv}
	go srv.Start()
	if err := e.ready(ctx, logger.fatal, addr); err != nil {
		e.stop()
		return nil, err
	}
	if n := logger.rebuilt.Load(); n > 0 {
		logger.log.Warn().Int64("indexes", n).Msg("the last stop was not a clean one; indexes were rebuilt from what is stored")
	}
	return e, nil
}

// accountOptions makes the accounts and a key for their user that nobody keeps:
// it only names the user.
func accountOptions() (*server.Options, error) {
	user, err := nkeys.CreateUser()
	if err != nil {
		return nil, err
	}
	name, err := user.PublicKey()
	if err != nil {
		return nil, err
	}
	opts := &server.Options{}
	return opts, opts.ProcessConfigString(fmt.Sprintf(accounts, name))
}

func (e *embedded) ready(ctx context.Context, fatal <-chan error, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, recoveryTime)
	defer cancel()
	for !e.srv.ReadyForConnections(50 * time.Millisecond) {
		select {
		case cause := <-fatal:
			return fmt.Errorf("the embedded nats-server on %s does not start: %w", addr, cause)
		case <-ctx.Done():
			return fmt.Errorf("the embedded nats-server on %s does not start: %w", addr, ctx.Err())
		default:
		}
	}
	return nil
}

// url is where other programs connect.
func (e *embedded) url() string { return e.srv.ClientURL() }

// dial connects without a network in between, which is three times faster.
func (e *embedded) dial(user string, log zerolog.Logger) esjs.Dial {
	return dialer(e.url(), user, log, nats.InProcessServer(e.srv))
}

// stop ends the server after it has written what it has to write.
func (e *embedded) stop() {
	e.srv.Shutdown()
	e.srv.WaitForShutdown()
}

// splitAddress reads HOST:PORT; port 0 is a free one, as everywhere in Go.
func splitAddress(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil || port < 0 || port > 65535 {
		return "", 0, usageError("%q is not an address; it must be HOST:PORT, for example %s", addr, defaultNATS)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}

func checkAddresses(addrs ...string) error {
	for _, addr := range addrs {
		if _, _, err := splitAddress(addr); err != nil {
			return err
		}
	}
	return nil
}

// serverLog passes the server's log on. What the server tells in passing is of
// interest only when something is looked for.
type serverLog struct {
	log     zerolog.Logger
	fatal   chan error   // why the server does not start
	rebuilt atomic.Int64 // indexes that were older than the messages
}

func (l *serverLog) Noticef(format string, v ...any) { l.log.Debug().Msgf(format, v...) }
func (l *serverLog) Errorf(format string, v ...any)  { l.log.Error().Msgf(format, v...) }
func (l *serverLog) Debugf(format string, v ...any)  { l.log.Debug().Msgf(format, v...) }
func (l *serverLog) Tracef(format string, v ...any)  { l.log.Trace().Msgf(format, v...) }

// Warnf counts what every stream says after a crash, several times: its indexes
// are written now and then, and are older than its messages. That is no more than
// one thing to know, and no loss. The server has no codes for what it tells.
func (l *serverLog) Warnf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	level := zerolog.WarnLevel
	if strings.HasPrefix(text, "Filestore [") {
		outdated := strings.Contains(text, " outdated")
		if outdated {
			l.rebuilt.Add(1)
		}
		if outdated || strings.HasSuffix(text, ": prior state file") {
			level = zerolog.DebugLevel
		}
	}
	l.log.WithLevel(level).Msg(text)
}

func (l *serverLog) Fatalf(format string, v ...any) {
	select {
	case l.fatal <- fmt.Errorf(format, v...):
	default:
	}
}
