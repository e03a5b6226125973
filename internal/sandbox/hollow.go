package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tetratelabs/wazero"

	"github.com/gatehouse-chat/gatehouse/internal/sandbox/wasm"
)

// The runtime's cache has the machine code of a module, but the runtime reads the
// module and types all of its code again before it looks there: half of the time
// that a large one took to load. So once a module is compiled, its machine code is
// kept under the name of the same module without code. That is what is loaded from
// then on. Whether the machine code came with it is asked of a function that
// Rewrite added, before anything of the guest's runs.

// errHollow: a module without code was loaded, and the cache had none for it.
var errHollow = errors.New("the code of a module is not in the cache")

// whole tells whether an instance has its code.
func whole(c *call, inst *instance) bool {
	f := inst.ExportedFunction(wasm.WholeExport)
	if f == nil {
		return false
	}
	results, err := f.Call(c)
	return err == nil && len(results) == 1 && results[0] == wasm.Whole
}

// beginAnew compiles a module, and keeps the machine code so that hollow, the same
// without code, finds it. used is what to load next time: the module with its code
// where nothing could be kept.
func (m *Module) beginAnew(ctx context.Context, full, hollow wasm.Rewritten, warm []Warm) (used wasm.Rewritten, err error) {
	err = m.box.keepCode(ctx, full.Binary, hollow.Binary)
	if err == nil {
		err = m.begin(ctx, hollow, warm)
		if !errors.Is(err, errHollow) { // another module may hold it without its code
			return hollow, err
		}
	} else if !errors.Is(err, errNotKept) {
		return hollow, err
	}
	return full, m.begin(ctx, full, warm)
}

// errNotKept: what was compiled could not be put into the cache.
var errNotKept = errors.New("the cache of compiled modules takes nothing")

// keepCode puts the machine code of one module where that of another is looked for.
// Each is compiled into a folder of its own, where its file is the only one: how
// the runtime names it is the runtime's affair.
func (s *Sandbox) keepCode(ctx context.Context, with, hollow []byte) error {
	dir, err := os.MkdirTemp(s.metered.dir, beingCompiled)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotKept, err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	one, other := filepath.Join(dir, "with"), filepath.Join(dir, "hollow")
	code, err := s.compileInto(ctx, one, with)
	if err != nil {
		return err
	}
	name, err := s.compileInto(ctx, other, hollow)
	if err != nil {
		return err
	}
	to := filepath.Join(s.metered.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o700), os.Rename(filepath.Join(one, code), to)); err != nil {
		return fmt.Errorf("%w: %w", errNotKept, err)
	}
	return nil
}

// compileInto compiles a module into a cache of its own, and tells the name of its file
// there.
func (s *Sandbox) compileInto(ctx context.Context, dir string, binary []byte) (file string, err error) {
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNotKept, err)
	}
	defer func() { err = errors.Join(err, cache.Close(ctx)) }()
	r := wazero.NewRuntimeWithConfig(ctx, compiledConfig().WithCompilationCache(cache))
	defer func() { err = errors.Join(err, r.Close(ctx)) }()
	if _, err = s.compile(ctx, r, binary); err != nil {
		return "", err
	}
	found, _ := filepath.Glob(filepath.Join(dir, "*", "*")) // the pattern is right
	if len(found) != 1 {
		return "", errNotKept // it is interpreted
	}
	return filepath.Rel(dir, found[0])
}
