// Package archtest reads the sources of Gatehouse and holds them to the rules
// that no compiler checks: who may import whom, which library belongs to which
// package, and a few calls that are forbidden because of what they would do
// to secrets, to shutdown or to the tests.
//
// The tables in this package are the rules; ARCHITECTURE.md explains them.
// Whoever needs a further import changes the table in the same commit, so that
// the change is seen.
package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// Module is the import path that all packages of this repository start with.
const Module = "github.com/gatehouse-chat/gatehouse"

// Violation is one place that breaks one rule.
type Violation struct {
	File string // slash-separated, from the root
	Line int
	Rule string
	Text string // what is wrong, and what to do instead
}

func (v Violation) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", v.File, v.Line, v.Rule, v.Text)
}

// file is one parsed source.
type file struct {
	path    string // from the root
	dir     string // of path; "." for the root
	test    bool   // a _test file, or part of a package that exists for tests
	ast     *ast.File
	fset    *token.FileSet
	imports []imported
}

type imported struct {
	path string
	name string // as the file calls it; "." and "_" as written
	line int
}

// at makes a violation at a node.
func (f *file) at(n ast.Node, rule, format string, args ...any) Violation {
	return f.atLine(f.fset.Position(n.Pos()).Line, rule, format, args...)
}

func (f *file) atLine(line int, rule, format string, args ...any) Violation {
	return Violation{File: f.path, Line: line, Rule: rule, Text: fmt.Sprintf(format, args...)}
}

// load parses every Go file of this module under root: test data, hidden
// folders and nested modules are no part of it.
func load(root fs.FS) ([]*file, error) {
	var files []*file
	fset := token.NewFileSet()
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if skipped(root, name) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		f, err := parse(root, fset, name)
		if err != nil {
			return err
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the sources: %w", err)
	}
	return files, nil
}

func skipped(root fs.FS, dir string) bool {
	if dir == "." {
		return false
	}
	name := path.Base(dir)
	if name == "testdata" || name == "vendor" || name[0] == '.' || name[0] == '_' {
		return true
	}
	_, err := fs.Stat(root, path.Join(dir, "go.mod"))
	return err == nil
}

func parse(root fs.FS, fset *token.FileSet, name string) (*file, error) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return nil, err
	}
	tree, err := parser.ParseFile(fset, name, text, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	f := &file{path: name, dir: path.Dir(name), ast: tree, fset: fset}
	f.test = strings.HasSuffix(name, "_test.go") || forTests(f.dir)
	for _, spec := range tree.Imports {
		value, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: import %s: %w", name, spec.Path.Value, err)
		}
		i := imported{path: value, name: guessName(value), line: fset.Position(spec.Pos()).Line}
		if spec.Name != nil {
			i.name = spec.Name.Name
		}
		f.imports = append(f.imports, i)
	}
	return f, nil
}

// forTests reports whether a folder holds code for tests alone: emulators and
// suites are named after what they test, such as telegramtest.
func forTests(dir string) bool {
	if within(dir, "internal/e2e") {
		return true
	}
	for element := range strings.SplitSeq(dir, "/") {
		if strings.HasSuffix(element, "test") {
			return true
		}
	}
	return false
}

// guessName is the package name that an import path suggests: its last
// element, without a major version. The rules watch only packages for which
// the guess holds.
func guessName(importPath string) string {
	name := path.Base(importPath)
	if len(name) > 1 && name[0] == 'v' && strings.Trim(name[1:], "0123456789") == "" {
		name = path.Base(path.Dir(importPath))
	}
	return name
}

// within reports whether dir is parent or lies under it.
func within(dir, parent string) bool {
	return dir == parent || strings.HasPrefix(dir, parent+"/")
}

// packageOf resolves an identifier to the package that it names in this file,
// or "": local variables shadow imports.
func (f *file) packageOf(e ast.Expr) string {
	id, ok := e.(*ast.Ident)
	if !ok || id.Obj != nil {
		return ""
	}
	for _, i := range f.imports {
		if i.name == id.Name {
			return i.path
		}
	}
	return ""
}
