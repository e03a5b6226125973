package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/gatehouse-chat/gatehouse/internal/sandbox/image"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox/wasm"
)

// Module is a guest that can be called. Its methods may be called concurrently.
type Module struct {
	box     *Sandbox
	name    string
	abi     ABI
	lim     Limits
	runtime wazero.Runtime
	code    wazero.CompiledModule
	image   image.Image
	pages   uint32     // of the image
	state   []variable // of the image

	mu     sync.Mutex
	users  int
	closed bool
}

// variable is one of the guest's own, with its value in the snapshot.
type variable struct {
	export string
	value  uint64
}

// ErrClosed is returned by calls of a module that was closed.
var ErrClosed = errors.New("the module was closed")

// Result is what a call gave.
type Result struct {
	Out     Payload
	Effects []Effect // to be applied in this order, together or not at all
	Fuel    int64    // units burnt
	Elapsed time.Duration
}

// Call runs one operation in a new instance. It waits for a slot, and
// blocks until the guest is done or has failed: with a *Fault, with the
// *GuestError that it reported, or with ctx's error. Only without an error do
// effects count. host may be nil, which denies everything.
func (m *Module) Call(ctx context.Context, op Op, in Payload, host Host) (Result, error) {
	if !m.use() {
		return Result{}, ErrClosed
	}
	defer m.unuse(ctx)
	if err := m.box.enter(ctx); err != nil {
		return Result{}, err
	}
	began := time.Now()
	c := m.newCall(ctx, m.lim, host)
	defer c.free()
	inst, err := m.instantiate(c, m.image)
	if err != nil {
		return Result{}, err
	}
	defer m.dismiss(c, inst)
	c.reset(op, in)
	out, err := m.run(c, inst)
	r := Result{Out: out, Fuel: c.used(), Elapsed: time.Since(began)}
	if err == nil {
		r.Effects = c.effects.list
	}
	return r, err
}

// newCall begins a call; the caller has entered a slot.
func (m *Module) newCall(ctx context.Context, lim Limits, host Host) *call {
	return &call{
		Context: ctx, box: m.box, module: m.name, abi: m.abi, lim: lim, host: host,
		deadline: time.Now().Add(lim.Wall), fuel: lim.Fuel, slotted: true,
	}
}

// reset gives a call its operation. The template makes several with one instance.
func (c *call) reset(op Op, in Payload) {
	c.op, c.in, c.out, c.result = op, in.Encode(), nil, nil
	c.calls, c.requests, c.logged, c.effects = 0, 0, 0, effects{}
	if c.abi == Extism {
		c.extism.begin(c.in)
	}
}

// instantiate makes an instance that begins as the image.
func (m *Module) instantiate(c *call, im image.Image) (api.Module, error) {
	mem, err := im.Memory()
	if err != nil {
		return nil, err
	}
	c.memory = mem
	inst, err := m.runtime.InstantiateModule(experimental.WithMemoryAllocator(c, lender{mem}), m.code,
		wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		mem.Free()
		return nil, err
	}
	if have := inst.Memory().Size() / wasm.PageSize; have < m.pages {
		if _, ok := inst.Memory().Grow(m.pages - have); !ok {
			m.dismiss(c, inst)
			return nil, errors.New("no memory for an instance")
		}
	}
	for _, v := range m.state {
		if g, ok := inst.ExportedGlobal(v.export).(api.MutableGlobal); ok {
			g.Set(v.value)
		}
	}
	if err := c.attach(inst); err != nil {
		m.dismiss(c, inst)
		return nil, err
	}
	return inst, nil
}

// dismiss throws an instance away.
func (m *Module) dismiss(c *call, inst api.Module) {
	_ = inst.Close(context.WithoutCancel(c.Context)) // it has nothing to flush
	c.memory.Free()
}

// lender gives the runtime a memory that stays ours.
type lender struct{ image.Memory }

func (l lender) Allocate(_, _ uint64) experimental.LinearMemory { return l }

// Free leaves the memory to dismiss.
func (lender) Free() {}

// run calls the guest and reads what it answers.
func (m *Module) run(c *call, inst api.Module) (Payload, error) {
	stack := [2]uint64{uint64(c.op), uint64(len(c.in))}
	entry := entryExport
	if m.abi == Extism {
		entry = c.op.String()
	}
	f := inst.ExportedFunction(entry)
	if f == nil {
		return Payload{}, &GuestError{Code: "unsupported", Message: "the guest does not export " + entry}
	}
	err := f.CallWithStack(c, stack[:])
	c.flushLog()
	if err != nil {
		return Payload{}, c.fault(err)
	}
	if m.abi == Extism && uint32(stack[0]) != 0 { //nolint:gosec // the low half
		return Payload{}, &GuestError{Code: "extism", Message: strings.ToValidUTF8(string(c.extism.failed), "\uFFFD")}
	}
	code := int32(stack[0]) //nolint:gosec // the low half
	out, err := DecodePayload(c.out)
	if err != nil {
		return Payload{}, c.broke("its output is " + err.Error())
	}
	switch code {
	case 0:
		return out, nil
	case 1:
		e := &GuestError{Code: "unknown"}
		if out.Header != nil && json.Unmarshal(out.Header, e) != nil {
			return Payload{}, c.broke("its error has another form than {code, message, retryable, retry_after_ms}")
		}
		return Payload{}, e
	default:
		return Payload{}, c.broke("it returned neither 0 nor 1")
	}
}

func (c *call) broke(detail string) error {
	return &Fault{Module: c.module, Op: c.op, Kind: KindABI, Detail: detail}
}

func (m *Module) use() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.users++
	return true
}

func (m *Module) unuse(ctx context.Context) {
	m.mu.Lock()
	m.users--
	last := m.closed && m.users == 0
	m.mu.Unlock()
	if last {
		m.release(ctx)
	}
}

// Close lets no further call begin. What the module holds is given back when
// the last call that runs has ended; Close does not wait for it.
func (m *Module) Close(ctx context.Context) {
	m.mu.Lock()
	first := !m.closed
	m.closed = true
	last := first && m.users == 0
	m.mu.Unlock()
	if last {
		m.release(ctx)
	}
}

func (m *Module) release(ctx context.Context) {
	m.image.Close()
	_ = m.code.Close(context.WithoutCancel(ctx)) // it only forgets
}
