package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/gateway/ingress/api"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
)

func roomsCommand(f *flags) *cobra.Command {
	list := listing(f, "List the rooms that the bots are in", "no bot was seen in a room yet", "CHANNEL | ROOM | TITLE | STATE | LAST SEEN",
		func(ctx context.Context, d *desk) ([]operator.Room, error) { return d.Rooms(ctx) },
		func(r operator.Room) []string {
			state := map[identity.RoomState]string{
				identity.RoomSeen: "waits to be admitted", identity.RoomAdmitted: "admitted", identity.RoomDismissed: "dismissed",
			}[r.State]
			if r.Settings {
				state = "admitted by the configuration"
			}
			return []string{string(r.Channel), printable(string(r.ID)), printable(orDash(r.Title)), state, ago(r.Last, time.Now())}
		})
	account := ""
	change := func(use, short, said string, act func(*desk, context.Context, channels.Address) error) *cobra.Command {
		c := acting(f, use+" CHANNEL ROOM", short, cobra.ExactArgs(2), channelThenRoom(f),
			func(ctx context.Context, d *desk, a []string) (string, error) {
				at := channels.Address{Channel: channels.ID(a[0]), Account: channels.AccountID(account), Conversation: channels.ConversationID(a[1])}
				return said, act(d, ctx, at)
			})
		c.Flags().StringVar(&account, "account", "", "the channel's account, where several have such a room")
		return c
	}
	return inWorkspace(f, group("rooms", "Say in which rooms the bots answer", list,
		change("admit", "Answer in a room from now on", "admitted", func(d *desk, ctx context.Context, at channels.Address) error { return d.AdmitRoom(ctx, at) }),
		change("dismiss", "Answer there no more, and do not ask again", "dismissed", func(d *desk, ctx context.Context, at channels.Address) error { return d.DismissRoom(ctx, at) }),
	))
}

// channelThenRoom completes a channel first, and a room of it after that.
func channelThenRoom(f *flags) cobra.CompletionFunc {
	return func(c *cobra.Command, given []string, part string) ([]string, cobra.ShellCompDirective) {
		if len(given) == 0 {
			return suggestions(f, false, channelIDs)(c, given, part)
		}
		return suggestions(f, true, func(ctx context.Context, cl *api.Client) ([]string, error) {
			all, err := cl.Rooms(ctx)
			var ids []string
			for _, r := range all {
				if string(r.Channel) == given[0] && len(given) == 1 {
					ids = append(ids, cobra.CompletionWithDesc(string(r.ID), printable(r.Title)))
				}
			}
			return ids, err
		})(c, given, part)
	}
}

func workspacesCommand(f *flags) *cobra.Command {
	list := listing(f, "List the workspaces", "there are none", "ID | NAME | SINCE",
		func(ctx context.Context, d *desk) ([]identity.Workspace, error) { return d.Workspaces(ctx) },
		func(w identity.Workspace) []string {
			since := "the start"
			if !w.Created.IsZero() {
				since = w.Created.Local().Format(time.DateOnly)
			}
			if w.Ending {
				since = "is being deleted"
			}
			return []string{w.ID, printable(w.Name), since}
		})
	known := suggestions(f, false, workspaceIDs)
	yes := ""
	remove := acting(f, "delete ID", "Delete a workspace for good, with everything in it", cobra.ExactArgs(1), known,
		func(ctx context.Context, d *desk, a []string) (string, error) {
			if yes != a[0] {
				return "", usageError{fmt.Errorf("nothing brings its secrets, members and conversations back; to delete it, add --yes %s", a[0])}
			}
			return a[0] + " is deleted", d.DeleteWorkspace(ctx, a[0])
		})
	remove.Flags().StringVar(&yes, "yes", "", "the id once more")
	create := acting(f, "create ID [NAME]", "Make a workspace; channels join it with 'workspace: ID'", cobra.RangeArgs(1, 2), nil,
		func(ctx context.Context, d *desk, a []string) (string, error) {
			w, err := d.CreateWorkspace(ctx, a[0], strings.Join(a[1:], " "))
			return fmt.Sprintf("%s is there; a channel joins it with `workspace: %s` in its section", w.ID, w.ID), err
		})
	return group("workspaces", "Keep tenants apart: each has its own people, channels, secrets and memory", list, create,
		acting(f, "rename ID NAME", "Give a workspace another name; its id stays", cobra.ExactArgs(2), known,
			func(ctx context.Context, d *desk, a []string) (string, error) {
				w, err := d.RenameWorkspace(ctx, a[0], a[1])
				return fmt.Sprintf("%s is called %s", w.ID, printable(w.Name)), err
			}), remove)
}
