package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/gatehouse-chat/gatehouse/internal/sandbox/wasm"
)

// Options configure a sandbox.
type Options struct {
	// CacheDir keeps compiled modules. It is created with mode 0700, and
	// refused if others may enter it: it holds machine code that is run
	// without further checks. "": nothing is kept.
	CacheDir string
	// Slots is how many calls may run guest code at once; 0: one for each
	// core but one. A call that waits for its host holds none.
	Slots int
	// Waiting is how many bytes of memory instances may hold together while
	// they wait for their hosts; 0: 256 MiB. Beyond that a guest's request is
	// refused with Quota.
	Waiting int64
	// Places makes faults say where in the code of a module they happened. It
	// costs memory, so it is for a module's author.
	Places bool
}

// mostAside is how many bytes of memory instances may hold together while they
// wait for a slot.
const mostAside = 128 << 20

// Sandbox loads modules. Its methods may be called concurrently.
type Sandbox struct {
	compiled, interpreted wazero.Runtime
	cache                 wazero.CompilationCache // nil: none
	metered               meteredCache
	known                 map[wasm.Name]wasm.FuncType
	compiling             chan struct{} // holds one element while a module is compiled
	slots                 slots
	waiting               room // of instances that wait for their hosts
	aside                 room // of those that wait for a slot in the middle of a call
	places                bool
}

// New makes a sandbox. Close gives back what it holds.
func New(ctx context.Context, o Options) (*Sandbox, error) {
	s := &Sandbox{known: map[wasm.Name]wasm.FuncType{}, compiling: make(chan struct{}, 1), places: o.Places}
	if o.Slots <= 0 {
		o.Slots = defaultSlots()
	}
	s.slots.free = o.Slots
	s.aside.left = mostAside
	if s.waiting.left = o.Waiting; o.Waiting <= 0 {
		s.waiting.left = 256 << 20
	}
	compiled := compiledConfig()
	if o.CacheDir != "" {
		if err := secure(o.CacheDir); err != nil {
			return nil, err
		}
		var err error
		if s.cache, err = wazero.NewCompilationCacheWithDir(o.CacheDir); err != nil {
			return nil, fmt.Errorf("open the cache of compiled modules: %w", err)
		}
		compiled = compiled.WithCompilationCache(s.cache)
		s.metered = meteredCache{o.CacheDir, wasm.Version()}
		s.metered.tidy(time.Now())
	}
	s.compiled = wazero.NewRuntimeWithConfig(ctx, compiled.WithDebugInfoEnabled(s.places))
	s.interpreted = wazero.NewRuntimeWithConfig(ctx, restrict(wazero.NewRuntimeConfigInterpreter()).WithDebugInfoEnabled(s.places))
	for _, r := range []wazero.Runtime{s.compiled, s.interpreted} {
		if err := s.offer(ctx, r); err != nil {
			return nil, errors.Join(err, s.Close(ctx))
		}
	}
	return s, nil
}

// compiledConfig interprets where there is no compiler for the processor.
func compiledConfig() wazero.RuntimeConfig { return restrict(wazero.NewRuntimeConfig()) }

func restrict(c wazero.RuntimeConfig) wazero.RuntimeConfig {
	return c.WithCoreFeatures(api.CoreFeaturesV2).
		WithMemoryLimitPages(maxPages).
		WithDebugInfoEnabled(false).  // see Options.Places: the only one that there is comes from the rewriter
		WithCloseOnContextDone(false) // the meters do it, at a fraction of the price
}

// secure makes a folder that is the process's own.
func secure(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the cache of compiled modules: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("look at the cache of compiled modules: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return fmt.Errorf("the cache of compiled modules, %s, is open to others (mode %04o): chmod 700 it, or remove it", dir, mode)
	}
	return nil
}

// offer gives a runtime the host's functions.
func (s *Sandbox) offer(ctx context.Context, r wazero.Runtime) error {
	for name, funcs := range hostModules() {
		b := r.NewHostModuleBuilder(name)
		for _, f := range funcs {
			s.known[wasm.Name{Module: name, Field: f.name}] = wasm.FuncType{Params: f.params, Results: f.results}
			b.NewFunctionBuilder().WithGoModuleFunction(f.native(), f.params, f.results).Export(f.name)
		}
		if _, err := b.Instantiate(ctx); err != nil {
			return fmt.Errorf("offer the host's functions in %s: %w", name, err)
		}
	}
	return offerMeter(ctx, r)
}

// Close releases the compiled code. No call may be running, and no module of
// this sandbox can be used afterwards.
func (s *Sandbox) Close(ctx context.Context) error {
	var errs []error
	for _, r := range []wazero.Runtime{s.compiled, s.interpreted} {
		if r != nil {
			errs = append(errs, r.Close(ctx))
		}
	}
	if s.cache != nil {
		errs = append(errs, s.cache.Close(ctx))
	}
	return errors.Join(errs...)
}

// room is what waiting instances share.
type room struct {
	mu   sync.Mutex
	left int64
}

func (r *room) take(n int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n > r.left {
		return false
	}
	r.left -= n
	return true
}

func (r *room) giveBack(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left += n
}
