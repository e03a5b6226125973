package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/gatehouse-chat/gatehouse/adapters/console/consoleclient"
	"github.com/gatehouse-chat/gatehouse/adapters/console/wire"
	"github.com/gatehouse-chat/gatehouse/gateway/ingress/api"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
)

func chatCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use: "chat [QUESTION]", Short: "Talk to the agent here", Args: args(cobra.ArbitraryArgs),
		Long: "Talk to the agent in this terminal. It is the same conversation as on the\n" +
			"console's chat page. The gateway has to run.\n\n" +
			"With a question, or with one on standard input, it prints the answer and leaves:\n" +
			"with 0 when there is one, with 1 when the agent could not answer.\n\n" +
			"In the chat: Ctrl-C stops a running answer, a second Ctrl-C or Ctrl-D leaves,\n" +
			"Alt-Enter begins a new line, /help lists the commands. /file PATH sends a file;\n" +
			"/save NUMBER [PATH] saves one that you got, here or in another folder.",
		Example: "  gatehouse chat\n  gatehouse chat \"What is the tallest tree?\"\n  gatehouse chat <question.txt",
		RunE: func(c *cobra.Command, a []string) error {
			question, err := questionOf(c.InOrStdin(), a)
			if err != nil {
				return err
			}
			client, desk, err := openChat(c.Context(), *f)
			if err != nil {
				return err
			}
			// An interrupt stops an answer before it ends the program, so it
			// must not end the context.
			ctx, stop := signal.NotifyContext(context.WithoutCancel(c.Context()), syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			stops := make(chan os.Signal, 1)
			signal.Notify(stops, os.Interrupt)
			defer signal.Stop(stops)
			if question != "" {
				q := inquiry{chat: client, failed: desk.TurnFailed, face: newFace(c.OutOrStdout()), notes: c.ErrOrStderr(), stops: stops}
				return q.ask(ctx, question)
			}
			return converse(ctx, client, c.InOrStdin(), newFace(c.OutOrStdout()), stops)
		},
	}
}

// questionOf is what the call asks: its arguments, or standard input when that
// is no terminal; "" for a conversation.
func questionOf(in io.Reader, a []string) (string, error) {
	text := strings.TrimSpace(strings.Join(a, " "))
	switch {
	case text != "":
	case len(a) > 0:
		return "", usageError{errors.New("the question is empty")}
	case isTerminal(in):
		return "", nil
	default:
		b, err := io.ReadAll(io.LimitReader(in, wire.MaxText+1))
		if err != nil {
			return "", fmt.Errorf("read the question: %w", err)
		}
		if text = strings.TrimSpace(string(b)); text == "" {
			return "", usageError{errors.New("there is no question on standard input; see gatehouse chat --help")}
		}
	}
	if len(text) > wire.MaxText {
		return "", usageError{fmt.Errorf("the question is too long; it may have %d KB", wire.MaxText>>10)}
	}
	return text, nil
}

// openChat finds the running gateway and its chat.
func openChat(ctx context.Context, f flags) (*consoleclient.Client, *api.Client, error) {
	data, err := dataFolder(f)
	if err != nil {
		return nil, nil, err
	}
	c := dialGateway(ctx, data)
	if c == nil {
		return nil, nil, fmt.Errorf("the gateway is %w; start it with `gatehouse run` in another terminal, or for good with `gatehouse service install`", operator.ErrStopped)
	}
	return &consoleclient.Client{HTTP: c.HTTP, Base: c.Base}, c, nil
}

// isTerminal reports whether a person sits at the other end.
func isTerminal(x any) bool {
	f, ok := x.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
