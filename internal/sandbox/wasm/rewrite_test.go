package wasm_test

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/gatehouse-chat/gatehouse/internal/sandbox/wasm"
	. "github.com/gatehouse-chat/gatehouse/internal/sandbox/wasmtest"
)

var options = wasm.Options{MemoryPages: 512, TableSize: 65_536, Stack: 1 << 20}

// judge says whether the runtime takes a module.
type judge struct{ wazero.Runtime }

func newJudge(tb testing.TB) judge {
	ctx := tb.Context()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(api.CoreFeaturesV2))
	tb.Cleanup(func() { _ = r.Close(context.WithoutCancel(ctx)) })
	return judge{r}
}

func (j judge) of(ctx context.Context, module []byte) error {
	c, err := j.CompileModule(ctx, module)
	if err != nil {
		return err
	}
	return c.Close(ctx)
}

// samples are modules that use what Rewrite changes.
func samples() [][]byte {
	all := [][]byte{
		New(1).Bytes(),
		with(func(m *Module) {
			out := m.Import("gw", "output", Types{I32, I32}, nil)
			m.Tables = []Table{{Min: 2, Max: 100_000}}
			g := m.Global(I64, -5)
			start := m.Func(nil, nil, nil, I64Const(7), GlobalSet(g))
			fn := m.Handle(Types{F64, I32}, Loop(), I32Const(0), I32Const(8), I32Const(9), MemoryFill, LocalGet(0), BrIf(0), End(),
				I32Const(0), I32Const(0), Call(out), I32Const(0))
			m.Elem(start, fn)
			m.Start = int(start) + 1
			m.Data(8, []byte("data"))
			m.Passive([]byte("passive"))
			m.Count = true
			m.Tail = Names(map[uint32]string{out: "output", fn: "handle"})
		}),
		code(Op(0xfd, 12), make([]byte, 16), Op(0xfd, 21, 3), Drop, Op(0xd0, 0x70), Op(0xd1), Drop, Op(0x44, 0, 0, 0, 0, 0, 0, 0, 0), Op(0xfc, 3), Drop),
		code(I32Const(1), I32Const(2), I32Const(0), Op(0x1c, 1, 0x7f), Drop, Block(), I32Const(0), Op(0x0e, 1, 0, 0), End()),
	}
	for seed := range uint64(10) {
		all = append(all, Random(rand.New(rand.NewPCG(seed, 1))).Bytes()) //nolint:gosec // a repeatable sequence
	}
	return all
}

func TestRewriteKeepsModulesValid(t *testing.T) {
	j := newJudge(t)
	for i, s := range samples() {
		m, err := wasm.Parse(s, limits())
		if err != nil {
			t.Errorf("sample %d: %v", i, err)
			continue
		}
		if err := j.of(t.Context(), s); err != nil {
			t.Errorf("sample %d is no good: %v", i, err)
		}
		if err := j.of(t.Context(), m.Rewrite(options).Binary); err != nil {
			t.Errorf("sample %d, rewritten: %v", i, err)
		}
	}
}

func TestRewriteLaysOpenTheState(t *testing.T) {
	m, err := wasm.Parse(samples()[1], limits())
	if err != nil {
		t.Fatal(err)
	}
	r := m.Rewrite(options)
	got := wasm.Rewritten{State: r.State, Data: r.Data, Start: r.Start}
	want := wasm.Rewritten{State: []string{"\x000"}, Data: []wasm.Data{{Offset: 8, Bytes: []byte("data")}}, Start: true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	c, err := newJudge(t).CompileModule(t.Context(), r.Binary)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := c.ExportedFunctions()[wasm.StartExport]; !ok {
		t.Error("the start function is not exported")
	}
	most, _ := c.ExportedMemories()["memory"].Max()
	if most != 512 {
		t.Errorf("the memory may grow to %d pages, want 512", most)
	}
	for _, f := range c.ImportedFunctions() {
		if module, name, _ := f.Import(); module == wasm.Meter && name == wasm.Spent {
			return
		}
	}
	t.Error("the meter is not imported")
}

// bare is a module without its custom sections, which the runtime reads more
// strictly than WebAssembly asks for. The module has passed Parse.
func bare(b []byte) []byte {
	out := slices.Clone(b[:8])
	for at := 8; at < len(b); {
		size, n := binary.Uvarint(b[at+1:])
		end := at + 1 + n + int(size) //nolint:gosec // it passed Parse
		if b[at] != 0 {
			out = append(out, b[at:end]...)
		}
		at = end
	}
	return out
}

// FuzzRewrite mutates modules. Whatever passes the checks must be as valid
// after Rewrite as before: not less, and above all not more.
func FuzzRewrite(f *testing.F) {
	for _, s := range samples() {
		f.Add(s)
	}
	j := newJudge(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := wasm.Parse(b, limits())
		if err != nil {
			return
		}
		before := slices.Clone(b)
		after := j.of(t.Context(), m.Rewrite(options).Binary)
		if original := j.of(t.Context(), bare(b)); (original == nil) != (after == nil) {
			t.Errorf("original: %v; rewritten: %v", original, after)
		}
		if !slices.Equal(b, before) {
			t.Error("the original was changed")
		}
	})
}

// TestMutations is the fuzz target with a fixed sequence, so that every run of
// the tests has some.
func TestMutations(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7)) //nolint:gosec // a repeatable sequence
	j := newJudge(t)
	all := samples()
	passed := 0
	for range 20_000 {
		b := slices.Clone(all[r.IntN(len(all))])
		for range 1 + r.IntN(3) {
			switch at := r.IntN(len(b)); r.IntN(3) {
			case 0:
				b[at] ^= 1 << r.IntN(8)
			case 1:
				b[at] = byte(r.IntN(256))
			default:
				b[at] = []byte{0, 1, 0x7f, 0x80, 0xff}[r.IntN(5)]
			}
		}
		m, err := wasm.Parse(b, limits())
		if err != nil {
			continue
		}
		passed++
		after := j.of(t.Context(), m.Rewrite(options).Binary)
		if original := j.of(t.Context(), bare(b)); (original == nil) != (after == nil) {
			t.Fatalf("%x\noriginal: %v; rewritten: %v", b, original, after)
		}
	}
	if passed < 1000 {
		t.Errorf("only %d mutations passed the checks: the test looks at nothing", passed)
	}
}
