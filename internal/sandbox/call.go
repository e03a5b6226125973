package sandbox

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/gatehouse-chat/gatehouse/internal/sandbox/image"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox/wasm"
)

// Host answers what a guest asks for during one call. Its methods are called
// from one goroutine, that of the call.
type Host interface {
	// Do does what the guest asks, or returns a Refusal; any other error
	// is Unavailable to the guest, or Timeout once ctx has ended. It may
	// block; the call's slot is free meanwhile. ctx ends at the call's deadline.
	Do(ctx context.Context, op HostOp, in Payload) (Payload, error)
	// Log takes what the guest writes for its author: valid UTF-8, bounded
	// by Limits.Log, and untrusted. It must not block.
	Log(ctx context.Context, level slog.Level, text string)
}

// call is the state of one call, and the context that the guest runs under: the
// runtime hands it to the host's functions.
type call struct {
	context.Context // the caller's
	box             *Sandbox
	module          string
	args            []string
	abi             ABI
	op              Op
	lim             Limits
	host            Host // nil: everything is denied

	deadline time.Time
	fuel     int64 // beyond what the meter shows
	slotted  bool
	pausing  int64 // how much fuel is burnt when it gives others a turn
	meter    api.MutableGlobal
	depth    api.MutableGlobal
	deep     bool // calls were nested deeper than commonStack
	memory   image.Memory

	in, out, result []byte
	calls, requests int
	logged          int
	line            []byte     // of a standard stream, not ended yet
	lineLevel       slog.Level // of the stream that it came from
	effects         effects
	extism          arena
	origins         func([]uint32) []uint32 // see Module
}

type callKey struct{}

// Value makes the call known to the host's functions.
func (c *call) Value(key any) any {
	if _, ok := key.(callKey); ok {
		return c
	}
	return c.Context.Value(key)
}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// left is what the guest's meter shows; below zero it is overdrawn.
func (c *call) left() int64 { return int64(c.meter.Get()) } //nolint:gosec // it holds an i64

// charge takes fuel for work that the host does for the guest.
func (c *call) charge(n int) {
	c.meter.Set(uint64(c.left() - int64(n))) //nolint:gosec // it holds an i64
	if c.left() < 0 {
		c.refill()
	}
}

// refill hands the guest its next slice.
func (c *call) refill() {
	c.fuel += c.left()
	if c.fuel <= 0 {
		c.meter.Set(0)
		panic(stopf(KindFuel, "used up its %d units", c.lim.Fuel))
	}
	next := min(slice, c.fuel)
	c.fuel -= next
	c.meter.Set(uint64(next))
}

// used is the fuel that the guest has burnt.
func (c *call) used() int64 { return c.lim.Fuel - c.fuel - c.left() }

// spent is called by the guest when its slice is used up or its calls are too
// deep. The goroutine passes through Go code here, so that neither the garbage
// collector nor another goroutine waits for a guest longer than a slice takes.
func (c *call) spent() {
	if depth := int32(c.depth.Get()); depth > commonStack { //nolint:gosec // it holds an i32
		if c.deep {
			panic(stopf(KindDepth, "calls are nested deeper than %d KiB", maxStack>>10))
		}
		c.deep = true
		c.depth.Set(api.EncodeI32(depth - (maxStack - commonStack))) // frames are taken off it as they were added
	}
	c.refill()
	c.lookAtClock()
	c.stepAside()
}

// lookAtClock ends the guest when its time is over, or nobody waits for it.
func (c *call) lookAtClock() {
	if c.Err() != nil {
		panic(errGivenUp)
	}
	if !time.Now().Before(c.deadline) {
		panic(stopf(KindWall, "took longer than %s", c.lim.Wall))
	}
}

func offerMeter(ctx context.Context, r wazero.Runtime) error {
	b := r.NewHostModuleBuilder(wasm.Meter)
	b.NewFunctionBuilder().WithGoFunction(api.GoFunc(func(ctx context.Context, _ []uint64) {
		callOf(ctx).spent()
	}), nil, nil).Export(wasm.Spent)
	_, err := b.Instantiate(ctx)
	return err
}

// attach connects the call with its instance, and fills the meter.
func (c *call) attach(inst *instance) {
	c.meter, c.depth, c.memory = inst.meter, inst.depth, inst.memory
	c.meter.Set(0)
	c.refill()
}

// ask lets the host do something while the guest waits, without its slot.
func (c *call) ask(op HostOp, in Payload) (Payload, error) {
	if c.host == nil {
		return Payload{}, Denied
	}
	size := int64(c.memory.Size())
	if !c.box.waiting.take(size) {
		return Payload{}, Quota
	}
	defer c.box.waiting.giveBack(size)
	ctx, cancel := context.WithDeadline(c.Context, c.deadline)
	defer cancel()
	out, err := c.outside(ctx, op, in)
	if err == nil {
		return out, nil
	}
	var refusal Refusal
	switch {
	case c.Err() != nil:
		panic(errGivenUp)
	case errors.As(err, &refusal):
		return Payload{}, refusal
	case ctx.Err() != nil:
		return Payload{}, Timeout
	default:
		return Payload{}, Unavailable
	}
}

// outside calls the host without a slot, and returns with one. It lets other
// goroutines go first: those that waited for the slot, and the scheduler, which
// has seen nothing of this one while it was in the guest. Without that, a request
// that follows is handed from processor to processor, each of them woken up for it:
// of a short call's message that was more than the sandbox took.
func (c *call) outside(ctx context.Context, op HostOp, in Payload) (out Payload, err error) {
	c.free()
	runtime.Gosched()
	defer func() {
		if p := recover(); p != nil {
			err, _ = p.(runtime.Error)
			panic(stopf(KindHost, "the host panicked (%T): %v", p, err))
		}
		c.enterAgain(ctx)
	}()
	return c.host.Do(ctx, op, in)
}
