// Package queries is the published language of questions: every query that may
// be asked on NATS, with its subject and the types of its body and its answer,
// as plain values. Who asks (the command line, the gateway) and who answers (the
// projector, the order service) share nothing else.
//
// A field may be added to an answer, and an optional one to a request; what is
// there keeps its name and its meaning.
package queries

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// Question is one query: a request to Subject whose body is a Q, and which is
// answered with an A, both as JSON objects. An empty body is the zero Q.
type Question[Q, A any] struct {
	Subject string
	Summary string // one line, for people
}

// Description is a [Question] without its types' parameters, for who lists or
// describes questions.
type Description struct {
	Subject string
	Summary string
	Request reflect.Type
	Answer  reflect.Type
}

// Describe returns the question as a value.
func (q Question[Q, A]) Describe() Description {
	return Description{Subject: q.Subject, Summary: q.Summary, Request: reflect.TypeFor[Q](), Answer: reflect.TypeFor[A]()}
}

// Metadata is what the endpoint of the question tells about itself on NATS
// ("nats micro info"): summary, and the JSON schemas of request and answer.
func (d Description) Metadata() (map[string]string, error) {
	metadata := map[string]string{"summary": d.Summary}
	for name, t := range map[string]reflect.Type{"request": d.Request, "answer": d.Answer} {
		schema, err := Schema(t)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", d.Subject, name, err)
		}
		text, err := json.Marshal(schema)
		if err != nil {
			return nil, fmt.Errorf("%s: schema of the %s: %w", d.Subject, name, err)
		}
		metadata[name+"_schema"] = string(text)
	}
	return metadata, nil
}

// ReadYourWrites is part of every request that is answered from a view.
// MinRevision, the revision of a command's reply, makes the query wait, up to 2 s,
// until the view has passed it; then it is refused with the code "not_yet".
type ReadYourWrites struct {
	MinRevision string `json:"min_revision,omitzero" jsonschema:"revision of a command's reply, which the view must have passed"`
}

// After returns the revision that is waited for, "" for none.
func (r ReadYourWrites) After() string { return r.MinRevision }

// Paging is part of every request for a list. Cursor is the NextCursor of the
// page before. Pages stay apart while events arrive: nothing is on two of them,
// and each shows what is there when it is read.
type Paging struct {
	Limit  int    `json:"limit,omitzero" jsonschema:"at most so many, 1 to 200; 50 when it is 0 or not given"`
	Cursor string `json:"cursor,omitzero" jsonschema:"next_cursor of the page before"`
}
