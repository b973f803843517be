package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/jsm.go"
	"github.com/nats-io/jsm.go/api"
	backupfile "github.com/nats-io/jsm.go/backup"
	"github.com/nats-io/nats.go"
)

// clockSkew is how much the clocks of this machine and of the servers may differ about what has ended.
const clockSkew = time.Minute

// spool makes the file for what is read back, one stream at a time: beside the backup, or among the machine's temporary
// files where that directory cannot be written.
func (b *backupReader) spool() (*os.File, error) {
	const pattern = "orderflow-restore-*"
	spool, err := os.CreateTemp(filepath.Dir(b.file.Name()), pattern)
	if err == nil {
		return spool, nil
	}
	spool, temporary := os.CreateTemp("", pattern)
	if temporary == nil {
		return spool, nil
	}
	return nil, usageError("what is restored is read back into a file, which cannot be made, beside the backup or elsewhere (TMPDIR says where): %w", errors.Join(err, temporary))
}

// compareKept takes a restored stream as a backup does, and compares it with the archive, message by message: sequence,
// time, subject, headers and body. What may have ended by itself since the backup was taken may be missing, and what the
// server has stored since, as fired timers are, is passed over.
func (b *backupReader) compareKept(ctx context.Context, m *jsm.Manager, p piece, spool *os.File, bar *bar) error {
	_, config, archive, err := b.stream(p.Stream)
	if err != nil {
		return err
	}
	stream, err := loadStream(ctx, m, p.Stream)
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		if _, err := spool.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if err := spool.Truncate(0); err != nil {
			return err
		}
		if _, _, err = receive(ctx, stream, spool, bar); err == nil {
			break
		}
		if try == backupTries || ctx.Err() != nil {
			return fmt.Errorf("it cannot be read back: %w", err)
		}
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := sameMessages(archive, spool, p.Last, config.Config, time.Now().Add(clockSkew)); err != nil {
		return fail(exitUnsound, "what the server has now is not what the backup has: %w", err)
	}
	bar.end("%s: the messages are those of the backup", p.Stream)
	return nil
}

// sameMessages compares two archives of a stream up to the sequence last. What would have ended by now may be missing
// in the second one.
func sameMessages(want, got io.Reader, last uint64, config api.StreamConfig, now time.Time) error {
	have := make(map[uint64][sha256.Size]byte)
	replaced := make(map[string]bool) // subjects on which something came since
	err := eachMessage(got, func(m *backupfile.Message, header, body []byte) error {
		if m.Seq > last {
			replaced[m.Subject] = true
		} else {
			have[m.Seq] = sumOfMessage(m, header, body)
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = eachMessage(want, func(m *backupfile.Message, header, body []byte) error {
		sum, there := have[m.Seq]
		delete(have, m.Seq)
		switch {
		case there && sum != sumOfMessage(m, header, body):
			return fmt.Errorf("message %d, on %s, has another time, subject, header or body", m.Seq, m.Subject)
		case there, replaced[m.Subject] && (config.MaxMsgsPer > 0 || config.RollupAllowed):
			return nil
		}
		ends, err := endOf(m, header, config.MaxAge)
		if err == nil && (ends.IsZero() || ends.After(now)) {
			err = fmt.Errorf("message %d, on %s, is missing", m.Seq, m.Subject)
		}
		return err
	})
	if err != nil {
		return err
	}
	for sequence := range have {
		return fmt.Errorf("message %d was not in the backup", sequence)
	}
	return nil
}

// eachMessage reads an archive.
func eachMessage(archive io.Reader, f func(m *backupfile.Message, header, body []byte) error) error {
	for decoder := backupfile.NewDecoder(archive); ; {
		item, err := decoder.Next()
		if err != nil {
			return err
		}
		switch item := item.(type) {
		case *backupfile.Message:
			data, err := io.ReadAll(item.Body)
			if err != nil {
				return err
			}
			if err := f(item, data[:item.HdrSize], data[item.HdrSize:]); err != nil {
				return err
			}
		case backupfile.End:
			return nil
		}
	}
}

func sumOfMessage(m *backupfile.Message, header, body []byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	fmt.Fprintf(h, "%d %d %d %s", m.Ts, len(header), len(m.Subject), m.Subject)
	h.Write(header)
	h.Write(body)
	h.Sum(sum[:0])
	return sum
}

// endOf is when a message ends by itself: by its own time to live, by the stream's, or because it is a timer that is due. Zero: never.
func endOf(m *backupfile.Message, header []byte, maxAge time.Duration) (ends time.Time, err error) {
	stored := time.Unix(0, m.Ts)
	if maxAge > 0 {
		ends = stored.Add(maxAge)
	}
	if len(header) == 0 {
		return ends, nil
	}
	fields, err := nats.DecodeHeadersMsg(bytes.Clone(header))
	if err != nil {
		return ends, fmt.Errorf("message %d: %w", m.Seq, err)
	}
	earlier := func(t time.Time) {
		if ends.IsZero() || t.Before(ends) {
			ends = t
		}
	}
	if ttl := fields.Get("Nats-TTL"); ttl != "" && ttl != "never" {
		lasts, err := time.ParseDuration(ttl)
		if seconds, whole := strconv.Atoi(ttl); whole == nil {
			lasts, err = time.Duration(seconds)*time.Second, nil
		}
		if err != nil {
			return ends, fmt.Errorf("message %d: Nats-TTL is %q: %w", m.Seq, ttl, err)
		}
		earlier(stored.Add(lasts))
	}
	if at, once := strings.CutPrefix(fields.Get("Nats-Schedule"), "@at "); once {
		due, err := time.Parse(time.RFC3339Nano, at)
		if err != nil {
			return ends, fmt.Errorf("message %d: Nats-Schedule: %w", m.Seq, err)
		}
		earlier(due)
	}
	return ends, nil
}
