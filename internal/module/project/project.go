package project

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/gatehouse-chat/gatehouse/internal/module"
)

const manifestFile = "manifest.json"

// Project is a folder with a manifest and the sources of a module.
type Project struct {
	Dir    string
	lang   language
	engine func() ([]byte, error)
}

// Open finds out in which language a project is written. engine returns the
// module that runs scripts in JavaScript.
func Open(dir string, engine func() ([]byte, error)) (Project, error) {
	if _, err := os.Stat(filepath.Join(dir, manifestFile)); err != nil {
		return Project{}, fmt.Errorf("%s is no project of a module: %w; `gatehouse adapter new` makes one", dir, err)
	}
	for _, l := range languages() {
		if _, err := os.Stat(filepath.Join(dir, l.marker)); err == nil {
			return Project{Dir: dir, lang: l, engine: engine}, nil
		}
	}
	return Project{}, fmt.Errorf("%s has none of the files by which a language is known: %s", dir, markers())
}

// Build compiles the project and returns the module. What the compiler says goes
// to log. For development, names of functions and lines stay in the module.
func (p Project) Build(ctx context.Context, log io.Writer, dev bool) ([]byte, error) {
	if err := p.lang.missing(ctx); err != nil {
		return nil, err
	}
	to, err := filepath.Abs(filepath.Join(p.Dir, "build", "module.wasm"))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil { //nolint:gosec // nothing in it is secret
		return nil, err
	}
	if err := p.lang.build(ctx, job{dir: p.Dir, to: to, log: log, dev: dev, engine: p.engine}); err != nil {
		return nil, fmt.Errorf("build %s: %w", p.Dir, err)
	}
	code, err := os.ReadFile(to) //nolint:gosec // it was just built
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", p.Dir, err)
	}
	return code, nil
}

// Pack makes the package of a module that was built, unsigned. It fills in the
// manifest's sha256.
func (p Project) Pack(code []byte) ([]byte, *module.Manifest, error) {
	path := filepath.Join(p.Dir, manifestFile)
	text, err := os.ReadFile(path) //nolint:gosec // the author's own file
	if err != nil {
		return nil, nil, err
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(text, &keys); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, at(text, err))
	}
	written := text
	sum := sha256.Sum256(code)
	keys["sha256"] = json.RawMessage(`"` + hex.EncodeToString(sum[:]) + `"`)
	if text, err = json.MarshalIndent(keys, "", "  "); err != nil {
		return nil, nil, err
	}
	m, err := module.ParseManifest(text)
	if err != nil {
		return nil, nil, placed(path, written, err)
	}
	b, err := module.Pack(text, code, nil)
	return b, m, err
}

// placed gives each fault of a manifest the line of the file that it is on.
func placed(path string, text []byte, err error) error {
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for i, err := range all {
		var f *module.Fault
		if errors.As(err, &f) {
			all[i] = fmt.Errorf("%s:%d: %w", path, module.Line(text, f.Place), err)
		} else {
			all[i] = fmt.Errorf("%s: %w", path, err)
		}
	}
	return errors.Join(all...)
}

// at says where JSON is broken.
func at(text []byte, err error) error {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return err
	}
	line := 1
	for _, c := range text[:min(int(syntax.Offset), len(text))] {
		if c == '\n' {
			line++
		}
	}
	return fmt.Errorf("line %d: %w", line, err)
}
