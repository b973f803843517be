package k8s

import (
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// object is one manifest.
type object map[string]any

// manifests are all objects of one overlay.
type manifests struct {
	overlay string
	objects []object
}

func parse(t *testing.T, overlay, text string) manifests {
	t.Helper()
	m := manifests{overlay: overlay}
	for d := yaml.NewDecoder(strings.NewReader(text)); ; {
		var o map[string]any
		switch err := d.Decode(&o); {
		case errors.Is(err, io.EOF):
			if len(m.objects) < 30 {
				t.Fatalf("%s has %d objects only", overlay, len(m.objects))
			}
			return m
		case err != nil:
			t.Fatalf("%s: %v", overlay, err)
		}
		m.objects = append(m.objects, o)
	}
}

// copy is one that can be changed.
func (m manifests) copy() manifests {
	c := manifests{overlay: m.overlay}
	for _, o := range m.objects {
		c.objects = append(c.objects, object(copyOf(map[string]any(o)).(map[string]any)))
	}
	return c
}

func copyOf(value any) any {
	switch value := value.(type) {
	case map[string]any:
		c := make(map[string]any, len(value))
		for key, field := range value {
			c[key] = copyOf(field)
		}
		return c
	case []any:
		c := make([]any, len(value))
		for i, element := range value {
			c[i] = copyOf(element)
		}
		return c
	}
	return value
}

func (o object) kind() string      { return text(o["kind"]) }
func (o object) name() string      { return text(at(o, "metadata", "name")) }
func (o object) namespace() string { return text(at(o, "metadata", "namespace")) }
func (o object) String() string    { return o.kind() + "/" + o.name() }

// of returns all objects of the kinds.
func (m manifests) of(kinds ...string) (found []object) {
	for _, o := range m.objects {
		if slices.Contains(kinds, o.kind()) {
			found = append(found, o)
		}
	}
	return found
}

// find returns the object "Kind/name", nil when there is none; a hash at the end of the name need not be given.
func (m manifests) find(name string) object {
	for _, o := range m.objects {
		if o.String() == name || hashed.ReplaceAllString(o.String(), "") == name {
			return o
		}
	}
	return nil
}

// hashed is what kustomize adds to the name of what it generates.
var hashed = regexp.MustCompile(`-[2-9bcdfghkmt]{10}$`)

// at follows keys of objects and numbers of elements; nil when there is nothing.
func at(value any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			switch fields := value.(type) {
			case object:
				value = fields[step]
			case map[string]any:
				value = fields[step]
			default:
				return nil
			}
		case int:
			list, _ := value.([]any)
			if step >= len(list) {
				return nil
			}
			value = list[step]
		}
	}
	return value
}

// text is a string, or nothing.
func text(value any) string { s, _ := value.(string); return s }

// decode reads a part of a manifest as a T, whose zero value is what is not there.
func decode[T any](value any) (decoded T) {
	data, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(data, &decoded)
	}
	if err != nil {
		panic(err) // a field is of another kind than Kubernetes has it
	}
	return decoded
}

// workload is what makes pods.
type workload struct {
	object
	spec podSpec
	// labels are those of its pods.
	labels map[string]string
	// runsOn tells what is there as long as the system from a job, which ends.
	runsOn bool
}

type podSpec struct {
	AutomountServiceAccountToken  *bool
	EnableServiceLinks            *bool
	ShareProcessNamespace         bool
	HostNetwork                   bool
	HostPID                       bool
	HostIPC                       bool
	PriorityClassName             string
	TerminationGracePeriodSeconds int
	SecurityContext               securityContext
	Containers                    []container
	InitContainers                []container
	Volumes                       []volume
	TopologySpreadConstraints     []struct {
		TopologyKey       string
		WhenUnsatisfiable string
		LabelSelector     selector
	}
}

type securityContext struct {
	RunAsNonRoot             bool
	RunAsUser                int
	FSGroup                  int
	Privileged               bool
	AllowPrivilegeEscalation *bool
	ReadOnlyRootFilesystem   bool
	SeccompProfile           struct {
		Type string
	}
	Capabilities struct {
		Add  []string
		Drop []string
	}
}

type container struct {
	Name            string
	Image           string
	Command         []string
	Args            []string
	Env             []variable
	EnvFrom         []any
	SecurityContext securityContext
	StartupProbe    probe
	ReadinessProbe  probe
	LivenessProbe   probe
	Resources       struct {
		Requests map[string]string
		Limits   map[string]string
	}
	Lifecycle struct {
		PreStop struct {
			Sleep struct {
				Seconds int
			}
			Exec struct {
				Command []string
			}
		}
	}
	Ports []struct {
		Name          string
		ContainerPort int
	}
	VolumeMounts []mount
}

type mount struct {
	Name      string
	MountPath string
	ReadOnly  bool
}

type variable struct {
	Name      string
	Value     string
	ValueFrom map[string]any
}

type probe struct {
	HTTPGet struct {
		Path string
		Port string
	}
	PeriodSeconds    int
	FailureThreshold int
}

// seconds is how long it may fail.
func (p probe) seconds() int { return p.PeriodSeconds * p.FailureThreshold }

type volume struct {
	Name   string
	Secret struct {
		SecretName  string
		DefaultMode int
	}
	Projected struct {
		DefaultMode int
		Sources     []struct {
			Secret    source
			ConfigMap source
		}
	}
	ConfigMap struct {
		Name string
	}
	HostPath map[string]any
}

type source struct {
	Name  string
	Items []struct {
		Key string
	}
}

type selector struct {
	MatchLabels map[string]string
}

// matches tells whether labels are what is selected.
func (s selector) matches(labels map[string]string) bool {
	for key, want := range s.MatchLabels {
		if labels[key] != want {
			return false
		}
	}
	return true
}

// workloads are all objects that make pods.
func (m manifests) workloads() (all []workload) {
	for _, o := range m.of("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob") {
		template := at(o, "spec", "template")
		if o.kind() == "CronJob" {
			template = at(o, "spec", "jobTemplate", "spec", "template")
		}
		all = append(all, workload{
			object: o,
			spec:   decode[podSpec](at(template, "spec")),
			labels: decode[map[string]string](at(template, "metadata", "labels")),
			runsOn: o.kind() != "Job" && o.kind() != "CronJob",
		})
	}
	return all
}

// containers are all of a pod.
func (w workload) containers() []container {
	return slices.Concat(w.spec.InitContainers, w.spec.Containers)
}

// ours tells containers of our image from those of others.
func (c container) ours() bool {
	image, _, _ := strings.Cut(c.Image[strings.LastIndex(c.Image, "/")+1:], ":")
	return image == "orderflow"
}

// value is that of a variable, "" when there is none.
func (c container) value(name string) string {
	for _, v := range c.Env {
		if v.Name == name {
			return v.Value
		}
	}
	return ""
}

// quantity is a number of bytes as Kubernetes, Go or NATS write it, 0 when it is none. The letters of NATS are powers of two.
func quantity(s string) int64 {
	number := strings.TrimRight(s, "KMGTiB")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 0
	}
	switch strings.TrimRight(s[len(number):], "iB") {
	case "K":
		return n << 10
	case "M":
		return n << 20
	case "G":
		return n << 30
	case "T":
		return n << 40
	}
	return n
}

// write is an object as text.
func write(t *testing.T, o object) []byte {
	t.Helper()
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
