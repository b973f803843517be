package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// What a process ends with is in one table, which is what help says of it.
func TestEveryExitStatusIsInTheOneTable(t *testing.T) {
	means := map[int]string{}
	for _, e := range exits() {
		if means[e.status] != "" || e.means == "" {
			t.Errorf("the status %d means %q and %q", e.status, means[e.status], e.means)
		}
		means[e.status] = e.means
	}
	declared := 0
	for _, file := range []string{"exit.go", "../../internal/service/errors.go"} {
		for name, status := range exitConstants(t, file) {
			declared++
			if means[status] == "" {
				t.Errorf("%s is %d, which the table does not explain", name, status)
			}
		}
	}
	if declared != len(means) {
		t.Errorf("%d statuses are declared and %d explained", declared, len(means))
	}
	var help strings.Builder
	if status := run(t.Context(), []string{"--help"}, &help, &help); status != 0 {
		t.Fatalf("--help ends with %d: %s", status, &help)
	}
	for status, text := range means {
		if line := fmt.Sprintf("  %2d  %s\n", status, text); !strings.Contains(help.String(), line) {
			t.Errorf("help lacks %q", line)
		}
	}
}

// exitConstants are the constants of a file whose names begin with exit or Exit.
func exitConstants(t *testing.T, file string) map[string]int {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(strings.ToLower(spec.Names[0].Name), "exit") || len(spec.Values) != 1 {
			return true
		}
		literal, ok := spec.Values[0].(*ast.BasicLit)
		if !ok {
			return true
		}
		if found[spec.Names[0].Name], err = strconv.Atoi(literal.Value); err != nil {
			t.Errorf("%s: %v", spec.Names[0].Name, err)
		}
		return true
	})
	return found
}

// A command says what its statuses mean by the table, and ends with none by number.
func TestNoCommandHasAListOfExitStatusesOfItsOwn(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 20 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if file == "exit.go" || strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit:
				if strings.Contains(strings.ToLower(n.Value), "exit status:") {
					t.Errorf("%s explains exit statuses: %.60s", file, n.Value)
				}
			case *ast.CallExpr:
				if called, ok := n.Fun.(*ast.Ident); ok && called.Name == "fail" {
					if literal, ok := n.Args[0].(*ast.BasicLit); ok {
						t.Errorf("%s ends with the number %s", file, literal.Value)
					}
				}
			}
			return true
		})
	}
}
