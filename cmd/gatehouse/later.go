package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-chat/gatehouse/gateway/ingress/api"
)

func laterCommand(f *flags) *cobra.Command {
	asJSON := false
	list := &cobra.Command{
		Use: "list", Short: "List what members want taken up later, without their words", Args: args(cobra.NoArgs),
		RunE: looking(f, func(ctx context.Context, c *cobra.Command, d *desk, _ []string) error {
			all, err := d.Errands(ctx)
			switch {
			case err != nil:
				return err
			case asJSON:
				return printJSON(c.OutOrStdout(), all)
			case len(all) == 0:
				fmt.Fprintln(c.OutOrStdout(), "nothing is to be taken up later")
				return nil
			}
			w := table(c.OutOrStdout())
			fmt.Fprintln(w, "ID\tMEMBER\tCHANNEL\tDUE\tAGAIN EVERY")
			for _, e := range all {
				every := ""
				if e.Every > 0 {
					every = e.Every.String()
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", e.ID, printable(e.Member), e.Channel, e.Due.Local().Format(time.DateTime), orDash(every))
			}
			return w.Flush()
		}),
	}
	list.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cancel := &cobra.Command{
		Use: "cancel ID", Short: "Take one back", Args: args(cobra.ExactArgs(1)), ValidArgsFunction: suggestions(f, false, errandIDs),
		RunE: withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
			err := d.CancelErrand(ctx, a[0])
			if err == nil {
				fmt.Fprintln(c.OutOrStdout(), "cancelled")
			}
			return err
		}),
	}
	return inWorkspace(f, group("later", "Look after what members want taken up later", list, cancel))
}

func errandIDs(ctx context.Context, c *api.Client) ([]string, error) {
	all, err := c.Errands(ctx)
	var ids []string
	for _, e := range all {
		ids = append(ids, e.ID)
	}
	return ids, err
}
