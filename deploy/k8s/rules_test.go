package k8s

import (
	"fmt"
	"slices"
	"testing"
)

// rule is what the manifests must keep.
type rule struct {
	name string
	// broken returns what is wrong.
	broken func(t *testing.T, m manifests) []string
	// damage is what breaks it, one thing at a time: a rule that does not see it is none.
	damage []damage
}

// damage changes one thing of one object of an overlay.
type damage struct {
	overlay string
	object  string // "Kind/name"
	path    []any
	to      any // nil: it is removed
}

func (d damage) String() string { return fmt.Sprintf("%s %v = %v", d.object, d.path, d.to) }

func rules() []rule {
	return slices.Concat(podRules(), natsRules(), objectRules(), networkRules(), prodRules())
}

// Every overlay keeps every rule.
func TestOverlaysKeepTheRules(t *testing.T) {
	for _, overlay := range overlays {
		m := render(t, overlay)
		for _, r := range rules() {
			for _, wrong := range r.broken(t, m) {
				t.Errorf("%s: %s: %s", overlay, r.name, wrong)
			}
		}
	}
}

// Each rule sees what breaks it.
func TestRulesCanBeBroken(t *testing.T) {
	for _, r := range rules() {
		if len(r.damage) == 0 {
			t.Errorf("nothing is known that breaks the rule %q", r.name)
		}
		for _, d := range r.damage {
			m := render(t, d.overlay)
			d.apply(t, m)
			if len(r.broken(t, m)) == 0 {
				t.Errorf("the rule %q does not see %s", r.name, d)
			}
		}
	}
}

func (d damage) apply(t *testing.T, m manifests) {
	t.Helper()
	o := m.find(d.object)
	if o == nil {
		t.Fatalf("%s: there is no such object", d)
	}
	if len(d.path) == 0 { // all of it
		o["kind"] = "Removed"
		return
	}
	last := len(d.path) - 1
	switch in, key := at(o, d.path[:last]...), d.path[last]; in := in.(type) {
	case object:
		change(in, key.(string), d.to)
	case map[string]any:
		change(in, key.(string), d.to)
	case []any:
		in[key.(int)] = d.to
	default:
		t.Fatalf("%s: there is no such field", d)
	}
}

func change[M ~map[string]any](in M, key string, to any) {
	if to == nil {
		delete(in, key)
	} else {
		in[key] = to
	}
}

// podOf is the path of a field of the pods that an object makes.
func podOf(path ...any) []any { return append([]any{"spec", "template", "spec"}, path...) }

// containerOf is the path of a field of their first container.
func containerOf(path ...any) []any { return append(podOf("containers", 0), path...) }

// complaints collects what is wrong.
type complaints []string

func (c *complaints) unless(holds bool, format string, args ...any) {
	if !holds {
		*c = append(*c, fmt.Sprintf(format, args...))
	}
}
