package main

import (
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSample knows what its package's tests do not notice.
func TestSample(t *testing.T) {
	r, err := try(t.Context(), "./testdata/sample", t.TempDir(), 2, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	type found struct {
		Line int
		What string
		Fate fate
	}
	var got []found
	for i, c := range r.changes {
		got = append(got, found{c.line, c.what, r.fates[i]})
	}
	want := []found{
		{9, "|| to &&", killed},
		{9, "< to <=", survived}, // 1 becomes the bound, which is 1
		{9, "< to >=", killed},
		{9, "&& to ||", killed},
		{9, "> to >=", killed},
		{9, "> to <=", killed},
		{9, "> to >=", unseen}, // the first condition is false
		{9, "> to <=", unseen},
		{17, "< to <=", killed},
		{17, "< to >=", killed},
		{17, "++ to --", killed},
		{18, "+= to -=", killed},
		{24, "-x to x", unseen},
		{24, "- to +", unseen},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if s := sumOf(r); s.refused != 0 || s.all() != len(want) {
		t.Errorf("%+v", s)
	}
}
