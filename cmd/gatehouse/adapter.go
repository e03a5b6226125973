package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/ingress/api"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/module/shelf"
)

func adapterCommand(f *flags) *cobra.Command {
	c := group("adapter", "Install, and write, channels that run as sandboxed modules",
		installCommand(f), upgradeCommand(f), rollbackCommand(f), listModulesCommand(f), removeModuleCommand(f), inspectCommand(f), trustCommand(f),
		newProjectCommand(), buildCommand(), testCommand(), devCommand(f), practiceCommand(), packCommand(), keygenCommand(), signCommand())
	c.Long = "Install, and write, channels that run as sandboxed modules.\n\n" +
		"A module reaches what its manifest lists and you granted, and nothing else. It\n" +
		"gets no secret: the gateway puts them into its requests."
	return c
}

func listModulesCommand(f *flags) *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use: "list", Short: "List the installed modules, with their versions and the channels that use them", Args: args(cobra.NoArgs),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = looking(f, func(ctx context.Context, c *cobra.Command, d *desk, _ []string) error {
		all, err := d.Modules(ctx)
		switch {
		case err != nil:
			return err
		case asJSON:
			return printJSON(c.OutOrStdout(), all)
		}
		return printModules(c.OutOrStdout(), all)
	})
	return c
}

func printModules(out io.Writer, all []operator.Module) error {
	if len(all) == 0 {
		fmt.Fprintln(out, "no module is installed; `gatehouse adapter install FILE` installs one")
		return nil
	}
	w := table(out)
	fmt.Fprintln(w, "MODULE\tVERSION\tKEPT\tPUBLISHER\tCHANNELS\tNOTE")
	for _, m := range all {
		var kept []string
		for _, e := range m.Before {
			kept = append(kept, e.Version)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", m.ID, m.Current.Version, orDash(strings.Join(kept, ", ")), orDash(m.Current.Publisher),
			orDash(listed(m.Channels)), orDash(moduleNote(m)))
	}
	return w.Flush()
}

// listed are channels in words.
func listed(all []channels.ID) string {
	names := make([]string, len(all))
	for i, id := range all {
		names[i] = string(id)
	}
	return strings.Join(names, ", ")
}

// moduleNote is what somebody in charge should not forget of a module.
func moduleNote(m operator.Module) string {
	broke := ""
	if len(m.Before) > 0 && m.Before[0].Broke != "" {
		broke = fmt.Sprintf("version %s broke at its start and was taken back: %s", m.Before[0].Version, m.Before[0].Broke)
	}
	switch {
	case broke != "" && m.Quarantined == "":
		return broke
	case m.Quarantined != "":
		return "in quarantine: " + m.Quarantined
	case m.Dev:
		return "installed with --dev: nobody vouches for it"
	}
	return ""
}

// printModuleNotes tells of modules that need attention; nothing of the others.
func printModuleNotes(out io.Writer, all []operator.Module) {
	for _, m := range all {
		if note := moduleNote(m); note != "" {
			fmt.Fprintf(out, "\nmodule %s %s: %s\n", m.ID, m.Current.Version, note)
		}
	}
}

func rollbackCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use: "rollback MODULE [VERSION]", Short: "Go back to an earlier version, the last one by default", Args: args(cobra.RangeArgs(1, 2)),
		Long: "Go back to an earlier version, the last one by default. Three are kept. The\n" +
			"channels go over to it at once, and nothing is lost.",
		ValidArgsFunction: suggestions(f, false, moduleIDs),
		RunE: withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
			m, err := d.RollbackModule(ctx, a[0], strings.Join(a[1:], ""))
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s is at version %s again\n", m.ID, m.Current.Version)
			return nil
		}),
	}
}

func removeModuleCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use: "remove MODULE", Short: "Remove a module that no channel uses", Args: args(cobra.ExactArgs(1)),
		ValidArgsFunction: suggestions(f, false, moduleIDs),
		RunE: withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
			err := d.RemoveModule(ctx, a[0])
			if err == nil {
				fmt.Fprintln(c.OutOrStdout(), "removed")
			}
			return err
		}),
	}
}

func inspectCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use: "inspect FILE|FOLDER|URL|MODULE", Short: "Say in words what a module is and what it wants", Args: args(cobra.ExactArgs(1)),
		ValidArgsFunction: suggestions(f, false, moduleIDs),
		RunE: func(c *cobra.Command, a []string) error {
			if looksInstalled(a[0]) {
				return looking(f, inspectInstalled)(c, a)
			}
			if strings.Contains(a[0], "://") {
				return withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
					b, err := source(ctx, d, a[0])
					if err != nil {
						return err
					}
					return inspect(c.OutOrStdout(), b)
				})(c, a)
			}
			b, err := sourceFile(a[0])
			if err != nil {
				return err
			}
			return inspect(c.OutOrStdout(), b)
		},
	}
}

func inspectInstalled(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
	all, err := d.Modules(ctx)
	if err != nil {
		return err
	}
	for _, m := range all {
		if m.ID != a[0] {
			continue
		}
		out := c.OutOrStdout()
		fmt.Fprintf(out, "%s %s, installed %s\n", m.ID, m.Current.Version, m.Current.Installed.Local().Format("2006-01-02 15:04"))
		fmt.Fprintf(out, "  package   %s, %d bytes\n  signed by %s\n", m.Current.Sum, m.Current.Size, orDash(m.Current.Publisher))
		printLines(out, "  It may:", "    - ", m.Current.Grants)
		printModuleNotes(out, all)
		return nil
	}
	return fmt.Errorf("no module %q is installed, and there is no such file", a[0])
}

// inspect says what a package is. The words are its author's where they are in
// quotes, and cannot act on the terminal.
func inspect(out io.Writer, pkg []byte) error {
	p, err := module.Open(pkg)
	if err != nil {
		return err
	}
	m := p.Manifest
	fmt.Fprintf(out, "%s %s, a %s\n", m.ID, m.Version, strings.Join(m.Kind, " and a "))
	fmt.Fprintf(out, "  package   %s, %d bytes, of these %d code\n  signed by %s\n", shelf.Sum(pkg), len(pkg), len(p.Module), p.Publisher)
	printLines(out, "  It wants:", "    - ", m.Wishes())
	return nil
}

func printLines(out io.Writer, title, mark string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintln(out, title)
	for _, l := range lines {
		fmt.Fprintln(out, mark+printable(l))
	}
}

func moduleIDs(ctx context.Context, c *api.Client) ([]string, error) {
	all, err := c.Modules(ctx)
	var ids []string
	for _, m := range all {
		ids = append(ids, cobra.CompletionWithDesc(m.ID, m.Current.Version))
	}
	return ids, err
}
