package main

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/rs/zerolog"
	"github.com/spf13/pflag"
)

const (
	// storePatience is how long a command that reads or keeps everything waits for a store that does not answer: longer
	// than a cluster takes to elect a leader, which is up to 15 s.
	storePatience = 30 * time.Second
	// waitingAfter is when who waits is told so.
	waitingAfter = 3 * time.Second
	// askedAgain is how long after an answer the store is asked whether it still answers.
	askedAgain = time.Second
)

// addPatience adds --timeout to a command that takes as long as it takes, while the store answers.
func addPatience(f *pflag.FlagSet, patience *time.Duration) {
	f.DurationVar(patience, "timeout", storePatience, "how long to wait for a store that does not answer; what is read may take longer")
}

// silentError is the error of a store that has not answered for as long as somebody wanted to wait.
func silentError(stream string, patience time.Duration) error {
	return fail(service.ExitUnavailable, "no server has answered for the stream %s for %v: it has no leader, which is so while more than half of the servers "+
		"that have it are away or do not hear of each other; bring them back, and try again", stream, patience)
}

// explainSilence says what it means when err is that nobody answered, unless err says it itself: nothing that is read can have
// been half done.
func explainSilence(err error) error {
	var told *exitError
	if errors.As(err, &told) || !service.Unanswered(err) {
		return err
	}
	return fail(service.ExitUnavailable, "%w: no server answers for it, which is so while a cluster elects a leader, or while more than half of the servers "+
		"that have it are away; bring them back, and try again", err)
}

// openStore opens the store for as long as patience, or until ctx ends, and tells the one who waits what for.
func openStore(ctx context.Context, dial esjs.Dial, cfg esjs.Config, patience time.Duration, tell io.Writer) (*esjs.Store, error) {
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(deadline).Round(time.Millisecond))
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer tellWaiting(tell, waitingForStore)()
	store, err := esjs.Open(limited, dial, cfg)
	if err != nil && errors.Is(limited.Err(), context.DeadlineExceeded) {
		return nil, silentError(eventStream, patience)
	}
	return store, err
}

// waitingForStore is what somebody waits for whose store does not answer.
const waitingForStore = "waiting for the event store: no server answers for the stream " + eventStream + ", which may be electing a leader"

// tellWaiting logs after a moment what is waited for, unless stop is called before.
func tellWaiting(to io.Writer, what string) (stop func()) {
	log, told := service.NewLogger(to, zerolog.InfoLevel), make(chan struct{})
	timer := time.AfterFunc(waitingAfter, func() {
		log.Info().Msg(what)
		close(told)
	})
	return func() {
		if !timer.Stop() {
			<-told // not in the middle of what is written next
		}
	}
}

// whileAnswering calls f, whose context ends when the store has not answered for as long as patience; that is then the
// error, whatever f says.
func whileAnswering(ctx context.Context, store *esjs.Store, patience time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	silent := silentError(eventStream, patience)
	var asking sync.WaitGroup
	defer asking.Wait() // the store is the caller's, who closes it
	defer cancel(nil)
	asking.Go(func() {
		for answered := time.Now(); ctx.Err() == nil; {
			limited, end := context.WithDeadline(ctx, answered.Add(patience))
			err := store.Check(limited)
			end()
			switch {
			case err == nil:
				answered = time.Now()
			case time.Since(answered) >= patience:
				cancel(silent)
			}
			select {
			case <-time.After(askedAgain):
			case <-ctx.Done():
			}
		}
	})
	err := f(ctx)
	if err != nil && errors.Is(context.Cause(ctx), silent) {
		return silent
	}
	return err
}
