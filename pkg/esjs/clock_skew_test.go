package esjs_test

import (
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// A server on the same machine has the same clock.
func TestAServerOfThisMachineHasItsClock(t *testing.T) {
	skew, err := esjstest.Server(t).Store(t).ClockSkew(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if skew.Ahead.Abs() > skew.Within+time.Second || skew.Server == "" {
		t.Errorf("%+v", skew)
	}
}
