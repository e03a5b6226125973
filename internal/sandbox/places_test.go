package sandbox_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
	. "github.com/gatehouse-chat/gatehouse/internal/sandbox/wasmtest"
)

// codeAt is where in the code section of a module some bytes stand.
func codeAt(t *testing.T, module, code []byte) uint32 {
	t.Helper()
	for at := 8; at < len(module); {
		n, width := binary.Uvarint(module[at+1:])
		content := module[at+1+width : at+1+width+int(n)]
		if module[at] == 10 {
			found := bytes.Index(content, code)
			if found < 0 || bytes.Count(content, code) > 1 {
				t.Fatalf("% x is not once in % x", code, content)
			}
			return uint32(found)
		}
		at += 1 + width + int(n)
	}
	t.Fatal("there is no code")
	return 0
}

// TestPlaces: a fault says where in the author's own module it happened, though
// what runs has been rewritten; on both engines, and with the cache.
func TestPlaces(t *testing.T) {
	const unreachable, drop = 0x00, 0x1a
	mark := func(n int32) []byte { return append(I32Const(n), drop) }
	inner, outer := append(mark(70_001), unreachable), mark(70_002)
	g := newGuest(1)
	dies := g.Func(nil, nil, nil, mark(70_003), inner)
	g.Handle(nil, outer, Call(dies), I32Const(0))
	trap := g.Bytes()

	spin := append(append(Loop(), mark(70_004)...), Br(0)...)
	g = newGuest(1)
	g.Handle(nil, spin, End(), I32Const(0))
	loop := g.Bytes()

	tests := []struct {
		name   string
		module []byte
		kind   sandbox.Kind
		want   [][2]uint32 // for each frame the first and the last place that it may be at
	}{
		{"trap", trap, sandbox.KindTrap, [][2]uint32{
			{codeAt(t, trap, inner) + uint32(len(inner)) - 1, codeAt(t, trap, inner) + uint32(len(inner)) - 1},
			{codeAt(t, trap, outer), codeAt(t, trap, outer) + uint32(len(outer)+len(Call(dies)))},
		}},
		{"loop", loop, sandbox.KindFuel, [][2]uint32{{codeAt(t, loop, spin) - 1, codeAt(t, loop, spin) + uint32(len(spin))}}},
	}
	dir := filepath.Join(t.TempDir(), "cache")
	for _, tt := range tests {
		for name, interpreted := range map[string]bool{"compiled": false, "compiled before": false, "interpreted": true} {
			t.Run(tt.name+", "+name, func(t *testing.T) {
				s := newSandbox(t, sandbox.Options{Places: true, CacheDir: dir})
				// Little fuel, and as much time as there is: a busy machine interprets slowly.
				limits := sandbox.Limits{Fuel: 10_000, Wall: time.Minute}
				m := load(t, s, tt.module, sandbox.Config{Interpreted: interpreted, Limits: limits})
				_, err := m.Call(t.Context(), sandbox.OpStart, sandbox.Payload{}, nil)
				var f *sandbox.Fault
				if !errors.As(err, &f) || f.Kind != tt.kind || len(f.Places) < len(tt.want) {
					t.Fatalf("it failed with %v at %v", err, f)
				}
				for i, at := range f.Places[len(f.Places)-len(tt.want):] {
					if at < tt.want[i][0] || at > tt.want[i][1] {
						t.Errorf("frame %d is at %#x, want %#x", i, at, tt.want[i])
					}
				}
			})
		}
	}
}

// TestNoPlaces: nobody else pays for that.
func TestNoPlaces(t *testing.T) {
	g := newGuest(1)
	g.Handle(nil, Op(0x00))
	m := load(t, newSandbox(t, sandbox.Options{}), g.Bytes(), sandbox.Config{})
	_, err := m.Call(t.Context(), sandbox.OpStart, sandbox.Payload{}, nil)
	var f *sandbox.Fault
	if !errors.As(err, &f) || len(f.Places) > 0 {
		t.Errorf("it failed with %v at %v", err, f)
	}
}

// TestLastWords: what a module wrote before it died while it was loaded is in the
// fault, and its first line in the fault's text.
func TestLastWords(t *testing.T) {
	const log, drop, unreachable = 5, 0x1a, 0x00
	g := newGuest(1)
	words := g.text(64, frame(`{"level":"ERROR"}`, "the script failed: no such name\nat line 8\n"))
	g.Export("gw1_init", 0, g.Func(nil, nil, nil, I32Const(log), words, Call(g.call), Op(drop, unreachable)))
	g.Handle(nil, I32Const(0))
	_, err := newSandbox(t, sandbox.Options{}).Load(t.Context(), g.Bytes(), sandbox.Config{Name: "mychat"})
	var f *sandbox.Fault
	if !errors.As(err, &f) {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"the script failed: no such name", "at line 8"}, f.Said); diff != "" {
		t.Error(diff)
	}
	const want = `guest mychat: trap: unreachable (in $5); it wrote "the script failed: no such name"`
	if got := err.Error(); got != want {
		t.Errorf("the error is %s, want %s", got, want)
	}
}
