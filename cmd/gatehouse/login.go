package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-chat/gatehouse/gateway/login"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
)

func loginCommand(f *flags) *cobra.Command {
	code, list, revoke := false, false, ""
	c := &cobra.Command{
		Use: "login", Short: "Print a new link that opens the console, logged in", Args: args(cobra.NoArgs),
		Long: "Print a new link that opens the console, logged in. It works once, for ten\nminutes. The gateway has to run.\n\n" +
			"With --list, list the browsers that are logged in; with --revoke, log one of\nthem out, or all.",
		Example: "  gatehouse login\n  gatehouse login --list\n  gatehouse login --revoke 3f9c0a71b2de\n  gatehouse login --revoke all",
	}
	c.Flags().BoolVar(&code, "qr", false, "print it as a code to scan as well")
	c.Flags().BoolVar(&list, "list", false, "list the browsers that are logged in")
	c.Flags().StringVar(&revoke, "revoke", "", "log out the browser with this `ID` from --list, or all")
	c.MarkFlagsMutuallyExclusive("qr", "list", "revoke")
	c.RunE = looking(f, func(ctx context.Context, c *cobra.Command, d *desk, _ []string) error {
		switch {
		case list:
			return listLogins(ctx, c.OutOrStdout(), d, time.Now())
		case revoke != "":
			return revokeLogins(ctx, c.OutOrStdout(), d, revoke)
		}
		return newLogin(ctx, c.OutOrStdout(), d, code)
	})
	return c
}

func newLogin(ctx context.Context, out io.Writer, d *desk, code bool) error {
	if !d.running {
		return fmt.Errorf("the gateway is %w; start it with gatehouse run, which prints a link as well", operator.ErrStopped)
	}
	url, err := d.Login(ctx)
	if err != nil {
		return err
	}
	if code {
		return printLink(out, url)
	}
	_, err = fmt.Fprintln(out, url)
	return err
}

func listLogins(ctx context.Context, out io.Writer, d *desk, now time.Time) error {
	all, err := d.Logins(ctx)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		_, err = fmt.Fprintln(out, "no browser is logged in")
		return err
	}
	w := table(out)
	fmt.Fprintln(w, "ID\tMEMBER\tBROWSER\tFROM\tLOGGED IN\tUSED")
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", s.ID, printable(s.Member), cmp.Or(s.Browser, "-"), cmp.Or(s.Addr, "-"), ago(s.Created, now), ago(s.Seen, now))
	}
	return w.Flush()
}

func revokeLogins(ctx context.Context, out io.Writer, d *desk, id string) error {
	if id != "all" {
		err := d.RevokeLogin(ctx, id)
		switch {
		case errors.Is(err, login.ErrUnknown):
			return fmt.Errorf("no browser with the ID %s is logged in; see gatehouse login --list", printable(id))
		case err != nil:
			return err
		}
		_, err = fmt.Fprintln(out, "that browser is logged out")
		return err
	}
	n, err := d.RevokeLogins(ctx, "")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "logged out everywhere (%d); unused login links no longer work\n", n)
	return err
}
