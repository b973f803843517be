// Package deploy holds what the system is run with, and checks of it that need no Docker engine.
package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/test/program"
	"go.yaml.in/yaml/v4"
)

// container is what the rules look at of a service of docker-compose.yml.
type container struct {
	Image       string         `yaml:"image"`
	Command     []string       `yaml:"command"`
	Build       any            `yaml:"build"`
	User        string         `yaml:"user"`
	ReadOnly    bool           `yaml:"read_only"`
	Privileged  bool           `yaml:"privileged"`
	CapDrop     []string       `yaml:"cap_drop"`
	CapAdd      []string       `yaml:"cap_add"`
	SecurityOpt []string       `yaml:"security_opt"`
	Restart     string         `yaml:"restart"`
	Profiles    []string       `yaml:"profiles"`
	MemLimit    string         `yaml:"mem_limit"`
	StopGrace   string         `yaml:"stop_grace_period"`
	Ports       []string       `yaml:"ports"`
	Volumes     []string       `yaml:"volumes"`
	Secrets     []string       `yaml:"secrets"`
	Networks    []string       `yaml:"networks"`
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

// Every container has as few rights as it can have, is reached from this machine only, says whether it is
// healthy, has time to stop and no variable that its command does not know; no secret is in the file.
func TestContainersKeepTheRules(t *testing.T) {
	all := containers(t)
	if len(all) < 20 {
		t.Fatalf("%d containers were read", len(all))
	}
	orderflow := built(t)
	for _, wrong := range broken(t, orderflow, all) {
		t.Error(wrong)
	}
}

// What breaks a rule is seen.
func TestRulesOfContainersCanBeBroken(t *testing.T) {
	orderflow := built(t)
	for name, damage := range map[string]func(all map[string]container){
		"a variable that nobody knows":  func(all map[string]container) { all["order"].Environment["ORDERFLOW_NATS_KEY_FILE"] = "x" },
		"a variable of another command": func(all map[string]container) { all["order"].Environment["ORDERFLOW_PSP_URL"] = "http://partners:8090" },
		"a command that there is not": func(all map[string]container) {
			change(all, "saga", func(c *container) { c.Command = []string{"orders-and-more"} })
		},
		"less time than the lame duck has": func(all map[string]container) { change(all, "nats-2", func(c *container) { c.StopGrace = "30s" }) },
		"time that Compose does not take":  func(all map[string]container) { change(all, "nats", func(c *container) { c.StopGrace = "50" }) },
		"no time to finish":                func(all map[string]container) { change(all, "payment", func(c *container) { c.StopGrace = "10s" }) },
		"a published port": func(all map[string]container) {
			change(all, "gateway", func(c *container) { c.Ports = []string{"8080:8080"} })
		},
		"a secret in a variable":            func(all map[string]container) { all["payment"].Environment["ORDERFLOW_NATS_NKEY"] = "SUABC" },
		"a file system that can be written": func(all map[string]container) { change(all, "order", func(c *container) { c.ReadOnly = false }) },
	} {
		all := containers(t)
		if damage(all); len(broken(t, orderflow, all)) == 0 {
			t.Errorf("no rule sees %s", name)
		}
	}
}

func change(all map[string]container, name string, to func(*container)) {
	c := all[name]
	to(&c)
	all[name] = c
}

// built is the program, whose help lists what it reads.
func built(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := program.Build(t.Context(), dir, program.Orderflow()); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, program.Orderflow().Name())
}

// duration is one as Compose takes it, 0 if it is none.
func duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0
	}
	return d
}

// handling is how long what a service has begun may take, which it finishes when it is told to stop.
const handling = 30 * time.Second

// broken is what is not as the rules want it.
func broken(t *testing.T, orderflow string, all map[string]container) (complaints []string) {
	t.Helper()
	lame := duration(found(t, read(t, "nats", "nats.conf"), `(?m)^lame_duck_duration: "(.+)"$`))
	if lame == 0 {
		t.Fatal("nats.conf does not say how long a server takes to stop")
	}
	pinned := regexp.MustCompile(`^[a-z/-]+:v?[0-9]+\.[0-9]+(\.[0-9]+)?(-alpine)?$`)
	numeric := regexp.MustCompile(`^[1-9][0-9]*:[1-9][0-9]*$`)
	for name, c := range all {
		check := func(holds bool, rule string) {
			if !holds {
				complaints = append(complaints, name+": "+rule)
			}
		}
		ours := strings.HasPrefix(c.Image, "orderflow:")
		check(ours || pinned.MatchString(c.Image), "the image "+c.Image+" has no exact version")
		check(numeric.MatchString(c.User), "it runs as root, or as a user whose number is not known")
		switch store := strings.HasPrefix(c.Image, "nats:") || strings.HasPrefix(c.Image, "postgres:"); {
		case store:
			check(len(c.Networks) == 0, "who watches the system reaches it")
		case !ours:
			check(slices.Equal(c.Networks, []string{"obs"}), "it reaches NATS servers and the database, and is not ours")
		}
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
			secret := strings.Contains(variable, "NKEY") || strings.Contains(variable, "SECRET") || strings.Contains(variable, "PASSWORD")
			file, isFile := strings.CutPrefix(text, "/run/secrets/")
			check(!secret || isFile && slices.Contains(c.Secrets, file), variable+" is not a file that is mounted as a secret")
		}
		if ours {
			command := "verify" // any that talks to NATS: what "cli" is to do is said when it is run
			if len(c.Command) > 0 {
				command = c.Command[0]
			}
			known := program.Variables(orderflow, command)
			check(len(known) > 0 || command == "version", command+" is no command of orderflow")
			for variable := range c.Environment {
				check(!strings.HasPrefix(variable, "ORDERFLOW_") || slices.Contains(known, variable), "orderflow "+command+" has no variable "+variable)
			}
		}
		check(len(c.Secrets) <= 2, "it has secrets of others")
		for _, secret := range c.Secrets {
			check(secret == name || secret == "webhook" || secret == "operator" && (name == "cli" || name == "load") || secret == "pgpass" && name == "projector", "it has the secret "+secret)
		}
		check(c.MemLimit != "", "its memory has no limit")
		if !c.runsOn() {
			continue
		}
		check(c.Environment["GOMEMLIMIT"] != nil || name == "postgres", "it does not know its limit of memory")
		check(duration(c.StopGrace) >= handling, "it is killed too soon after it was told to stop: "+c.StopGrace)
		check(!strings.HasPrefix(c.Image, "nats:") || duration(c.StopGrace) >= lame+10*time.Second, "it is killed before it has sent its clients away: "+c.StopGrace)
		check(!c.Healthcheck.Disable && (ours || len(c.Healthcheck.Test) > 0) || name == "traces", "it does not say whether it is healthy")
		check(len(c.DependsOn) > 0 || name == "postgres" || name == "traces", "it waits for nothing")
		for other, on := range c.DependsOn {
			check(on.Condition != "" && on.Condition != "service_started", "it does not wait until "+other+" has done its work")
		}
	}
	return complaints
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

// Beside the core there are profiles, and what is in none of them starts always. Prometheus asks every process
// of ours, whose names only docker-compose.yml has.
func TestProfilesAddToTheCore(t *testing.T) {
	profiles := map[string][]string{}
	for name, c := range containers(t) {
		if len(c.Profiles) > 1 {
			t.Errorf("%s is in %q", name, c.Profiles)
		}
		profiles[strings.Join(c.Profiles, "")] = append(profiles[strings.Join(c.Profiles, "")], name)
	}
	for profile, want := range map[string][]string{
		"cluster": {"nats-2", "nats-2-volume", "nats-3", "nats-3-volume"}, "postgres": {"postgres"}, "load": {"load"}, "cli": {"cli"},
		"obs": {"grafana", "monitor", "prometheus", "prometheus-volume", "traces"},
	} {
		if slices.Sort(profiles[profile]); !slices.Equal(profiles[profile], want) {
			t.Errorf("the profile %s has %q, want %q", profile, profiles[profile], want)
		}
	}
	text, err := os.ReadFile(filepath.Join("observability", "prometheus.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range containers(t) {
		if asked := strings.Contains(string(text), "- "+name+":8080\n"); asked != (c.runsOn() && strings.HasPrefix(c.Image, "orderflow:")) {
			t.Errorf("Prometheus asks %s: %t", name, asked)
		}
	}
}

// What an environment file sets is read in docker-compose.yml.
func TestEnvironmentFilesAreUsed(t *testing.T) {
	compose, err := os.ReadFile(filepath.Join("..", "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.env")
	if err != nil || len(files) < 3 {
		t.Fatalf("environment files: %q, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			variable, _, isSet := strings.Cut(line, "=")
			if isSet && !strings.HasPrefix(line, "#") && !strings.HasPrefix(variable, "COMPOSE_") && !strings.Contains(string(compose), "${"+variable+":-") {
				t.Errorf("%s sets %s, which docker-compose.yml does not read", file, variable)
			}
		}
	}
}

// The environment files can be made one, as README.md says: only the profiles are set by more than one of them, and
// its commands give all of these.
func TestEnvironmentFilesCanBeCombined(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, said, found := strings.Cut(string(readme), "```sh\ncat ")
	said, _, _ = strings.Cut(said, "```")
	lines := strings.Split(said, "\n")
	if !found || len(lines) < 3 {
		t.Fatalf("README.md does not say how: %q", said)
	}
	names, file, _ := strings.Cut(lines[0], " > ")
	files := strings.Fields(names)
	if all, err := filepath.Glob("*.env"); err != nil || len(files) < len(slices.DeleteFunc(all, func(name string) bool { return name == "mine.env" })) {
		t.Errorf("README.md makes one of %q, and there are %q (%v)", files, all, err)
	}
	profiles, setBy := []string{}, map[string]string{}
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(string(text), "\n") {
			t.Errorf("%s does not end with a line's end", name)
		}
		for line := range strings.Lines(string(text)) {
			variable, value, isSet := strings.Cut(strings.TrimSpace(line), "=")
			switch {
			case !isSet || strings.HasPrefix(line, "#"):
			case variable == "COMPOSE_PROFILES":
				profiles = append(profiles, value)
			case setBy[variable] != "":
				t.Errorf("%s and %s both set %s", setBy[variable], name, variable)
			default:
				setBy[variable] = name
			}
		}
	}
	if want := "echo COMPOSE_PROFILES=" + strings.Join(profiles, ",") + " >> " + file; lines[1] != want {
		t.Errorf("README.md says %q, and should %q", lines[1], want)
	}
	if want := "docker compose --env-file " + file + " up --build"; lines[2] != want {
		t.Errorf("README.md says %q, and should %q", lines[2], want)
	}
}
