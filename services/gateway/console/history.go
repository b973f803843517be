package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
)

// historyData is an order as it was at one of its versions.
type historyData struct {
	OrderID string
	Newest  uint64
	At      queries.OrderMoment
	Machine [2]machine
	Event   *queries.TimelineEntry // that made this version; nil when the view is behind
	With    uint64                 // version that it is compared with; 0 for none
	Now     bool                   // that is the newest one, and not the one before
	Changes []change
	Marks   []mark
	AsOf    string // the moment that was asked for, or that of the version, as a form field writes it
}

// mark is one version on the slider.
type mark struct {
	Version uint64
	What    string
	Time    time.Time
}

// change is one value that differs, in words.
type change struct {
	What, Old, New string
}

// historyPage shows an order at a version or a moment, with the difference.
func historyPage(v *visit) error {
	id := v.PathValue("id")
	order, err := ask(v, queries.OrderGet, queries.OrderRequest{OrderID: id, ReadYourWrites: v.after()})
	if err != nil {
		return err
	}
	entries, _, err := v.timeline(id)
	if err != nil {
		return err
	}
	data, err := v.history(id, order.Version, entries)
	if err != nil {
		return err
	}
	return v.show("history", "Order "+id+" at version "+strconv.FormatUint(data.At.Version, 10), "", data)
}

// history reads the version or the moment that the address names; without either
// it is the newest version.
func (v *visit) history(id string, newest uint64, entries []queries.TimelineEntry) (historyData, error) {
	q := v.URL.Query()
	data := historyData{OrderID: id, Newest: newest, AsOf: q.Get("as_of"), Now: q.Get("compare") == "now"}
	request := queries.OrderAtRequest{OrderID: id}
	switch {
	case q.Get("version") != "":
		n, err := strconv.ParseUint(q.Get("version"), 10, 63)
		if err != nil {
			return data, refuse(400, "bad_request", `"version" is %.40q; it must be a whole number, 1 or more`, q.Get("version"))
		}
		request.Version = &n
	case data.AsOf != "":
		var err error
		if request.AsOf, err = moment(data.AsOf); err != nil {
			return data, err
		}
		data.AsOf = field(request.AsOf)
	default:
		request.Version = &newest
	}
	var err error
	if data.At, err = ask(v, queries.OrderAt, request); err != nil {
		return data, err
	}
	data.Newest = max(newest, data.At.Version)
	if data.AsOf == "" {
		data.AsOf = field(data.At.Time)
	}
	for i, e := range entries {
		if e.Category != events.CategoryOrder {
			continue
		}
		data.Marks = append(data.Marks, mark{e.Version, e.What, e.Time})
		if e.Version == data.At.Version {
			data.Event = &entries[i]
		}
	}
	data.Machine = machines(data.At.State.Status, passedBy(entries, data.At.Version))
	if data.With = data.At.Version - 1; data.Now {
		data.With = data.Newest
	}
	if data.With == 0 || data.With == data.At.Version {
		return data, nil
	}
	from, to := min(data.With, data.At.Version), max(data.With, data.At.Version)
	difference, err := ask(v, queries.OrderDiff, queries.OrderDiffRequest{OrderID: id, From: from, To: to})
	if err != nil {
		return data, err
	}
	for _, c := range difference.Changes {
		data.Changes = append(data.Changes, change{pathInWords(c.Path), valueInWords(c.Old), valueInWords(c.New)})
	}
	return data, nil
}

// moment reads a time that a form gave, in UTC.
func moment(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, refuse(400, "bad_request", `"as_of" is %.40q; it must be a time such as 2026-03-01T12:30:00`, text)
}

// field writes a time as a form field does, in the millisecond in which it is over:
// an event of that time has then happened.
func field(t time.Time) string {
	return t.UTC().Add(time.Millisecond - time.Nanosecond).Truncate(time.Millisecond).Format("2006-01-02T15:04:05.000")
}

// pathInWords says which value of an order a JSON pointer names.
func pathInWords(path string) string {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	if last := len(parts) - 1; last > 0 && parts[last] == "amount" { // of money
		parts = parts[:last]
	}
	switch {
	case parts[0] == "lines" && len(parts) > 1:
		return strings.TrimSpace("line " + parts[1] + " " + human(strings.Join(parts[2:], " ")))
	case parts[0] == "method_ref":
		return "payment method"
	case parts[0] == "address_ref":
		return "address"
	}
	return human(strings.Join(parts, " "))
}

// valueInWords writes a value of an order's state; "" for none.
func valueInWords(value any) string {
	switch value := value.(type) {
	case nil:
		return ""
	case string:
		return value
	case map[string]any:
		if amount, ok := value["amount"]; ok && len(value) == 2 {
			return fmt.Sprint(amount, " ", value["currency"])
		}
		if sku, ok := value["sku"]; ok {
			return fmt.Sprint(value["quantity"], " × ", value["name"], " (", sku, ") at ", valueInWords(value["unit_price"]))
		}
	}
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	if err := out.Encode(value); err != nil {
		return fmt.Sprint(value)
	}
	return strings.TrimSpace(b.String())
}

// Earlier is the version before.
func (h historyData) Earlier() uint64 { return h.At.Version - 1 }

// Later is the version after.
func (h historyData) Later() uint64 { return h.At.Version + 1 }
