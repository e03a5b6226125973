package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/gateway/ingress/api"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// inWorkspace lets a command and those below it act in another workspace.
func inWorkspace(f *flags, c *cobra.Command) *cobra.Command {
	c.PersistentFlags().StringVar(&f.workspace, "workspace", "", "workspace in which to act; default "+workspace)
	return c
}

// listing is a command that lists something, for people or as JSON. many is the
// word for nothing: "nobody is waiting".
func listing[T any](f *flags, short, none, head string, ask func(context.Context, *desk) ([]T, error), line func(T) []string) *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use: "list", Short: short, Args: args(cobra.NoArgs),
		RunE: looking(f, func(ctx context.Context, c *cobra.Command, d *desk, _ []string) error {
			all, err := ask(ctx, d)
			if err != nil {
				return err
			}
			return printList(c.OutOrStdout(), asJSON, all, none, head, line)
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func printList[T any](out io.Writer, asJSON bool, all []T, none, head string, line func(T) []string) error {
	switch {
	case asJSON && all == nil:
		return printJSON(out, []T{})
	case asJSON:
		return printJSON(out, all)
	case len(all) == 0:
		fmt.Fprintln(out, none)
		return nil
	}
	w := table(out)
	fmt.Fprintln(w, strings.ReplaceAll(head, " | ", "\t"))
	for _, x := range all {
		fmt.Fprintln(w, strings.Join(line(x), "\t"))
	}
	return w.Flush()
}

// acting is a command that does something to one thing and says what it did.
func acting(f *flags, use, short string, many cobra.PositionalArgs, complete cobra.CompletionFunc,
	do func(ctx context.Context, d *desk, a []string) (said string, err error),
) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: args(many), ValidArgsFunction: complete,
		RunE: withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
			said, err := do(ctx, d, a)
			if err == nil {
				fmt.Fprintln(c.OutOrStdout(), said)
			}
			return err
		}),
	}
}

func pairCommand(f *flags) *cobra.Command {
	list := listing(f, "List who asks to be let in", "nobody is waiting", "REQUEST | WORKSPACE | CHANNEL | WHO | THEIR ID | EXPIRES IN",
		func(ctx context.Context, d *desk) ([]identity.Pairing, error) { return d.Pairings(ctx) },
		func(p identity.Pairing) []string {
			return []string{p.ID, p.Workspace, string(p.Where.Channel), printable(p.Who.Name), printable(p.Who.ID), time.Until(p.Expires).Round(time.Minute).String()}
		})
	list.Long = "List who asks to be let in. The code that a person was told is not kept, only its\nhash: compare the id, or have them tell you the code and approve that.\n\n" +
		"Without --workspace those of all workspaces are listed, and a code or a request is\nfound in whichever it is of."
	requests := suggestions(f, false, pairingIDs)
	return inWorkspace(f, group("pair", "Let people in who wrote to a bot", list,
		acting(f, "approve CODE|REQUEST", "Let somebody in; what they wrote is answered at once", cobra.ExactArgs(1), requests,
			func(ctx context.Context, d *desk, a []string) (string, error) {
				p, err := d.Approve(ctx, a[0])
				return printable(p.Who.Name) + " is in" + ofWorkspace(p), err
			}),
		acting(f, "deny CODE|REQUEST", "Refuse somebody", cobra.ExactArgs(1), requests,
			func(ctx context.Context, d *desk, a []string) (string, error) {
				p, err := d.Deny(ctx, a[0])
				return printable(p.Who.Name) + " is refused" + ofWorkspace(p), err
			}),
	))
}

// ofWorkspace names the workspace that a request was for, unless it is the home.
func ofWorkspace(p identity.Pairing) string {
	if p.Workspace == workspace {
		return ""
	}
	return ", workspace " + p.Workspace
}

func membersCommand(f *flags) *cobra.Command {
	members := suggestions(f, false, memberIDs)
	list := listing(f, "List the members", "there is nobody", "ID | NAME | ROLE | SINCE",
		func(ctx context.Context, d *desk) ([]identity.Member, error) {
			p, err := d.People(ctx)
			return p.Members, err
		},
		func(m identity.Member) []string {
			return []string{m.ID, printable(m.Name), string(m.Role), m.Created.Local().Format(time.DateOnly)}
		})
	return inWorkspace(f, group("members", "Look after the people in the workspace", list, showMember(f, members),
		acting(f, "rename ID NAME", "Give a member another name", cobra.ExactArgs(2), members,
			func(ctx context.Context, d *desk, a []string) (string, error) {
				m, err := d.ChangeMember(ctx, a[0], api.Change{Name: a[1]})
				return fmt.Sprintf("%s is called %s", m.ID, printable(m.Name)), err
			}),
		acting(f, "role ID ROLE", "Give a member another role: owner, admin, approver, member, guest, service", cobra.ExactArgs(2), memberThenRole(f),
			func(ctx context.Context, d *desk, a []string) (string, error) {
				m, err := d.ChangeMember(ctx, a[0], api.Change{Role: scope.Role(a[1])})
				return fmt.Sprintf("%s is %s from now on", printable(m.Name), m.Role), err
			}),
		acting(f, "remove ID", "Take a member out; ends their sessions, grants, approvals and turns at once", cobra.ExactArgs(1), members, removeMember),
		eraseMember(f, members), inviteCommand(f), invitationsCommand(f),
	))
}

func removeMember(ctx context.Context, d *desk, a []string) (string, error) {
	left, err := d.RemoveMember(ctx, a[0])
	said := fmt.Sprintf("%s is out", printable(left.Member.Name))
	for _, c := range left.Listed {
		said += fmt.Sprintf("\nwarning: the configuration still lets them in: remove their id from channels.%s.allow", c)
	}
	return said, err
}

func eraseMember(f *flags, members cobra.CompletionFunc) *cobra.Command {
	confirm, asJSON := "", false
	c := &cobra.Command{
		Use: "erase ID", Short: "Take a member out and erase what is kept of them, for good",
		Args: args(cobra.ExactArgs(1)), ValidArgsFunction: members,
		Example: "  gatehouse members erase m-7k2p --confirm m-7k2p",
		Long: "Take a member out and erase what is kept of them: messages in and out, histories,\n" +
			"what rooms overheard of them, notes, approvals, their secrets and logins, and what\n" +
			"the audit log says of them. Nothing of it comes back. It can be run again, also for\n" +
			"somebody who was removed before.",
		RunE: withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
			if confirm != a[0] {
				return usageError{fmt.Errorf("this cannot be undone: say so with --confirm %s", a[0])}
			}
			done, err := d.EraseMember(ctx, a[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), done)
			}
			printErasure(c.OutOrStdout(), done)
			return nil
		}),
	}
	c.Flags().StringVar(&confirm, "confirm", "", "the member's id once more")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func printErasure(out io.Writer, done gateway.Erasure) {
	fmt.Fprintf(out, "%s is out and erased:\n", done.Member)
	for _, place := range slices.Sorted(maps.Keys(done.Erased)) {
		fmt.Fprintf(out, "  %6d  %s\n", done.Erased[place], place)
	}
	if len(done.Erased) == 0 {
		fmt.Fprintln(out, "  nothing was kept")
	}
	if done.Waiting > 0 {
		fmt.Fprintf(out, "%d are on their way, and are erased when they have arrived.\n", done.Waiting)
	}
	fmt.Fprintln(out, "Kept:")
	for _, k := range done.Kept {
		fmt.Fprintf(out, "  %s\n", k)
	}
}

// memberThenRole completes a member first, and a role after it.
func memberThenRole(f *flags) cobra.CompletionFunc {
	return func(c *cobra.Command, given []string, part string) ([]string, cobra.ShellCompDirective) {
		if len(given) == 1 {
			return roleNames(), cobra.ShellCompDirectiveNoFileComp
		}
		return suggestions(f, false, memberIDs)(c, given, part)
	}
}

func roleNames() []string {
	var names []string
	for _, r := range scope.Roles() {
		names = append(names, string(r))
	}
	return names
}

// shownMember is one member with their accounts.
type shownMember struct {
	identity.Member
	Identities []identity.Link `json:"identities"`
}

func showMember(f *flags, members cobra.CompletionFunc) *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use: "show ID", Short: "Show a member and their accounts", Args: args(cobra.ExactArgs(1)), ValidArgsFunction: members,
		RunE: looking(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
			p, err := d.People(ctx)
			if err != nil {
				return err
			}
			i := slices.IndexFunc(p.Members, func(m identity.Member) bool { return m.ID == a[0] })
			if i < 0 {
				return fmt.Errorf("there is no member %q; see gatehouse members list", a[0])
			}
			m := shownMember{Member: p.Members[i], Identities: []identity.Link{}}
			for _, l := range p.Links {
				if l.Member == m.ID {
					m.Identities = append(m.Identities, l)
				}
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), m)
			}
			fmt.Fprintf(c.OutOrStdout(), "%s  %s  %s, since %s\n", m.ID, printable(m.Name), m.Role, m.Created.Local().Format(time.DateOnly))
			return printList(c.OutOrStdout(), false, m.Identities, "known on the console alone", identitiesHead, identityLine)
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

const identitiesHead = "CHANNEL | THEIR ID | NAME THERE | MEMBER | LINKED BY | SINCE"

func identityLine(l identity.Link) []string {
	return []string{string(l.Channel), printable(l.Sender), printable(l.Name), l.Member, l.How, l.At.Local().Format(time.DateOnly)}
}

func inviteCommand(f *flags) *cobra.Command {
	n := api.NewInvitation{}
	role, channel := "", ""
	asJSON := false
	c := &cobra.Command{
		Use: "invite", Short: "Make an invitation for one person, for 72 hours", Args: args(cobra.NoArgs),
		Example: "  gatehouse members invite --channel support --name Anna\n  gatehouse members invite --role approver",
		Long: "Make an invitation for one person. It works once and lasts 72 hours. With --channel\n" +
			"it is a link where the platform has such links; the code alone, sent to the bot as\na message in a direct chat, works on every channel.",
		RunE: withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, _ []string) error {
			n.Role, n.Channel = scope.Role(role), channels.ID(channel)
			i, err := d.Invite(ctx, n)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), i)
			}
			if i.Link != "" {
				fmt.Fprintf(c.OutOrStdout(), "Link  %s\n", i.Link)
			}
			fmt.Fprintf(c.OutOrStdout(), "Code  %s  (send it to the bot as it is)\nThe person who does becomes %s; it works until %s\n", i.Code, i.Role, i.Expires.Local().Format(time.DateTime))
			return nil
		}),
	}
	c.Flags().StringVar(&n.Name, "name", "", "what the person is to be called; default what they call themselves")
	c.Flags().StringVar(&role, "role", string(scope.Ordinary), "owner, admin, approver, member or guest")
	c.Flags().StringVar(&channel, "channel", "", "channel whose bot the link is to open")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func invitationsCommand(f *flags) *cobra.Command {
	list := listing(f, "List the invitations that can still be used", "there are none", "ID | NAME | ROLE | MADE BY | EXPIRES IN",
		func(ctx context.Context, d *desk) ([]identity.Invitation, error) { return d.Invitations(ctx) },
		func(i identity.Invitation) []string {
			return []string{i.ID, printable(orDash(i.Name)), string(i.Role), i.By, time.Until(i.Expires).Round(time.Minute).String()}
		})
	return group("invitations", "See and end invitations", list,
		acting(f, "withdraw ID", "End an invitation", cobra.ExactArgs(1), suggestions(f, false, invitationIDs),
			func(ctx context.Context, d *desk, a []string) (string, error) {
				return "withdrawn", d.Withdraw(ctx, a[0])
			}))
}

func identitiesCommand(f *flags) *cobra.Command {
	list := listing(f, "List which accounts are which members", "no account is linked", identitiesHead,
		func(ctx context.Context, d *desk) ([]identity.Link, error) {
			p, err := d.People(ctx)
			return p.Links, err
		}, identityLine)
	account := ""
	unlink := acting(f, "unlink CHANNEL ID", "Make an account unknown again", cobra.ExactArgs(2), suggestions(f, false, channelIDs),
		func(ctx context.Context, d *desk, a []string) (string, error) {
			l, err := findLink(ctx, d, a[0], a[1], account)
			if err != nil {
				return "", err
			}
			return "unlinked", d.Unlink(ctx, l)
		})
	unlink.Flags().StringVar(&account, "account", "", "the channel's account, where several have such an id")
	return inWorkspace(f, group("identities", "Look after the accounts by which members are known", list, unlink,
		acting(f, "link", "Make a code that links an account of yours, for 15 minutes", cobra.NoArgs, nil,
			func(ctx context.Context, d *desk, _ []string) (string, error) {
				code, err := d.OwnCode(ctx)
				return fmt.Sprintf("Code  %s\nSend it to the bot from the account that is to be yours, within 15 minutes.", code), err
			})))
}

// findLink finds the account that a person means by its channel and id.
func findLink(ctx context.Context, d *desk, channel, sender, account string) (identity.Link, error) {
	p, err := d.People(ctx)
	if err != nil {
		return identity.Link{}, err
	}
	var found []identity.Link
	for _, l := range p.Links {
		if string(l.Channel) == channel && l.Sender == sender && (account == "" || string(l.Account) == account) {
			found = append(found, l)
		}
	}
	switch len(found) {
	case 0:
		return identity.Link{}, fmt.Errorf("nobody is known as %q on %q; see gatehouse identities list", sender, channel)
	case 1:
		return found[0], nil
	}
	return identity.Link{}, usageError{fmt.Errorf("several accounts of %q have that id; name one with --account", channel)}
}
