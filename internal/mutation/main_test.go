package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestSample knows what its package's tests do not notice.
func TestSample(t *testing.T) {
	r, err := trial{workers: 2, dir: t.TempDir(), progress: io.Discard}.try(t.Context(), "./testdata/sample")
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

// TestOnly tries the changes of single lines.
func TestOnly(t *testing.T) {
	r, err := trial{workers: 2, dir: t.TempDir(), progress: io.Discard, only: regexp.MustCompile(`^sample.go:18$`)}.try(t.Context(), "./testdata/sample")
	if err != nil {
		t.Fatal(err)
	}
	if r.count(killed) != 1 || r.count(leftOut) != len(r.changes)-1 {
		t.Errorf("%+v", r)
	}
}

// TestASlowMachineNoticesNothing: a test that fails once and then passes has
// not noticed a change.
func TestASlowMachineNoticesNothing(t *testing.T) {
	const failed = "echo '--- FAIL: TestX (0.00s)'; exit 1"
	for want, script := range map[fate]string{
		killed:    failed,
		survived:  "exit 0",
		stuck:     "echo 'panic: test timed out after 2m0s'; exit 2",
		sometimes: "test -e again || { touch again; " + failed + "; }",
	} {
		dir := t.TempDir()
		binary := filepath.Join(dir, "x.test")
		if err := os.WriteFile(binary, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		h := house{pkg: pkg{Dir: dir}, binary: binary}
		tests := []test{{name: "TestX", comes: map[string]bool{"1": true}}, {name: "TestY", comes: map[string]bool{"2": true}}}
		if got := h.judge(t.Context(), time.Minute, change{id: 1}, tests); got != want {
			t.Errorf("%s: got %d", script, got)
		}
		if got := h.judge(t.Context(), time.Minute, change{id: 3}, tests); got != unseen {
			t.Errorf("no test comes by: got %d", got)
		}
	}
}

// TestRenew renews what a page says of one package.
func TestRenew(t *testing.T) {
	one := part{"vault", "1234567, 2026-01-02", sum{8, 1, 2, 3, 4, 5}, "- a.go:1 `< to <=`: not noticed\n- a.go:2 `+ to -`: did not end\n"}
	two := part{"vault/leak", "89abcde, 2026-01-03, with changes", sum{killed: 1}, ""}
	got := parse(page([]part{one, two}))
	if d := cmp.Diff([]part{one, two}, got, cmp.AllowUnexported(part{}, sum{})); d != "" {
		t.Error(d)
	}
	one.sum.killed, one.list = 9, ""
	got = renew(renew(got, one), part{name: "more"})
	if d := cmp.Diff([]part{one, two, {name: "more"}}, got, cmp.AllowUnexported(part{}, sum{})); d != "" {
		t.Error(d)
	}
}

// TestLeast: each package alone has to reach the share, and what was found is
// written all the same.
func TestLeast(t *testing.T) {
	out := filepath.Join(t.TempDir(), "report.md")
	for least, ok := range map[string]bool{"60": true, "65": false} { // 9 of 14
		err := run([]string{"-o", out, "-least", least, "./testdata/sample"}, io.Discard, io.Discard)
		if (err == nil) != ok {
			t.Errorf("at least %s: %v", least, err)
		}
	}
	text, err := os.ReadFile(out)
	if err != nil || !strings.Contains(string(text), "| 14 | 9 | 1 | 4 | 0 | 0 | 0 | 64.3 % |") {
		t.Errorf("%s, %v", text, err)
	}
	if err := run([]string{"-o", out, "-only", "x", "./testdata/sample"}, io.Discard, io.Discard); err == nil {
		t.Error("a report of a few lines was written")
	}
}

// TestTheReport: what lies in docs is what this program writes, and each package
// reaches its share.
func TestTheReport(t *testing.T) {
	text, err := os.ReadFile("../../docs/mutation.md")
	if err != nil {
		t.Fatal(err)
	}
	parts := parse(string(text))
	if d := cmp.Diff(page(parts), string(text)); d != "" {
		t.Error(d)
	}
	if len(parts) < 6 {
		t.Errorf("%d packages", len(parts))
	}
	for _, p := range parts {
		if p.sum.share() < 85 {
			t.Errorf("%s: %.1f %%", p.name, p.sum.share())
		}
	}
}
