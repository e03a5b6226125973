package sandbox_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
	. "github.com/gatehouse-chat/gatehouse/internal/sandbox/wasmtest"
)

// TestSlotIsFreeWhileTheHostWorks: with one slot, a guest that waits for its
// host does not keep others from running.
func TestSlotIsFreeWhileTheHostWorks(t *testing.T) {
	s := newSandbox(t, sandbox.Options{Slots: 1})
	slow := load(t, s, asks(sandbox.HostHTTP, `{}`, ""), sandbox.Config{})
	fast := load(t, s, echo(), sandbox.Config{})
	h := &host{do: func(ctx context.Context, _ sandbox.HostOp, _ sandbox.Payload) (sandbox.Payload, error) {
		_, err := fast.Call(ctx, sandbox.OpSend, sandbox.Payload{}, nil)
		return sandbox.Payload{}, err
	}}
	if _, err := slow.Call(t.Context(), sandbox.OpPoll, sandbox.Payload{}, h); err != nil {
		t.Error(err)
	}
}

// TestSlotsBoundGuests: no more than the slots run guest code at once, and whoever gives up leaves.
func TestSlotsBoundGuests(t *testing.T) {
	s := newSandbox(t, sandbox.Options{Slots: 1})
	endless := newGuest(1)
	endless.Handle(nil, forever(), I32Const(0))
	m := load(t, s, endless.Bytes(), sandbox.Config{Limits: sandbox.Limits{Fuel: 1e10, Wall: time.Minute}})
	ctx, cancel := context.WithCancel(t.Context())
	var both errgroup.Group
	for range 2 {
		both.Go(func() error {
			_, err := m.Call(ctx, sandbox.OpSend, sandbox.Payload{}, nil)
			return err
		})
	}
	waiting, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	if _, err := m.Call(waiting, sandbox.OpSend, sandbox.Payload{}, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call without a slot: %v", err)
	}
	cancel()
	if err := both.Wait(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestLongCallsGiveWay: a call that would burn for minutes does not keep another
// from the only slot.
func TestLongCallsGiveWay(t *testing.T) {
	s := newSandbox(t, sandbox.Options{Slots: 1})
	g := newGuest(1)
	g.Handle(nil, I32Const(int32(sandbox.HostHTTP)), I32Const(0), I32Const(0), Call(g.call), Drop, forever(), I32Const(0))
	endless := load(t, s, g.Bytes(), sandbox.Config{Limits: sandbox.Limits{Fuel: 1e10, Wall: 10 * time.Minute}})
	brief := load(t, s, echo(), sandbox.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	runs, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := endless.Call(ctx, sandbox.OpSend, sandbox.Payload{}, &host{do: func(context.Context, sandbox.HostOp, sandbox.Payload) (sandbox.Payload, error) {
			close(runs)
			return sandbox.Payload{}, nil
		}})
		ended <- err
	}()
	<-runs
	for range 20 {
		if _, err := brief.Call(t.Context(), sandbox.OpSend, sandbox.Payload{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-ended:
		t.Errorf("the others had to wait until it ended: %v", err)
	default:
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestWaitingIsBounded: instances that wait for their host share a room.
func TestWaitingIsBounded(t *testing.T) {
	s := newSandbox(t, sandbox.Options{Waiting: 3 * 2 * 64 << 10}) // three guests of two pages
	m := load(t, s, asks(sandbox.HostHTTP, `{}`, ""), sandbox.Config{})
	depth := 0
	var h *host
	h = &host{do: func(ctx context.Context, _ sandbox.HostOp, _ sandbox.Payload) (sandbox.Payload, error) {
		depth++
		if _, err := m.Call(ctx, sandbox.OpPoll, sandbox.Payload{}, h); err != nil {
			var own *sandbox.GuestError
			if !errors.As(err, &own) {
				return sandbox.Payload{}, err
			}
		}
		return sandbox.Payload{}, nil
	}}
	if _, err := m.Call(t.Context(), sandbox.OpPoll, sandbox.Payload{}, h); err != nil {
		t.Fatal(err)
	}
	if depth != 3 {
		t.Errorf("%d instances waited at once, want 3", depth)
	}
	depth = 0 // and the room is free again
	if _, err := m.Call(t.Context(), sandbox.OpPoll, sandbox.Payload{}, h); err != nil || depth != 3 {
		t.Errorf("the second time: %v, %d", err, depth)
	}
}

func TestHostThatIsSlow(t *testing.T) {
	synctest.Test(t, hostThatIsSlow) // its time is over when the host waits, and not before
}

func hostThatIsSlow(t *testing.T) {
	s := newSandbox(t, sandbox.Options{})
	m := load(t, s, asks(sandbox.HostHTTP, `{}`, ""), sandbox.Config{Limits: sandbox.Limits{Wall: 30 * time.Millisecond}})
	h := &host{do: func(ctx context.Context, _ sandbox.HostOp, _ sandbox.Payload) (sandbox.Payload, error) {
		<-ctx.Done()
		return sandbox.Payload{}, ctx.Err()
	}}
	_, err := m.Call(t.Context(), sandbox.OpPoll, sandbox.Payload{}, h)
	var own *sandbox.GuestError // a timeout is a refusal, so that the guest can say what it waited for
	if !errors.As(err, &own) || own.Code != "refused" {
		t.Errorf("past the deadline: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	h.do = func(context.Context, sandbox.HostOp, sandbox.Payload) (sandbox.Payload, error) {
		cancel()
		return sandbox.Payload{}, context.Canceled
	}
	if _, err := m.Call(ctx, sandbox.OpPoll, sandbox.Payload{}, h); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits: %v", err)
	}
}

func TestHostThatPanics(t *testing.T) {
	s := newSandbox(t, sandbox.Options{Slots: 1})
	m := load(t, s, asks(sandbox.HostHTTP, `{}`, ""), sandbox.Config{})
	h := &host{do: func(context.Context, sandbox.HostOp, sandbox.Payload) (sandbox.Payload, error) { panic("oops") }}
	for range 3 { // the slot is not lost
		_, err := m.Call(t.Context(), sandbox.OpPoll, sandbox.Payload{}, h)
		var f *sandbox.Fault
		if !errors.As(err, &f) || f.Kind != sandbox.KindHost {
			t.Error(err)
		}
	}
}

// TestManyAtOnce: instances from one image, on several goroutines.
func TestManyAtOnce(t *testing.T) {
	s := newSandbox(t, sandbox.Options{})
	for name, module := range map[string][]byte{"copied": counter(1), "mapped": counter(16)} {
		t.Run(name, func(t *testing.T) {
			m := load(t, s, module, sandbox.Config{})
			var all errgroup.Group
			for range 8 {
				all.Go(func() error {
					for range 50 {
						r, err := m.Call(t.Context(), sandbox.OpSend, sandbox.Payload{}, nil)
						if err != nil {
							return err
						}
						if string(r.Out.Body) != "+++" {
							t.Errorf("%q: another instance shows", r.Out.Body)
						}
					}
					return nil
				})
			}
			if err := all.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}
