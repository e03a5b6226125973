// Gatehouse is a chat gateway: people message an AI agent on the platforms
// they use, and every message is kept until it is answered.
//
// This package is the composition root: it reads flags, wires the parts and
// runs them. What the parts do is in gateway, channels, adapters, agent and
// vault. Its files are of four kinds:
//
//   - The process: app.go makes the parts, settings.go what a
//     configuration means to them, serve.go and run.go let them run; outside*.go is
//     their way to the network, key*.go the key that opens the vault, content.go,
//     memory.go, models.go, modules.go and tools.go what each is made of.
//   - The verbs, a file for each of them or for a group: they call an
//     [operator.Operator], by the socket of a running gateway or in this process
//     (socket.go), and print. help.go has the examples and the order.
//   - Modules for their authors and operators: adapter*.go.
//   - The terminal: ask.go for questions, printable.go and wrap.go for what is
//     printed, bar.go for progress; chat.go, converse.go, face.go, typing.go, keys.go
//     and talk.go are `gatehouse chat`.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gatehouse-chat/gatehouse/gateway/operator"
)

// version is set by the build of a release.
var version = "dev"

func main() { os.Exit(Main()) }

// Main runs the command line and returns the exit code: 0 for success, 1 for a
// failure, 2 for a wrong call.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once, which it survives
	root := rootCommand()
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "gatehouse:", failure(err))
	if usage := (usageError{}); errors.As(err, &usage) {
		return 2
	}
	return 1
}

// wrongFlags makes a wrong call of what cobra finds wrong with the flags of
// one: those that are missing, and those that exclude each other.
func wrongFlags(c *cobra.Command) {
	for _, s := range c.Commands() {
		wrongFlags(s)
	}
	if c.RunE == nil || c.HasSubCommands() {
		return
	}
	check := c.PreRunE
	c.PreRunE = func(c *cobra.Command, a []string) error {
		err := c.ValidateRequiredFlags()
		if err == nil {
			err = c.ValidateFlagGroups()
		}
		if err != nil {
			return usageError{fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
		}
		if check == nil {
			return nil
		}
		return check(c, a)
	}
}

// failure writes an error for people. The word on which programs branch is
// left out, and what a platform or a model said cannot act on the terminal.
func failure(err error) string {
	text := err.Error()
	for _, word := range []error{operator.ErrInvalid, operator.ErrConflict} {
		text = strings.TrimPrefix(text, word.Error()+": ")
	}
	lines := strings.Split(strings.ReplaceAll(text, "\t", "  "), "\n")
	for i, l := range lines {
		lines[i] = printable(l)
	}
	return strings.Join(lines, "\n")
}

// negative is what the flags' parser says of a number below zero.
var negative = regexp.MustCompile(`^unknown shorthand flag: '\d' in`)

// usageError is a call that makes no sense as it is.
type usageError struct{ error }

// Unwrap returns the cause.
func (u usageError) Unwrap() error { return u.error }

func rootCommand() *cobra.Command {
	f := &flags{}
	root := &cobra.Command{
		Use:   "gatehouse",
		Short: "A chat gateway between people and an AI agent",
		Long: "Gatehouse lets people message an AI agent on the platforms they use.\n\n" +
			"First steps:\n" +
			"  gatehouse run                    start it; it needs no configuration\n" +
			"  gatehouse models set openai      choose what answers (or another provider)\n" +
			"  gatehouse channels add telegram  connect a bot\n" +
			"  gatehouse chat                   talk to the agent here\n" +
			"  gatehouse doctor                 check everything, when something is wrong",
		SilenceUsage: true, SilenceErrors: true, Version: version, Args: noneSuch, RunE: showHelp,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		if negative.MatchString(err.Error()) {
			return usageError{fmt.Errorf("a value that begins with a hyphen, such as a room's negative number, wants -- before it: %s -- -100123", c.CommandPath())}
		}
		return usageError{fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
	})
	root.SetUsageFunc(writeUsage)
	f.bind(root.PersistentFlags())
	root.AddCommand(runCommand(f), loginCommand(f), chatCommand(f), statusCommand(f), doctorCommand(f), channelsCommand(f), adapterCommand(f), modelsCommand(f),
		pairCommand(f), pauseCommand(f), resumeCommand(f), revokeAllCommand(f), membersCommand(f), identitiesCommand(f), roomsCommand(f), workspacesCommand(f),
		approvalsCommand(f), laterCommand(f), policyCommand(f), secretsCommand(f), keyCommand(f), backupCommand(f), restoreCommand(f), deadCommand(f), auditCommand(f), memoryCommand(f), configCommand(f), webhookCommand(f), serviceCommand(f), versionCommand())
	root.InitDefaultCompletionCmd()
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.Args, completion.RunE = noneSuch, showHelp
	}
	wrongFlags(root)
	withExamples(root)
	return root
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version, and which build it is", Args: args(cobra.NoArgs),
		Run: func(c *cobra.Command, _ []string) {
			fmt.Fprintf(c.OutOrStdout(), "gatehouse %s\n%s\n", version, edition)
		},
	}
}
