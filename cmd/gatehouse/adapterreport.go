package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/wasm"
	guesttrial "github.com/gatehouse-chat/gatehouse/adapters/wasm/trial"
	"github.com/gatehouse-chat/gatehouse/internal/module/project"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// printResults shows what failed, once for each reason, and returns how many
// reasons there are. With verbose it shows each check that failed, and names those
// that passed.
func printResults(out io.Writer, all []guesttrial.Result, dir string, verbose bool) int {
	reasons := guesttrial.Reasons(all, func(r guesttrial.Result) string { return placeOf(r, dir) })
	for _, r := range reasons {
		if verbose {
			break
		}
		printFailure(out, r.First, dir)
		if len(r.Also) > 0 {
			fmt.Fprintf(out, "      %s for the same reason: %s\n", failsToo(len(r.Also)), printable(strings.Join(testsOf(r), "; ")))
		}
	}
	for _, r := range all {
		switch {
		case !verbose:
		case r.Err != nil:
			printFailure(out, r, dir)
		default:
			fmt.Fprintf(out, "ok    %s\n", printable(r.Name))
		}
	}
	return len(reasons)
}

func printFailure(out io.Writer, r guesttrial.Result, dir string) {
	fmt.Fprintf(out, "FAIL  %s\n      %s\n", printable(r.Name), indented(explain(r, dir)))
}

func failsToo(n int) string {
	if n == 1 {
		return "1 more check fails"
	}
	return fmt.Sprintf("%d more checks fail", n)
}

// testsOf are the tests whose checks fail for a reason, beside the first one.
func testsOf(r guesttrial.Reason) (names []string) {
	for _, a := range r.Also {
		if name := a.Test; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func indented(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = printable(l)
	}
	return strings.Join(lines, "\n      ")
}

func printSpeed(out io.Writer, rep wasm.Report) {
	w := table(out)
	fmt.Fprintf(out, "loaded in %s\n", rep.Loaded.Round(time.Millisecond))
	fmt.Fprintln(w, "CALL\tTIME, MEDIAN\tFUEL")
	for _, t := range rep.Timings {
		fmt.Fprintf(w, "%s\t%s\t%d\n", printable(t.Name), t.Median.Round(time.Microsecond), t.Fuel)
	}
	_ = w.Flush() // as the lines above
}

// unloaded is a module's failure to load, with what it wrote and where that was.
func unloaded(err error, dir string) error {
	return fmt.Errorf("%w: %s", errTests, indented(explain(guesttrial.Result{Err: err}, dir)))
}

// explain is what a check failed with: first where in the author's sources that
// was, and last what the guest wrote.
func explain(r guesttrial.Result, dir string) string {
	text := r.Err.Error()
	if at := placeOf(r, dir); at != "" {
		text = "at " + at + "\n" + text
	}
	for _, line := range saidOf(r) {
		text += "\n  " + strings.ReplaceAll(line, "\t", "  ")
	}
	return text
}

// saidOf is what a guest wrote before a check failed.
func saidOf(r guesttrial.Result) []string {
	var fault *sandbox.Fault
	if errors.As(r.Err, &fault) {
		return slices.Concat(r.Said, fault.Said)
	}
	return r.Said
}

// placeOf is where in the author's sources a check failed, as far as that is
// known: dir is "" where there are none.
func placeOf(r guesttrial.Result, dir string) string {
	if dir == "" {
		return ""
	}
	if at := project.Place(dir, append(strings.Split(r.Err.Error(), "\n"), saidOf(r)...)); at != "" {
		return at
	}
	var fault *sandbox.Fault
	if errors.As(r.Err, &fault) {
		return project.TrapPlace(dir, fault.Places)
	}
	return ""
}
