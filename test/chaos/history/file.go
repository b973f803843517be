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
	Order    *PlacedOrder     `json:"order,omitzero"`
	Sessions map[string][]int `json:"sessions,omitzero"`
	End      *End             `json:"end,omitzero"` // the last line
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
	for i := range h.Orders {
		put(line{Order: &h.Orders[i]})
	}
	put(line{Sessions: h.Sessions})
	put(line{End: &h.End})
	return errors.Join(err, w.Flush())
}

// ReadFile reads what [History.Save] wrote. What has no end is refused: it would be judged without what is told there.
func ReadFile(path string) (*History, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // what was read is read
	h := &History{Sessions: map[string][]int{}}
	ended := false
	d := json.NewDecoder(bufio.NewReader(f))
	for {
		var l line
		switch err := d.Decode(&l); {
		case errors.Is(err, io.EOF) && ended:
			return h, nil
		case errors.Is(err, io.EOF):
			return nil, fmt.Errorf("%s is no whole history: it has no end", path)
		case err != nil:
			return nil, fmt.Errorf("%s is no history: %w", path, err)
		}
		h.add(l)
		ended = ended || l.End != nil
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
	case l.Order != nil:
		h.Orders = append(h.Orders, *l.Order)
	case l.Sessions != nil:
		h.Sessions = l.Sessions
	case l.End != nil:
		h.End = *l.End
	}
}
