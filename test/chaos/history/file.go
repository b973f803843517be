package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// line is one line of a file: exactly one of these.
type line struct {
	Op       *Op              `json:"op,omitzero"`
	Fault    *Fault           `json:"fault,omitzero"`
	Commit   *Commit          `json:"commit,omitzero"`
	Delivery *Delivery        `json:"delivery,omitzero"`
	Row      *Row             `json:"row,omitzero"`
	Sessions map[string][]int `json:"sessions,omitzero"`
}

// Save writes the history to a file, one thing a line.
func (h *History) Save(path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriter(f)
	to := json.NewEncoder(w)
	put := func(l line) {
		if err == nil {
			err = to.Encode(l)
		}
	}
	for i := range h.Faults {
		put(line{Fault: &h.Faults[i]})
	}
	for i := range h.Ops {
		put(line{Op: &h.Ops[i]})
	}
	for i := range h.Log {
		put(line{Commit: &h.Log[i]})
	}
	for i := range h.Deliveries {
		put(line{Delivery: &h.Deliveries[i]})
	}
	for i := range h.Rows {
		put(line{Row: &h.Rows[i]})
	}
	put(line{Sessions: h.Sessions})
	return errors.Join(err, w.Flush())
}

// ReadFile reads what [History.Save] wrote.
func ReadFile(path string) (*History, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // what was read is read
	h := &History{Sessions: map[string][]int{}}
	d := json.NewDecoder(bufio.NewReader(f))
	for {
		var l line
		switch err := d.Decode(&l); {
		case errors.Is(err, io.EOF):
			return h, nil
		case err != nil:
			return nil, fmt.Errorf("%s is no history: %w", path, err)
		}
		h.add(l)
	}
}

func (h *History) add(l line) {
	switch {
	case l.Op != nil:
		h.Ops = append(h.Ops, *l.Op)
	case l.Fault != nil:
		h.Faults = append(h.Faults, *l.Fault)
	case l.Commit != nil:
		h.Log = append(h.Log, *l.Commit)
	case l.Delivery != nil:
		h.Deliveries = append(h.Deliveries, *l.Delivery)
	case l.Row != nil:
		h.Rows = append(h.Rows, *l.Row)
	case l.Sessions != nil:
		h.Sessions = l.Sessions
	}
}
