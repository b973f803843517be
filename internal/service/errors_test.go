package service_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
)

// A caller is told what the store said, and never that it was an internal error
// when there is a word for it.
func TestEveryErrorOfTheStoreHasAMeaning(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		code   string
		exit   int
	}{
		{esjs.ErrConflict, http.StatusConflict, "conflict", service.ExitConflict},
		{esjs.ErrCommandReused, http.StatusUnprocessableEntity, "command_id_reused", service.ExitRefused},
		{esjs.ErrNotFound, http.StatusNotFound, "not_found", service.ExitNotFound},
		{&esjs.ErasedError{Person: "c-1"}, http.StatusGone, "erased", service.ExitRefused},
		{esjs.ErrInvalid, http.StatusBadRequest, "invalid", service.ExitUsage},
		{esjs.ErrTooLarge, http.StatusRequestEntityTooLarge, "too_large", service.ExitRefused},
		{esjs.ErrStoreFull, http.StatusInsufficientStorage, "store_full", service.ExitFailure},
		{esjs.ErrUnknownOutcome, http.StatusGatewayTimeout, "unknown_outcome", service.ExitUnknown},
		{esjs.ErrUnavailable, http.StatusServiceUnavailable, "unavailable", service.ExitUnavailable},
		{&esjs.CorruptError{}, http.StatusInternalServerError, "corrupt", service.ExitFailure},
		{&esjs.DecodeError{Err: esjs.ErrConfig}, http.StatusInternalServerError, "undecodable", service.ExitFailure},
		{esjs.ErrConfig, http.StatusInternalServerError, "misconfigured", service.ExitFailure},
		{esjs.ErrMasterKey, http.StatusInternalServerError, "misconfigured", service.ExitFailure},
		{esjs.ErrRefused, http.StatusBadGateway, "refused_by_server", service.ExitFailure},
		{esjs.Reject("too_late", "it is paid"), http.StatusConflict, "too_late", service.ExitRefused},
	} {
		wrapped := fmt.Errorf("handle order/o-1: %w", c.err)
		if p, _ := service.ProblemOf(wrapped); p.Status != c.status || p.Code != c.code {
			t.Errorf("%v is %d %s, want %d %s", c.err, p.Status, p.Code, c.status, c.code)
		}
		if exit := service.ExitStatus(wrapped); exit != c.exit {
			t.Errorf("%v ends a program with %d, want %d", c.err, exit, c.exit)
		}
	}
}
