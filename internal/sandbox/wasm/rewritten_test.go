package wasm_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/internal/sandbox/wasm"
)

func TestRewrittenIsKept(t *testing.T) {
	var all []wasm.Rewritten
	for _, s := range samples() {
		m, err := wasm.Parse(s, limits())
		if err != nil {
			t.Fatal(err)
		}
		r := m.Rewrite(options)
		all = append(all, r, r.WithoutCode())
	}
	for i, want := range all {
		b, err := want.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var got wasm.Rewritten
		if err := got.UnmarshalBinary(b); err != nil {
			t.Fatalf("sample %d: %v", i, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("sample %d: %s", i, diff)
		}
		if (&wasm.Rewritten{}).UnmarshalBinary(b[:len(b)-1]) == nil || (&wasm.Rewritten{}).UnmarshalBinary(append(b, 0)) == nil {
			t.Errorf("sample %d: read with a byte less, or one more", i)
		}
	}
}

// FuzzRewritten: whatever lies in the cache, it is read or refused; what is read
// can be written and read again.
func FuzzRewritten(f *testing.F) {
	for _, s := range samples()[:3] {
		m, err := wasm.Parse(s, limits())
		if err != nil {
			f.Fatal(err)
		}
		b, _ := m.Rewrite(options).MarshalBinary()
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var first, second wasm.Rewritten
		if first.UnmarshalBinary(b) != nil {
			return
		}
		again, _ := first.MarshalBinary()
		if err := second.UnmarshalBinary(again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Error(diff)
		}
	})
}
