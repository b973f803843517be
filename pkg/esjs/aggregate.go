package esjs

import "time"

// Aggregate is an event-sourced aggregate: its name, its event types and two
// pure functions.
type Aggregate[S, C any, E Event] struct {
	Category string
	Codec    *Codec[E]
	// Apply folds one event into the state. It is total and pure: a fact cannot
	// fail, and the state that it is given is shared and must not be changed
	// (copy a map or slice before writing to it).
	Apply func(S, E) S
	// Decide returns the events that the command causes; none when there is
	// nothing to do, an error (usually a *[Rejection]) when it is refused. It is
	// pure: the same state and command give the same answer.
	Decide func(S, C) ([]E, error)
}

// Timed is a command that needs to know when it is handled: the handler decides
// what At returns for the time that the commit will carry.
type Timed[C any] interface {
	At(time.Time) C
}

// folded is an aggregate as the handler knows it: the state and what esjs folds
// beside it. It is immutable, and shared by the cache and by callers.
type folded[S any] struct {
	state    S
	revision Revision
	commands commandLog
	inputs   inputLog
	commit   string // id of the first event of the commit at revision; empty where it is not known
	own      bool   // read from a snapshot that this store wrote
	unsaved  int    // commits since the snapshot, or since one was last queued
	wrote    bool   // one of those is this handler's own
	persons  persons
	sealed   []byte // of a snapshot whose state is yet to be opened
}

// apply folds one commit, which must follow f.
func (a Aggregate[S, C, E]) apply(f folded[S], c Commit) (folded[S], error) {
	for _, r := range c.Records {
		recorded, err := a.Codec.Decode(r)
		if err != nil {
			return f, err
		}
		f.state = a.Apply(f.state, recorded.Event)
		if r.reading.wasOpened() {
			f.persons = f.persons.with(r.Person)
		}
	}
	return f.advanced(c.revision, &c.Records[0].Metadata, len(c.Records)), nil
}

// advanced is f after a commit, its state excepted.
func (f folded[S]) advanced(revision Revision, m *Metadata, events int) folded[S] {
	f.revision = revision
	f.commands = f.commands.with(m, revision, events)
	f.inputs = f.inputs.with(m.Input)
	f.unsaved++
	return f
}
