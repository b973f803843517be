package queries

import (
	"encoding/json"
	"reflect"
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/google/jsonschema-go/jsonschema"
)

// Schema returns the JSON schema of a request's or an answer's type, with
// everything in place and no references.
func Schema(t reflect.Type) (*jsonschema.Schema, error) {
	return jsonschema.ForType(t, &jsonschema.ForOptions{TypeSchemas: map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[time.Time]():       {Type: "string", Format: "date-time"},
		reflect.TypeFor[json.RawMessage](): {},
		reflect.TypeFor[events.Money](): {
			Type:     "object",
			Required: []string{"amount", "currency"},
			Properties: map[string]*jsonschema.Schema{
				"amount":   {Type: "string", Pattern: `^-?[0-9]+(\.[0-9]+)?$`, Description: "with exactly the currency's decimals"},
				"currency": {Type: "string", Pattern: `^[A-Z]{3}$`},
			},
		},
	}})
}
