package sandbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/gatehouse-chat/gatehouse/internal/sandbox/image"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox/wasm"
)

// keptIdle is how many instances a module keeps for the next calls.
const keptIdle = 8

// instance is a guest in memory. Its memory and its variables are all that it
// can remember (see wasm.Rewritten.State), so that an instance with both put
// back is as good as a new one. What an earlier call left on the runtime's stack
// no code can read: WebAssembly has no instruction for it.
type instance struct {
	api.Module
	memory image.Memory
	meter  api.MutableGlobal
	depth  api.MutableGlobal
	state  []api.MutableGlobal // as Module.state

	name  string       // of the function in entry
	entry api.Function // with the stack that its calls have needed; nil: none yet
}

// function is an exported function, nil if there is none. The last one is kept:
// making its stack, and letting that grow, costs more than a short call.
func (i *instance) function(name string) api.Function {
	if i.entry == nil || i.name != name {
		i.name, i.entry = name, i.ExportedFunction(name)
	}
	return i.entry
}

// take returns an instance that is as the image.
func (m *Module) take(c *call) (*instance, error) {
	m.mu.Lock()
	if n := len(m.idle); n > 0 {
		inst := m.idle[n-1]
		m.idle[n-1], m.idle = nil, m.idle[:n-1]
		m.mu.Unlock()
		return inst, nil
	}
	m.mu.Unlock()
	inst, err := m.instantiate(c, m.image, m.state)
	if err != nil {
		return nil, err
	}
	if have := inst.Memory().Size() / wasm.PageSize; have < m.pages {
		if _, ok := inst.Memory().Grow(m.pages - have); !ok {
			inst.dismiss(c.Context)
			return nil, errors.New("no memory for an instance")
		}
	}
	m.restore(inst)
	return inst, nil
}

// giveBack makes an instance ready for another call, or throws it away: if its
// call did not end well, or its memory has grown.
func (m *Module) giveBack(c *call, inst *instance, clean bool) {
	if clean && m.hasRoom() && inst.memory.Reset() {
		if c.deep {
			inst.entry = nil // with a stack that few calls need
		}
		m.restore(inst)
		m.mu.Lock()
		defer m.mu.Unlock()
		if len(m.idle) < keptIdle {
			m.idle = append(m.idle, inst)
			return
		}
	}
	inst.dismiss(c.Context)
}

// hasRoom tells whether there is room for one more instance.
func (m *Module) hasRoom() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.closed && len(m.idle) < keptIdle
}

// restore gives the guest's variables their values in the image.
func (m *Module) restore(inst *instance) {
	for i, g := range inst.state {
		g.Set(m.values[i])
	}
	inst.depth.Set(0)
}

// instantiate makes an instance whose memory begins as an image, and whose
// variables are as in the module.
func (m *Module) instantiate(c *call, im image.Image, state []string) (*instance, error) {
	mem, err := im.Memory()
	if err != nil {
		return nil, err
	}
	// Without a source the runtime seeds one of its own, which costs more than
	// all else here.
	cfg := wazero.NewModuleConfig().WithName("").WithStartFunctions().WithRandSource(rand.Reader)
	mod, err := m.runtime.InstantiateModule(experimental.WithMemoryAllocator(c, lender{mem}), m.code, cfg)
	if err != nil {
		mem.Free()
		return nil, err
	}
	inst := &instance{Module: mod, memory: mem}
	var errs [2]error
	inst.meter, errs[0] = variable(mod, wasm.FuelGlobal)
	inst.depth, errs[1] = variable(mod, wasm.DepthGlobal)
	err = errors.Join(errs[:]...)
	for _, name := range state {
		g, missing := variable(mod, name)
		inst.state, err = append(inst.state, g), errors.Join(err, missing)
	}
	if err != nil {
		inst.dismiss(c.Context)
		return nil, err
	}
	return inst, nil
}

func variable(mod api.Module, name string) (api.MutableGlobal, error) {
	g, ok := mod.ExportedGlobal(name).(api.MutableGlobal)
	if !ok {
		return nil, fmt.Errorf("the module has no variable %q", name)
	}
	return g, nil
}

// dismiss throws an instance away.
func (i *instance) dismiss(ctx context.Context) {
	_ = i.Close(context.WithoutCancel(ctx)) // it has nothing to flush
	i.memory.Free()
}

// lender gives the runtime a memory that stays ours.
type lender struct{ image.Memory }

func (l lender) Allocate(_, _ uint64) experimental.LinearMemory { return l }

// Free leaves the memory to dismiss.
func (lender) Free() {}
