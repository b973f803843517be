package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/services/gateway/desk"
	"github.com/b144f99b/orderflow/services/gateway/signin"
	"github.com/google/jsonschema-go/jsonschema"
)

// document is an OpenAPI 3.1 document, as far as we use it.
type document struct {
	OpenAPI    string                          `json:"openapi"`
	Info       map[string]string               `json:"info"`
	Paths      map[string]map[string]operation `json:"paths"` // by path and method in lower case
	Components components                      `json:"components"`

	types map[string]reflect.Type // by name of their schema
}

type components struct {
	Schemas         map[string]*jsonschema.Schema `json:"schemas"`
	Responses       map[string]response           `json:"responses"`
	SecuritySchemes map[string]map[string]string  `json:"securitySchemes"`
}

type operation struct {
	ID          string                `json:"operationId"`
	Summary     string                `json:"summary"`
	Tags        []string              `json:"tags"`
	Roles       []signin.Role         `json:"x-roles,omitempty"`
	Security    []map[string][]string `json:"security"` // empty: for everybody
	Parameters  []operationParameter  `json:"parameters,omitempty"`
	RequestBody *body                 `json:"requestBody,omitempty"`
	Responses   map[string]response   `json:"responses"`
}

type operationParameter struct {
	Name        string             `json:"name"`
	In          string             `json:"in"`
	Description string             `json:"description,omitempty"`
	Required    bool               `json:"required,omitempty"`
	Schema      *jsonschema.Schema `json:"schema"`
}

type body struct {
	Required bool                 `json:"required,omitempty"`
	Content  map[string]mediaType `json:"content"`
}

type response struct {
	Ref         string               `json:"$ref,omitempty"`
	Description string               `json:"description,omitempty"`
	Headers     map[string]header    `json:"headers,omitempty"`
	Content     map[string]mediaType `json:"content,omitempty"`
}

type header struct {
	Description string             `json:"description"`
	Schema      *jsonschema.Schema `json:"schema"`
}

type mediaType struct {
	Schema *jsonschema.Schema `json:"schema"`
}

const bearerScheme = "bearer"

// describe makes the document of endpoints.
func describe(endpoints []endpoint) (*document, error) {
	d := &document{
		OpenAPI: "3.1.0",
		Info: map[string]string{
			"title": "orderflow", "version": "1.0.0",
			"description": "Orders, their sagas, products and stock. Every answer that is not a success is a problem (RFC 9457) with a stable code. docs/http.md tells how to use it.",
		},
		Paths: map[string]map[string]operation{},
		types: map[string]reflect.Type{},
		Components: components{
			Schemas:         map[string]*jsonschema.Schema{},
			SecuritySchemes: map[string]map[string]string{bearerScheme: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
		},
	}
	refused, err := d.shows(reflect.TypeFor[service.Problem]())
	if err != nil {
		return nil, err
	}
	d.Components.Responses = map[string]response{"Problem": {
		Description: "It is refused, or failed; the code says why.",
		Content:     map[string]mediaType{"application/problem+json": {refused}},
	}}
	for _, e := range endpoints {
		add := d.question
		if len(e.verbs) > 0 {
			add = d.commands
		}
		if err := add(e); err != nil {
			return nil, fmt.Errorf("%s: %w", e.pattern(), err)
		}
	}
	return d, nil
}

func (d *document) add(e endpoint, path string, o operation) {
	o.Roles, o.Security = e.roles, []map[string][]string{{bearerScheme: {}}}
	if len(e.roles) == 0 {
		o.Security = []map[string][]string{}
	}
	segments := strings.Split(strings.TrimPrefix(path, "/v1/"), "/")
	o.Tags = []string{strings.TrimPrefix(segments[0], "/")}
	o.ID = strings.ToLower(e.method) + "-" + strings.Trim(strings.NewReplacer("/", "-", "{", "", "}", "", "_", "-", ".", "-").Replace(strings.TrimPrefix(path, "/v1")), "-")
	o.Responses["default"] = response{Ref: "#/components/responses/Problem"}
	if d.Paths[path] == nil {
		d.Paths[path] = map[string]operation{}
	}
	d.Paths[path][strings.ToLower(e.method)] = o
}

// question describes what is read.
func (d *document) question(e endpoint) error {
	o := operation{Summary: e.summary, Responses: map[string]response{}}
	if e.request != nil {
		for p := range parameters(e.request, e.path) {
			described, err := describeParameter(p)
			if err != nil {
				return err
			}
			o.Parameters = append(o.Parameters, described)
		}
	}
	success := response{Description: "Found."}
	switch {
	case e.stream:
		schema, err := d.shows(e.answer)
		if err != nil {
			return err
		}
		o.Parameters = append(o.Parameters, inHeader("Last-Event-ID", "id of the last event that was received: the stream goes on after it"))
		success.Description = "A stream of server-sent events, each with an event as data."
		success.Content = map[string]mediaType{"text/event-stream": {&jsonschema.Schema{Type: "string", ContentMediaType: "application/json", ContentSchema: schema}}}
	case e.answer != nil:
		schema, err := d.answerSchema(e)
		if err != nil {
			return err
		}
		success.Content = map[string]mediaType{"application/json": {schema}}
	}
	if e.versioned() {
		success.Headers = map[string]header{"ETag": etagHeader()}
		o.Parameters = append(o.Parameters, inHeader("If-None-Match", "the ETag of what the client has"))
		o.Responses["304"] = response{Description: "The client has it.", Headers: map[string]header{"ETag": etagHeader()}}
	}
	o.Responses["200"] = success
	d.add(e, e.path, o)
	return nil
}

func (d *document) answerSchema(e endpoint) (*jsonschema.Schema, error) {
	one, err := d.shows(e.answer)
	if err != nil || e.or == nil {
		return one, err
	}
	other, err := d.shows(e.or)
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{one, other}}, err
}

// commands describes a path for every verb.
func (d *document) commands(e endpoint) error {
	for _, v := range e.verbs {
		takes, err := d.takes(v.Body)
		if err != nil {
			return err
		}
		shows, err := d.shows(v.State)
		if err != nil {
			return err
		}
		path := strings.Replace(e.path, "{verb}", v.Name, 1)
		o := operation{Summary: v.Summary, RequestBody: &body{
			Required: v.Body != reflect.TypeFor[desk.Nothing](),
			Content:  map[string]mediaType{"application/json": {takes}},
		}}
		_, rest, _ := strings.Cut(path, "{")
		key, _, _ := strings.Cut(rest, "}")
		expect := inHeader("If-Match", `the version that is expected, as an ETag gave it, or *`)
		expect.Required = v.Replaces
		o.Parameters = []operationParameter{
			{Name: key, In: "path", Required: true, Schema: &jsonschema.Schema{Type: "string"}},
			inHeader(headerIdempotencyKey, "the command's id: repeated with the same, it has no second effect"),
			expect,
			inHeader("If-None-Match", "* when nothing may be there yet"),
			inHeader(headerCorrelationID, "what the command belongs to"),
		}
		o.Responses = map[string]response{"200": {
			Description: "It is done.",
			Headers: map[string]header{
				"ETag":               etagHeader(),
				headerIdempotencyKey: {"the command's id", &jsonschema.Schema{Type: "string"}},
			},
			Content: map[string]mediaType{"application/json": {shows}},
		}}
		described := e
		described.roles = v.Roles
		d.add(described, path, o)
	}
	return nil
}

// description is the endpoint of the document.
func (s *Service) description() endpoint {
	text, err := func() ([]byte, error) {
		d, err := describe(s.endpoints())
		if err != nil {
			return nil, err
		}
		return json.Marshal(d)
	}()
	return endpoint{
		method: http.MethodGet, path: "/openapi.json", summary: "This description",
		handle: func(w http.ResponseWriter, _ *http.Request) error {
			if err != nil {
				return fmt.Errorf("the description of the API: %w", err)
			}
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Cache-Control", "no-cache")
			s.write(w, text)
			return nil
		},
	}
}
