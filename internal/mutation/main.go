// Command mutation finds out what tests do not notice: it changes the code of
// packages in many small ways, one at a time, and reports the changes with which
// the packages' own tests still pass.
//
//	go run ./internal/mutation -o docs/mutation.md ./vault ./vault/egress
//	go run ./internal/mutation -only 'crypt.go:132|crypt.go:165' ./vault
//
// All changes of a package are compiled into one test binary at once, and an
// environment variable chooses which of them acts, so that a change costs no
// build, and a run of those tests alone that come by it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"regexp"
	"runtime"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "mutation:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func run(args []string, stdout, progress io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	f := flag.NewFlagSet("mutation", flag.ContinueOnError)
	out := f.String("o", "", "the report, in which what is said of these packages is renewed; default standard output")
	workers := f.Int("j", runtime.NumCPU(), "how many runs of the tests at a time")
	least := f.Float64("least", 0, "fail if a package's tests notice fewer changes, in per cent")
	only := f.String("only", "", "regular expression: try the changes on these lines alone, such as vault.go:12")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() == 0 {
		return errors.New("name at least one package, such as ./vault")
	}
	if *only != "" && *out != "" {
		return errors.New("a report needs all changes: -only and -o exclude each other")
	}
	t := trial{workers: *workers, progress: progress}
	var err error
	if *only != "" {
		if t.only, err = regexp.Compile(`^(` + *only + `)$`); err != nil {
			return err
		}
	}
	if t.dir, err = os.MkdirTemp("", "mutation-"); err != nil {
		return err
	}
	defer os.RemoveAll(t.dir) //nolint:errcheck // the system clears it up
	var low []error
	var fresh []part
	for _, name := range f.Args() {
		state, err := stateOf(ctx, name)
		if err != nil {
			return err
		}
		r, err := t.try(ctx, name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		p := partOf(r, state)
		if fresh = append(fresh, p); *out != "" {
			if err := rewrite(*out, p); err != nil { // now: what was found is not lost
				return err
			}
		}
		if p.sum.share() < *least {
			low = append(low, fmt.Errorf("the tests of %s notice fewer than %g of 100 changes: %.1f", p.name, *least, p.sum.share()))
		}
	}
	if *out == "" {
		if _, err := io.WriteString(stdout, page(fresh)); err != nil {
			return err
		}
	}
	return errors.Join(low...)
}

// rewrite renews what a report says of one package.
func rewrite(file string, p part) error {
	old, err := os.ReadFile(file) //nolint:gosec // the caller's own file
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(file, []byte(page(renew(parse(string(old)), p))), 0o644) //nolint:gosec // a page of the documentation
}
