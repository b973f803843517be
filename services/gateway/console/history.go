package console

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
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
	names := map[string]string{}
	for _, l := range slices.Concat(difference.From.State.Lines, difference.To.State.Lines) {
		names[l.LineID] = l.Name
	}
	for _, c := range difference.Changes {
		data.Changes = append(data.Changes, inWords(c, names))
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

// inWords says a change of an order's state as people do, with the names of its lines.
func inWords(c queries.OrderChange, names map[string]string) change {
	old, now := c.Old, c.New
	if strings.HasSuffix(c.Path, "_until") {
		old, now = timeInWords(old), timeInWords(now)
	}
	return change{pathInWords(c.Path, names), valueInWords(old), valueInWords(now)}
}

// pathInWords says which value of an order a JSON pointer names.
func pathInWords(path string, names map[string]string) string {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	if last := len(parts) - 1; last > 0 && parts[last] == "amount" && !(parts[0] == "refunds" && last == 2) { // of money
		parts = parts[:last]
	}
	rest := human(strings.Join(parts[1:], " "))
	switch parts[0] {
	case "lines":
		if len(parts) > 1 && names[parts[1]] != "" {
			return listed(names[parts[1]], human(strings.Join(parts[2:], " ")))
		}
		return strings.TrimSpace("line " + rest)
	case "refunds":
		return refundInWords(parts)
	case "refund_requested":
		return "refunds in all"
	case "end":
		if rest == "" {
			return "ended because"
		}
		return "end " + rest
	case "cancellation_requested":
		return strings.TrimSpace("wish to cancel " + rest)
	case "payment_method_awaited_until":
		return "another payment method until"
	case "method_ref":
		return "payment method"
	case "address_ref":
		return "address"
	}
	return human(strings.Join(parts, " "))
}

// refundInWords names a refund, counted from 1, or a part of it.
func refundInWords(parts []string) string {
	if len(parts) == 1 {
		return "refund"
	}
	name := "refund " + parts[1]
	if n, err := strconv.Atoi(parts[1]); err == nil {
		name = "refund " + strconv.Itoa(n+1)
	}
	if len(parts) == 3 && parts[2] == "done" {
		return name + " paid back"
	}
	return strings.TrimSpace(name + " " + human(strings.Join(parts[2:], " ")))
}

// valueInWords writes a value of an order's state; "" for none.
func valueInWords(value any) string {
	switch value := value.(type) {
	case nil:
		return ""
	case bool:
		return map[bool]string{true: "yes", false: "no"}[value]
	case []any:
		all := make([]string, len(value))
		for i, v := range value {
			all[i] = valueInWords(v)
		}
		return strings.Join(all, "; ")
	case map[string]any:
		return thingInWords(value)
	}
	return fmt.Sprint(value)
}

// thingInWords writes money, a line, a refund, what was unavailable, or why an order was,
// or should be, ended; of what it does not know, each field.
func thingInWords(of map[string]any) string {
	has := func(names ...string) bool {
		return !slices.ContainsFunc(names, func(n string) bool { _, there := of[n]; return !there })
	}
	say := func(name string) string { return valueInWords(of[name]) }
	switch {
	case has("amount", "currency"):
		return say("amount") + " " + say("currency")
	case has("sku", "unit_price"):
		return say("quantity") + " × " + say("name") + " (" + say("sku") + ") at " + say("unit_price")
	case has("refund_id", "amount"):
		paid := map[any]string{true: "paid back", false: "not paid back yet"}[of["done"]]
		return listed(say("amount"), say("reason"), paid)
	case has("sku", "wanted", "available"):
		return "of " + say("sku") + " " + say("wanted") + " wanted and " + say("available") + " available"
	}
	said := []string{human(say("code")), say("reason")}
	if by := say("by"); by != "" {
		said = append(said, "by "+by)
	}
	said = append(said, say("unavailable"))
	for _, name := range slices.Sorted(maps.Keys(of)) {
		if !slices.Contains([]string{"code", "reason", "by", "unavailable"}, name) {
			said = append(said, human(name)+" "+say(name))
		}
	}
	return cmp.Or(listed(said...), "yes") // it is there, and says nothing more
}

// listed joins those that say something.
func listed(said ...string) string {
	return strings.Join(slices.DeleteFunc(said, func(s string) bool { return s == "" }), ", ")
}

// timeInWords is a time for people; what is none stays as it is.
func timeInWords(value any) any {
	text, _ := value.(string)
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return when(t)
	}
	return value
}

// Earlier is the version before.
func (h historyData) Earlier() uint64 { return h.At.Version - 1 }

// Later is the version after.
func (h historyData) Later() uint64 { return h.At.Version + 1 }
