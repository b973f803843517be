package esjs

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
)

// commandLogSize is how many of the newest command ids an aggregate remembers.
const commandLogSize = 128

// commandLog holds the newest handled commands of an aggregate, oldest first.
// It is immutable.
type commandLog []handledCommand

// handledCommand is enough to give a command's first result again.
type handledCommand struct {
	ID       string `json:"id"`
	Hash     string `json:"hash,omitzero"`
	Version  uint64 `json:"version"`
	Sequence uint64 `json:"sequence"`
	Events   int    `json:"events"`
}

func (l commandLog) with(m *Metadata, revision Revision, events int) commandLog {
	if m.CommandID == "" {
		return l
	}
	kept := l[max(0, len(l)-commandLogSize+1):]
	next := make(commandLog, 0, len(kept)+1)
	next = append(next, kept...)
	return append(next, handledCommand{
		ID: m.CommandID, Hash: m.CommandHash,
		Version: revision.version, Sequence: revision.sequence, Events: events,
	})
}

func (l commandLog) find(id string) (handledCommand, bool) {
	if id == "" {
		return handledCommand{}, false
	}
	for i := len(l) - 1; i >= 0; i-- {
		if l[i].ID == id {
			return l[i], true
		}
	}
	return handledCommand{}, false
}

// eventIDs are derived from the command's id, as they were when it was stored.
func (c handledCommand) eventIDs(id StreamID) []string {
	ids := make([]string, c.Events)
	for i := range ids {
		ids[i] = eventID(id, c.ID, i)
	}
	return ids
}

// CommandHash fingerprints a command by its verb and body, for
// [Metadata].CommandHash: SHA-256, 43 characters of base64url.
func CommandHash(verb string, body []byte) string {
	h := sha256.New()
	h.Write([]byte(verb))
	h.Write([]byte{0})
	h.Write(body)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// inputLog holds, for each stream of inputs, the newest position that the
// instance of a process has consumed. It is immutable.
type inputLog []consumedInput

type consumedInput struct {
	Source   string   `json:"source"`
	Position Position `json:"position"`
}

func (l inputLog) with(input InputRef) inputLog {
	if input.Position.IsZero() || !l.consumed(input).Before(input.Position) {
		return l
	}
	stream := inputStream(input)
	if i := slices.IndexFunc(l, func(c consumedInput) bool { return c.Source == stream }); i >= 0 {
		next := slices.Clone(l)
		next[i].Position = input.Position
		return next
	}
	return append(slices.Clone(l), consumedInput{Source: stream, Position: input.Position})
}

// consumed returns the newest consumed position of the input's stream.
func (l inputLog) consumed(input InputRef) Position {
	for _, c := range l {
		if c.Source == inputStream(input) {
			return c.Position
		}
	}
	return Position{}
}

// timerSource is the source of inputs that are fired timers; every other source
// is an event's, and all events are in one stream.
const timerSource = "/timer"

func inputStream(input InputRef) string {
	if input.Source == timerSource {
		return "timers"
	}
	return "events"
}
