package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// dialer makes a service's connections: named for it, for what the connection is for and for the machine or pod it runs on
// ("order/append@order-5d8f7-x2x9k"), so that a server's list of connections tells instances apart; with an inbox prefix of
// its own (so that a server can allow each service its own answers only), and
// with every asynchronous error in the log, because that is the only place
// where a server tells what it does not permit.
func dialer(url, user string, log zerolog.Logger, opts ...nats.Option) esjs.Dial {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return func(purpose string) (*nats.Conn, error) {
		log := log.With().Str("connection", user+"/"+purpose).Logger()
		all := append([]nats.Option{
			nats.Name(user + "/" + purpose + "@" + host),
			nats.CustomInboxPrefix("_INBOX." + user),
			nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
				subject := ""
				if sub != nil {
					subject = sub.Subject
				}
				log.Error().Err(err).Str("subject", subject).Msg("nats error")
			}),
			nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
				if err != nil {
					log.Warn().Err(err).Msg("disconnected from nats")
				}
			}),
			nats.ReconnectHandler(func(nc *nats.Conn) {
				log.Info().Str("server", nc.ConnectedUrlRedacted()).Msg("reconnected to nats")
			}),
		}, opts...)
		return esjs.DialURL(url, all...)(purpose)
	}
}

// dialExternal makes the connections to the server of the settings.
func (s *settings) dialExternal(user string, log zerolog.Logger) esjs.Dial {
	return func(purpose string) (*nats.Conn, error) {
		url, opts, err := s.server()
		if err != nil {
			return nil, err
		}
		return dialer(url, user, log, opts...)(purpose)
	}
}

// reach connects once, so that a server that is not there is one sentence and
// not the error of whatever needed it first. It tries for as long as patience.
func (s *settings) reach(ctx context.Context, dial esjs.Dial, patience time.Duration, log zerolog.Logger) error {
	const pause = 500 * time.Millisecond
	if s.credentials != "" {
		if _, err := os.Stat(s.credentials); err != nil {
			return usageError("--nats-creds: %w", err)
		}
	}
	url, _, err := s.server()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(patience)
	for waiting := false; ; waiting = true {
		nc, err := dial("check")
		if err == nil {
			err = checkInbox(nc)
			nc.Close()
			return err
		}
		if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) {
			return fail(exitNoServer, "the NATS server at %s does not accept the credentials: %w", url, err)
		}
		if time.Now().Add(pause).After(deadline) {
			return fail(exitNoServer, "no NATS server can be reached at %s: %w; start one, or use \"orderflow up\", which brings its own", url, err)
		}
		if !waiting {
			log.Info().Str("url", url).Msg("waiting for the nats server")
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// checkInbox refuses a user who may not receive answers where this program waits for them: it is another's
// key, and every request would wait in vain.
func checkInbox(nc *nats.Conn) error {
	inbox := nc.NewInbox()
	if _, err := nc.SubscribeSync(inbox); err != nil {
		return err
	}
	if err := nc.FlushTimeout(inboxPatience); err != nil {
		return nil //nolint:nilerr // the connection was lost again: what needs it will say so
	}
	// The server's refusal comes before its answer to the flush.
	if err := nc.LastError(); errors.Is(err, nats.ErrPermissionViolation) {
		prefix, _, _ := strings.Cut(strings.TrimPrefix(inbox, "_INBOX."), ".")
		return fail(exitNoServer, "the NATS server at %s does not take who connects for the user %s: is it another user's key? %w", nc.ConnectedUrlRedacted(), prefix, err)
	}
	return nil
}

// inboxPatience bounds the check of an inbox.
const inboxPatience = 10 * time.Second
