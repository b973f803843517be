package esjs_test

import (
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go"
)

// A connection is tried again for ever, instances that were cut off together do not come back together, and one whose other
// end is gone without a word is noticed within a minute. A caller's own options come last.
func TestConnectionsComeBack(t *testing.T) {
	t.Parallel()
	url := esjstest.Server(t).URL()
	nc, err := esjs.DialURL(url)("append")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	o := nc.Opts
	if !o.AllowReconnect || o.MaxReconnect >= 0 {
		t.Errorf("it is given up after %d attempts (reconnects: %t)", o.MaxReconnect, o.AllowReconnect)
	}
	if o.ReconnectWait <= 0 || o.ReconnectWait > time.Second {
		t.Errorf("an attempt is made every %v", o.ReconnectWait)
	}
	if o.ReconnectJitter <= 0 || o.ReconnectJitterTLS <= 0 || o.CustomReconnectDelayCB != nil {
		t.Errorf("all come back at once: the jitter is %v, with TLS %v", o.ReconnectJitter, o.ReconnectJitterTLS)
	}
	if silent := o.PingInterval * time.Duration(o.MaxPingsOut+1); o.PingInterval <= 0 || silent > time.Minute {
		t.Errorf("a connection that is gone is noticed after %v", silent)
	}
	if o.Timeout <= 0 || o.Timeout > 10*time.Second {
		t.Errorf("a server that does not answer is waited for %v", o.Timeout)
	}
	if o.Name != "esjs-append" {
		t.Errorf("its name is %q", o.Name)
	}

	own, err := esjs.DialURL(url, nats.Name("of-the-caller"), nats.MaxReconnects(3))("append")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if own.Opts.Name != "of-the-caller" || own.Opts.MaxReconnect != 3 {
		t.Errorf("the caller's options are not used: %q, %d", own.Opts.Name, own.Opts.MaxReconnect)
	}
}
