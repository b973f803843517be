package esjs

import (
	"context"
	"time"
)

// Write is one commit to be stored.
type Write struct {
	Stream   StreamID
	Expect   Expectation
	Events   []Event
	Metadata Metadata
	Time     time.Time // zero: now. Never below the aggregate's previous time.
	settled  func(Appended, error)
}

// Appended is what an append stored.
type Appended struct {
	Revision Revision
	EventIDs []string
}

// Append stores events as one commit of the aggregate, in one round trip.
// Errors: *[ConflictError], [ErrTooLarge], [ErrStoreFull], [ErrUnknownOutcome], [ErrRefused].
func (s *Store) Append(ctx context.Context, id StreamID, expect Expectation, events ...Event) (Appended, error) {
	panic("stub")
}

// AppendAll stores several commits of different aggregates, all or nothing. One
// write costs what Append costs; several are one atomic batch, which on a
// single server takes many times as long as one publish whatever its size: put
// together what can wait. Two writes to one aggregate are refused, and more than 1000 writes.
func (s *Store) AppendAll(ctx context.Context, writes ...Write) ([]Appended, error) { panic("stub") }
