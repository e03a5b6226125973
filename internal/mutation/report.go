package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// sum is what became of changes, in numbers.
type sum struct{ killed, survived, unseen, stuck, sometimes, refused int }

func (s sum) all() int {
	return s.killed + s.survived + s.unseen + s.stuck + s.sometimes + s.refused
}

// share is how many of a hundred were noticed.
func (s sum) share() float64 {
	if s.all() == 0 {
		return 0
	}
	return 100 * float64(s.killed) / float64(s.all())
}

func (s sum) plus(o sum) sum {
	return sum{s.killed + o.killed, s.survived + o.survived, s.unseen + o.unseen, s.stuck + o.stuck, s.sometimes + o.sometimes, s.refused + o.refused}
}

func sumOf(r result) sum {
	return sum{r.count(killed), r.count(survived), r.count(unseen), r.count(stuck), r.count(sometimes), r.refused}
}

// part is what the report says of one package.
type part struct {
	name  string
	state string // of the code: a commit and its day
	sum   sum
	list  string // of what was not noticed
}

func partOf(r result, state string) part {
	said := map[fate]string{survived: "not noticed", unseen: "no test comes by", stuck: "did not end", sometimes: "noticed only sometimes"}
	var b strings.Builder
	for i, c := range r.changes {
		if s := said[r.fates[i]]; s != "" {
			fmt.Fprintf(&b, "- %s `%s`: %s\n", c.at(), c.what, s)
		}
	}
	return part{name: r.name, state: state, sum: sumOf(r), list: b.String()}
}

// stateOf names the commit of a package's code, and says so if it was changed
// since.
func stateOf(ctx context.Context, dir string) (string, error) {
	git := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, "git", args...) //nolint:gosec // the arguments are below
		cmd.Dir = dir
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("ask git for the state of %s: %w", dir, err)
		}
		return strings.TrimSpace(string(out)), nil
	}
	commit, err := git("log", "-1", "--format=%h, %cs")
	if err != nil {
		return "", err
	}
	changed, err := git("status", "--porcelain", ".")
	if err != nil || changed == "" {
		return commit, err
	}
	return commit + ", with changes", nil
}

const head = "# What the tests notice\n\n" +
	"`make mutants` makes small mistakes in the code, one at a time, and runs the package's own tests with each: a comparison turned round or its bound moved by one, `&&` for `||`, plus for minus, a sign or a step the wrong way. A change is noticed when a test fails, and fails again when it is run once more. Not noticed are those with which all tests pass, that no test comes by, with which the tests did not end (in two minutes, or ten times what they take), that a test notices only sometimes, or that could not be compiled: nothing is left out.\n\n" +
	"`make mutants MUTANTS=./vault/leak` renews the rows of that package alone. Each row names the commit that it was measured at; lines below are those of that commit. `go run ./internal/mutation -only 'guard.go:88' ./vault/leak` looks at single lines.\n\n" +
	"| package | commit | changes | noticed | not noticed | no test comes by | did not end | only sometimes | not compiled | share noticed |\n|---|---|---|---|---|---|---|---|---|---|\n"

// page is a page of the documentation.
func page(parts []part) string {
	var b strings.Builder
	b.WriteString(head)
	row := func(name, state string, s sum) {
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %d | %d | %d | %d | %.1f %% |\n", name, state, s.all(), s.killed, s.survived, s.unseen, s.stuck, s.sometimes, s.refused, s.share())
	}
	var all sum
	for _, p := range parts {
		row(p.name, p.state, p.sum)
		all = all.plus(p.sum)
	}
	row("all", "", all)
	links := make([]string, len(parts))
	for i, p := range parts {
		links[i] = fmt.Sprintf("[%s](#%s-what-is-not-noticed)", p.name, strings.ReplaceAll(p.name, "/", ""))
	}
	fmt.Fprintf(&b, "\nWhat is not noticed, on this page: %s\n", strings.Join(links, " · "))
	for _, p := range parts {
		fmt.Fprintf(&b, "\n## %s: what is not noticed\n\n%s", p.name, p.list)
	}
	return b.String()
}

var (
	rowForm     = regexp.MustCompile(`(?m)^\| (\S+) \| ([^|]+) \| \d+ \| (\d+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|`)
	sectionForm = regexp.MustCompile(`(?m)^## (\S+): what is not noticed\n\n((?:- .*\n)*)`)
)

// parse reads a page that was written before.
func parse(text string) []part {
	lists := map[string]string{}
	for _, m := range sectionForm.FindAllStringSubmatch(text, -1) {
		lists[m[1]] = m[2]
	}
	var parts []part
	for _, m := range rowForm.FindAllStringSubmatch(text, -1) {
		var n [6]int
		for i := range n {
			n[i], _ = strconv.Atoi(m[3+i]) // digits
		}
		parts = append(parts, part{name: m[1], state: m[2], sum: sum{n[0], n[1], n[2], n[3], n[4], n[5]}, list: lists[m[1]]})
	}
	return slices.DeleteFunc(parts, func(p part) bool { return p.name == "all" })
}

// renew puts a part in the place of the one of the same package.
func renew(parts []part, p part) []part {
	for i := range parts {
		if parts[i].name == p.name {
			parts[i] = p
			return parts
		}
	}
	return append(parts, p)
}
