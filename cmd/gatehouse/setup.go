package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"rsc.io/qr"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/ingress/api"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
)

func channelsCommand(f *flags) *cobra.Command {
	list := &cobra.Command{
		Use: "list", Aliases: []string{"status"}, Short: "List the channels and how they are", Args: args(cobra.NoArgs),
	}
	probe := list.Flags().Bool("probe", false, "ask each platform right now")
	asJSON := list.Flags().Bool("json", false, "print JSON")
	list.MarkFlagsMutuallyExclusive("probe", "json")
	list.RunE = looking(f, func(ctx context.Context, c *cobra.Command, d *desk, _ []string) error {
		if *asJSON {
			s, err := d.Status(ctx)
			if err != nil {
				return err
			}
			return printJSON(c.OutOrStdout(), s.Channels)
		}
		return listChannels(ctx, c.OutOrStdout(), d, *probe)
	})
	remove := &cobra.Command{
		Use: "remove ID", Short: "Take a channel out of the configuration", Args: args(cobra.ExactArgs(1)),
		ValidArgsFunction: suggestions(f, false, channelIDs),
		RunE: withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
			left, err := d.RemoveChannel(ctx, channels.ID(a[0]))
			if err == nil {
				fmt.Fprint(c.OutOrStdout(), removedText(left))
			}
			return err
		}),
	}
	connect := &cobra.Command{
		Use: "connect ID", Short: "Print a link that makes whoever taps Start the owner", Args: args(cobra.ExactArgs(1)),
		Long: "Print a link, and the same as a QR code, that opens a chat with the channel's\n" +
			"bot. Whoever taps Start there is known as the owner from then on: keep it to\n" +
			"yourself. It works once.",
		ValidArgsFunction: suggestions(f, false, channelIDs),
		RunE: withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
			url, err := d.Connect(ctx, channels.ID(a[0]))
			if err != nil {
				return err
			}
			return printLink(c.OutOrStdout(), url)
		}),
	}
	return group("channels", "Connect the gateway to platforms", channelsAdd(f), list, channelsLink(f), channelsPause(f), channelsResume(f), remove, connect)
}

// removedText says which secrets a channel has left, and how they go.
func removedText(left operator.Removed) string {
	if len(left.Secrets) == 0 {
		return "removed\n"
	}
	in := ""
	if left.Workspace != workspace {
		in = " --workspace " + left.Workspace
	}
	text := "removed; still in the vault, to be removed with\n"
	for _, name := range left.Secrets {
		text += "  gatehouse secrets delete" + in + " " + name + "\n"
	}
	return text
}

func listChannels(ctx context.Context, out io.Writer, d *desk, probe bool) error {
	s, err := d.Status(ctx)
	if err != nil {
		return err
	}
	w := table(out)
	fmt.Fprintln(w, "CHANNEL\tADAPTER\tSTATE\tAS")
	for _, c := range s.Channels {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", c.ID, c.Adapter, phase(s, c), orDash(printable(c.As)))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, c := range s.Channels {
		for _, l := range details(ctx, d, c, probe && c.Adapter != consoleID) {
			fmt.Fprintf(out, "%s: %s\n", c.ID, printable(l))
		}
	}
	return nil
}

// details is what there is to say of a channel beside its state.
func details(ctx context.Context, d *desk, c gateway.ChannelStatus, probe bool) []string {
	var all []string
	for _, l := range []string{c.Error, c.Fix} {
		if l != "" {
			all = append(all, l)
		}
	}
	if !probe {
		return all
	}
	who, err := d.ProbeChannel(ctx, c.ID)
	if err != nil {
		return append(all, "does not work: "+err.Error())
	}
	return append(append(all, "works as "+known(who)), who.Notes...)
}

// notAdded says in words why a channel was not added, and what to do.
func notAdded(platform string, err error) error {
	e := (*api.Error)(nil)
	if !errors.As(err, &e) {
		return err
	}
	switch e.Kind {
	case "channel_" + string(channels.Unauthorized):
		return fmt.Errorf("%s refuses this token; copy it again, whole. Nothing was kept (%w)", platform, err)
	case "channel_" + string(channels.Transient), "channel_" + string(channels.Ambiguous):
		return fmt.Errorf("%s cannot be reached; check the network and try again. Nothing was kept (%w)", platform, err)
	}
	return err
}

// printLink prints a URL, and as a code to scan.
func printLink(out io.Writer, url string) error {
	fmt.Fprintf(out, "\n  %s\n\n", url)
	return printCode(out, url)
}

// quiet is the margin that scanners need, in modules.
const quiet = 4

// printQR draws two rows of a code in one line of text. On a terminal it is
// dark on light whatever its colours are.
func printQR(out io.Writer, code *qr.Code) {
	begin, end := "", ""
	if isTerminal(out) && os.Getenv("NO_COLOR") == "" {
		begin, end = "\x1b[38;5;231;48;5;16m", "\x1b[0m"
	}
	for y := -quiet; y < code.Size+quiet; y += 2 {
		var b strings.Builder
		for x := -quiet; x < code.Size+quiet; x++ {
			b.WriteString(halves[[2]bool{code.Black(x, y), code.Black(x, y+1)}])
		}
		fmt.Fprintln(out, "  "+begin+b.String()+end)
	}
}

// halves are inverted, so that a code is dark on light on a dark terminal.
var halves = map[[2]bool]string{
	{false, false}: "█", {false, true}: "▀", {true, false}: "▄", {true, true}: " ",
}
