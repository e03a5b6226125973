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
	"strconv"
	"strings"
	"sync"
	"time"
)

// fate is what became of a change.
type fate int

const (
	killed   fate = iota // a test failed
	survived             // all tests passed
	unseen               // no test comes by
	stuck                // the tests did not end
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

func try(ctx context.Context, name, dir string, workers int, progress io.Writer) (result, error) {
	fmt.Fprintf(progress, "%s: building\n", name)
	h, err := build(ctx, name, dir)
	if err != nil {
		return result{}, err
	}
	seen := filepath.Join(dir, "seen")
	_ = os.Remove(seen)
	began := time.Now()
	f, out := h.run(ctx, 10*time.Minute, "MUTATION_SEEN="+seen, "-test.v")
	if f != survived {
		return result{}, fmt.Errorf("its tests fail without any change:\n%s", out)
	}
	usual, stages := time.Since(began), stages(out)
	marks, err := os.ReadFile(seen) //nolint:gosec // a file of our own
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return result{}, err
	}
	came := map[string]bool{}
	for id := range strings.FieldsSeq(string(marks)) {
		came[id] = true
	}
	r := result{name: strings.TrimPrefix(name, "./"), changes: h.changes, fates: make([]fate, len(h.changes)), refused: h.refused}
	limit := max(time.Minute, 10*usual)
	work := make(chan int)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := range work {
				r.fates[i] = survived
				for _, tests := range stages {
					if r.fates[i] == survived {
						r.fates[i], _ = h.run(ctx, limit, fmt.Sprintf("MUTATION=%d", h.changes[i].id), tests)
					}
				}
			}
		})
	}
	for i, c := range h.changes {
		if i%50 == 0 {
			fmt.Fprintf(progress, "%s: %d of %d changes, the tests take %s\n", name, i, len(h.changes), usual.Round(10*time.Millisecond))
		}
		if !came[fmt.Sprint(c.id)] {
			r.fates[i] = unseen
			continue
		}
		work <- i
	}
	close(work)
	all.Wait()
	return r, ctx.Err()
}

// long is what a test takes that is run only when the others notice nothing.
const long = 0.3 // seconds

var took = regexp.MustCompile(`(?m)^--- (?:PASS|SKIP): (\S+) \(([0-9.]+)s\)$`)

// stages are the flags that choose the quick tests, and then those that take
// longer, after the output of all of them.
func stages(out []byte) []string {
	var slow []string
	for _, m := range took.FindAllSubmatch(out, -1) {
		if s, err := strconv.ParseFloat(string(m[2]), 64); err == nil && s > long {
			slow = append(slow, regexp.QuoteMeta(string(m[1])))
		}
	}
	if len(slow) == 0 {
		return []string{"-test.run=."}
	}
	these := "^(" + strings.Join(slow, "|") + ")$"
	return []string{"-test.skip=" + these, "-test.run=" + these}
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
