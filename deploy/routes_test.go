package deploy

import (
	"strings"
	"testing"
)

// The password that NATS servers ask each other for makes whoever has it a server: each of them has it, and nobody else.
// TestRoutesNeedThePasswordOfTheCluster shows that without it nobody is one.
func TestServersAloneHaveThePasswordOfTheirRoutes(t *testing.T) {
	servers := 0
	for name, c := range containers(t) {
		server, has := strings.HasPrefix(c.Image, "nats:"), 0
		for _, secret := range c.Secrets {
			if strings.Contains(secret, "routes") {
				t.Errorf("%s has the secret %s", name, secret)
			}
		}
		for _, v := range c.Volumes {
			switch from, to, _ := strings.Cut(v, ":"); {
			case from == "./deploy/secrets/routes.conf" && to == "/etc/nats/routes.conf:ro":
				has++
			case strings.Contains(from, "routes"), strings.HasSuffix(strings.TrimRight(from, "/"), "/secrets"):
				t.Errorf("%s has %s", name, v)
			}
		}
		if server {
			servers++
		}
		if server && has != 1 || !server && has != 0 {
			t.Errorf("%s has the password %d times", name, has)
		}
	}
	if servers != 3 {
		t.Errorf("%d servers", servers)
	}
}
