package service

import (
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

func TestClocksThatDiffer(t *testing.T) {
	for _, c := range []struct {
		ahead, within time.Duration
		says          string
	}{
		{ahead: 0},
		{ahead: 30 * time.Second},
		{ahead: -30 * time.Second},
		{ahead: 35 * time.Second, within: 6 * time.Second}, // perhaps it is 29 s
		{ahead: time.Minute, within: time.Second, says: "1m0s ahead of that of the NATS server n1"},
		{ahead: -24 * time.Hour, says: "24h0m0s behind that of the NATS server n1"},
	} {
		err := clockError(esjs.ClockSkew{Server: "n1", Ahead: c.ahead, Within: c.within})
		if (err != nil) != (c.says != "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s within %s: %v, want %q", c.ahead, c.within, err, c.says)
		}
	}
}
