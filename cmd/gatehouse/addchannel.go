package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/ingress/api"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
)

var validID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$`)

func channelsAdd(f *flags) *cobra.Command {
	platforms := allDrivers().platforms()
	names := make([]string, len(platforms))
	for i, p := range platforms {
		names[i] = p.Adapter
	}
	var id, baseURL, home string
	var set []string
	c := &cobra.Command{
		Use: "add PLATFORM", Short: "Add a channel: asks for what is needed, checks it, connects",
		Long: "Add a channel. What the platform needs is asked for; secrets are not shown. All is\n" +
			"checked with the platform before anything is kept, and secrets are stored in the\n" +
			"vault. A running gateway connects at once.\n\n" +
			"Without a terminal, a platform's one secret is the whole of standard input;\n" +
			"several come as lines KEY=VALUE. What is no secret is given by --set.",
		Example: "  gatehouse channels add telegram\n  gatehouse channels add telegram --id support <token.txt",
		Args:    args(cobra.ExactArgs(1)), ValidArgs: names,
	}
	c.Flags().StringVar(&id, "id", "", "name of the channel (default: the platform's)")
	c.Flags().StringVar(&baseURL, "base-url", "", "another API server than the platform's own")
	c.Flags().StringVar(&home, "workspace", "", "workspace that the channel belongs to; default "+workspace)
	c.Flags().StringArrayVar(&set, "set", nil, "answer a question: `KEY=VALUE`; not for secrets")
	_ = c.RegisterFlagCompletionFunc("workspace", suggestions(f, false, workspaceIDs)) // the flag is there
	c.RunE = func(c *cobra.Command, a []string) error {
		if id == "" {
			id = a[0]
		}
		if !validID.MatchString(id) {
			return usageError{fmt.Errorf("%q is no name for a channel: it has 1 to 40 letters, digits, - or _, and begins with a letter or digit", id)}
		}
		return withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, _ []string) error {
			p, err := platform(ctx, d, a[0])
			if err != nil {
				return err
			}
			given, err := setAnswers(p.Guide, set)
			if err != nil {
				return usageError{err}
			}
			return addChannel(ctx, c, d, p, given, api.NewChannel{ID: channels.ID(id), Adapter: a[0], Section: section(baseURL, home)})
		})(c, a)
	}
	return c
}

// platform finds a kind of channel by its name: an adapter of this build, or an
// installed module.
func platform(ctx context.Context, d *desk, name string) (operator.Platform, error) {
	all, err := d.Platforms(ctx)
	if err != nil {
		return operator.Platform{}, err
	}
	var names []string
	for _, p := range all {
		if p.Adapter == name {
			return p, nil
		}
		names = append(names, p.Adapter)
	}
	return operator.Platform{}, usageError{fmt.Errorf("there is no platform %q; there are: %s. Modules bring more (gatehouse adapter install)", name, strings.Join(names, ", "))}
}

// section is what a new channel's section holds beside the answers.
func section(baseURL, home string) map[string]any {
	s := map[string]any{}
	if baseURL != "" {
		s["base_url"] = baseURL
	}
	if home != "" && home != workspace {
		s["workspace"] = home
	}
	return s
}

// setAnswers reads the answers of --set. A secret there would stand in the
// shell's history and in the list of processes.
func setAnswers(g channels.Guide, set []string) (map[string]string, error) {
	given := map[string]string{}
	for _, s := range set {
		key, value, ok := strings.Cut(s, "=")
		i := slices.IndexFunc(g.Asks, func(a channels.Ask) bool { return a.Key == key })
		switch {
		case !ok:
			return nil, fmt.Errorf("--set %q is not of the form KEY=VALUE", s)
		case i < 0:
			return nil, fmt.Errorf("--set %s: there is no such question; there are: %s", key, strings.Join(questions(g, false), ", "))
		case g.Asks[i].Secret:
			return nil, fmt.Errorf("--set %s: a secret is asked for, or read from standard input, so that it does not stand in the shell's history", key)
		}
		given[key] = value
	}
	return given, nil
}

// questions are the keys of the questions for secrets, or of the others.
func questions(g channels.Guide, secret bool) []string {
	var keys []string
	for _, a := range g.Asks {
		if a.Secret == secret {
			keys = append(keys, a.Key)
		}
	}
	return keys
}

func addChannel(ctx context.Context, c *cobra.Command, d *desk, p operator.Platform, given map[string]string, n api.NewChannel) error {
	s, err := d.Status(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(s.Channels, func(ch gateway.ChannelStatus) bool { return ch.ID == n.ID }) { // before a person is asked for anything
		return fmt.Errorf("there is a channel %q already; give this one another name with --id, or see gatehouse channels list", n.ID)
	}
	printSteps(c.ErrOrStderr(), p.Guide)
	answers, err := askAll(c, p.Guide, given)
	if err != nil {
		return err
	}
	n.Answers = answers
	added, err := d.AddChannel(ctx, n)
	if err != nil {
		return notAdded(n.Adapter, err)
	}
	out := c.OutOrStdout()
	if added.Unlinked {
		fmt.Fprintf(out, "%s is added; now link the phone. Should that not work out: gatehouse channels link %s\n", added.ID, added.ID)
		return linkChannel(ctx, out, d, added.ID, "")
	}
	fmt.Fprintf(out, "%s is %s\n", added.ID, printable(known(added.Identity)))
	for _, note := range added.Identity.Notes {
		fmt.Fprintln(out, "note:", printable(note))
	}
	if added.Live {
		fmt.Fprintln(out, "It is connected.")
	} else {
		fmt.Fprintln(out, "It connects when the gateway runs; start it with `gatehouse run`.")
	}
	if added.Link == "" {
		return nil
	}
	fmt.Fprintln(out, "\nOpen this on your phone and tap Start; the bot then knows you as its owner:")
	return printLink(out, added.Link)
}

// known is how a platform names an account: "Helpful (@helpful_bot)".
func known(who channels.Identity) string {
	if who.Handle == "" {
		return who.Name
	}
	return fmt.Sprintf("%s (@%s)", who.Name, who.Handle)
}

func printSteps(out io.Writer, g channels.Guide) {
	for i, s := range g.Steps {
		fmt.Fprintf(out, "%d. %s\n", i+1, s)
	}
	if g.Paste != "" {
		fmt.Fprintf(out, "\n%s:\n\n%s\n", g.PasteTitle, strings.TrimRight(g.Paste, "\n"))
	}
	if len(g.Steps) > 0 || g.Paste != "" {
		fmt.Fprintln(out)
	}
}

// askAll asks a guide's questions, those that were not answered already.
func askAll(c *cobra.Command, g channels.Guide, given map[string]string) (map[string]string, error) {
	if !isTerminal(c.InOrStdin()) {
		return given, readAnswers(c.InOrStdin(), g, given)
	}
	for _, a := range g.Asks {
		if given[a.Key] != "" || !a.Asked(given) {
			continue
		}
		v, err := askOne(c, a)
		if err != nil {
			return nil, err
		}
		if v != "" {
			given[a.Key] = v
		}
	}
	return given, nil
}

func askOne(c *cobra.Command, a channels.Ask) (string, error) {
	if a.Help != "" {
		fmt.Fprintln(c.ErrOrStderr(), a.Help)
	}
	label := a.Label
	if len(a.Choices) > 0 {
		label += " (" + strings.Join(a.Choices, ", ") + ")"
	} else if a.Optional {
		label += ", or nothing"
	}
	if !a.Secret {
		for {
			v, err := ask(c, label, a.Default())
			if err != nil || v != "" || a.Optional {
				return v, err
			}
		}
	}
	if a.Optional {
		b, err := askOptionalSecret(c, label+" (it is not shown): ")
		return string(b), err
	}
	b, err := askSecret(c, label)
	return string(b), err
}

// readAnswers reads what secrets there are from a stream: the whole of it is
// the one that there is to ask for, else each line is KEY=VALUE.
func readAnswers(in io.Reader, g channels.Guide, given map[string]string) error {
	secrets := questions(g, true)
	if len(secrets) == 0 {
		return nil
	}
	b, err := operator.ReadSecret(in)
	if err != nil {
		return err
	}
	if len(secrets) == 1 {
		given[secrets[0]] = string(b)
		return nil
	}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		key, value, ok := strings.Cut(line, "=")
		switch {
		case line == "":
		case !ok || !slices.Contains(secrets, strings.TrimSpace(key)):
			return errors.New("each line of standard input must be KEY=VALUE, with a key out of " + strings.Join(secrets, ", "))
		default:
			given[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	return nil
}
