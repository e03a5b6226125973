package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
	. "github.com/gatehouse-chat/gatehouse/internal/sandbox/wasmtest"
)

// forever loops around code.
func forever(code ...[]byte) []byte {
	return bytes.Join([][]byte{Loop(), bytes.Join(code, nil), Br(0), End()}, nil)
}

// tree makes functions that call the next one twice: 2^levels calls, no loop.
func tree(g guest, levels int) uint32 {
	leaf := g.Func(nil, nil, nil)
	for range levels {
		leaf = g.Func(nil, nil, nil, Call(leaf), Call(leaf))
	}
	return leaf
}

// hostile are guests that pass the checks and misbehave when they run.
func hostile() map[string]struct {
	module []byte
	kind   sandbox.Kind
	detail string
} {
	handle := func(pages uint32, code func(g guest) []byte) []byte {
		g := newGuest(pages)
		body := code(g)
		g.Handle(Types{I32}, body, I32Const(0))
		return g.Bytes()
	}
	recursive := func(g guest) []byte {
		self := g.Next()
		g.Func(nil, nil, nil, Call(self))
		return Call(self)
	}
	recursiveByTable := func(g guest) []byte {
		g.Tables = []Table{{Min: 1}}
		sig := g.Type(nil, nil)
		self := g.Func(nil, nil, nil, I32Const(0), CallIndirect(sig))
		g.Elem(self)
		return Call(self)
	}
	log := func(g guest) []byte {
		text := g.text(0, frame("", strings.Repeat("x", 4000)))
		return forever(I32Const(int32(sandbox.HostLog)), text, Call(g.call), Drop)
	}
	flood := func(op sandbox.HostOp) func(g guest) []byte {
		return func(g guest) []byte {
			return forever(I32Const(int32(op)), g.text(0, frame(`{}`, "")), Call(g.call), Drop)
		}
	}
	return map[string]struct {
		module []byte
		kind   sandbox.Kind
		detail string
	}{
		"an endless loop": {handle(1, func(guest) []byte { return forever() }), sandbox.KindFuel, "used up its"},
		"a tree of calls": {handle(1, func(g guest) []byte { return Call(tree(g, 60)) }), sandbox.KindFuel, "used up its"},
		"endless fills":   {handle(512, func(guest) []byte { return forever(I32Const(0), I32Const(1), I32Const(32<<20), MemoryFill) }), sandbox.KindFuel, "used up its"},
		"fills without a loop": {handle(512, func(guest) []byte {
			return bytes.Repeat(bytes.Join([][]byte{I32Const(0), I32Const(1), I32Const(32 << 20), MemoryFill}, nil), 600)
		}), sandbox.KindFuel, "used up its"},
		"deep recursion":           {handle(1, recursive), sandbox.KindDepth, "nested deeper than 1024 KiB"},
		"deep recursion by table":  {handle(1, recursiveByTable), sandbox.KindDepth, "nested deeper than 1024 KiB"},
		"a flood of host calls":    {handle(1, flood(sandbox.HostHTTP)), sandbox.KindCalls, "more than 64 times"},
		"a flood of emits":         {handle(1, flood(sandbox.HostEmit)), sandbox.KindFuel, "used up its"},
		"a flood of unknown calls": {handle(1, flood(77)), sandbox.KindCalls, "more than 64 times"},
		"a flood of logs":          {handle(1, log), sandbox.KindLog, "more than 65536 bytes"},
		"32 MB of output": {handle(512, func(g guest) []byte {
			return bytes.Join([][]byte{I32Const(0), I32Const(32 << 20), Call(g.output)}, nil)
		}), sandbox.KindOutput, "33554432 bytes, at most 1048576"},
		"endless output":      {handle(16, func(g guest) []byte { return forever(I32Const(0), I32Const(1<<20), Call(g.output)) }), sandbox.KindFuel, "used up its"},
		"output from nowhere": {handle(1, func(g guest) []byte { return bytes.Join([][]byte{I32Const(-1), I32Const(16), Call(g.output)}, nil) }), sandbox.KindRange, "16 bytes at 4294967295"},
		"input to nowhere": {handle(1, func(g guest) []byte {
			return bytes.Join([][]byte{I32Const(65_534), I32Const(100), Call(g.input), Drop}, nil)
		}), sandbox.KindRange, "its memory has 65536"},
		"a request from nowhere": {handle(1, func(g guest) []byte {
			return bytes.Join([][]byte{I32Const(1), I32Const(65_530), I32Const(100), Call(g.call), Drop}, nil)
		}), sandbox.KindRange, "its memory has 65536"},
		"a frame that is too long": {handle(1, func(g guest) []byte {
			return bytes.Join([][]byte{g.text(0, []byte{200, 0, 0, 0, '{', '}'}), Call(g.output)}, nil)
		}), sandbox.KindABI, "longer than itself"},
		"a header that is no UTF-8": {handle(1, func(g guest) []byte {
			return bytes.Join([][]byte{g.text(0, frame("\"\xff\"", "")), Call(g.output)}, nil)
		}), sandbox.KindABI, "not JSON in UTF-8"},
		"an unknown result":    {handle(1, func(guest) []byte { return bytes.Join([][]byte{I32Const(7), Op(0x0f)}, nil) }), sandbox.KindABI, "neither 0 nor 1"},
		"a trap":               {handle(1, func(guest) []byte { return Unreachable }), sandbox.KindTrap, "unreachable"},
		"a division by zero":   {handle(1, func(guest) []byte { return bytes.Join([][]byte{I32Const(1), I32Const(0), Op(0x6d), Drop}, nil) }), sandbox.KindTrap, "integer divide by zero"},
		"memory out of bounds": {handle(1, func(guest) []byte { return bytes.Join([][]byte{I32Const(-4), Load(), Drop}, nil) }), sandbox.KindTrap, "out of bounds memory access"},
	}
}

func TestHostileGuests(t *testing.T) {
	s := newSandbox(t, sandbox.Options{})
	for name, guest := range hostile() {
		t.Run(name, func(t *testing.T) {
			engines(t, func(t *testing.T, cfg sandbox.Config) {
				cfg.Limits = sandbox.Limits{Fuel: 2e7, Wall: time.Minute}
				if cfg.Interpreted {
					cfg.Limits.Fuel = 1e6
				}
				m := load(t, s, guest.module, cfg)
				for range 2 { // the module can be called again
					_, err := m.Call(t.Context(), sandbox.OpSend, sandbox.Payload{}, nil)
					var f *sandbox.Fault
					if !errors.As(err, &f) {
						t.Fatalf("got %v, want a fault", err)
					}
					if cfg.Interpreted && f.Kind == sandbox.KindDepth {
						continue // the interpreter's own limit is lower
					}
					if f.Kind != guest.kind || !strings.Contains(f.Detail, guest.detail) || f.Module != "test" {
						t.Fatalf("got %v, want %s: %s", err, guest.kind, guest.detail)
					}
				}
			})
		})
	}
}

// TestMemoryBomb: a guest grows to its limit and no further, and may go on.
func TestMemoryBomb(t *testing.T) {
	s := newSandbox(t, sandbox.Options{})
	g := newGuest(1)
	g.Handle(nil, Block(), Loop(), I32Const(16), MemoryGrow, I32Const(-1), I32Eq, BrIf(1), Br(0), End(), End(),
		I32Const(4), Op(0x3f, 0), Store(), I32Const(0), I32Const(8), Call(g.output), I32Const(0))
	for name, pages := range map[string]uint32{"the default": 0, "a limit of its own": 33} {
		t.Run(name, func(t *testing.T) {
			engines(t, func(t *testing.T, cfg sandbox.Config) {
				cfg.Limits.MemoryPages = pages
				r, err := load(t, s, g.Bytes(), cfg).Call(t.Context(), sandbox.OpSend, sandbox.Payload{}, nil)
				if err != nil {
					t.Fatal(err)
				}
				most := uint32(512)
				if pages > 0 {
					most = pages
				}
				if got := uint32(r.Out.Body[0]) | uint32(r.Out.Body[1])<<8; got > most || got < most-16 {
					t.Errorf("grew to %d pages of %d", got, most)
				}
			})
		})
	}
}

// TestSleep: a guest that wants to wait is told that its time has come.
func TestSleep(t *testing.T) {
	s := newSandbox(t, sandbox.Options{})
	m := New(1)
	poll := m.Import("wasi_snapshot_preview1", "poll_oneoff", Types{I32, I32, I32, I32}, Types{I32})
	forAnHour := make([]byte, 48)
	copy(forAnHour[24:], []byte{0, 0xa0, 0xb8, 0x30, 0x46, 0x03, 0, 0})
	m.Data(0, forAnHour)
	m.Handle(nil, I32Const(0), I32Const(100), I32Const(1), I32Const(200), Call(poll))
	r, err := load(t, s, m.Bytes(), sandbox.Config{}).Call(t.Context(), sandbox.OpSend, sandbox.Payload{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Elapsed > 10*time.Second {
		t.Errorf("it slept for %s", r.Elapsed)
	}
}

func TestLoadRefuses(t *testing.T) {
	trapAtStart := New(1)
	trapAtStart.Start = int(trapAtStart.Func(nil, nil, nil, Unreachable)) + 1
	trapAtStart.Handle(nil, I32Const(0))
	loopAtStart := New(1)
	loopAtStart.Export("_initialize", 0, loopAtStart.Func(nil, nil, nil, I32Const(0), Loop(), Br(0), End(), Drop))
	loopAtStart.Handle(nil, I32Const(0))
	badEntry := New(1)
	badEntry.Export("gw1_handle", 0, badEntry.Func(nil, Types{I64}, nil, I64Const(0)))
	badType := New(1)
	badType.Handle(nil, I64Const(0))
	badInit := New(1)
	badInit.Handle(nil, I32Const(0))
	badInit.Export("gw1_init", 0, 0)
	outside := New(1)
	outside.Tables = []Table{{Min: 1}}
	fn := outside.Handle(nil, I32Const(0))
	outside.Elem(fn, fn)
	tests := []struct {
		name   string
		module []byte
		limits sandbox.Limits
		want   string
	}{
		{"no module", []byte("hello"), sandbox.Limits{}, "guest evil: not a WebAssembly core module"},
		{"no entry", New(1).Bytes(), sandbox.Limits{}, "does not export gw1_handle(i32, i32) -> i32"},
		{"another entry", badEntry.Bytes(), sandbox.Limits{}, "its gw1_handle is () -> i64, want (i32, i32) -> i32"},
		{"another init", badInit.Bytes(), sandbox.Limits{}, "its gw1_init is (i32, i32) -> i32, want ()"},
		{"code of a wrong type", badType.Bytes(), sandbox.Limits{}, "invalid function"},
		{"more memory than allowed", New(40).Bytes(), sandbox.Limits{MemoryPages: 39}, "a memory of 40 pages of 64 KiB, at most 39"},
		{"elements outside of the table", outside.Bytes(), sandbox.Limits{}, "element segment 0: it ends at 2, its table at 1"},
		{"a trap at the start", trapAtStart.Bytes(), sandbox.Limits{}, "guest evil: trap: unreachable"},
		{"too much fuel asked for", echo(), sandbox.Limits{Fuel: 1e11}, "fuel of 100000000000, at most 10000000000"},
	}
	s := newSandbox(t, sandbox.Options{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := s.Load(t.Context(), test.module, sandbox.Config{Name: "evil", Limits: test.limits})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Load: %v, want %q", err, test.want)
			}
		})
	}
	t.Run("a loop at the start, until nobody waits", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := s.Load(ctx, loopAtStart.Bytes(), sandbox.Config{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Load: %v", err)
		}
	})
}

// TestNobodyWaits: a guest ends when its caller gives up, and when its time is over.
func TestNobodyWaits(t *testing.T) {
	s := newSandbox(t, sandbox.Options{})
	g := newGuest(1)
	g.Handle(nil, forever(), I32Const(0))
	limits := sandbox.Limits{Fuel: 1e10, Wall: 50 * time.Millisecond}
	engines(t, func(t *testing.T, cfg sandbox.Config) {
		cfg.Limits = limits
		m := load(t, s, g.Bytes(), cfg)
		_, err := m.Call(t.Context(), sandbox.OpSend, sandbox.Payload{}, nil)
		var f *sandbox.Fault
		if !errors.As(err, &f) || f.Kind != sandbox.KindWall {
			t.Errorf("its time is over: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := m.Call(ctx, sandbox.OpSend, sandbox.Payload{}, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nobody waits: %v", err)
		}
	})
}

// TestCollectorDoesNotWait: while a guest computes, the garbage collector, which
// stops everything, gets its turn. Without slices it would wait for the guest's end.
func TestCollectorDoesNotWait(t *testing.T) {
	s := newSandbox(t, sandbox.Options{})
	g := newGuest(1)
	g.Handle(nil, forever(), I32Const(0))
	m := load(t, s, g.Bytes(), sandbox.Config{Limits: sandbox.Limits{Fuel: 1e10, Wall: time.Minute}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := m.Call(ctx, sandbox.OpSend, sandbox.Payload{}, nil)
		done <- err
	}()
	for range 5 {
		runtime.GC()
	}
	select {
	case err := <-done:
		t.Errorf("the guest ended by itself (%v): nothing was shown", err)
	default:
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) && ctx.Err() == nil {
		t.Error(err)
	}
}

// TestTrace: a fault names the functions as their author wrote them, without the
// machinery of a panic.
func TestTrace(t *testing.T) {
	const (
		v0     = "_RNvCskwGfYPst2Cb_3foo16example_function"
		legacy = "_ZN4core9panicking5panic17h0123456789abcdefE"
	)
	tests := []struct{ name, inner, outer, want string }{
		{"C", "json::parse", "decode", "json::parse < decode < handle"},
		{"Rust", legacy, v0, "foo::example_function < handle"},
		{"Rust, of a type that is built in", "<usize as core::slice::index::SliceIndex<[T]>>::index", v0, "foo::example_function < handle"},
		{"Go", "runtime.gopanic", "main.send", "main.send < handle"},
		{"none of its own", "abort", "runtime.abort", "handle"},
		{"no name of Rust's", "_Rubbish", "_ZN17h", "_Rubbish < _ZN17h < handle"},
	}
	s := newSandbox(t, sandbox.Options{})
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			m := New(1)
			inner := m.Func(nil, nil, nil, Unreachable)
			outer := m.Func(nil, nil, nil, Call(inner))
			handle := m.Handle(nil, Call(outer), I32Const(0))
			m.Tail = Names(map[uint32]string{inner: x.inner, outer: x.outer, handle: "handle"})
			engines(t, func(t *testing.T, cfg sandbox.Config) {
				_, err := load(t, s, m.Bytes(), cfg).Call(t.Context(), sandbox.OpSend, sandbox.Payload{}, nil)
				want := "guest test: send: trap: unreachable (in " + x.want + ")"
				if err == nil || err.Error() != want {
					t.Errorf("got  %v\nwant %s", err, want)
				}
			})
		})
	}
}

// readableNames are what Rust's compiler calls functions, with what their authors do.
func readableNames() map[string]string {
	return map[string]string{
		"main.send": "main.send",
		"_RNvCskwGfYPst2Cb_3foo16example_function":                                   "foo::example_function",
		"_RNvCsfLfy6EI15iL_7___rustc12___rust_abort":                                 "__rustc::__rust_abort",
		"_RNvNtCsebHcaeoSrxy_3std9panicking15panic_with_hook":                        "std::panicking::panic_with_hook",
		"_RNCNvNtCsebHcaeoSrxy_3std9panicking13panic_handler0B5_":                    "std::panicking::panic_handler::{closure}",
		"_RNvMs_NtCs1234_7mycrate4chatNtB4_4Room4send":                               "<mycrate::chat::Room>::send",
		"_RNvXs_Cs1234_4chatNtB4_4RoomNtNtCsgXGp5Oqx2Ny_4core3fmt7Display3fmt":       "<chat::Room as core::fmt::Display>::fmt",
		"_RINvNtCsgXGp5Oqx2Ny_4core3ptr13drop_in_placeNtNtCs1_5alloc6string6StringE": "core::ptr::drop_in_place",
		"_RNCINvCs1234_4chat4eachjKj5_E0B2_":                                         "chat::each::{closure}",
		"_ZN4core9panicking5panic17h0123456789abcdefE":                               "core::panicking::panic",
		"_ZN4chat4send17h0123456789abcdefE.llvm.123":                                 "chat::send",
		"_ZN4chat4main28_$u7b$$u7b$closure$u7d$$u7d$17h0123456789abcdefE":            "chat::main::{closure}",
		"_ZN3foo3barEv": "_ZN3foo3barEv", // C++
		"_RNvC":         "_RNvC", "_RB_": "_RB_", "_RYB_B_": "_RYB_B_", "_RNvC9999999999999999999a": "_RNvC9999999999999999999a",
	}
}

func TestReadable(t *testing.T) {
	for name, want := range readableNames() {
		if got := sandbox.Readable(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

// FuzzReadable: whatever a module calls its functions, its fault is told, in few bytes.
func FuzzReadable(f *testing.F) {
	for name := range readableNames() {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		const most = 120
		if got := sandbox.Readable(name); len(got) > most {
			t.Errorf("%d bytes for a name of %d", len(got), len(name))
		}
	})
}
