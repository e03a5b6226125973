package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gatehouse-chat/gatehouse/vault"
)

func keyCommand(f *flags) *cobra.Command {
	return group("key", "Look after the key that locks the vault", rotateKeyCommand(f), moveKeyCommand(f), makeKeyCommand())
}

func rotateKeyCommand(f *flags) *cobra.Command {
	data := false
	c := &cobra.Command{
		Use: "rotate", Short: "Replace the key that locks the vault", Args: args(cobra.NoArgs),
		Long: "Replace the key that locks the vault by a new one, while the gateway runs or not.\n" +
			"The old key is needed no longer, except for older backups of the data. Keep a\n" +
			"copy of the new one.\n\n" +
			"With --data every secret is encrypted anew, too. What ends the use of a secret\n" +
			"that somebody has seen is neither: give it a new value where it was issued, and\n" +
			"here with gatehouse secrets rotate.",
		RunE: withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, _ []string) error {
			err := d.RotateKey(ctx, data)
			if err == nil {
				fmt.Fprintln(c.OutOrStdout(), "rotated; keep a copy of the new key")
			}
			return err
		}),
	}
	c.Flags().BoolVar(&data, "data", false, "encrypt every secret anew, under a new data key")
	return c
}

func makeKeyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "make", Short: "Print a new key, for a place that the gateway cannot write to", Args: args(cobra.NoArgs),
		Example: "  gatehouse key make | systemd-creds encrypt --name=gatehouse-key - /etc/gatehouse/key.cred",
		RunE: func(c *cobra.Command, _ []string) error {
			if isTerminal(c.OutOrStdout()) {
				return errors.New("this would show a key on the terminal: send it to a file or another program")
			}
			text := vault.NewKeyText()
			defer clear(text)
			_, err := c.OutOrStdout().Write(text)
			return err
		},
	}
}
