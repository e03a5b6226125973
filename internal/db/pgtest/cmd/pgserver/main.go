// Command pgserver gives the tests of a whole run one Postgres.
//
//	pgserver exec -- command args...   run the command while a server is kept for it
//	pgserver supervise                 what exec and the tests start in the background
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/db/pgtest/pgserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int {
	switch {
	case len(args) == 1 && args[0] == "supervise":
		if err := pgserver.Supervise(ctx, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "pgserver:", err)
			return 1
		}
		return 0
	case len(args) > 2 && args[0] == "exec" && args[1] == "--":
		return execute(ctx, args[2:])
	}
	fmt.Fprintln(os.Stderr, "usage: pgserver exec -- command args...")
	return 2
}

// execute runs a command while it holds a reference, and returns its exit
// code. A server that cannot be had is said here but fails only the tests
// that need it: their messages carry the remedies.
func execute(ctx context.Context, command []string) int {
	begin := time.Now()
	if os.Getenv("TEST_POSTGRES_URL") == "" && os.Getenv("GATEHOUSE_TEST_POSTGRES") != "skip" {
		program, err := os.Executable()
		if err != nil {
			program = "" // it will be built
		}
		ref, err := pgserver.Acquire(ctx, program)
		if err != nil {
			fmt.Fprintln(os.Stderr, "pgserver: no Postgres for the tests:", err)
		} else {
			defer func() { _ = ref.Close() }()
			fmt.Fprintf(os.Stderr, "pgserver: Postgres is ready after %.1f s\n", time.Since(begin).Seconds())
		}
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return max(exit.ExitCode(), 1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "pgserver:", err)
		return 1
	}
	return 0
}
