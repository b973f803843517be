package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// bucketBackups is the bucket in which the last complete backup of the system is noted, under the key lastBackup. The time at
	// which the server stored it is what "monitor" tells Prometheus.
	bucketBackups = "BACKUPS"
	lastBackup    = "last"
)

// backupNote is what is noted of a backup.
type backupNote struct {
	TakenAt     time.Time `json:"taken_at"` // when it was begun
	CompletedAt time.Time `json:"completed_at"`
	Bytes       int64     `json:"bytes"` // of the file
	Commits     uint64    `json:"commits"`
	Chain       string    `json:"chain"` // over all commits
}

// noteBackup notes on the server that a backup is complete.
func noteBackup(ctx context.Context, nc *nats.Conn, path string, done manifest) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	events := done.part(eventStream)
	note, err := json.Marshal(backupNote{
		TakenAt: done.TakenAt, CompletedAt: time.Now().UTC(), Bytes: info.Size(), Commits: events.Messages, Chain: events.Chain,
	})
	if err != nil {
		return err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	err = service.Answered(ctx, func(ctx context.Context) error {
		_, err := js.Publish(ctx, "$KV."+bucketBackups+"."+lastBackup, note, jetstream.WithExpectStream(notedStream))
		return err
	})
	if err != nil {
		return fmt.Errorf("the backup is complete, but that is not noted in the bucket %s, which \"orderflow provision\" makes, and so alerts will not know of it: %w", bucketBackups, err)
	}
	return nil
}
