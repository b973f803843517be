package esjs

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// commandLogSize is how many of the newest command ids an aggregate remembers. One
// that comes after as many others is decided again, and what it writes has the event ids
// of the first time: they are derived from the command id, and stored ones cannot change.
const commandLogSize = 128

// commandLog holds the newest handled commands of an aggregate, oldest first, as
// they are stored in a snapshot: a load decodes nothing of it, and a command that is
// looked for is compared with bytes. Each is its id (see appendCommandKey), the first bytes of a
// digest of its hash, and its version, sequence and number of events as varints. It is immutable.
type commandLog struct {
	n   int
	raw []byte
}

// handledCommand is enough to give a command's first result again.
type handledCommand struct {
	ID          string
	fingerprint fingerprint
	Version     uint64
	Sequence    uint64
	Events      int
}

// fingerprint tells commands under one id apart: another one has the same in one of
// 2^64 cases. It is zero for a command without a hash.
type fingerprint [8]byte

func fingerprintOf(hash string) (f fingerprint) {
	if hash != "" {
		sum := sha256.Sum256([]byte(hash))
		copy(f[:], sum[:])
	}
	return f
}

// appendCommandKey writes an id: a UUID in its usual form as 0 and 16 bytes, another
// one as its length and itself.
func appendCommandKey(dst []byte, id string) []byte {
	if u, err := uuid.Parse(id); err == nil && isUsualUUID(id) {
		return append(append(dst, 0), u[:]...)
	}
	return append(binary.AppendUvarint(dst, uint64(len(id))), id...)
}

// isUsualUUID tells that a text that is a UUID is what its bytes are written as.
func isUsualUUID(id string) bool {
	return len(id) == 36 && strings.IndexFunc(id, func(c rune) bool { return c >= 'A' && c <= 'F' }) < 0
}

func (l commandLog) with(m *Metadata, revision Revision, events int) commandLog {
	if m.CommandID == "" {
		return l
	}
	return l.add(m.CommandID, m.CommandHash, revision.version, revision.sequence, events)
}

func (l commandLog) add(id, hash string, version, sequence uint64, events int) commandLog {
	kept := l.raw
	n := l.n + 1
	if n > commandLogSize {
		_, kept, _ = cutCommand(kept)
		n = commandLogSize
	}
	const rest = len(fingerprint{}) + 4*binary.MaxVarintLen64
	raw := make([]byte, 0, len(kept)+len(id)+rest)
	raw = appendCommandKey(append(raw, kept...), id)
	print := fingerprintOf(hash)
	raw = append(raw, print[:]...)
	raw = binary.AppendUvarint(raw, version)
	raw = binary.AppendUvarint(raw, sequence)
	return commandLog{n, binary.AppendUvarint(raw, uint64(events))}
}

func (l commandLog) find(id string) (found handledCommand, ok bool) {
	if id == "" || l.n == 0 {
		return handledCommand{}, false
	}
	var buffer [64]byte
	key := appendCommandKey(buffer[:0], id)
	if !bytes.Contains(l.raw, key) { // as nearly always, and 20 times faster to tell
		return handledCommand{}, false
	}
	for rest := l.raw; len(rest) > 0; {
		command, after, err := cutCommand(rest)
		if err != nil {
			break // cannot be: what is read was checked
		}
		if bytes.HasPrefix(rest, key) { // a key's first byte tells its length
			found, ok = command, true
			found.ID = id
		}
		rest = after
	}
	return found, ok
}

var errNoCommandLog = errors.New("esjs: not a list of commands")

// cutCommand reads the first command of raw, its id excepted.
func cutCommand(raw []byte) (c handledCommand, rest []byte, err error) {
	number := func() (n uint64) {
		n, size := binary.Uvarint(raw)
		if size <= 0 {
			err = errNoCommandLog
			return 0
		}
		raw = raw[size:]
		return n
	}
	skip := number()
	if skip == 0 {
		skip = uint64(len(uuid.UUID{}))
	}
	if err != nil || skip > uint64(len(raw)) || len(raw)-int(skip) < len(c.fingerprint) {
		return c, nil, errNoCommandLog
	}
	raw = raw[skip:]
	raw = raw[copy(c.fingerprint[:], raw):]
	c.Version, c.Sequence, c.Events = number(), number(), int(number())
	if c.Events < 0 || uint64(c.Events) > c.Version {
		err = errNoCommandLog
	}
	return c, raw, err
}

// MarshalText writes the log in base64.
func (l commandLog) MarshalText() ([]byte, error) {
	return base64.RawStdEncoding.AppendEncode(nil, l.raw), nil
}

// UnmarshalJSON reads what MarshalText wrote, and the list of objects that earlier
// releases stored.
func (l *commandLog) UnmarshalJSON(b []byte) error {
	*l = commandLog{}
	if bytes.HasPrefix(b, []byte("[")) {
		var list []struct {
			ID       string `json:"id"`
			Hash     string `json:"hash"`
			Version  uint64 `json:"version"`
			Sequence uint64 `json:"sequence"`
			Events   int    `json:"events"`
		}
		if err := json.Unmarshal(b, &list); err != nil {
			return err
		}
		for _, c := range list {
			if c.ID == "" || c.Events < 0 || uint64(c.Events) > c.Version {
				return errNoCommandLog
			}
			*l = l.add(c.ID, c.Hash, c.Version, c.Sequence, c.Events)
		}
		return nil
	}
	var text []byte
	if len(b) >= 2 && b[0] == '"' { // base64 has nothing that JSON escapes
		text = b[1 : len(b)-1]
	}
	raw, err := base64.RawStdEncoding.Strict().AppendDecode(nil, text)
	if err != nil {
		return err
	}
	for rest := raw; len(rest) > 0; l.n++ {
		if _, rest, err = cutCommand(rest); err != nil {
			return err
		}
	}
	if l.n == 0 || l.n > commandLogSize {
		return errNoCommandLog
	}
	l.raw = raw
	return nil
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
