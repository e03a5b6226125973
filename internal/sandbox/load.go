package sandbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/gatehouse-chat/gatehouse/internal/sandbox/image"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox/wasm"
)

// Config says how a module is run.
type Config struct {
	Name        string   // in errors
	Args        []string // of the program; it reads them when it is initialised
	ABI         ABI
	Interpreted bool // slower by ten to fifty times, without machine code: for modules that nobody vouches for
	Limits      Limits
	// Warm are calls that are made before the snapshot, with a host that
	// denies everything: what they compute and cache, every later call finds.
	// Where one ends in a fault, the snapshot is made without any.
	Warm []Warm
}

// ABI is the interface between a guest and its host.
type ABI int

// The interfaces.
const (
	GW1    ABI = iota
	Extism     // functions of Extism's kits
)

// Warm is one call before the snapshot. What it answers does not matter.
type Warm struct {
	Op Op
	In Payload
}

// The functions that a guest exports.
const (
	initialize  = "_initialize" // by the convention of WASI
	initExport  = "gw1_init"
	entryExport = "gw1_handle"
)

// What the initialisation of a module may take, all calls before the snapshot
// included. Fuel bounds the work; how long that lasts is the machine's matter, and
// the interpreter needs half a minute for it where many others work.
const (
	loadWall   = 2 * time.Minute
	startsFuel = 20 // times the fuel of a call
)

// Load makes a module ready to be called. It runs the module's initialisation,
// once, and does not return before; a large module takes seconds to compile
// unless the cache has it, and the compiler cannot be interrupted. The error says in
// words what is wrong with the module; a *Fault is the failure of its code.
func (s *Sandbox) Load(ctx context.Context, binary []byte, cfg Config) (*Module, error) {
	m, err := s.load(ctx, binary, cfg)
	var f *Fault
	switch {
	case err == nil:
		return m, nil
	case errors.As(err, &f):
		return nil, err
	default:
		return nil, fmt.Errorf("guest %s: %w", cfg.Name, err)
	}
}

func (s *Sandbox) load(ctx context.Context, binary []byte, cfg Config) (*Module, error) {
	lim, err := cfg.Limits.complete()
	if err != nil {
		return nil, err
	}
	m := &Module{box: s, name: cfg.Name, args: cfg.Args, abi: cfg.ABI, lim: lim, runtime: s.compiled}
	if s.places {
		m.origins = s.origins(binary, lim)
	}
	if cfg.Interpreted {
		m.runtime = s.interpreted
	}
	most, o := lim.static(s.known), s.rewriting(lim)
	file := s.metered.file(binary, most, o, cfg)
	r, kept := s.metered.read(file)
	if !kept {
		if r, err = meter(binary, most, o, cfg.ABI); err != nil {
			return nil, err
		}
		if s.cache != nil && !cfg.Interpreted && !s.places { // places come with the code
			r = r.WithoutCode()
		}
	}
	err = m.begin(ctx, r, cfg.Warm)
	if errors.Is(err, errHollow) {
		kept = false
		var full wasm.Rewritten
		if full, err = meter(binary, most, o, cfg.ABI); err == nil {
			r, err = m.beginAnew(ctx, full, r, cfg.Warm)
		}
	}
	if err != nil {
		return nil, err
	}
	if !kept {
		s.metered.write(file, r)
	}
	return m, nil
}

// meter checks and rewrites a module.
func meter(binary []byte, most wasm.Limits, o wasm.Options, abi ABI) (wasm.Rewritten, error) {
	parsed, err := wasm.Parse(binary, most)
	if err != nil {
		return wasm.Rewritten{}, err
	}
	if err := checkExports(parsed, abi); err != nil {
		return wasm.Rewritten{}, err
	}
	return parsed.Rewrite(o), nil
}

// begin compiles a module, or finds its machine code in the cache, and runs its
// initialisation. errHollow: it has no code, and there was none in the cache.
func (m *Module) begin(ctx context.Context, r wasm.Rewritten, warm []Warm) (err error) {
	if m.code, err = m.box.compile(ctx, m.runtime, r.Binary); err != nil {
		return err
	}
	err = m.freeze(ctx, r, warm)
	if errors.Is(err, errWarm) {
		err = m.freeze(ctx, r, nil)
	}
	if err != nil {
		return errors.Join(err, m.code.Close(ctx))
	}
	return nil
}

func (s *Sandbox) rewriting(lim Limits) wasm.Options {
	return wasm.Options{MemoryPages: lim.MemoryPages, TableSize: maxTable, Stack: commonStack, Places: s.places}
}

// origins finds out where code that runs comes from in a module.
func (s *Sandbox) origins(binary []byte, lim Limits) func([]uint32) []uint32 {
	return func(offsets []uint32) []uint32 {
		m, err := wasm.Parse(binary, lim.static(s.known))
		if err != nil {
			return nil // it was loaded, so this cannot be
		}
		return m.Origins(s.rewriting(lim), offsets)
	}
}

// errWarm: a call before the snapshot was cut short. What it left behind, such as
// a runtime that believes that it is dying, must not be what every call finds.
var errWarm = errors.New("a call before the snapshot failed")

// checkExports holds what the host will call to its signatures.
func checkExports(m *wasm.Module, abi ABI) error {
	switch abi {
	case Extism:
		want := wasm.FuncType{Results: types("i")}
		for op, name := range opNames {
			if got, ok := m.ExportedFunc(name); ok && !got.Equal(want) {
				return fmt.Errorf("its %s is %s, want %s", op, got, want)
			}
		}
	default:
		want := wasm.FuncType{Params: types("ii"), Results: types("i")}
		got, ok := m.ExportedFunc(entryExport)
		if !ok {
			return fmt.Errorf("it does not export %s%s", entryExport, want)
		}
		if !got.Equal(want) {
			return fmt.Errorf("its %s is %s, want %s", entryExport, got, want)
		}
	}
	for _, name := range []string{initialize, initExport} {
		if got, ok := m.ExportedFunc(name); ok && !got.Equal(wasm.FuncType{}) {
			return fmt.Errorf("its %s is %s, want ()", name, got)
		}
	}
	return nil
}

// compile compiles one module at a time, on as many processors as guests may have,
// so that modules which are loaded together leave one to everything else. A fault
// of the compiler is an error: a module must not be able to end the process.
func (s *Sandbox) compile(ctx context.Context, r wazero.Runtime, binary []byte) (code wazero.CompiledModule, err error) {
	select {
	case s.compiling <- struct{}{}:
		defer func() { <-s.compiling }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the compiler failed: %v", p)
		}
	}()
	const most = 2
	return r.CompileModule(experimental.WithCompilationWorkers(ctx, min(most, defaultSlots())), binary)
}

// freeze runs the module's initialisation in an instance of its own and keeps
// what that left in memory and variables.
func (m *Module) freeze(ctx context.Context, r wasm.Rewritten, warm []Warm) error {
	lim := m.lim
	lim.Fuel, lim.Wall = min(maxFuel, startsFuel*lim.Fuel), loadWall
	if err := m.box.slots.enter(ctx, false); err != nil {
		return err
	}
	var said witness
	c := m.newCall(ctx, lim, &said)
	defer c.free()
	empty, err := image.New(nil, int(lim.MemoryPages)*wasm.PageSize)
	if err != nil {
		return err
	}
	defer empty.Close()
	inst, err := m.instantiate(c, empty, r.State)
	if err != nil {
		return err
	}
	defer inst.dismiss(ctx)
	c.attach(inst)
	if r.Hollow && !whole(c, inst) {
		return errHollow
	}
	for _, d := range r.Data {
		if !inst.Memory().Write(d.Offset, d.Bytes) {
			return errors.New("a data segment lies outside of the memory")
		}
	}
	for _, name := range []string{wasm.StartExport, initialize, initExport} {
		if f := inst.ExportedFunction(name); f != nil {
			_, err := f.Call(c)
			c.flushLog()
			if err != nil {
				return said.blame(c.fault(err))
			}
		}
	}
	for _, w := range warm {
		c.reset(w.Op, w.In)
		_, err := m.run(c, inst)
		var f *Fault
		switch {
		case ctx.Err() != nil:
			return err
		case errors.As(err, &f):
			return errWarm
		}
	}
	return m.snapshot(inst, r.State, lim)
}

// snapshot keeps what an instance remembers.
func (m *Module) snapshot(inst *instance, state []string, lim Limits) error {
	content, _ := inst.Memory().Read(0, inst.Memory().Size())
	m.pages = uint32(len(content) / wasm.PageSize) //nolint:gosec // at most 512
	m.state, m.values = state, nil
	for _, g := range inst.state {
		m.values = append(m.values, g.Get())
	}
	var err error
	m.image, err = image.New(content, int(lim.MemoryPages)*wasm.PageSize)
	return err
}
