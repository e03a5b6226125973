package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
	. "github.com/gatehouse-chat/gatehouse/internal/sandbox/wasmtest"
)

// outcome is what a guest did: what it put out, or how it trapped.
type outcome struct{ out, trap string }

// plainly runs a module on the runtime alone, without checks and meters.
func plainly(t *testing.T, cfg wazero.RuntimeConfig, module []byte) (o outcome) {
	t.Helper()
	ctx := t.Context()
	r := wazero.NewRuntimeWithConfig(ctx, cfg.WithCoreFeatures(api.CoreFeaturesV2))
	defer func() { _ = r.Close(context.WithoutCancel(ctx)) }()
	_, err := r.NewHostModuleBuilder("gw").NewFunctionBuilder().WithGoModuleFunction(
		api.GoModuleFunc(func(_ context.Context, m api.Module, s []uint64) {
			b, _ := m.Memory().Read(uint32(s[0]), uint32(s[1])) //nolint:gosec // the low half
			o.out = string(b)
		}), Types{I32, I32}, nil).Export("output").Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.Instantiate(ctx, module)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.ExportedFunction("gw1_handle").Call(ctx, uint64(sandbox.OpSend), 4); err != nil {
		return outcome{trap: trapOf(err)}
	}
	return o
}

func trapOf(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return strings.TrimPrefix(line, "wasm error: ")
}

func guarded(t *testing.T, s *sandbox.Sandbox, cfg sandbox.Config, module []byte) outcome {
	t.Helper()
	m, err := s.Load(t.Context(), module, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(t.Context())
	first := called(t, m)
	for n := range 3 { // in instances that were used before, where the calls ended well
		if again := called(t, m); again != first {
			t.Errorf("call %d ended with trap %q and %d bytes, the first with trap %q and %d bytes: something was left behind",
				n+2, again.trap, len(again.out), first.trap, len(first.out))
		}
	}
	return first
}

func called(t *testing.T, m *sandbox.Module) outcome {
	t.Helper()
	r, err := m.Call(t.Context(), sandbox.OpSend, sandbox.Payload{}, nil)
	var f *sandbox.Fault
	switch {
	case errors.As(err, &f) && f.Kind == sandbox.KindTrap:
		return outcome{trap: f.Detail}
	case err != nil:
		t.Fatal(err)
	}
	return outcome{out: string(r.Out.Encode())}
}

// TestEnginesAgree runs random modules on the compiler and the interpreter, each
// as they are and with meters from a snapshot. All four must do the same, and the
// metered ones again and again.
func TestEnginesAgree(t *testing.T) {
	s := newSandbox(t, sandbox.Options{})
	traps := 0
	const modules = 150
	for seed := range uint64(modules) {
		module := Random(rand.New(rand.NewPCG(seed, 2))).Bytes() //nolint:gosec // a repeatable sequence
		want := plainly(t, wazero.NewRuntimeConfigInterpreter(), module)
		for name, got := range map[string]outcome{
			"compiler":            plainly(t, wazero.NewRuntimeConfig(), module),
			"metered compiler":    guarded(t, s, sandbox.Config{}, module),
			"metered interpreter": guarded(t, s, sandbox.Config{Interpreted: true}, module),
		} {
			if got != want {
				t.Errorf("seed %d, %s: trap %q and %d bytes, the interpreter has trap %q and %d bytes, equal: %t",
					seed, name, got.trap, len(got.out), want.trap, len(want.out), got.out == want.out)
			}
		}
		if want.trap != "" {
			traps++
		}
	}
	if traps == 0 || traps > modules*3/4 {
		t.Errorf("%d of %d modules trapped: too one-sided to show much", traps, modules)
	}
}

// FuzzABI lets a guest hand arbitrary bytes to every function of the host: the
// result is an answer, a refusal or a fault, and the host stays whole.
func FuzzABI(f *testing.F) {
	f.Add(uint32(sandbox.HostKVPut), uint32(0), uint32(20), frame(`{"key":"k"}`, "v"))
	f.Add(uint32(sandbox.HostLog), uint32(0), uint32(99), frame(`{"level":"ERROR"}`, "text\n"))
	f.Add(uint32(sandbox.HostRandom), uint32(0), uint32(19), frame(`{"bytes":-1}`, ""))
	f.Add(uint32(1<<31), uint32(1<<32-1), uint32(1<<32-1), []byte{1})
	s := newSandbox(f, sandbox.Options{})
	g := newGuest(2)
	wasi := g.Import("wasi_snapshot_preview1", "fd_write", Types{I32, I32, I32, I32}, Types{I32})
	poll := g.Import("wasi_snapshot_preview1", "poll_oneoff", Types{I32, I32, I32, I32}, Types{I32})
	random := g.Import("wasi_snapshot_preview1", "random_get", Types{I32, I32}, Types{I32})
	clock := g.Import("wasi_snapshot_preview1", "clock_time_get", Types{I32, I64, I32}, Types{I32})
	word := func(i int32) []byte { return append(I32Const(1000+4*i), Load()...) }
	// The input is the framed payload; its body begins with op, ptr and len.
	g.Handle(nil, I32Const(996), LocalGet(1), Call(g.input), Drop,
		word(0), word(1), word(2), Call(g.call), Drop,
		word(1), word(2), Call(g.result), Drop,
		I32Const(1), word(1), word(2), word(1), Call(wasi), Drop,
		word(1), word(1), word(2), word(2), Call(poll), Drop,
		word(0), I64Const(0), word(1), Call(clock), Drop,
		word(1), word(2), Call(random), Drop,
		word(1), word(2), Call(g.output), word(0))
	m := load(f, s, g.Bytes(), sandbox.Config{Limits: sandbox.Limits{Fuel: 1e7}})
	h := &host{do: func(_ context.Context, _ sandbox.HostOp, in sandbox.Payload) (sandbox.Payload, error) { return in, nil }}
	f.Fuzz(func(t *testing.T, op, ptr, n uint32, text []byte) {
		body := bytes.Join([][]byte{le(op), le(ptr), le(n), text}, nil)
		h.logs = nil
		_, err := m.Call(t.Context(), sandbox.OpSend, sandbox.Payload{Body: body[:min(len(body), 60_000)]}, h)
		var fault *sandbox.Fault
		var own *sandbox.GuestError
		if err != nil && !errors.As(err, &fault) && !errors.As(err, &own) {
			t.Errorf("neither a fault nor the guest's error: %v", err)
		}
		if fault != nil && fault.Kind == sandbox.KindHost {
			t.Error(err)
		}
	})
}

func le(v uint32) []byte { return []byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)} }

// FuzzPayload: what was decoded encodes to what it was.
func FuzzPayload(f *testing.F) {
	f.Add(frame(`{"a":1}`, "body"))
	f.Add([]byte{255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := sandbox.DecodePayload(b)
		if err == nil && len(b) > 0 && !bytes.Equal(p.Encode(), b) {
			t.Errorf("%x became %x", b, p.Encode())
		}
	})
}
