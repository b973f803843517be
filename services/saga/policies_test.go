package saga

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

var _ = flag.Bool("rewrite", false, "write the policies in docs/saga.md as they are now")

// The page shows a file that says all that version 1 says, under another version.
func TestDocument(t *testing.T) {
	all := textOf(fulfilment.DefaultPolicy())
	all.Version = 2
	file := map[string][]policyText{"policies": {all}}
	data, err := json.Marshal(file, jsontext.WithIndent("  "))
	if err != nil {
		t.Fatal(err)
	}
	servicetest.Document(t, "../../docs/saga.md", "./services/saga", "\n```json\n"+string(data)+"\n```\n\n")
	policies, err := parsePolicies(data)
	if err != nil || len(policies) != 2 {
		t.Fatalf("it is read as %v, %v", policies, err)
	}
	want := fulfilment.DefaultPolicy()
	if want.Version = 2; policies[0] != fulfilment.DefaultPolicy() || policies[1] != want {
		t.Errorf("it is read as %+v", policies)
	}
}

func TestAPolicySaysWhatDiffersFromVersion1(t *testing.T) {
	policies, err := parsePolicies([]byte(`{"policies":[
		{"version":2,"sla":"10m","book":{"attempts":9}},
		{"version":7,"method_window":"0s","complete":{"max":"1m"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	second, seventh := fulfilment.DefaultPolicy(), fulfilment.DefaultPolicy()
	second.Version, second.SLA, second.Book.Attempts = 2, 10*time.Minute, 9
	seventh.Version, seventh.MethodWindow, seventh.Complete.Max = 7, 0, time.Minute
	if len(policies) != 3 || policies[0] != fulfilment.DefaultPolicy() || policies[1] != second || policies[2] != seventh {
		t.Errorf("it is read as %+v", policies)
	}
}

func TestPoliciesThatAreRefused(t *testing.T) {
	many := strings.Repeat(`{"version":2},`, 100) + `{"version":2}`
	for text, says := range map[string]string{
		``:                             `the file is empty; it must be a JSON object; allowed are "policies"`,
		`[]`:                           `the file must be a JSON object, not a list`,
		`{"policies":[{]}`:             `the file is not valid JSON`,
		`{}`:                           `the field "policies" is missing`,
		`{"policies":[]}`:              `"policies" has 0 entries; it must have from 1 to 100`,
		`{"policies":[` + many + `]}`:  `"policies" has 101 entries`,
		`{"policies":[],"version":1}`:  `the field "version" is not known`,
		`{"policies":[7]}`:             `policy 1 of the file: the file must be a JSON object, not a number`,
		`{"policies":[{}]}`:            `policy 1 of the file: the field "version" is missing`,
		`{"policies":[{"version":1}]}`: `its version is 1; it must be above 1`,
		`{"policies":[{"version":3},{"version":3}]}`:                          `policy 2 of the file: its version is 3; it must be above 3`,
		`{"policies":[{"version":2,"version":3}]}`:                            `is given twice`,
		`{"policies":[{"version":2,"slo":"1m"}]}`:                             `the field "slo" is not known`,
		`{"policies":[{"version":2,"book":{"frist":"1m"}}]}`:                  `the field "book.frist" is not known; allowed are "first", "max", "attempts"`,
		`{"policies":[{"version":2,"complete":{"attempts":3}}]}`:              `the field "complete.attempts" is not known`,
		`{"policies":[{"version":2,"sla":"soon"}]}`:                           `the field "sla" is not valid: "soon" is not a duration, such as 500ms`,
		`{"policies":[{"version":2,"sla":30}]}`:                               `the field "sla"`,
		`{"policies":[{"version":2,"sla":"0s"}]}`:                             `policy version 2: sla is 0s; it must be from 1ms to 720h0m0s`,
		`{"policies":[{"version":2,"sla":"721h"}]}`:                           `sla is 721h0m0s`,
		`{"policies":[{"version":2,"attention":"-1s"}]}`:                      `attention is -1s`,
		`{"policies":[{"version":2,"method_window":"-1s"}]}`:                  `method_window is -1s; it must be from 0s`,
		`{"policies":[{"version":2,"method_attempts":0}]}`:                    `method_attempts is 0; it must be from 1 to 1000`,
		`{"policies":[{"version":2,"book":{"first":"0s"}}]}`:                  `book.first is 0s`,
		`{"policies":[{"version":2,"book":{"first":"10m"}}]}`:                 `book.max is 5m0s; it must be from book.first, which is 10m0s, to 720h0m0s`,
		`{"policies":[{"version":2,"capture_check":{"attempts":0}}]}`:         `capture_check.attempts is 0; it must be from 1 to 1000`,
		`{"policies":[{"version":2,"compensate":{"attempts":1001}}]}`:         `compensate.attempts is 1001`,
		`{"policies":[{"version":2,"compensate":{"attempts":"3"}}]}`:          `the field "compensate.attempts" must be a whole number`,
		`{"policies":[{"version":9223372036854775808}]}`:                      `the field "version" must be a whole number`,
		`{"policies":[{"version":2,"dispatch":{"max":"9999999999999999h"}}]}`: `the field "dispatch.max" is not valid`,
	} {
		if got, err := parsePolicies([]byte(text)); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.80s: %+v, %v; want …%s…", text, got, err, says)
		}
	}
}

func TestPolicyFilesThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, make([]byte, maxPolicyFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, says := range map[string]string{
		filepath.Join(dir, "none"): "no such file",
		large:                      "at most 1048576 are allowed",
		dir:                        "is a directory",
	} {
		if _, err := ReadPolicies(file); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want …%s…", file, err, says)
		}
	}
}
