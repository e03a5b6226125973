package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// fate is what became of a change.
type fate int

const (
	killed    fate = iota // a test failed, each time
	survived              // all tests passed
	unseen                // no test comes by
	stuck                 // the tests did not end
	sometimes             // a test failed, and passed when it was run again
	leftOut               // not asked for
)

// result is what became of a package's changes.
type result struct {
	name    string
	changes []change
	fates   []fate
	refused int
}

func (r result) count(f fate) int {
	n := 0
	for _, is := range r.fates {
		if is == f {
			n++
		}
	}
	return n
}

// test is one of a package's tests: how long it takes, and which changes it
// comes by.
type test struct {
	name  string
	took  time.Duration
	comes map[string]bool
}

// trial is how a package's changes are tried.
type trial struct {
	only     *regexp.Regexp // of file:line; nil: all
	workers  int
	dir      string
	progress io.Writer
}

func (t trial) try(ctx context.Context, name string) (result, error) {
	fmt.Fprintf(t.progress, "%s: building\n", name)
	h, err := build(ctx, name, t.dir)
	if err != nil {
		return result{}, err
	}
	began := time.Now()
	if f, out := h.run(ctx, 10*time.Minute, "MUTATION=0", "-test.run=."); f != survived {
		return result{}, fmt.Errorf("its tests fail without any change:\n%s", out)
	}
	// A test may wait a minute for what a change keeps from happening, and fails
	// then. Only what takes longer has not ended.
	limit := max(2*time.Minute, 10*time.Since(began))
	tests, err := h.tests(ctx, t)
	if err != nil {
		return result{}, err
	}
	fmt.Fprintf(t.progress, "%s: %d changes, %d tests\n", name, len(h.changes), len(tests))
	r := result{name: strings.TrimPrefix(name, "./"), changes: h.changes, fates: make([]fate, len(h.changes)), refused: h.refused}
	var count progress
	each(t.workers, len(h.changes), func(i int) {
		c := h.changes[i]
		if t.only != nil && !t.only.MatchString(c.at()) {
			r.fates[i] = leftOut
			return
		}
		r.fates[i] = h.judge(ctx, limit, c, tests)
		if n := count.one(); n%50 == 0 {
			fmt.Fprintf(t.progress, "%s: %d of %d\n", name, n, len(h.changes))
		}
	})
	return r, ctx.Err()
}

// progress counts.
type progress struct {
	mu sync.Mutex
	n  int
}

func (p *progress) one() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	return p.n
}

// each calls do for 0 to n, some at a time, and waits for all.
func each(workers, n int, do func(i int)) {
	work := make(chan int)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := range work {
				do(i)
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	all.Wait()
}

// tests runs each test by itself, without a change, and notes which changes it
// comes by: the others it cannot notice. The quickest are first.
func (h house) tests(ctx context.Context, t trial) ([]test, error) {
	out, err := exec.CommandContext(ctx, h.binary, "-test.list=.").Output() //nolint:gosec // built here
	if err != nil {
		return nil, fmt.Errorf("list its tests: %w", err)
	}
	var all []test
	for name := range strings.FieldsSeq(string(out)) {
		if !strings.HasPrefix(name, "Benchmark") {
			all = append(all, test{name: name, comes: map[string]bool{}})
		}
	}
	failed := make([]error, len(all))
	each(t.workers, len(all), func(i int) { failed[i] = h.follow(ctx, &all[i], filepath.Join(t.dir, fmt.Sprint("seen", i))) })
	slices.SortStableFunc(all, func(a, b test) int { return int(a.took - b.took) })
	return all, errors.Join(failed...)
}

// follow notes which changes a test comes by.
func (h house) follow(ctx context.Context, t *test, seen string) error {
	_ = os.Remove(seen)
	began := time.Now()
	if f, out := h.run(ctx, 10*time.Minute, "MUTATION_SEEN="+seen, these(t.name)); f != survived {
		return fmt.Errorf("%s fails by itself without any change:\n%s", t.name, out)
	}
	t.took = time.Since(began)
	marks, err := os.ReadFile(seen) //nolint:gosec // a file of our own
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for id := range strings.FieldsSeq(string(marks)) {
		t.comes[id] = true
	}
	return nil
}

// these is the flag that chooses tests.
func these(names ...string) string { return "-test.run=^(" + strings.Join(names, "|") + ")$" }

// long is what a test takes that is run only when the quicker ones notice nothing.
const long = 300 * time.Millisecond

// judge runs the tests that come by a change, the quick ones at once and then
// the others, one by one. What only a single run notices is not noticed: a test
// can fail because the machine is slow.
func (h house) judge(ctx context.Context, limit time.Duration, c change, tests []test) fate {
	var quick, slow []string
	for _, t := range tests {
		switch {
		case !t.comes[fmt.Sprint(c.id)]:
		case t.took > long:
			slow = append(slow, these(t.name))
		default:
			quick = append(quick, t.name)
		}
	}
	stages := slow
	if len(quick) > 0 {
		stages = append([]string{these(quick...)}, slow...)
	}
	if len(stages) == 0 {
		return unseen
	}
	f, env := survived, fmt.Sprintf("MUTATION=%d", c.id)
	for _, stage := range stages {
		is, out := h.run(ctx, limit, env, stage)
		if is == killed {
			if is, _ = h.run(ctx, limit, env, again(out, stage)); is == survived {
				f = sometimes
				continue
			}
		}
		if is != survived {
			return is
		}
	}
	return f
}

var failing = regexp.MustCompile(`(?m)^--- FAIL: ([^/\s]+) `)

// again is the flag that chooses the tests that failed after the output of a
// run, and the run's own flag if it does not say which.
func again(out []byte, stage string) string {
	var names []string
	for _, m := range failing.FindAllSubmatch(out, -1) {
		names = append(names, string(m[1]))
	}
	if len(names) == 0 {
		return stage
	}
	return these(names...)
}

// run runs the tests that a flag chooses, with one more variable in the
// environment.
func (h house) run(ctx context.Context, limit time.Duration, env, tests string) (fate, []byte) {
	over, cancel := context.WithTimeout(ctx, limit+10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(over, h.binary, "-test.failfast", "-test.timeout="+limit.String(), tests) //nolint:gosec // built here
	cmd.Dir, cmd.Env = h.pkg.Dir, append(os.Environ(), env)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	switch {
	case over.Err() != nil || bytes.Contains(out.Bytes(), []byte("panic: test timed out")):
		return stuck, out.Bytes()
	case err != nil:
		return killed, out.Bytes()
	}
	return survived, out.Bytes()
}
