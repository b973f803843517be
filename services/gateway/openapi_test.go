package gateway_test

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/services/gateway"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/go-json-experiment/json"
)

// described is as much of the description as tests look at.
type described struct {
	OpenAPI string `json:"openapi"`
	Paths   map[string]map[string]struct {
		ID       string                `json:"operationId"`
		Roles    []string              `json:"x-roles"`
		Security []map[string][]string `json:"security"`
	} `json:"paths"`
}

func (r *rig) description(t *testing.T) (described, []byte) {
	t.Helper()
	a := r.do(t, "GET", "/openapi.json", "")
	var d described
	if err := json.Unmarshal([]byte(a.body), &d); err != nil || a.StatusCode != 200 {
		t.Fatalf("%d %v", a.StatusCode, err)
	}
	return d, []byte(a.body)
}

func TestTheDescriptionIsValid(t *testing.T) {
	r := newRig(t, gateway.Config{})
	d, text := r.description(t)
	if d.OpenAPI != "3.1.0" || len(d.Paths) < 20 {
		t.Errorf("it is OpenAPI %s with %d paths", d.OpenAPI, len(d.Paths))
	}
	if _, err := document(text); err != nil {
		t.Errorf("it is not valid: %v", err)
	}
	var ids []string
	for path, methods := range d.Paths {
		for method, o := range methods {
			ids = append(ids, o.ID)
			if open := len(o.Roles) == 0; open != (path == "/openapi.json") || open != (len(o.Security) == 0) {
				t.Errorf("%s %s is for the roles %v with %v", method, path, o.Roles, o.Security)
			}
		}
	}
	slices.Sort(ids)
	if len(slices.Compact(slices.Clone(ids))) != len(ids) {
		t.Errorf("operations share ids: %v", ids)
	}
	// The validator must be able to fail.
	if _, err := document([]byte(strings.Replace(string(text), `"in":"path"`, `"in":"nowhere"`, 1))); err == nil {
		t.Error("a parameter that is nowhere is valid")
	}
}

// What is described is served, and refuses as the description says: in problems.
func TestWhatIsDescribedIsServed(t *testing.T) {
	r := newRig(t, gateway.Config{})
	d, text := r.description(t)
	doc, err := document(text)
	r.Check(err)
	doc.Servers = openapi3.Servers{{URL: r.url}}
	router, err := gorillamux.NewRouter(doc)
	r.Check(err)
	for path, methods := range d.Paths {
		for method := range methods {
			target := regexp.MustCompile(`\{\w+\}`).ReplaceAllString(path, "x-1")
			if strings.HasSuffix(path, "/live") || path == "/openapi.json" {
				continue
			}
			request, err := http.NewRequest(strings.ToUpper(method), r.url+target+"?nonsense=1", nil)
			r.Check(err)
			answer, err := http.DefaultClient.Do(request)
			r.Check(err)
			if answer.StatusCode != 400 {
				t.Errorf("%s %s is answered %s for a parameter that there is not", method, path, answer.Status)
			}
			route, parameters, err := router.FindRoute(request)
			if err != nil || route.Path != path {
				t.Errorf("%s %s is not found in its description: %v", method, path, err)
				continue
			}
			if err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
				RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, PathParams: parameters, Route: route},
				Status:                 answer.StatusCode, Header: answer.Header, Body: answer.Body,
			}); err != nil {
				t.Errorf("%s %s: %v", method, path, err)
			}
			answer.Body.Close()
		}
	}
}

// document reads a description and says what is wrong with it.
func document(text []byte) (*openapi3.T, error) {
	d, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, err
	}
	return d, d.Validate(context.Background())
}
