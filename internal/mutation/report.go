package main

import (
	"fmt"
	"strings"
	"time"
)

// sum is what became of changes, in numbers.
type sum struct{ killed, survived, unseen, stuck, refused int }

func (s sum) all() int { return s.killed + s.survived + s.unseen + s.stuck + s.refused }

func sumOf(r result) sum {
	return sum{r.count(killed), r.count(survived), r.count(unseen), r.count(stuck), r.refused}
}

func total(all []result) sum {
	var t sum
	for _, r := range all {
		s := sumOf(r)
		t = sum{t.killed + s.killed, t.survived + s.survived, t.unseen + s.unseen, t.stuck + s.stuck, t.refused + s.refused}
	}
	return t
}

// report is a page of the documentation.
func report(all []result, names []string, took time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# What the tests notice\n\n"+
		"`go run ./internal/mutation -o docs/mutation.md %s` makes small mistakes in the code, one at a time, and runs the package's own tests with each: a comparison turned round or its bound moved by one, `&&` for `||`, plus for minus, a sign or a step the wrong way. A change is noticed when a test fails. Not noticed are those with which all tests pass, that no test comes by, with which the tests did not end, or that could not be compiled: nothing is left out.\n\n"+
		"This run took %s.\n\n| package | changes | noticed | not noticed | no test comes by | did not end | not compiled | share noticed |\n|---|---|---|---|---|---|---|---|\n",
		strings.Join(names, " "), took.Round(time.Minute))
	row := func(name string, s sum) {
		share := 0.0
		if s.all() > 0 {
			share = 100 * float64(s.killed) / float64(s.all())
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d | %.1f %% |\n", name, s.all(), s.killed, s.survived, s.unseen, s.stuck, s.refused, share)
	}
	for _, r := range all {
		row(r.name, sumOf(r))
	}
	row("all", total(all))
	said := map[fate]string{survived: "not noticed", unseen: "no test comes by", stuck: "did not end"}
	for _, r := range all {
		fmt.Fprintf(&b, "\n## %s: what is not noticed\n\n", r.name)
		for i, c := range r.changes {
			if s := said[r.fates[i]]; s != "" {
				fmt.Fprintf(&b, "- %s:%d `%s`: %s\n", c.file, c.line, c.what, s)
			}
		}
	}
	return b.String()
}
