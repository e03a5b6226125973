package archtest_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sources reads all files with that ending, test data and hidden folders left
// out.
func sources(t *testing.T, ending string) map[string][]byte {
	t.Helper()
	root, out := os.DirFS("../.."), map[string][]byte{}
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch base := path.Base(name); {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (base == "testdata" || base[0] == '.'):
			return fs.SkipDir
		case !entry.IsDir() && strings.HasSuffix(name, ending):
			out[name], err = fs.ReadFile(root, name)
			return err
		}
		return nil
	})
	if err != nil || len(out) == 0 {
		t.Fatalf("%d files *%s: %v", len(out), ending, err)
	}
	return out
}

var (
	testFunc = regexp.MustCompile(`(?m)^func (Test[A-Z]\w*)\(`)
	quoted   = regexp.MustCompile("`([^`\n]+)`")
	testName = regexp.MustCompile(`^(Test[A-Z]\w*)(…?)$`)
)

// TestDocsNameTestsThatExist: a page that says which test shows something names
// one that is there, in the package that it names before it on the same line.
func TestDocsNameTestsThatExist(t *testing.T) {
	in := map[string][]string{} // name of a test -> folders
	dirs := map[string]bool{}
	for name, text := range sources(t, ".go") {
		dirs[path.Dir(name)] = true
		for _, m := range testFunc.FindAllSubmatch(text, -1) {
			in[string(m[1])] = append(in[string(m[1])], path.Dir(name))
		}
	}
	known := slices.Collect(maps.Keys(dirs))
	named := 0
	for name, text := range sources(t, ".md") {
		for n, line := range bytes.Split(text, []byte("\n")) {
			for _, fault := range checkLine(string(line), in, known, &named) {
				t.Errorf("%s:%d: %s", name, n+1, fault)
			}
		}
	}
	if named == 0 {
		t.Error("no page names a test")
	}
}

// checkLine returns what is wrong with the tests that a line names.
func checkLine(line string, in map[string][]string, dirs []string, named *int) (faults []string) {
	pkg := ""
	under := func(dir string) bool { return dir == pkg || strings.HasSuffix(dir, "/"+pkg) }
	for _, m := range quoted.FindAllStringSubmatch(line, -1) {
		test := testName.FindStringSubmatch(m[1])
		if test == nil {
			before := pkg
			if pkg = m[1]; !slices.ContainsFunc(dirs, under) {
				pkg = before
			}
			continue
		}
		*named++
		var where []string
		for name, folders := range in {
			if name == test[1] || test[2] != "" && strings.HasPrefix(name, test[1]) {
				where = append(where, folders...)
			}
		}
		switch {
		case len(where) == 0:
			faults = append(faults, "there is no "+m[1])
		case pkg != "" && !slices.ContainsFunc(where, under):
			faults = append(faults, m[1]+" is not in "+pkg+" but in "+strings.Join(where, ", "))
		}
	}
	return faults
}

func TestCheckLine(t *testing.T) {
	in := map[string][]string{"TestA": {"gateway/bus"}, "TestInvariant07Asks": {"gateway"}}
	dirs := []string{"gateway", "gateway/bus"}
	tests := []struct {
		line string
		want []string
	}{
		{"Tests: `bus` `TestA`; `gateway` `TestInvariant07…`.", nil},
		{"`TestA` alone, and `code`", nil},
		{"`TestB`", []string{"there is no TestB"}},
		{"`TestInvariant07`", []string{"there is no TestInvariant07"}},
		{"`gateway` `TestA`", []string{"TestA is not in gateway but in gateway/bus"}},
	}
	for _, tt := range tests {
		n := 0
		if diff := cmp.Diff(tt.want, checkLine(tt.line, in, dirs, &n)); diff != "" {
			t.Errorf("%s\n%s", tt.line, diff)
		}
	}
}

var hit = regexp.MustCompile(`failpoint\.Hit\(failpoint\.(\w+)\)`)

// TestFailpointsAreDocumentedAndHit: docs/states.md lists the failpoints that
// there are, and the product comes by each of them. TestFailpoints and
// TestVaultFailpoints of internal/e2e kill at every one.
func TestFailpointsAreDocumentedAndHit(t *testing.T) {
	names := failpoints(t)
	used := map[string]bool{}
	for name, text := range sources(t, ".go") {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, m := range hit.FindAllSubmatch(text, -1) {
			used[string(m[1])] = true
		}
	}
	listed := map[string]bool{}
	for _, m := range quoted.FindAllStringSubmatch(string(sources(t, "docs/states.md")["docs/states.md"]), -1) {
		listed[m[1]] = true
	}
	for constant, name := range names {
		if !used[constant] {
			t.Errorf("nothing hits %s (%s)", constant, name)
		}
		if !listed[name] {
			t.Errorf("docs/states.md does not say what is left behind at %s", name)
		}
	}
}

// failpoints reads the constants: their names and values.
func failpoints(t *testing.T) map[string]string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "../failpoint/name.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || len(v.Values) != 1 {
			return true
		}
		if typ, ok := v.Type.(*ast.Ident); !ok || typ.Name != "Name" {
			return true
		}
		if lit, ok := v.Values[0].(*ast.BasicLit); ok {
			s, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			out[v.Names[0].Name] = s
		}
		return true
	})
	if len(out) < 10 {
		t.Fatalf("only %d failpoints were found", len(out))
	}
	return out
}
