package payment

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/events"
)

// What the PSP answers to a question, or to a request, is a word about the payment only
// when it names it and its amounts; a no to a question is none.
func TestOnlyAWordAboutThePaymentIsAnAnswer(t *testing.T) {
	const authorised = `{"amount":"10.00","currency":"EUR"}`
	look, do := Call{PaymentID: "p", Op: events.OperationAuthorize, Check: true}, Call{PaymentID: "p", Op: events.OperationCapture, Key: "k", Amount: eur("10.00")}
	for name, c := range map[string]struct {
		call   Call
		status int
		body   string
		want   AnswerKind
	}{
		"the account":                  {look, 200, `{"payment":{"reference":"p","status":"authorised","authorisation_id":"a","authorised":` + authorised + `}}`, Done},
		"no such payment":              {look, 404, `{"error":{"code":"not_found"}}`, Missing},
		"a question that is refused":   {look, 400, `{"error":{"code":"bad_request"}}`, Unknown},
		"a question without a licence": {look, 402, `{"error":{"code":"plan_exceeded"}}`, Unknown},
		"no leave to ask":              {look, 403, `{"error":{"code":"forbidden"}}`, Unknown},
		"no credentials":               {look, 401, `{"error":{"code":"unauthorised"}}`, Unknown},
		"a fault":                      {look, 500, `{"error":{"code":"internal"}}`, Unknown},
		"nothing":                      {look, 200, `{}`, Unknown},
		"another payment":              {look, 200, `{"payment":{"reference":"q","status":"declined"}}`, Unknown},
		"no amount":                    {look, 200, `{"payment":{"reference":"p","status":"authorised","authorisation_id":"a"}}`, Unknown},
		"a refusal":                    {do, 422, `{"error":{"code":"expired"}}`, Refused},
		"a refusal with the account":   {do, 422, `{"error":{"code":"expired"},"payment":{"reference":"p","status":"authorised","authorisation_id":"a","authorised":` + authorised + `}}`, Refused},
		"a refusal about another":      {do, 422, `{"error":{"code":"expired"},"payment":{"reference":"q"}}`, Unknown},
	} {
		h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			if _, err := w.Write([]byte(c.body)); err != nil {
				t.Error(err)
			}
		}))
		got, err := psp{partner: service.NewPartner(service.PartnerConfig{URL: h.URL})}.ask(t.Context(), c.call)
		h.Close()
		if err != nil || got.Kind != c.want || (got.Kind == Unknown) != (got.Error != "") {
			t.Errorf("%s: %+v, %v, want kind %d", name, got, err, c.want)
		}
	}
}

// A list that comes back to where it was is not read for ever.
func TestAListThatDoesNotGoOnIsAnError(t *testing.T) {
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, err := w.Write([]byte(`{"payments":[{"reference":"p"}],"next":"p"}`)); err != nil {
			t.Error(err)
		}
	}))
	defer h.Close()
	read := 0
	for _, err := range (psp{partner: service.NewPartner(service.PartnerConfig{URL: h.URL})}).all(t.Context()) {
		if read++; err != nil {
			break
		}
		if read > 2 {
			t.Fatal("the list is read for ever")
		}
	}
	if read != 3 {
		t.Errorf("it ended after %d", read)
	}
}
