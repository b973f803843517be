// Package borders asserts which part of the repository may know which other
// part. A failure prints the reason of the rule, so that it can be argued with.
package borders

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/b144f99b/orderflow"

// file is one Go file as the rules see it.
type file struct {
	path    string // relative to the repository, with slashes
	imports []string
	syntax  *ast.File
}

func (f file) dir() string  { return path.Dir(f.path) }
func (f file) test() bool   { return strings.HasSuffix(f.path, "_test.go") }
func (f file) name() string { return path.Base(f.path) }

// inside reports whether the file is in the directory, at any depth.
func (f file) inside(dir string) bool { return f.dir() == dir || strings.HasPrefix(f.dir(), dir+"/") }

// service is the first directory below services/, "" for files elsewhere.
func (f file) service() string { return serviceOf(f.dir()) }

func serviceOf(dir string) string {
	rest, ok := strings.CutPrefix(dir, "services/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// own is the import's directory in this repository, "" for others' packages.
func own(imported string) string {
	return strings.TrimPrefix(strings.TrimPrefix(imported, module), "/")
}

func isOwn(imported string) bool {
	return imported == module || strings.HasPrefix(imported, module+"/")
}

// isStandard recognises the standard library's packages: their first element has no dot.
func isStandard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

// rule forbids imports to the files that it applies to.
type rule struct {
	name    string
	reason  string
	applies func(file) bool
	forbids func(f file, imported string) bool
}

var pureFiles = []string{"state.go", "states.go", "decide.go", "table.go"}

func isPure(f file) bool { return f.service() != "" && slices.Contains(pureFiles, f.name()) }

// The bindings of pkg/esjs to what observes it.
const (
	bindingOTel       = "pkg/esjs/esjsotel"
	bindingPrometheus = "pkg/esjs/esjsprom"
)

func isTelemetry(imported string) bool {
	return strings.HasPrefix(imported, "go.opentelemetry.io/") || strings.HasPrefix(imported, "github.com/prometheus/")
}

// isHeavy recognises servers and databases, each of which is larger than the store.
func isHeavy(imported string) bool {
	return slices.ContainsFunc([]string{"github.com/nats-io/nats-server/", "github.com/jackc/", "modernc.org/", "database/sql"},
		func(prefix string) bool { return strings.HasPrefix(imported, prefix) })
}

// serviceTests is what the tests of services have in common.
const serviceTests = "internal/service/servicetest"

func rules() []rule {
	product := func(dir string) func(file) bool {
		return func(f file) bool { return f.inside(dir) && !f.test() }
	}
	return []rule{
		{
			name:    "pkg/events imports only the standard library",
			reason:  "it is the published language: whoever reads our events needs it and nothing else of ours",
			applies: product("pkg/events"),
			forbids: func(_ file, imported string) bool { return !isStandard(imported) && own(imported) != "pkg/events" },
		},
		{
			name:    "pkg/queries imports nothing of ours but pkg/events",
			reason:  "it is the published language of questions: whoever asks or answers needs it and nothing else of ours",
			applies: product("pkg/queries"),
			forbids: func(_ file, imported string) bool {
				return isOwn(imported) && own(imported) != "pkg/events" || strings.HasPrefix(imported, "github.com/nats-io/")
			},
		},
		{
			name:    "pkg/esjs knows nothing of orders",
			reason:  "it is a library for everybody; what it needs from a user comes in as a parameter",
			applies: func(f file) bool { return f.inside("pkg/esjs") },
			forbids: func(f file, imported string) bool {
				return isOwn(imported) && !(file{path: own(imported) + "/x.go"}).inside("pkg/esjs")
			},
		},
		{
			name:    "package esjs imports no server, no database and none of the packages beside it",
			reason:  "who needs the store alone builds the store alone",
			applies: func(f file) bool { return f.dir() == "pkg/esjs" && !f.test() },
			forbids: func(_ file, imported string) bool {
				if isOwn(imported) {
					return !strings.HasPrefix(own(imported), "pkg/esjs/internal/")
				}
				return isHeavy(imported)
			},
		},
		{
			name:   "of pkg/esjs only the bindings import OpenTelemetry and Prometheus",
			reason: "who uses the store must not have to build, and keep up to date, what observes it",
			applies: func(f file) bool {
				return f.inside("pkg/esjs") && !f.inside(bindingOTel) && !f.inside(bindingPrometheus)
			},
			forbids: func(_ file, imported string) bool {
				return isTelemetry(imported) || isOwn(imported) && slices.Contains([]string{bindingOTel, bindingPrometheus}, own(imported))
			},
		},
		{
			name:    bindingOTel + " imports OpenTelemetry's API, not its SDK",
			reason:  "the SDK, which samples and exports, is chosen by the program",
			applies: product(bindingOTel),
			forbids: func(_ file, imported string) bool { return strings.HasPrefix(imported, "go.opentelemetry.io/otel/sdk") },
		},
		{
			name:    "pkg/esjs/internal/wire imports nothing of ours",
			reason:  "it is encodings only: what is stored must not change because something else did",
			applies: product("pkg/esjs/internal/wire"),
			forbids: func(_ file, imported string) bool { return isOwn(imported) },
		},
		{
			name:    "internal/service knows nothing of orders",
			reason:  "it holds what every service needs; what one event means belongs to the service that decides or reads it",
			applies: func(f file) bool { return f.inside("internal/service") },
			forbids: func(_ file, imported string) bool {
				return isOwn(imported) && own(imported) != "internal/service" && own(imported) != serviceTests && !strings.HasPrefix(own(imported), "pkg/esjs")
			},
		},
		{
			name:    "a service imports pkg/esjs, pkg/events, pkg/queries and internal/service, never another service",
			reason:  "services meet in events alone; a call or a shared type would let one stop, or break, the other",
			applies: func(f file) bool { return f.service() != "" },
			forbids: func(f file, imported string) bool {
				if !isOwn(imported) || own(imported) == "pkg/events" || own(imported) == "pkg/queries" || own(imported) == "internal/service" || strings.HasPrefix(own(imported), "pkg/esjs") {
					return false
				}
				if f.test() && own(imported) == serviceTests {
					return false
				}
				other := serviceOf(own(imported))
				// The partners stand for other companies' systems: tests talk to them over HTTP.
				return other != f.service() && !(f.test() && other == "partners")
			},
		},
		{
			name:    "services/partners imports nothing of this repository",
			reason:  "it stands for other companies' systems and is the independent witness of what was paid and shipped",
			applies: product("services/partners"),
			forbids: func(_ file, imported string) bool { return isOwn(imported) },
		},
		{
			name:    strings.Join(pureFiles, ", ") + " import no context, NATS, clock, randomness or logger",
			reason:  "state and decisions are pure, so that replaying, testing and time travel give the same answer for ever",
			applies: func(f file) bool { return isPure(f) && !f.test() },
			forbids: func(_ file, imported string) bool {
				return slices.Contains([]string{"context", "log", "log/slog", "math/rand", "math/rand/v2", "crypto/rand"}, imported) ||
					strings.HasPrefix(imported, "github.com/nats-io/") || strings.HasPrefix(imported, "github.com/rs/zerolog") ||
					own(imported) == "internal/service"
			},
		},
		{
			name:    serviceTests + " is for tests alone",
			reason:  "it runs a nats-server inside the process and ends the test when something is amiss",
			applies: func(f file) bool { return !f.test() },
			forbids: func(_ file, imported string) bool { return own(imported) == serviceTests },
		},
		{
			name:    "only cmd/orderflow and the tests of the whole know every service",
			reason:  "what knows every service must be changed with every service; one such place is enough",
			applies: func(f file) bool { return f.service() == "" && !f.inside("cmd/orderflow") && !f.inside("test") },
			forbids: func(_ file, imported string) bool { return serviceOf(own(imported)) != "" && isOwn(imported) },
		},
	}
}

func TestImports(t *testing.T) {
	files := parse(t)
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			for _, f := range files {
				if !r.applies(f) {
					continue
				}
				for _, imported := range f.imports {
					if r.forbids(f, imported) {
						t.Errorf("%s imports %s\n\trule:   %s\n\treason: %s", f.path, imported, r.name, r.reason)
					}
				}
			}
		})
	}
}

// Time comes in with the command or the event; a clock that is read in a fold
// gives another answer at every replay.
func TestPureFilesReadNoClock(t *testing.T) {
	seen := 0
	for _, f := range parse(t) {
		if !isPure(f) || f.test() {
			continue
		}
		seen++
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				pkg, isName := s.X.(*ast.Ident)
				if isName && pkg.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "After", "Tick", "Sleep"}, s.Sel.Name) {
					t.Errorf("%s calls time.%s: state and decisions are pure; the time comes with the command or the event", f.path, s.Sel.Name)
				}
			}
			return true
		})
	}
	if seen == 0 {
		t.Error("no pure file was found: the names in this test are not those of the repository")
	}
}

// A directory is named for what it is about, never for its kind.
func TestDirectoriesAreNamedForWhatTheyAreAbout(t *testing.T) {
	kinds := []string{"common", "util", "utils", "models", "types", "helpers", "misc", "shared", "lib"}
	for _, f := range parse(t) {
		for part := range strings.SplitSeq(f.dir(), "/") {
			if slices.Contains(kinds, part) {
				t.Errorf("%s is in a directory named for its kind; name it for what it is about", f.path)
			}
		}
	}
}

// The rules themselves must be able to fail.
func TestRulesRefuseWhatTheyAreFor(t *testing.T) {
	for name, c := range map[string]struct{ path, imported string }{
		"events":   {"pkg/events/money.go", "github.com/nats-io/nats.go"},
		"queries":  {"pkg/queries/order.go", module + "/internal/service"},
		"esjs":     {"pkg/esjs/append.go", module + "/pkg/events"},
		"server":   {"pkg/esjs/store.go", "github.com/nats-io/nats-server/v2/server"},
		"database": {"pkg/esjs/projection.go", "github.com/jackc/pgx/v5"},
		"beside":   {"pkg/esjs/projection.go", module + "/pkg/esjs/sqlsink"},
		"otel":     {"pkg/esjs/trace.go", "go.opentelemetry.io/otel"},
		"metrics":  {"pkg/esjs/sqlsink/sink.go", "github.com/prometheus/client_golang/prometheus"},
		"sdk":      {bindingOTel + "/tracer.go", "go.opentelemetry.io/otel/sdk/trace"},
		"wire":     {"pkg/esjs/internal/wire/key.go", module + "/pkg/esjs"},
		"service":  {"internal/service/log.go", module + "/pkg/events"},
		"sibling":  {"services/order/service.go", module + "/services/payment"},
		"partners": {"services/partners/psp.go", module + "/pkg/events"},
		"pure":     {"services/order/decide.go", "context"},
		"tests":    {"services/order/service.go", module + "/" + serviceTests},
		"all":      {"docs/example.go", module + "/services/order"},
	} {
		f := file{path: c.path}
		refused := slices.ContainsFunc(rules(), func(r rule) bool { return r.applies(f) && r.forbids(f, c.imported) })
		if !refused {
			t.Errorf("%s: no rule refuses that %s imports %s", name, c.path, c.imported)
		}
	}
}

func parse(t *testing.T) []file {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatalf("the repository's root is not two directories up: %v", err)
	}
	var files []file
	err = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && name != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || entry.Name() == "data") {
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		f := file{path: filepath.ToSlash(relative), syntax: syntax}
		for _, spec := range syntax.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, imported)
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 50 {
		t.Fatalf("only %d files were found", len(files))
	}
	return files
}
