package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// pkg is what go list says of one.
type pkg struct {
	Dir, ImportPath, Name, Export string
	GoFiles                       []string
	DepOnly                       bool
}

// list asks for a package and all that it imports.
func list(ctx context.Context, name string) (pkg, map[string]string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-export", "-deps", "-json=Dir,ImportPath,Name,Export,GoFiles,DepOnly", name) //nolint:gosec // the caller's own package
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return pkg{}, nil, err
	}
	if err := cmd.Start(); err != nil {
		return pkg{}, nil, err
	}
	found, exports := pkg{}, map[string]string{}
	for d := json.NewDecoder(out); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return pkg{}, nil, errors.Join(err, cmd.Wait())
		}
		exports[p.ImportPath] = p.Export
		if !p.DepOnly {
			found = p
		}
	}
	if err := cmd.Wait(); err != nil {
		return pkg{}, nil, err
	}
	return found, exports, nil
}

// house is a package whose changes were built into a test binary.
type house struct {
	pkg     pkg
	binary  string
	changes []change
	refused int // changes that do not compile
}

// build compiles the tests of a package with all changes. Lines on which one
// does not compile are left out, and counted.
func build(ctx context.Context, name, dir string) (house, error) {
	p, exports, err := list(ctx, name)
	if err != nil {
		return house{}, err
	}
	fset := token.NewFileSet()
	files := make([]*ast.File, len(p.GoFiles))
	for i, f := range p.GoFiles {
		if files[i], err = parser.ParseFile(fset, filepath.Join(p.Dir, f), nil, parser.SkipObjectResolution); err != nil {
			return house{}, err
		}
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	conf := types.Config{Importer: importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })}
	if _, err := conf.Check(p.ImportPath, fset, files, info); err != nil {
		return house{}, err
	}
	skip := map[string]map[int]bool{}
	for _, f := range p.GoFiles {
		skip[f] = map[int]bool{}
	}
	all := 0
	for range 10 {
		h, bad, err := compile(ctx, p, fset, info, files, skip, dir)
		if err != nil {
			return house{}, err
		}
		all = max(all, len(h.changes))
		if len(bad) == 0 {
			h.refused = all - len(h.changes)
			return h, nil
		}
		for _, b := range bad {
			skip[b.file][b.line] = true
		}
	}
	return house{}, errors.New("it does not compile")
}

var compileError = regexp.MustCompile(`(?m)([A-Za-z0-9_]+\.go):(\d+)(?::\d+)?: `)

func compile(ctx context.Context, p pkg, fset *token.FileSet, info *types.Info, files []*ast.File, skip map[string]map[int]bool, dir string) (house, []change, error) {
	h := house{pkg: p, binary: filepath.Join(dir, filepath.Base(p.Dir)+".test")}
	replace := map[string]string{}
	n := 0
	next := func() int { n++; return n }
	write := func(name, text string) error {
		to := filepath.Join(dir, filepath.Base(p.Dir)+"."+name)
		replace[filepath.Join(p.Dir, name)] = to
		return os.WriteFile(to, []byte(text), 0o600)
	}
	for i, f := range files {
		src, err := os.ReadFile(filepath.Join(p.Dir, p.GoFiles[i]))
		if err != nil {
			return h, nil, err
		}
		m := &mutator{fset: fset, info: info, src: src, name: p.GoFiles[i], next: next, skip: skip[p.GoFiles[i]]}
		ast.Walk(m, f)
		h.changes = append(h.changes, m.found...)
		if err := write(m.name, m.apply()); err != nil {
			return h, nil, err
		}
	}
	if err := write("zz_mutation.go", fmt.Sprintf(switchboard, p.Name, n+1)); err != nil {
		return h, nil, err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return h, nil, err
	}
	at := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(at, overlay, 0o600); err != nil {
		return h, nil, err
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-gcflags=-e", "-overlay="+at, "-o", h.binary, p.ImportPath) //nolint:gosec // the caller's own package
	out, err := cmd.CombinedOutput()
	if err == nil {
		return h, nil, nil
	}
	var bad []change
	for _, found := range compileError.FindAllStringSubmatch(string(out), -1) {
		name := regexp.MustCompile(`^`+regexp.QuoteMeta(filepath.Base(p.Dir))+`\.`).ReplaceAllString(found[1], "")
		line, _ := strconv.Atoi(found[2])
		if lines := skip[name]; lines != nil && !lines[line] {
			bad = append(bad, change{file: name, line: line})
		}
	}
	if len(bad) == 0 {
		return h, nil, fmt.Errorf("compile the changes: %w\n%s", err, out)
	}
	return h, bad, nil
}
