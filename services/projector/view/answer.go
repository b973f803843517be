package view

import (
	"context"
	"fmt"
	"net/http"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/queries"
)

// Answer is a question with what answers it.
type Answer struct {
	Question queries.Description
	// Ask answers a request. open returns the rows to answer from, once they
	// show what the revision after stands for; "" is none.
	Ask func(ctx context.Context, body []byte, open Open) (any, error)
}

// Open returns the live version of a view as soon as it has passed a revision, or,
// with the error that says why it does not, the version that it waited for.
type Open func(ctx context.Context, after string) (Reader, error)

// To answers a question by a function of its request.
func To[Q interface{ After() string }, A any](question queries.Question[Q, A], answer func(context.Context, Reader, Q) (A, error)) Answer {
	return Answer{question.Describe(), func(ctx context.Context, body []byte, open Open) (any, error) {
		return service.Answering(func(ctx context.Context, request Q) (A, error) {
			var none A
			rows, err := open(ctx, request.After())
			if err != nil {
				return none, err
			}
			for {
				a, err := answer(ctx, rows, request)
				if err == nil {
					return a, nil
				}
				// A version that is no longer live may have been dropped meanwhile. The one that
				// is live now may not have come so far yet.
				now, again := open(ctx, request.After())
				switch {
				case now.name == rows.name:
					return a, err
				case again != nil:
					return none, again
				}
				rows = now
			}
		})(ctx, body)
	}}
}

// BadRequest refuses a request that is not one: code "bad_request", status 400.
func BadRequest(format string, args ...any) error {
	return &esjs.Rejection{Code: "bad_request", Message: fmt.Sprintf(format, args...), Status: http.StatusBadRequest}
}

// Required refuses a request that lacks a field, of which meaning says what it does: code
// "field_required", status 422, as commands are refused.
func Required(field, meaning string) error {
	return &esjs.Rejection{Code: "field_required", Message: fmt.Sprintf("the field %q is missing; it %s", field, meaning), Status: http.StatusUnprocessableEntity}
}

// NotFound says that there is no such thing, with a code of its own and status 404.
func NotFound(code, format string, args ...any) error {
	return &esjs.Rejection{Code: code, Message: fmt.Sprintf(format, args...), Status: http.StatusNotFound}
}
