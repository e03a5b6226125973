package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/gatehouse-chat/gatehouse/channels"
)

const pauseHelp = "What comes in is accepted and kept, and answered after\n`%s`. Answers that\n" +
	"are under way come to their end. A pause survives a restart."

func pauseCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use: "pause", Short: "Answer nobody for a while, and lose nothing", Args: args(cobra.NoArgs),
		Long: "Answer nobody for a while, on any channel.\n\n" + fmt.Sprintf(pauseHelp, "gatehouse resume"),
		RunE: withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, _ []string) error {
			return pauseChannel(ctx, c.OutOrStdout(), d, "")
		}),
	}
}

func resumeCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use: "resume", Short: "Answer what has come in during a pause, and go on", Args: args(cobra.NoArgs),
		RunE: withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, _ []string) error {
			return resumeChannel(ctx, c.OutOrStdout(), d, "")
		}),
	}
}

func channelsPause(f *flags) *cobra.Command {
	return &cobra.Command{
		Use: "pause ID", Short: "Answer nobody on a channel for a while, and lose nothing", Args: args(cobra.ExactArgs(1)),
		Long:              "Answer nobody on a channel for a while.\n\n" + fmt.Sprintf(pauseHelp, "gatehouse channels resume"),
		ValidArgsFunction: suggestions(f, false, channelIDs),
		RunE: withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
			return pauseChannel(ctx, c.OutOrStdout(), d, a[0])
		}),
	}
}

func channelsResume(f *flags) *cobra.Command {
	return &cobra.Command{
		Use: "resume ID", Short: "Answer what has come in on a channel during a pause, and go on", Args: args(cobra.ExactArgs(1)),
		ValidArgsFunction: suggestions(f, false, channelIDs),
		RunE: withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
			return resumeChannel(ctx, c.OutOrStdout(), d, a[0])
		}),
	}
}

func pauseChannel(ctx context.Context, out io.Writer, d *desk, id string) error {
	if err := d.Pause(ctx, channels.ID(id)); err != nil {
		return err
	}
	what, end := "paused", "gatehouse resume"
	if id != "" {
		what, end = id+" is paused", "gatehouse channels resume "+id
	}
	_, err := fmt.Fprintf(out, "%s; what comes in waits for `%s`\n", what, end)
	return err
}

func resumeChannel(ctx context.Context, out io.Writer, d *desk, id string) error {
	n, err := d.Resume(ctx, channels.ID(id))
	if err != nil {
		return err
	}
	text := "resumed; nothing has come in meanwhile"
	if n > 0 {
		text = fmt.Sprintf("resumed; %d waiting %s answered now", n, plural(n, "message is", "messages are"))
	}
	_, err = fmt.Fprintln(out, text)
	return err
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func revokeAllCommand(f *flags) *cobra.Command {
	all := false
	c := &cobra.Command{
		Use: "revoke --all", Short: "Stop and revoke everything at once, when something is wrong", Args: args(cobra.NoArgs),
		Long: "For the moment in which something is wrong and nobody knows yet what. It pauses\n" +
			"every channel, stops the answers under way, logs every browser out of the\n" +
			"console, makes login links worthless, and takes back every standing approval,\n" +
			"every right to use a secret and all that members wanted taken up later, in all\n" +
			"workspaces. Secrets, members and messages stay.\n\n" +
			"Afterwards: gatehouse login, look around, gatehouse resume.",
		RunE: func(c *cobra.Command, a []string) error {
			if !all {
				return usageError{errors.New("say --all: it pauses every channel and logs everybody out; see gatehouse revoke --help")}
			}
			return withDesk(f, revokeAll)(c, a)
		},
	}
	c.Flags().BoolVar(&all, "all", false, "yes, everything")
	return c
}

func revokeAll(ctx context.Context, c *cobra.Command, d *desk, _ []string) error {
	r, err := d.RevokeAll(ctx)
	if err != nil {
		return fmt.Errorf("not everything could be revoked; call it again: %w", err)
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "paused; what comes in waits for `gatehouse resume`\n"+
		"stopped    %d answers under way\nlogged out %d browsers\ntaken back %d standing approvals, %d rights to use a secret, %d errands\n",
		r.Turns, r.Logins, r.Approvals, r.Grants, r.Errands)
	return err
}
