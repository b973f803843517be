package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/google/uuid"
)

// words are what templates say things with.
func words() template.FuncMap {
	return template.FuncMap{
		"when":        when,
		"exact":       exact,
		"span":        span,
		"tone":        tone,
		"sagaTone":    sagaTone,
		"viewTone":    projectionTone,
		"paymentTone": paymentTone,
		"stateName":   stateName,
		"human":       human,
		"segment":     url.PathEscape,
		"pretty":      pretty,
		"command":     uuid.NewString,
		"has":         func(m events.Money) bool { return m != events.Money{} },
		"grouped":     grouped,
		"add":         func(a, b int) int { return a + b },
		"short":       short,
		"group":       group,
		"dict":        dict,
		"join":        strings.Join,
		"seconds":     func(s float64) string { return span(time.Duration(s * float64(time.Second))) },
	}
}

// when is a time for people; its exact form stands in the element around it.
func when(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2 Jan 2006, 15:04:05")
}

// exact is a time for programs.
func exact(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// span is how long something took or is ago, in at most two units.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "–" + span(-d)
	case d < time.Millisecond:
		return "0 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return strconv.FormatFloat(math.Round(d.Seconds()*10)/10, 'f', -1, 64) + " s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return two(int(d.Minutes()), "min", int(d.Seconds())%60, "s")
	case d < 48*time.Hour:
		return two(int(d.Hours()), "h", int(d.Minutes())%60, "min")
	}
	return two(int(d.Hours())/24, "d", int(d.Hours())%24, "h")
}

func two(a int, unit string, b int, smaller string) string {
	if b == 0 {
		return fmt.Sprintf("%d %s", a, unit)
	}
	return fmt.Sprintf("%d %s %d %s", a, unit, b, smaller)
}

// tone is the colour of an order's state.
func tone(s queries.OrderState) string {
	switch s {
	case queries.Completed:
		return "good"
	case queries.Rejected:
		return "bad"
	case queries.Expired:
		return "warn"
	case queries.Draft, queries.Cancelled:
		return "quiet"
	}
	return "busy"
}

// sagaTone is the colour of a saga.
func sagaTone(s queries.Saga) string {
	switch {
	case s.Quarantined:
		return "bad"
	case s.Attention != "" || s.Overdue:
		return "warn"
	case s.EndedAt.IsZero() && strings.HasPrefix(s.State, "COMP_"):
		return "undo"
	case s.EndedAt.IsZero():
		return "busy"
	case s.State == "COMPENSATED":
		return "quiet"
	}
	return "good"
}

// stateName says a saga's state in words: COMP_PAYMENT is "undoing the payment".
func stateName(state string) string {
	if name, ok := map[string]string{
		"RESERVING": "reserving stock", "AUTHORIZING": "authorising payment", "AUTH_UNKNOWN": "asking what became of the payment",
		"AWAITING_METHOD": "waiting for another payment method", "CONFIRMING": "confirming", "BOOKING": "booking a carrier",
		"CAPTURING": "capturing the money", "CAPTURE_UNKNOWN": "asking what became of the capture", "DISPATCHING": "dispatching",
		"COMPLETING": "completing", "COMPLETED": "completed", "COMP_SHIPMENT": "undoing the shipment", "COMP_PAYMENT": "undoing the payment",
		"COMP_STOCK": "undoing the reservation", "COMP_ORDER": "ending the order", "COMPENSATED": "undone",
		"REFUNDING": "giving money back", "VOIDING": "letting go of money", "RESTOCKING": "putting goods back", "SETTLED": "settled",
	}[state]; ok {
		return name
	}
	return human(state)
}

// human makes words of a name: "out_of_stock", "OrderPaid" and "undo-stock" alike.
func human(name string) string {
	var b strings.Builder
	upper := strings.ToUpper(name) == name
	for i, r := range name {
		switch {
		case r == '_' || r == '-':
			b.WriteByte(' ')
		case upper:
			b.WriteRune(unicode.ToLower(r))
		case unicode.IsUpper(r) && i > 0:
			b.WriteByte(' ')
			b.WriteRune(unicode.ToLower(r))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// pretty is JSON as people read it; what is none is shown as it is.
func pretty(data []byte) string {
	var b bytes.Buffer
	if err := json.Indent(&b, data, "", "  "); err != nil {
		return string(data)
	}
	return b.String()
}

// short is the beginning of an id that is too long for a table.
func short(id string) string {
	if runes := []rune(id); len(runes) > 24 {
		return string(runes[:20]) + "…"
	}
	return id
}

// group writes a whole number with narrow spaces between thousands.
func group(n any) string {
	digits := fmt.Sprint(n)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "−", digits[1:]
	}
	var b strings.Builder
	for i, r := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteRune('\u202f')
		}
		b.WriteRune(r)
	}
	return sign + b.String()
}

// grouped writes money with narrow spaces between thousands.
func grouped(m events.Money) string {
	whole, decimals, found := strings.Cut(m.Amount(), ".")
	if found {
		decimals = "." + decimals
	}
	return strings.TrimSpace(group(whole) + decimals + " " + m.Currency())
}

// dict gives a part of a page several things by name.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict needs names with values, and got %d things", len(pairs))
	}
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		m[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	return m, nil
}
