package wasm_test

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/wazero/api"

	"github.com/gatehouse-chat/gatehouse/internal/sandbox/wasm"
	. "github.com/gatehouse-chat/gatehouse/internal/sandbox/wasmtest"
)

// signatures are what a module asks for and offers.
func signatures(defs map[string]api.FunctionDefinition) map[string][2][]api.ValueType {
	out := map[string][2][]api.ValueType{}
	for name, d := range defs {
		out[name] = [2][]api.ValueType{d.ParamTypes(), d.ResultTypes()}
	}
	return out
}

// TestWithoutCode: what is left is a module that declares the same.
func TestWithoutCode(t *testing.T) {
	j := newJudge(t)
	for i, s := range samples() {
		m, err := wasm.Parse(s, limits())
		if err != nil {
			t.Fatal(err)
		}
		r := m.Rewrite(options)
		h := r.WithoutCode()
		if !h.Hollow || r.Hollow || h.Start != r.Start {
			t.Errorf("sample %d: whole %+v, hollow %+v", i, r, h)
		}
		full, err := j.CompileModule(t.Context(), r.Binary)
		if err != nil {
			t.Fatal(err)
		}
		bare, err := j.CompileModule(t.Context(), h.Binary)
		if err != nil {
			t.Fatalf("sample %d: without code it is no module: %v", i, err)
		}
		if d := cmp.Diff(signatures(full.ExportedFunctions()), signatures(bare.ExportedFunctions())); d != "" {
			t.Errorf("sample %d: exports:\n%s", i, d)
		}
		if a, b := slices.Sorted(maps.Keys(full.ExportedMemories())), slices.Sorted(maps.Keys(bare.ExportedMemories())); !slices.Equal(a, b) {
			t.Errorf("sample %d: memories %q and %q", i, a, b)
		}
		if len(full.ImportedFunctions()) != len(bare.ImportedFunctions()) {
			t.Errorf("sample %d: other imports", i)
		}
	}
}

// TestWithoutCodeIsOfOneModule: two modules that differ in their code alone do not
// become the same.
func TestWithoutCodeIsOfOneModule(t *testing.T) {
	var all [][]byte
	for _, n := range []int32{1, 2} {
		m, err := wasm.Parse(code(I32Const(n), Drop), limits())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m.Rewrite(options).WithoutCode().Binary)
	}
	if bytes.Equal(all[0], all[1]) {
		t.Error("they do")
	}
}
