package sandbox_test

import (
	"context"
	"os"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/gatehouse-chat/gatehouse/internal/cputest"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
	. "github.com/gatehouse-chat/gatehouse/internal/sandbox/wasmtest"
)

// update is the size of what a platform sends.
func update() sandbox.Payload { return sandbox.Payload{Body: make([]byte, 1171)} }

// BenchmarkCall is what the sandbox itself costs a message: a guest that only
// hands its input back, from a snapshot that is copied and one that is mapped.
func BenchmarkCall(b *testing.B) {
	big := newGuest(64)
	big.Handle(nil, I32Const(1024), LocalGet(1), Call(big.input), Drop, I32Const(1024), LocalGet(1), Call(big.output), I32Const(0))
	for _, bench := range []struct {
		name   string
		module []byte
		cfg    sandbox.Config
	}{
		{"copied_128KiB", echo(), sandbox.Config{}},
		{"mapped_4MiB", big.Bytes(), sandbox.Config{}},
		{"interpreted", echo(), sandbox.Config{Interpreted: true}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			m := load(b, newSandbox(b, sandbox.Options{}), bench.module, bench.cfg)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Call(b.Context(), sandbox.OpSend, update(), nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkInstance is what it takes that a call finds an instance as the snapshot:
// to take the one that is there and to put back what the call wrote, eight pages of
// its memory; or to make a new one, as the first call and the one after a fault do. The
// memory is of 128 KiB, as that of a guest in C; SANDBOX_GUEST names another.
func BenchmarkInstance(b *testing.B) {
	const written = 8
	for name, again := range map[string]bool{"put_back": true, "anew": false} {
		b.Run(name, func(b *testing.B) {
			m := load(b, newSandbox(b, sandbox.Options{}), named(b), sandbox.Config{})
			cputest.Loop(b, func() {
				if err := m.Instance(b.Context(), written, again); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// named is the module that SANDBOX_GUEST names, a file, or a small one.
func named(b *testing.B) []byte {
	b.Helper()
	file := os.Getenv("SANDBOX_GUEST")
	if file == "" {
		return echo()
	}
	module, err := os.ReadFile(file) //nolint:gosec // whoever runs the benchmark names it
	if err != nil {
		b.Fatal(err)
	}
	return module
}

// BenchmarkHostCall is what one request to the host adds.
func BenchmarkHostCall(b *testing.B) {
	m := load(b, newSandbox(b, sandbox.Options{}), asks(sandbox.HostHTTP, `{"url":"https://example.org"}`, "body"), sandbox.Config{})
	h := &host{do: func(_ context.Context, _ sandbox.HostOp, in sandbox.Payload) (sandbox.Payload, error) { return in, nil }}
	for b.Loop() {
		if _, err := m.Call(b.Context(), sandbox.OpSend, sandbox.Payload{}, h); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoop is what the meters cost at worst: ten million rounds of a short
// loop, with meters and on the runtime alone.
func BenchmarkLoop(b *testing.B) {
	module := rounds(10_000_000)
	b.Run("metered", func(b *testing.B) {
		m := load(b, newSandbox(b, sandbox.Options{}), module, sandbox.Config{})
		for b.Loop() {
			if _, err := m.Call(b.Context(), sandbox.OpSend, sandbox.Payload{}, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("alone", func(b *testing.B) {
		ctx := b.Context()
		r := wazero.NewRuntime(ctx)
		defer func() { _ = r.Close(ctx) }()
		m, err := r.Instantiate(ctx, module)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := m.ExportedFunction("gw1_handle").Call(ctx, 0, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// rounds makes a guest that counts.
func rounds(n int64) []byte {
	m := New(1)
	m.Handle(Types{I64, I64}, I64Const(n), LocalSet(2),
		Loop(), LocalGet(3), LocalGet(2), Op(0x85), I64Const(31), Op(0x7e), LocalSet(3),
		LocalGet(2), I64Const(1), I64Sub, LocalTee(2), I64Const(0), I64Ne, BrIf(0), End(), I32Const(0))
	return m.Bytes()
}

// BenchmarkLoad loads the module that SANDBOX_GUEST names, a file, with and
// without a compiled one in the cache; without the variable it loads a small one.
func BenchmarkLoad(b *testing.B) {
	module := named(b)
	dir := b.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a folder
		b.Fatal(err)
	}
	for name, o := range map[string]sandbox.Options{"compiled_anew": {}, "from_the_cache": {CacheDir: dir}} {
		b.Run(name, func(b *testing.B) {
			load(b, newSandbox(b, o), module, sandbox.Config{}) // fills the cache
			cputest.Loop(b, func() {
				s, err := sandbox.New(b.Context(), o)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := s.Load(b.Context(), module, sandbox.Config{}); err != nil {
					b.Fatal(err)
				}
				if err := s.Close(b.Context()); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}
