package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-chat/gatehouse/gateway/approval"
	"github.com/gatehouse-chat/gatehouse/gateway/ingress/api"
)

func approvalsCommand(f *flags) *cobra.Command {
	asJSON := false
	list := &cobra.Command{
		Use: "list", Short: "List what people are asked, and what they have allowed for longer", Args: args(cobra.NoArgs),
		RunE: looking(f, func(ctx context.Context, c *cobra.Command, d *desk, _ []string) error {
			return listApprovals(ctx, c, d, asJSON)
		}),
	}
	list.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	extent := ""
	allow := &cobra.Command{
		Use: "allow CODE", Short: "Allow what is asked", Args: args(cobra.ExactArgs(1)), ValidArgsFunction: suggestions(f, false, questionCodes),
		RunE: withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
			return decideQuestion(ctx, c, d, a[0], approval.Answer{Outcome: approval.Approved, Extent: approval.Extent(extent)})
		}),
		PreRunE: func(*cobra.Command, []string) error {
			switch approval.Extent(extent) {
			case approval.Once, approval.Conversation, approval.Always:
				return nil
			}
			return usageError{fmt.Errorf("--for is once, conversation or always, not %q", extent)}
		},
	}
	allow.Flags().StringVar(&extent, "for", string(approval.Once), "once, conversation or always: the last two are for this tool and destination, for 30 days")
	deny := &cobra.Command{
		Use: "deny CODE", Short: "Do not allow it", Args: args(cobra.ExactArgs(1)), ValidArgsFunction: suggestions(f, false, questionCodes),
		RunE: withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
			return decideQuestion(ctx, c, d, a[0], approval.Answer{Outcome: approval.Refused})
		}),
	}
	revoke := &cobra.Command{
		Use: "revoke ID", Short: "End an approval that lasts", Args: args(cobra.ExactArgs(1)), ValidArgsFunction: suggestions(f, false, standingIDs),
		RunE: withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
			s, err := d.RevokeApproval(ctx, a[0])
			if err == nil {
				fmt.Fprintf(c.OutOrStdout(), "%s asks again from now on\n", s.Tool)
			}
			return err
		}),
	}
	return group("approvals", "Decide what the agent may do, and what it may do for longer", list, allow, deny, revoke)
}

func decideQuestion(ctx context.Context, c *cobra.Command, d *desk, code string, a approval.Answer) error {
	q, err := d.Decide(ctx, code, a)
	if err == nil {
		fmt.Fprintf(c.OutOrStdout(), "%s is %s\n", q.Tool, q.Answer.Outcome)
	}
	return err
}

func listApprovals(ctx context.Context, c *cobra.Command, d *desk, asJSON bool) error {
	all, err := d.Approvals(ctx)
	if err != nil {
		return err
	}
	out := c.OutOrStdout()
	if asJSON {
		return printJSON(out, all)
	}
	if len(all.Questions)+len(all.Standings) == 0 {
		fmt.Fprintln(out, "nobody is asked, and nothing is allowed for longer")
		return nil
	}
	if len(all.Questions) > 0 {
		w := table(out)
		fmt.Fprintln(w, "CODE\tCHANNEL\tFOR\tTOOL\tDESTINATION\tTIME LEFT\tARGUMENTS")
		for _, q := range all.Questions {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", q.Code, q.Where.Channel, printable(q.Requester.Member), q.Tool,
				orDash(printable(q.Target)), time.Until(q.Expires).Round(time.Minute), printable(q.Summary))
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if len(all.Standings) == 0 {
		return nil
	}
	w := table(out)
	fmt.Fprintln(w, "ID\tFOR\tTOOL\tDESTINATION\tWHERE\tALLOWED BY\tUNTIL")
	for _, s := range all.Standings {
		where := "everywhere"
		if s.Conversation != "" {
			where = s.Conversation
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.ID, printable(s.Member), s.Tool, orDash(printable(s.Target)),
			printable(where), printable(s.By), s.Expires.Format(time.DateOnly))
	}
	return w.Flush()
}

func questionCodes(ctx context.Context, c *api.Client) ([]string, error) {
	all, err := c.Approvals(ctx)
	var codes []string
	for _, q := range all.Questions {
		codes = append(codes, q.Code)
	}
	return codes, err
}

func standingIDs(ctx context.Context, c *api.Client) ([]string, error) {
	all, err := c.Approvals(ctx)
	var ids []string
	for _, s := range all.Standings {
		ids = append(ids, s.ID)
	}
	return ids, err
}
