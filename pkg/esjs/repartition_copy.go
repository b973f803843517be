package esjs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
)

// transfer is one commit on its way.
type transfer struct {
	source   uint64 // its sequence in the old stream
	sequence uint64 // its sequence in the new one
	subject  string
	body     []byte
}

const (
	// transferPage and transferBytes bound what is in flight to a partition.
	transferPage  = maxInFlight
	transferBytes = 4 << 20
	// toldEvery is after how many commits the progress is told.
	toldEvery = 256
	// missingTries is how often a leader may not have what it has counted.
	missingTries = 20
)

// copy brings what follows what was copied, up to the sequence until.
func (m *move) copy(ctx context.Context, until uint64) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var (
		writing sync.WaitGroup
		lanes   []chan transfer
	)
	for _, part := range m.parts {
		lane := make(chan transfer, transferPage)
		lanes = append(lanes, lane)
		writing.Go(func() {
			if err := part.write(ctx, lane); err != nil {
				stop(err)
			}
		})
	}
	err := m.from.scan(ctx, source{stream: m.from.cfg.Stream, gapless: true}, uint64(len(m.places)), until, func(msg message) error {
		c, err := m.take(msg)
		if err != nil {
			return err
		}
		partition, t, err := m.transfer(c)
		if err != nil {
			return err
		}
		if len(m.places)%toldEvery == 0 {
			m.tell(uint64(len(m.places)), until)
		}
		select {
		case lanes[partition] <- t:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	for _, lane := range lanes {
		close(lane)
	}
	if err != nil {
		stop(err)
	}
	writing.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	m.tell(until, until)
	return nil
}

func (m *move) tell(done, of uint64) {
	if m.cfg.Progress != nil {
		m.cfg.Progress(done, of)
	}
}

// taken is a commit of the old stream, as it is in the new one but for its back-pointers.
type taken struct {
	sequence uint64
	stream   StreamID
	events   []wire.Event
	window   []uint64 // in the old stream
}

// take reads a commit of the old stream.
func (m *move) take(msg message) (taken, error) {
	c, err := m.from.decodeMessage(msg.subject, msg.sequence, msg.data) // which checks more than a decoder
	if err != nil {
		return taken{}, err
	}
	var decoder wire.Decoder
	events, window, err := decoder.Decode(msg.data)
	if err == nil {
		err = m.place(&events[0], msg.sequence)
	}
	for i := range events {
		if err == nil && c.Stream.Category == guardCategory && events[i].Type == (Guarded{}).EventType() {
			err = m.placeGuard(&events[i], msg.sequence)
		}
	}
	if err != nil {
		return taken{}, &CorruptError{Stream: c.Stream, Position: c.Position, Reason: err.Error()}
	}
	return taken{sequence: msg.sequence, stream: c.Stream, events: events, window: window}, nil
}

// at is where a commit of the old stream is in the new store. What is not before the commit that names it is of
// another store, and stays as it is.
func (m *move) at(p Position, before uint64) Position {
	if p.sequence == 0 || p.partition != 0 || p.sequence >= before {
		return p
	}
	return m.places[p.sequence-1].position()
}

// place has the input of a commit named by its new position: a process compares that with those of its next inputs.
func (m *move) place(first *wire.Event, before uint64) error {
	if first.InputPosition == "" {
		return nil
	}
	var input InputRef
	if err := input.parsePlace(first.InputPosition); err != nil {
		return err
	}
	input.Position = m.at(input.Position, before)
	first.InputPosition = input.place()
	return nil
}

// placeGuard does the same for what a guard has seen.
func (m *move) placeGuard(e *wire.Event, before uint64) error {
	var guard Guarded
	if err := json.Unmarshal(e.Data, &guard); err != nil {
		return err
	}
	guard.Position = m.at(guard.Position, before)
	var data bytes.Buffer
	if err := json.MarshalWrite(&data, guard, json.Deterministic(true)); err != nil {
		return err
	}
	e.Data = data.Bytes()
	return nil
}

// transfer gives a commit its place, and the pointers to those before it.
func (m *move) transfer(c taken) (partition int, t transfer, err error) {
	partition = Partition(c.stream.Key, len(m.parts))
	for i, sequence := range c.window {
		p := m.places[sequence-1]
		if int(p>>56) != partition {
			return 0, t, &CorruptError{Stream: c.stream, Position: m.from.at(c.sequence), Reason: fmt.Sprintf("it points to %d, which is of another aggregate", sequence)}
		}
		c.window[i] = p.sequence()
	}
	part := m.parts[partition]
	part.count++
	m.places = append(m.places, newSpot(partition, part.count))
	t = transfer{source: c.sequence, sequence: part.count, subject: part.store.subjectOf(c.stream)}
	t.body, err = wire.AppendCommit(nil, c.window, c.events)
	if err != nil {
		err = &CorruptError{Stream: c.stream, Position: m.from.at(c.sequence), Reason: err.Error()}
	}
	return partition, t, err
}

// write stores what comes, in the order in which it comes.
func (p *copied) write(ctx context.Context, lane <-chan transfer) error {
	for first := range lane {
		page, size := []transfer{first}, len(first.body)
	gather:
		for len(page) < transferPage && size < transferBytes {
			select {
			case t, more := <-lane:
				if !more {
					break gather
				}
				page, size = append(page, t), size+len(t.body)
			default:
				break gather
			}
		}
		if err := p.bring(ctx, page); err != nil {
			return err
		}
	}
	return nil
}

// bring stores a page, or finds it there.
func (p *copied) bring(ctx context.Context, page []transfer) error {
	for wait, missing := newPause(), 0; len(page) > 0; {
		var (
			n   int
			err error
		)
		if page[0].sequence <= p.have {
			n, err = p.compare(ctx, page[:min(uint64(len(page)), p.have-page[0].sequence+1)])
			if n == 0 {
				missing++
			}
			if err == nil && missing > missingTries {
				err = &CorruptError{Position: p.store.at(page[0].sequence), Reason: "the leader of " + p.store.cfg.Stream + " has counted the commit, and does not have it"}
			}
		} else {
			n, err = p.publish(ctx, page)
			p.have += uint64(n)
		}
		if err != nil {
			return err
		}
		if page = page[n:]; n > 0 {
			wait, missing = newPause(), 0
			continue
		}
		// It is not known what is there: the answers were lost, another copy was faster, or the leader changed.
		if err := wait.sleep(ctx); err != nil {
			return err
		}
		if p.have, err = p.store.lastSequence(ctx, p.store.cfg.Stream); err != nil {
			return err
		}
	}
	return nil
}

// compare tells how many of the commits, from the first one on, are there. An error is
// that something else is.
func (p *copied) compare(ctx context.Context, page []transfer) (int, error) {
	there := make([]message, len(page))
	if err := p.store.leaderPage(ctx, page[0].sequence, there); err != nil {
		return 0, err
	}
	for i, t := range page {
		m := there[i]
		switch {
		case m.sequence == 0:
			return i, nil
		case m.subject != t.subject || m.header.Get(headerSource) != strconv.FormatUint(t.source, 10) || !bytes.Equal(m.data, t.body):
			return i, fmt.Errorf("%w: stream %s has at %d something else than the commit %d of the store that is copied: did somebody write to it? Remove its streams, or name a store that is not there yet",
				ErrConfig, p.store.cfg.Stream, t.sequence, t.source)
		}
	}
	return len(page), nil
}

// publish sends the commits, all in flight at once, and tells how many, from the first one on, were stored. Each one is taken as
// the message that follows the one before it and not otherwise: when one is lost, all behind it are refused.
func (p *copied) publish(ctx context.Context, page []transfer) (stored int, err error) {
	c, err := p.store.appends.begin()
	if err != nil {
		return 0, err
	}
	defer c.end()
	for i, t := range page {
		msg := &nats.Msg{Subject: t.subject, Data: t.body, Header: nats.Header{
			headerContentType:       contentTypeBatch,
			nats.ExpectedLastSeqHdr: []string{strconv.FormatUint(t.sequence-1, 10)},
			nats.ExpectedStreamHdr:  []string{p.store.cfg.Stream},
			headerSource:            []string{strconv.FormatUint(t.source, 10)},
		}}
		if err := c.send(ctx, msg, i); err != nil {
			return 0, p.unsent(err, t)
		}
	}
	c.wait()
	acks := make([]bool, len(page))
	for range page {
		i, answer, err := c.next(ctx)
		denied := (*deniedError)(nil)
		switch {
		case errors.As(err, &denied):
			return 0, fmt.Errorf("%w: %w", ErrRefused, denied)
		case ctx.Err() != nil:
			return 0, context.Cause(ctx)
		case errors.Is(err, nats.ErrNoResponders):
			continue
		case err != nil:
			return prefix(acks), nil
		}
		ack, err := parseAck(answer.Data)
		if err != nil {
			continue
		}
		if final := finalError(ack); final != nil {
			return 0, fmt.Errorf("stream %s, at %d: %w", p.store.cfg.Stream, page[i].sequence, final)
		}
		acks[i] = ack.code == 0 && ack.sequence == page[i].sequence
	}
	return prefix(acks), nil
}

// unsent is the error of a commit that the connection does not take; nil where that passes.
func (p *copied) unsent(err error, t transfer) error {
	unsent := (*unsentError)(nil)
	switch {
	case !errors.As(err, &unsent):
		return nil
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: the commit %d has %d bytes, and the servers of %s take %d", ErrTooLarge, t.source, len(t.body), p.store.cfg.Stream, p.store.appends.nc.MaxPayload())
	}
	return unsent.err
}

// prefix counts what is true before the first one that is not.
func prefix(all []bool) int {
	for i, ok := range all {
		if !ok {
			return i
		}
	}
	return len(all)
}
