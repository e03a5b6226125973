// Gatehouse is a chat gateway: people message an AI agent on the platforms
// they use, and every message is kept until it is answered.
//
// This package is the composition root: it reads flags, wires the parts and
// runs them. What the parts do is in gateway, channels, adapters, agent and
// vault.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the build of a release.
var version = "dev"

func main() { os.Exit(Main()) }

// Main runs the command line and returns the exit code: 0 for success, 1 for a
// failure, 2 for a wrong call.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := rootCommand()
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintln(os.Stderr, "gatehouse:", err)
		return 2
	}
	fmt.Fprintln(os.Stderr, "gatehouse:", err)
	return 1
}

// usageError is a call that makes no sense as it is.
type usageError struct{ error }

// Unwrap returns the cause.
func (u usageError) Unwrap() error { return u.error }

func rootCommand() *cobra.Command {
	f := &flags{}
	root := &cobra.Command{
		Use:   "gatehouse",
		Short: "A chat gateway between people and an AI agent",
		Long: "Gatehouse lets people message an AI agent on the platforms they use.\n" +
			"Start it with `gatehouse run`; it needs no configuration to begin with.",
		SilenceUsage: true, SilenceErrors: true, Version: version,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
	})
	f.bind(root.PersistentFlags())
	root.AddCommand(runCommand(f), loginCommand(f), statusCommand(f), doctorCommand(f), channelsCommand(f), modelsCommand(f),
		pairCommand(f), secretsCommand(f), deadCommand(f), configCommand(f), serviceCommand(f))
	return root
}
