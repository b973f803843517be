package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// alert is what people are told of a rule that fires.
type alert struct {
	Name        string            `yaml:"alert"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func alerts(t *testing.T) (all []alert) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("observability", "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []alert `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// operations is what people read who look after the system.
var operations = filepath.Join("..", "docs", "operations")

// Each alert says how urgent it is, what it means, and which page says what to do; and the page says that it is about this alert.
func TestAlertsSayWhatToDo(t *testing.T) {
	const (
		runbooks = "https://github.com/b144f99b/orderflow/blob/main/docs/operations/runbooks/"
		nearTop  = 5 // lines
	)
	dir := filepath.Join(operations, "runbooks")
	index, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	linked := map[string][]string{} // page to alerts
	for _, a := range alerts(t) {
		if severity := a.Labels["severity"]; severity != "page" && severity != "ticket" {
			t.Errorf("%s has the severity %q", a.Name, severity)
		}
		if a.Annotations["summary"] == "" || a.Annotations["description"] == "" {
			t.Errorf("%s has no summary or no description", a.Name)
		}
		page, found := strings.CutPrefix(a.Annotations["runbook_url"], runbooks)
		if !found {
			t.Errorf("%s has the runbook %q", a.Name, a.Annotations["runbook_url"])
		}
		linked[page] = append(linked[page], a.Name)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil || len(pages) < 10 {
		t.Fatalf("there are the pages %q (%v)", pages, err)
	}
	for _, path := range pages {
		page := filepath.Base(path)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		for i, line := range strings.SplitN(string(text), "\n", nearTop+1) {
			if names, isList := strings.CutPrefix(line, "Alerts: "); isList && i < nearTop {
				said = strings.FieldsFunc(names, func(r rune) bool { return strings.ContainsRune("`, .", r) })
			}
		}
		want := linked[page]
		slices.Sort(said)
		if slices.Sort(want); !slices.Equal(said, want) {
			t.Errorf("%s says that it is about the alerts %q, and %q lead to it", page, said, want)
		}
		if page != "README.md" && !strings.Contains(string(index), "]("+page+")") {
			t.Errorf("the index of runbooks does not have %s", page)
		}
		delete(linked, page)
	}
	for page, names := range linked {
		t.Errorf("%q lead to the runbook %q, which is not there", names, page)
	}
}

// The checklist says how many alerts there are.
func TestTheChecklistCountsAlerts(t *testing.T) {
	checklist, err := os.ReadFile(filepath.Join(operations, "checklist.md"))
	if err != nil {
		t.Fatal(err)
	}
	said := regexp.MustCompile(`holds: ([0-9]+) alerts`).FindSubmatch(checklist)
	if there := len(alerts(t)); said == nil || string(said[1]) != strconv.Itoa(there) {
		t.Errorf("there are %d alerts; checklist.md says %q", there, said)
	}
}
