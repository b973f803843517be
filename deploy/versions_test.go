package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What is deployed is what is tested: the NATS server of go.mod, and a compiler that is not older than go.mod asks for.
func TestVersionsAreThoseOfTheModule(t *testing.T) {
	module := read(t, "..", "go.mod")
	server := found(t, module, `(?m)^\tgithub\.com/nats-io/nats-server/v2 v(\S+)$`)
	for _, overlay := range []string{"dev", "prod"} {
		if tag := found(t, read(t, "k8s", "overlays", overlay, "kustomization.yaml"), `name: nats, newTag: ([^}]+)\}`); tag != server+"-alpine" {
			t.Errorf("the overlay %s has NATS %s, and go.mod %s", overlay, tag, server)
		}
	}
	servers := 0
	for name, c := range containers(t) {
		if tag, isServer := strings.CutPrefix(c.Image, "nats:"); isServer {
			if servers++; tag != server+"-alpine" {
				t.Errorf("%s is NATS %s, and go.mod has %s", name, tag, server)
			}
		}
	}
	if servers != 3 {
		t.Errorf("docker-compose.yml has %d NATS servers", servers)
	}

	language := strings.Split(found(t, module, `(?m)^go (\S+)$`), ".")
	compiler := strings.Split(found(t, read(t, "..", "Dockerfile"), `(?m)^ARG GO_VERSION=(\S+)$`), ".")
	if !slices.Equal(language[:2], compiler[:2]) {
		t.Errorf("the image is built by Go %v, and go.mod is for %v", compiler, language)
	}
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// found is the group of a pattern that text has once.
func found(t *testing.T, text, pattern string) string {
	t.Helper()
	all := regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1)
	if len(all) != 1 {
		t.Fatalf("%s is found %d times", pattern, len(all))
	}
	return all[0][1]
}
