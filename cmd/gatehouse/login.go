package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gatehouse-chat/gatehouse/gateway/operator"
)

func loginCommand(f *flags) *cobra.Command {
	code := false
	c := &cobra.Command{
		Use: "login", Short: "Print a new link that opens the console, logged in", Args: args(cobra.NoArgs),
		Long: "Print a new link that opens the console, logged in. It works once, for ten\nminutes. The gateway has to run.",
		RunE: withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, _ []string) error {
			if !d.running {
				return fmt.Errorf("the gateway is %w; start it with gatehouse run, which prints a link as well", operator.ErrStopped)
			}
			url, err := d.Login(ctx)
			if err != nil {
				return err
			}
			if code {
				return printLink(c.OutOrStdout(), url)
			}
			fmt.Fprintln(c.OutOrStdout(), url)
			return nil
		}),
	}
	c.Flags().BoolVar(&code, "qr", false, "print it as a code to scan as well")
	return c
}
