// Package deploy holds what the system is run with, and checks of it that need no Docker engine.
package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// container is what the rules look at of a service of docker-compose.yml.
type container struct {
	Image       string         `yaml:"image"`
	Build       any            `yaml:"build"`
	User        string         `yaml:"user"`
	ReadOnly    bool           `yaml:"read_only"`
	Privileged  bool           `yaml:"privileged"`
	CapDrop     []string       `yaml:"cap_drop"`
	CapAdd      []string       `yaml:"cap_add"`
	SecurityOpt []string       `yaml:"security_opt"`
	Restart     string         `yaml:"restart"`
	MemLimit    string         `yaml:"mem_limit"`
	StopGrace   string         `yaml:"stop_grace_period"`
	Ports       []string       `yaml:"ports"`
	Volumes     []string       `yaml:"volumes"`
	Secrets     []string       `yaml:"secrets"`
	Environment map[string]any `yaml:"environment"`
	Healthcheck struct {
		Test    []string `yaml:"test"`
		Disable bool     `yaml:"disable"`
	} `yaml:"healthcheck"`
	Logging struct {
		Options map[string]string `yaml:"options"`
	} `yaml:"logging"`
	DependsOn map[string]struct {
		Condition string `yaml:"condition"`
	} `yaml:"depends_on"`
}

// runsOn tells a container that is there as long as the system from one that does something and ends.
func (c container) runsOn() bool { return c.Restart == "unless-stopped" }

func containers(t *testing.T) map[string]container {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]container `yaml:"services"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	return file.Services
}

// Every container has as few rights as it can have, is reached from this machine only, and says whether it is
// healthy; no secret is in the file.
func TestContainersKeepTheRules(t *testing.T) {
	all := containers(t)
	if len(all) < 13 {
		t.Fatalf("%d containers were read", len(all))
	}
	pinned := regexp.MustCompile(`^[a-z/-]+:[0-9]+\.[0-9]+(\.[0-9]+)?-alpine$`)
	numeric := regexp.MustCompile(`^[1-9][0-9]*:[1-9][0-9]*$`)
	for name, c := range all {
		check := func(holds bool, rule string) {
			t.Helper()
			if !holds {
				t.Errorf("%s: %s", name, rule)
			}
		}
		ours := strings.HasPrefix(c.Image, "orderflow:")
		check(ours || pinned.MatchString(c.Image), "the image "+c.Image+" has no exact version")
		check(numeric.MatchString(c.User), "it runs as root, or as a user whose number is not known")
		check(c.ReadOnly, "its file system can be written")
		check(slices.Equal(c.CapDrop, []string{"ALL"}) && len(c.CapAdd) == 0 && !c.Privileged, "it has capabilities")
		check(slices.Contains(c.SecurityOpt, "no-new-privileges:true"), "it may gain privileges")
		check(c.Logging.Options["max-size"] != "" && c.Logging.Options["max-file"] != "", "its log grows without an end")
		for _, port := range c.Ports {
			check(strings.HasPrefix(port, "127.0.0.1:"), "the port "+port+" is published beyond this machine")
			check(!strings.HasSuffix(port, ":8222"), "the monitoring of NATS is published")
		}
		for variable, value := range c.Environment {
			text, _ := value.(string)
			secret := strings.Contains(variable, "NKEY") || strings.Contains(variable, "SECRET") || strings.Contains(variable, "PASS")
			file, isFile := strings.CutPrefix(text, "/run/secrets/")
			check(!secret || isFile && slices.Contains(c.Secrets, file), variable+" is not a file that is mounted as a secret")
		}
		check(len(c.Secrets) <= 2, "it has secrets of others")
		for _, secret := range c.Secrets {
			check(secret == name || secret == "webhook" || name == "cli" && secret == "operator", "it has the secret "+secret)
		}
		if !c.runsOn() {
			continue
		}
		check(c.MemLimit != "" && c.Environment["GOMEMLIMIT"] != nil, "its memory has no limit")
		check(c.StopGrace != "", "it is killed 10 s after it was told to stop")
		check(!c.Healthcheck.Disable && (ours || len(c.Healthcheck.Test) > 0), "it does not say whether it is healthy")
		check(len(c.DependsOn) > 0, "it waits for nothing")
		for other, on := range c.DependsOn {
			check(on.Condition != "" && on.Condition != "service_started", "it does not wait until "+other+" has done its work")
		}
	}
}

// A server is asked whether it has JetStream, by a program that its image has; see the
// server's configuration for what it must never lose.
func TestServersAreDurable(t *testing.T) {
	for name, c := range containers(t) {
		if !strings.HasPrefix(c.Image, "nats:") {
			continue
		}
		test := strings.Join(c.Healthcheck.Test, " ")
		if !strings.HasPrefix(test, "CMD wget ") || !strings.HasSuffix(test, "/healthz?js-enabled-only=true") {
			t.Errorf("%s is asked for its health by %q", name, test)
		}
		if !slices.ContainsFunc(c.Volumes, func(v string) bool { return strings.HasPrefix(v, "nats-") && strings.HasSuffix(v, ":/data") }) {
			t.Errorf("%s does not keep /data in a volume: %q", name, c.Volumes)
		}
	}
	conf, err := os.ReadFile(filepath.Join("nats", "nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"store_dir: \"/data\"", "sync_interval: always", "max_file_store: "} {
		if !strings.Contains(string(conf), want) {
			t.Errorf("nats.conf has no %s", want)
		}
	}
}
