package servicetest

import (
	"fmt"
	"strings"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Requires sends a command once without each of the required fields of a complete
// body, and expects an answer that names the field and says what it must be.
func (h *House[E]) Requires(subject, complete string, required map[string]string) {
	h.T.Helper()
	for field, must := range required {
		var body map[string]jsontext.Value
		h.Check(json.Unmarshal([]byte(complete), &body))
		if _, given := body[field]; !given {
			h.T.Fatalf("%s: the complete body lacks %s", subject, field)
		}
		delete(body, field)
		data, err := json.Marshal(body)
		h.Check(err)
		answer, err := h.NC.Request(subject, data, Patience)
		h.Check(err)
		var p service.Problem
		h.Check(json.Unmarshal(answer.Data, &p))
		want := fmt.Sprintf("the field %q is missing; it must be ", field)
		if p.Code != "field_required" || p.Status != 422 || !strings.HasPrefix(p.Detail, want) || !strings.HasSuffix(p.Detail, must) {
			h.T.Errorf("%s %s is answered %s, want %s…%s", subject, data, answer.Data, want, must)
		}
	}
}
