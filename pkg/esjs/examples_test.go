package esjs_test

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

const library = "github.com/b144f99b/orderflow/pkg/esjs"

// notShown are the exported types that have no example, and why.
var notShown = map[string]string{
	library + ".Commit":    "the documentation needs the word; nothing hands one out",
	library + ".CommitRef": "a sink stores it as it is given",
}

// Whoever looks for a type finds code that uses it, and that runs: there is an example of each exported
// type of the library, or something of that type in one.
func TestEveryExportedTypeIsInAnExample(t *testing.T) {
	t.Parallel()
	exports := exportsOf(t, library+"/...")
	files := token.NewFileSet()
	imported := importer.ForCompiler(files, "gc", func(name string) (io.ReadCloser, error) { return os.Open(exports[name]) })
	shown := map[string]bool{}
	for _, dir := range []string{".", "esjstest", "sqlsink", "kvsink", "esjsotel", "esjsprom"} {
		for _, name := range typesInExamples(t, files, imported, dir) {
			shown[name] = true
		}
	}
	exported := 0
	for _, dir := range []string{".", "esjstest", "sqlsink", "kvsink", "esjsotel", "esjsprom"} {
		p, err := imported.Import(path.Join(library, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range p.Scope().Names() {
			if of, isType := p.Scope().Lookup(name).(*types.TypeName); !isType || !of.Exported() || of.IsAlias() {
				continue
			}
			exported++
			full := p.Path() + "." + name
			if _, known := notShown[full]; known == shown[full] {
				t.Errorf("in examples: %t, and among those that are not: %t: %s", shown[full], known, full)
			}
		}
	}
	if exported < 80 {
		t.Errorf("there are %d exported types, so the test does not see them", exported)
	}
}

// exportsOf returns where the compiler has put what the packages export, and those that they need. What
// examples need beyond that is not known: the types of it are not the library's.
func exportsOf(t *testing.T, pattern string) map[string]string {
	t.Helper()
	args := []string{"list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}", pattern}
	if info, ok := debug.ReadBuildInfo(); ok && slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "-race" && s.Value == "true" }) {
		args = slices.Insert(args, 1, "-race") // as this test was built, so that nothing has to be compiled
	}
	command := exec.CommandContext(t.Context(), "go", args...)
	var complaints strings.Builder
	command.Stderr = &complaints
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, complaints.String())
	}
	exports := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if name, file, found := strings.Cut(strings.TrimSpace(line), "\t"); found {
			exports[name] = file
		}
	}
	return exports
}

// typesInExamples names the types of all that is written in the files of a package that hold its examples.
func typesInExamples(t *testing.T, files *token.FileSet, imported types.Importer, dir string) (names []string) {
	t.Helper()
	var parsed []*ast.File
	for _, name := range glob(t, filepath.Join(dir, "*_test.go")) {
		f, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(f.Name.Name, "_test") { // examples use a package as its users do
			parsed = append(parsed, f)
		}
	}
	info := types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{},
		Instances: map[*ast.Ident]types.Instance{}, Uses: map[*ast.Ident]types.Object{},
	}
	check := types.Config{Importer: imported, Error: func(error) {}} // what export_test.go files open is not there
	_, _ = check.Check("examples", files, parsed, &info)
	inExample := func(n ast.Node) bool {
		return strings.HasPrefix(filepath.Base(files.File(n.Pos()).Name()), "example_")
	}
	for e, is := range info.Types {
		if inExample(e) {
			names = append(names, named(is.Type)...)
		}
	}
	for id, of := range info.Defs {
		if _, isFunc := of.(*types.Func); isFunc && inExample(id) && strings.HasPrefix(id.Name, "Example") {
			name, _, _ := strings.Cut(strings.TrimPrefix(id.Name, "Example"), "_")
			names = append(names, path.Join(library, dir)+"."+name) // of a type, or of a function
		}
		if is, isType := of.(*types.TypeName); isType && inExample(id) {
			names = append(names, implemented(is.Type(), imported)...)
		}
	}
	for id := range info.Instances {
		if of, isFunc := info.Uses[id].(*types.Func); isFunc && inExample(id) {
			for p := range of.Signature().TypeParams().TypeParams() {
				names = append(names, named(p.Constraint())...)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// implemented names the library's interfaces that a type of an example implements.
func implemented(of types.Type, imported types.Importer) (names []string) {
	p, err := imported.Import(library)
	if err != nil {
		return nil
	}
	for _, name := range p.Scope().Names() {
		is, isInterface := p.Scope().Lookup(name).Type().Underlying().(*types.Interface)
		if isInterface && is.NumMethods() > 0 && (types.Implements(of, is) || types.Implements(types.NewPointer(of), is)) {
			names = append(names, p.Path()+"."+name)
		}
	}
	return names
}

// named returns the type's name, and those of what it is made of.
func named(of types.Type) (names []string) {
	switch of := types.Unalias(of).(type) {
	case *types.Named:
		if p := of.Obj().Pkg(); p != nil {
			names = append(names, p.Path()+"."+of.Obj().Name())
		}
		for arg := range of.TypeArgs().Types() {
			names = append(names, named(arg)...)
		}
	case *types.Pointer:
		return named(of.Elem())
	case *types.Slice:
		return named(of.Elem())
	case *types.Map:
		return append(named(of.Key()), named(of.Elem())...)
	case *types.Tuple:
		for v := range of.Variables() {
			names = append(names, named(v.Type())...)
		}
	}
	return names
}
