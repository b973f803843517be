package main

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/services/payment"
	"github.com/nats-io/jsm.go"
	"github.com/nats-io/jsm.go/api"
	backupfile "github.com/nats-io/jsm.go/backup"
	"github.com/nats-io/nats.go/jetstream"
)

// What has ended by itself since a backup was taken is not missed when it is brought back.
func TestWhatHasExpiredSinceIsNotMissed(t *testing.T) {
	dir := t.TempDir()
	server := esjstest.Server(t)
	if err := provision(t.Context(), server.Dial(), esjs.Config{Replicas: 1, MaxBytes: 64 << 20}); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(server.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := js.KeyValue(t.Context(), payment.BucketReconciliation)
	if err != nil {
		t.Fatal(err)
	}
	const lasts = 20 * time.Second
	if _, err := bucket.Create(t.Context(), "turn", []byte("1"), jetstream.KeyTTL(lasts)); err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.Put(t.Context(), "last", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	created := time.Now()
	if status, _, stderr := once(t, dir, "backup", "b", "--nats-url", server.URL()); status != service.ExitOK {
		t.Fatalf("backup: %d %s", status, stderr)
	}
	<-time.After(time.Until(created.Add(lasts + time.Second)))
	fresh := esjstest.Server(t)
	status, _, stderr := once(t, dir, "restore", "b", "--nats-url", fresh.URL())
	if status != service.ExitOK || !strings.Contains(stderr, "KV_"+payment.BucketReconciliation+": the messages are those of the backup") {
		t.Fatalf("restore: %d %s", status, stderr)
	}

	// Everything else that is missing, or is something else, is found.
	b, err := openBackup(filepath.Join(dir, "b"), &bar{out: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer b.file.Close()
	m, err := jsm.New(fresh.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	p := b.manifest.part("KV_" + payment.BucketReconciliation)
	spool, err := b.spool()
	if err != nil {
		t.Fatal(err)
	}
	defer spool.Close()
	compared := func() error { return b.compareKept(t.Context(), m, p, spool, &bar{out: io.Discard}) }
	if err := compared(); err != nil {
		t.Fatal(err)
	}
	js, err = jetstream.New(fresh.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), p.Stream)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSubject("$KV."+payment.BucketReconciliation+".last")); err != nil {
		t.Fatal(err)
	}
	if err := compared(); exitStatus(err) != exitUnsound || !strings.Contains(err.Error(), "on $KV."+payment.BucketReconciliation+".last, is missing") {
		t.Errorf("a message that does not end by itself was deleted: %v", err)
	}
}

// A message that is not as it was, or was not there, is found; and what has not ended yet must be there.
func TestMessagesOfABackupAreCompared(t *testing.T) {
	type message struct {
		sequence              uint64
		at                    time.Duration // from now
		subject, header, body string
	}
	now := time.Now()
	archive := func(messages ...message) io.Reader {
		var b bytes.Buffer
		e := backupfile.NewEncoder(&b)
		err := e.WriteState(now.UnixNano(), api.StreamState{Msgs: uint64(len(messages)), FirstSeq: 1, LastSeq: 8})
		for _, m := range messages {
			header := ""
			if m.header != "" {
				header = "NATS/1.0\r\n" + m.header + "\r\n\r\n"
			}
			err = errors.Join(err, e.WriteMessage(&backupfile.Message{
				Subject: m.subject, Seq: m.sequence, Ts: now.Add(m.at).UnixNano(), HdrSize: int64(len(header)), PayloadSize: int64(len(m.body)),
				Body: strings.NewReader(header + m.body),
			}))
		}
		if err := errors.Join(err, e.WriteEnd(), e.Close()); err != nil {
			t.Fatal(err)
		}
		return &b
	}
	kept := message{sequence: 1, at: -time.Hour, subject: "a", body: "1"}
	with := func(change func(*message)) message {
		m := kept
		change(&m)
		return m
	}
	for _, test := range []struct {
		name      string
		want, got []message
		config    api.StreamConfig
		says      string // empty: they are the same
	}{
		{name: "the same", want: []message{kept}, got: []message{kept}},
		{name: "one that came since", want: []message{kept}, got: []message{kept, with(func(m *message) { m.sequence = 8 })}},
		{name: "another body", want: []message{kept}, got: []message{with(func(m *message) { m.body = "2" })}, says: "message 1, on a, has another"},
		{name: "another subject", want: []message{kept}, got: []message{with(func(m *message) { m.subject = "b" })}, says: "message 1, on a, has another"},
		{name: "another header", want: []message{kept}, got: []message{with(func(m *message) { m.header = "X: y" })}, says: "message 1, on a, has another"},
		{name: "another time", want: []message{kept}, got: []message{with(func(m *message) { m.at++ })}, says: "message 1, on a, has another"},
		{name: "one too many", want: []message{kept}, got: []message{kept, with(func(m *message) { m.sequence = 2 })}, says: "message 2 was not in the backup"},
		{name: "missing", want: []message{kept}, says: "message 1, on a, is missing"},
		{name: "over", want: []message{with(func(m *message) { m.header = "Nats-TTL: 30m" })}},
		{name: "over by seconds", want: []message{with(func(m *message) { m.header = "Nats-TTL: 1800" })}},
		{name: "not over", want: []message{with(func(m *message) { m.header = "Nats-TTL: 2h" })}, says: "is missing"},
		{name: "never over", want: []message{with(func(m *message) { m.header = "Nats-TTL: never" })}, says: "is missing"},
		{name: "too old for the stream", want: []message{kept}, config: api.StreamConfig{MaxAge: time.Minute}},
		{name: "young enough for the stream", want: []message{kept}, config: api.StreamConfig{MaxAge: 24 * time.Hour}, says: "is missing"},
		{name: "a timer that is due", want: []message{with(func(m *message) { m.header = "Nats-Schedule: @at " + now.Add(-time.Minute).Format(time.RFC3339Nano) })}},
		{name: "a timer that is not due", want: []message{with(func(m *message) { m.header = "Nats-Schedule: @at " + now.Add(time.Hour).Format(time.RFC3339Nano) })}, says: "is missing"},
		{name: "a key that has another value since", want: []message{kept}, got: []message{with(func(m *message) { m.sequence = 8 })}, config: api.StreamConfig{MaxMsgsPer: 1}},
		{name: "another key has", want: []message{kept}, got: []message{with(func(m *message) { m.sequence, m.subject = 8, "b" })}, config: api.StreamConfig{MaxMsgsPer: 1}, says: "is missing"},
	} {
		err := sameMessages(archive(test.want...), archive(test.got...), 7, test.config, now)
		if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.says)
		}
	}
}
