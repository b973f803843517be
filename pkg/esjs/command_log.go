package esjs

import (
	"crypto/sha256"
	"encoding/base64"
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
