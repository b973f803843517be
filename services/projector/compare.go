package projector

import (
	"context"
	"slices"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector/view"
)

const (
	// sampleRows is how many rows of each table are looked at, chosen from the new
	// version, and as many chosen from the old one.
	sampleRows = 200
	// sampleLooks is how often rows that are not equal are looked at, about twice a
	// second.
	sampleLooks = 20
	firstShown  = 10
)

// sample are rows of a version that are compared with those of the live one. Both go
// on meanwhile, from positions that are not the same, so that rows which are not
// equal may be rows of different times. They differ when they have not changed while
// both versions passed the place where either of them was.
type sample struct {
	with      string
	rows      int
	pending   []pair
	looks     int
	passed    esjs.Position // at or before it were both when pending was seen
	differing []string      // the table and the key
	concluded bool
}

// pair is a row in both versions, as text; "" is none.
type pair struct {
	table    *view.Table
	key      *view.Key
	old, new string
}

// mayTakeOver compares a version that has caught up with the live one, where both have
// rows of the same form. It says no until enough is known, and for good when rows
// differ: then the version waits for an operator.
func (k *keeper) mayTakeOver(ctx context.Context, v *version, from string) bool {
	if v.sample == nil || v.sample.with != from {
		old := k.version(from)
		if old == nil || old.Form != v.Form {
			return true // their rows are not meant to be equal
		}
		v.sample = &sample{with: from}
	}
	if !v.sample.concluded {
		if err := k.look(ctx, v); err != nil {
			if ctx.Err() == nil {
				k.env.Log.Warn().Err(err).Str("view", v.Name).Msg("a version cannot be compared with the live one; it is tried again")
			}
			return false
		}
	}
	return v.sample.concluded && len(v.sample.differing) == 0
}

// look looks at the rows of which nothing is known yet.
func (k *keeper) look(ctx context.Context, v *version) (err error) {
	s := v.sample
	first := s.looks == 0
	if first {
		if err := k.choose(ctx, v); err != nil {
			return err
		}
	}
	least, _, err := k.positions(ctx, v)
	if err != nil {
		return err
	}
	settled := !first && !least.Before(s.passed)
	oldRows, newRows := view.NewReader(k.db, view.Name(s.with)), view.NewReader(k.db, view.Name(v.Name))
	var pending []pair
	for _, was := range s.pending {
		now := was
		if now.old, err = oldRows.Row(ctx, *was.table, *was.key); err != nil {
			return err
		}
		if now.new, err = newRows.Row(ctx, *was.table, *was.key); err != nil {
			return err
		}
		switch {
		case now.old == now.new:
		case first:
			pending = append(pending, now)
		case !settled:
			pending = append(pending, was)
		case now == was:
			s.differing = append(s.differing, v.View+was.table.Suffix+" "+was.key.String())
		default: // it changes
			pending = append(pending, now)
		}
	}
	if first || settled {
		if _, s.passed, err = k.positions(ctx, v); err != nil {
			return err
		}
	}
	s.pending, s.looks = pending, s.looks+1
	if len(pending) > 0 && s.looks < sampleLooks {
		return nil
	}
	return k.conclude(ctx, v)
}

// choose selects the rows.
func (k *keeper) choose(ctx context.Context, v *version) error {
	s := v.sample
	s.pending = nil
	for _, table := range v.view.Keyed() {
		chosen := make(map[string]bool)
		for name, offset := range map[string]float64{v.Name: 0, s.with: 0.5} {
			keys, err := view.NewReader(k.db, view.Name(name)).Sample(ctx, table, sampleRows, offset)
			if err != nil {
				return err
			}
			for _, key := range keys {
				if name := key.String(); !chosen[name] {
					chosen[name] = true
					s.pending = append(s.pending, pair{table: &table, key: &key})
				}
			}
		}
	}
	s.rows = len(s.pending)
	return nil
}

// positions returns up to where both versions are at least, and where one of them
// is at most.
func (k *keeper) positions(ctx context.Context, v *version) (least, most esjs.Position, err error) {
	least, err = k.position(ctx, v)
	if err != nil {
		return least, most, err
	}
	if most, err = k.position(ctx, k.version(v.sample.with)); most.Before(least) {
		least, most = most, least
	}
	return least, most, err
}

func (k *keeper) position(ctx context.Context, v *version) (esjs.Position, error) {
	if v == nil {
		return esjs.Position{}, errGone
	}
	if progress := v.projector.Progress(); progress.Active {
		return progress.Position, nil
	}
	stored, err := k.sink.Load(ctx, v.Name)
	return stored.Position, err
}

// conclude notes what was found. Where rows differ, only an operator can let the
// version take over, in this program and in every other one.
func (k *keeper) conclude(ctx context.Context, v *version) error {
	s := v.sample
	slices.Sort(s.differing)
	found := queries.Comparison{
		With: s.with, Rows: s.rows, Changing: len(s.pending), Differing: len(s.differing),
		First: s.differing[:min(len(s.differing), firstShown)], At: time.Now().UTC(),
	}
	if found.Differing > 0 {
		if err := k.registry.hold(ctx, v.View, v.Version-1); err != nil {
			return err
		}
		defer k.tell()
	}
	if err := k.registry.compared(ctx, v.Name, found); err != nil {
		return err
	}
	s.concluded, s.pending = true, nil
	k.env.Log.Info().Str("view", v.Name).Str("with", s.with).Int("rows", found.Rows).Int("differing", found.Differing).
		Msg("a version was compared with the live one")
	return nil
}
