package main

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-chat/gatehouse/gateway/ingress/api"
)

// completeFor bounds how long a shell waits for suggestions.
const completeFor = 2 * time.Second

// suggestions completes arguments by what the running gateway lists. Without
// one there are none: opening the data folder for the tab key would be too much.
// many says that the command takes more than one.
func suggestions(f *flags, many bool, list func(context.Context, *api.Client) ([]string, error)) cobra.CompletionFunc {
	return func(c *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(given) > 0 && !many {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx := c.Context()
		if ctx == nil {
			ctx = context.Background()
		}
		ctx, cancel := context.WithTimeout(ctx, completeFor)
		defer cancel()
		data, err := dataFolder(*f)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		client := dialGateway(ctx, data)
		if client == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		client.Workspace = f.workspace
		all, err := list(ctx, client)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		all = slices.DeleteFunc(all, func(s string) bool { return slices.Contains(given, s) })
		return all, cobra.ShellCompDirectiveNoFileComp
	}
}

func channelIDs(ctx context.Context, c *api.Client) ([]string, error) {
	s, err := c.Status(ctx)
	var ids []string
	for _, ch := range s.Channels {
		if ch.Adapter != consoleID {
			ids = append(ids, string(ch.ID))
		}
	}
	return ids, err
}

func secretNames(ctx context.Context, c *api.Client) ([]string, error) {
	all, err := c.Secrets(ctx)
	var names []string
	for _, m := range all {
		names = append(names, m.Name)
	}
	return names, err
}

func providerNames(ctx context.Context, c *api.Client) ([]string, error) {
	all, err := c.Providers(ctx)
	var names []string
	for _, p := range all {
		names = append(names, p.Name)
	}
	return names, err
}

func pairingIDs(ctx context.Context, c *api.Client) ([]string, error) {
	all, err := c.Pairings(ctx)
	var ids []string
	for _, p := range all {
		ids = append(ids, cobra.CompletionWithDesc(p.ID, printable(p.Who.Name)))
	}
	return ids, err
}

func memberIDs(ctx context.Context, c *api.Client) ([]string, error) {
	all, err := c.People(ctx)
	var ids []string
	for _, m := range all.Members {
		ids = append(ids, cobra.CompletionWithDesc(m.ID, printable(m.Name)))
	}
	return ids, err
}

func invitationIDs(ctx context.Context, c *api.Client) ([]string, error) {
	all, err := c.Invitations(ctx)
	var ids []string
	for _, i := range all {
		ids = append(ids, cobra.CompletionWithDesc(i.ID, printable(i.Name)))
	}
	return ids, err
}

func workspaceIDs(ctx context.Context, c *api.Client) ([]string, error) {
	all, err := c.Workspaces(ctx)
	var ids []string
	for _, w := range all {
		ids = append(ids, cobra.CompletionWithDesc(w.ID, printable(w.Name)))
	}
	return ids, err
}

func deadNumbers(ctx context.Context, c *api.Client) ([]string, error) {
	all, err := c.DeadLetters(ctx, "", 0)
	var numbers []string
	for _, l := range all {
		numbers = append(numbers, strconv.FormatInt(l.Seq, 10))
	}
	return numbers, err
}
