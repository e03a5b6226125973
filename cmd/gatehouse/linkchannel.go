package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"rsc.io/qr"

	"github.com/gatehouse-chat/gatehouse/channels"
)

func channelsLink(f *flags) *cobra.Command {
	phone := ""
	c := &cobra.Command{
		Use: "link ID", Short: "Link a phone to a channel, by QR code or by a code to type", Args: args(cobra.ExactArgs(1)),
		Long: "Link a phone to a channel that speaks as a person's account, such as WhatsApp.\n" +
			"Shows a QR code to scan with the phone, anew each time it changes; with --phone,\n" +
			"a code to type into the phone instead.",
		Example:           "  gatehouse channels link whatsapp\n  gatehouse channels link whatsapp --phone +4915112345678",
		ValidArgsFunction: suggestions(f, false, channelIDs),
		RunE: withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
			return linkChannel(ctx, c.OutOrStdout(), d, channels.ID(a[0]), phone)
		}),
	}
	c.Flags().StringVar(&phone, "phone", "", "the phone's number with its country code, for a code to type")
	return c
}

// linkChannel shows codes until the phone is linked.
func linkChannel(ctx context.Context, out io.Writer, d *desk, id channels.ID, phone string) error {
	n := 0
	var shown error
	err := d.LinkChannel(ctx, id, phone, func(code string) {
		n++
		if phone != "" {
			fmt.Fprintf(out, "\n  %s\n\nOn the phone: Settings, Linked devices, Link a device, Link with phone number instead.\n", printable(code))
			return
		}
		if n == 1 {
			fmt.Fprintln(out, "\nOn the phone: Settings, Linked devices, Link a device; then point it at this code.")
		} else {
			fmt.Fprintln(out, "\nA new code; the one above no longer counts.")
		}
		fmt.Fprintln(out)
		shown = errors.Join(shown, printCode(out, code))
	})
	if err := errors.Join(err, shown); err != nil {
		return err
	}
	fmt.Fprintln(out, "\nlinked")
	if !d.running {
		fmt.Fprintln(out, "It connects when the gateway runs; start it with `gatehouse run`.")
	}
	return nil
}

// printCode prints a text as a code to scan.
func printCode(out io.Writer, text string) error {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return fmt.Errorf("make a QR code: %w", err)
	}
	printQR(out, code)
	return nil
}
