// Command mutation finds out what tests do not notice: it changes the code of
// packages in many small ways, one at a time, and reports the changes with which
// the packages' own tests still pass.
//
//	go run ./internal/mutation -o docs/mutation.md ./vault ./vault/egress
//
// All changes of a package are compiled into one test binary at once, and an
// environment variable chooses which of them acts, so that a change costs a run
// of the tests and no build.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "mutation:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func run(args []string, progress io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	f := flag.NewFlagSet("mutation", flag.ContinueOnError)
	out := f.String("o", "", "file for the report; default standard output")
	workers := f.Int("j", runtime.NumCPU(), "how many runs of the tests at a time")
	least := f.Int("least", 0, "fail below this share of changes that are noticed, in per cent")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() == 0 {
		return errors.New("name at least one package, such as ./vault")
	}
	dir, err := os.MkdirTemp("", "mutation-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // the system clears it up
	began := time.Now()
	var all []result
	for _, name := range f.Args() {
		r, err := try(ctx, name, dir, *workers, progress)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, r)
	}
	text := report(all, f.Args(), time.Since(began))
	if *out == "" {
		_, err = os.Stdout.WriteString(text)
	} else {
		err = os.WriteFile(*out, []byte(text), 0o644) //nolint:gosec // a page of the documentation
	}
	if err != nil {
		return err
	}
	if share := 100 * total(all).killed; share < *least*total(all).all() {
		return fmt.Errorf("the tests notice fewer than %d of 100 changes", *least)
	}
	return nil
}
