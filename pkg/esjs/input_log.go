package esjs

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
)

// inputLogSize is how many of the newest inputs an instance remembers one by one.
const inputLogSize = 64

// inputLog is the fold over what an instance consumed, for each stream of
// inputs: which ones caused a commit. It is immutable.
type inputLog map[string]consumedInputs

// consumedInputs is what is known of one stream of inputs. A process takes the
// inputs of an instance in turn, so what is not after the last one was seen before.
// That does not hold for an input that was set aside, perhaps under another key, and comes
// when later ones have been consumed: for its sake the newest ones are listed.
type consumedInputs struct {
	inputPlace `json:",inline"` // of the last one
	// Recent lists those after Floor, the last one included, ascending. Of a
	// timer nothing is listed: its versions only grow. Without a list, as earlier
	// releases stored it, the floor is the last one.
	Recent []listedInput `json:"recent,omitempty"`
	// Floor is where the list begins. Whether an input up to there was consumed
	// is known from the instance's history alone.
	Floor inputPlace `json:"floor,omitzero"`
}

// inputPlace is where an input stands among those of its stream.
type inputPlace struct {
	Position Position `json:"position,omitzero"`
	Version  uint64   `json:"version"`
}

func (r InputRef) at() inputPlace { return inputPlace{r.Position, r.Version} }

func (p inputPlace) compare(other inputPlace) int {
	switch {
	case p.Position.Before(other.Position), p.Position == other.Position && p.Version < other.Version:
		return -1
	case p == other:
		return 0
	}
	return 1
}

// listedInput is an inputPlace whose stored form is its short text.
type listedInput inputPlace

func (i listedInput) MarshalText() ([]byte, error) {
	return []byte(InputRef{Position: i.Position, Version: i.Version}.place()), nil
}

func (i *listedInput) UnmarshalText(text []byte) error {
	var r InputRef
	err := r.parsePlace(string(text))
	*i = listedInput(r.at())
	return err
}

// inputSeen answers whether an input was consumed.
type inputSeen int

const (
	inputNew inputSeen = iota
	inputConsumed
	inputPerhaps // the instance's history tells
)

// passed tells that r, or an input after it, caused a commit. The zero InputRef
// never did.
func (l inputLog) passed(r InputRef) bool {
	known, ok := l[r.stream()]
	return ok && r.Source != "" && r.at().compare(known.inputPlace) <= 0
}

// consumed tells whether r itself caused a commit.
func (l inputLog) consumed(r InputRef) inputSeen {
	if !l.passed(r) {
		return inputNew
	}
	if strings.HasPrefix(r.Source, timerSource) {
		return inputConsumed
	}
	known := l[r.stream()].listed()
	if _, found := known.find(r); found {
		return inputConsumed
	}
	if r.at().compare(known.Floor) <= 0 {
		return inputPerhaps
	}
	return inputNew
}

// with returns l after r caused a commit.
func (l inputLog) with(r InputRef) inputLog {
	if r.Source == "" || l.consumed(r) == inputConsumed {
		return l
	}
	next := maps.Clone(l)
	if next == nil {
		next = inputLog{}
	}
	stream := r.stream()
	known, ok := l[stream]
	switch {
	case strings.HasPrefix(r.Source, timerSource):
		known.inputPlace = r.at()
	case !ok:
		known = consumedInputs{inputPlace: r.at(), Recent: []listedInput{listedInput(r.at())}}
	default:
		known = known.listed().with(r)
	}
	next[stream] = known
	return next
}

// listed is c with a list.
func (c consumedInputs) listed() consumedInputs {
	if len(c.Recent) == 0 {
		c.Recent, c.Floor = []listedInput{listedInput(c.inputPlace)}, c.inputPlace
	}
	return c
}

func (c consumedInputs) find(r InputRef) (int, bool) {
	return slices.BinarySearchFunc(c.Recent, r.at(), func(i listedInput, p inputPlace) int {
		return inputPlace(i).compare(p)
	})
}

// with lists r and raises the floor over the first one of a list that is full.
func (c consumedInputs) with(r InputRef) consumedInputs {
	if r.at().compare(c.Floor) <= 0 {
		return c
	}
	i, _ := c.find(r)
	c.Recent = slices.Insert(slices.Clone(c.Recent), i, listedInput(r.at()))
	if len(c.Recent) > inputLogSize {
		c.Floor = inputPlace(c.Recent[0])
		c.Recent = c.Recent[1:]
	}
	c.inputPlace = inputPlace(c.Recent[len(c.Recent)-1])
	return c
}

// consumed tells whether the aggregate, as it is known, is done with an input:
// one that comes in its turn when it was passed, another one when it caused a commit. Only
// where the fold does not tell that is the history read, backward to where the
// input was stored: no commit before that can be its effect. Where that is in another
// partition, which has no order with the instance's, all of the history is read.
func (h *CommandHandler[S, C, E]) consumed(ctx context.Context, id StreamID, known *folded[S], o *handleOptions) (bool, error) {
	input := o.metadata.Input
	if !o.outOfTurn {
		return known.inputs.passed(input), nil
	}
	if seen := known.inputs.consumed(input); seen != inputPerhaps {
		return seen == inputConsumed, nil
	}
	part := h.store.of(id)
	tail, err := part.leaderTailFrom(ctx, id, known.revision.sequence)
	if err != nil {
		return false, err
	}
	found := false
	err = part.backward(ctx, tail, known.revision.version, 1, func(r Record) bool {
		found = r.Metadata.Input.ID == input.ID
		return !found && !input.Position.Covers(r.Position)
	})
	if err != nil && !errors.Is(err, errStopped) {
		return false, err
	}
	return found, nil
}
