package gateway

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/google/jsonschema-go/jsonschema"
)

// takes is a reference to the schema of a type that is sent to us, which becomes a
// component. What it does not have is refused.
func (d *document) takes(t reflect.Type) (*jsonschema.Schema, error) {
	return d.schema(t, func(*jsonschema.Schema) {})
}

// shows is a reference to the schema of a type that we answer with, which becomes
// a component. A later version may have more.
func (d *document) shows(t reflect.Type) (*jsonschema.Schema, error) {
	return d.schema(t, open)
}

func (d *document) schema(t reflect.Type, adapt func(*jsonschema.Schema)) (*jsonschema.Schema, error) {
	name := typeName(t)
	if other, there := d.types[name]; there && other != t {
		return nil, fmt.Errorf("%s and %s would be one schema", other, t)
	}
	if d.Components.Schemas[name] == nil {
		d.types[name] = t
		schema, err := queries.Schema(t)
		if err != nil {
			return nil, err
		}
		adapt(schema)
		d.Components.Schemas[name] = schema
	}
	return &jsonschema.Schema{Ref: "#/components/schemas/" + name}, nil
}

var instantiated = regexp.MustCompile(`\[(?:.*\.)?(\w+)\]`)

// typeName is a type's name; Reply[queries.OrderView] is "OrderViewReply".
func typeName(t reflect.Type) string {
	name := t.Name()
	if of := instantiated.FindStringSubmatch(name); of != nil {
		name = of[1] + name[:strings.Index(name, "[")]
	}
	return name
}

// open lets objects have more than a schema says.
func open(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	if len(s.Properties) > 0 {
		s.AdditionalProperties = nil
	}
	for _, property := range s.Properties {
		open(property)
	}
	open(s.Items)
	open(s.AdditionalProperties)
}

func describeParameter(p parameter) (operationParameter, error) {
	t := p.field.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	schema, err := queries.Schema(t)
	if err != nil {
		return operationParameter{}, err
	}
	in := "query"
	if p.inPath {
		in = "path"
	}
	return operationParameter{Name: p.name, In: in, Description: p.describe, Required: p.required, Schema: schema}, nil
}

func inHeader(name, description string) operationParameter {
	return operationParameter{Name: name, In: "header", Description: description, Schema: &jsonschema.Schema{Type: "string"}}
}

func etagHeader() header {
	return header{"the version, as HTTP writes it", &jsonschema.Schema{Type: "string", Pattern: `^"[0-9]+"$`}}
}
