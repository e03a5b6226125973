package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/gatehouse-chat/gatehouse/internal/sandbox/image"
)

// Module is a guest that can be called. Its methods may be called concurrently.
type Module struct {
	box     *Sandbox
	name    string
	args    []string
	abi     ABI
	lim     Limits
	runtime wazero.Runtime
	code    wazero.CompiledModule
	image   image.Image
	pages   uint32                  // of the image
	state   []string                // exports of the guest's own variables
	values  []uint64                // of these, in the image
	origins func([]uint32) []uint32 // where code comes from; nil: that is not asked for

	mu     sync.Mutex
	users  int
	closed bool
	idle   []*instance // as the image is, for the next calls
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

// Call runs one operation in an instance that is as the snapshot. It waits for a slot, and
// blocks until the guest is done or has failed: with a *Fault, with the
// *GuestError that it reported, or with ctx's error. Only without an error do
// effects count. host may be nil, which denies everything.
func (m *Module) Call(ctx context.Context, op Op, in Payload, host Host) (Result, error) {
	if !m.use() {
		return Result{}, ErrClosed
	}
	defer m.unuse(ctx)
	if err := m.box.slots.enter(ctx, false); err != nil {
		return Result{}, err
	}
	began := time.Now()
	c := m.newCall(ctx, m.lim, host)
	defer c.free()
	inst, err := m.take(c)
	if err != nil {
		return Result{}, err
	}
	clean := false
	defer func() { m.giveBack(c, inst, clean) }()
	c.attach(inst)
	c.reset(op, in)
	out, err := m.run(c, inst)
	r := Result{Out: out, Fuel: c.used(), Elapsed: time.Since(began)}
	if err == nil {
		r.Effects = c.effects.list
	}
	var said *GuestError
	clean = err == nil || errors.As(err, &said)
	return r, err
}

// newCall begins a call; the caller has entered a slot.
func (m *Module) newCall(ctx context.Context, lim Limits, host Host) *call {
	return &call{
		Context: ctx, box: m.box, module: m.name, args: m.args, abi: m.abi, lim: lim, host: host,
		deadline: time.Now().Add(lim.Wall), fuel: lim.Fuel, pausing: brief, slotted: true, origins: m.origins,
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

// run calls the guest and reads what it answers.
func (m *Module) run(c *call, inst *instance) (Payload, error) {
	stack := [2]uint64{uint64(c.op), uint64(len(c.in))}
	entry := entryExport
	if m.abi == Extism {
		entry = c.op.String()
	}
	f := inst.function(entry)
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
	for _, inst := range m.idle {
		inst.dismiss(ctx)
	}
	m.idle = nil
	m.image.Close()
	_ = m.code.Close(context.WithoutCancel(ctx)) // it only forgets
}
