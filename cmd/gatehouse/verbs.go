package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
)

// body is what a command does once it has found the gateway.
type body func(ctx context.Context, c *cobra.Command, d *desk, args []string) error

// withDesk makes a command's body that talks to the gateway.
func withDesk(f *flags, do body) func(*cobra.Command, []string) error { return with(f, openDesk, do) }

// looking is withDesk for what changes nothing: where there is no gateway, it
// makes none.
func looking(f *flags, do body) func(*cobra.Command, []string) error { return with(f, openToLook, do) }

func with(f *flags, open func(context.Context, flags) (*desk, error), do body) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) (err error) {
		defer func() { err = ofFullDisk(err, *f) }()
		d, err := open(c.Context(), *f)
		if err != nil {
			return err
		}
		defer func() {
			if cerr := d.close(); err == nil {
				err = cerr
			}
		}()
		return do(c.Context(), c, d, args)
	}
}

// args checks the number of arguments, as a wrong call.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, a []string) error {
		if check(c, a) == nil {
			return nil
		}
		call := c.Use
		if c.HasParent() {
			call = c.Parent().CommandPath() + " " + call
		}
		return usageError{fmt.Errorf("the call is `%s`; see %s --help", call, c.CommandPath())}
	}
}

// group is a command that only has others below it.
func group(use, short string, below ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short, Args: noneSuch, RunE: showHelp}
	g.AddCommand(below...)
	return g
}

func showHelp(c *cobra.Command, _ []string) error { return c.Help() }

// noneSuch refuses what is no command below this one, and says what was
// probably meant.
func noneSuch(c *cobra.Command, a []string) error {
	if len(a) == 0 {
		return nil
	}
	if c.SuggestionsMinimumDistance == 0 {
		c.SuggestionsMinimumDistance = 2
	}
	if near := c.SuggestionsFor(a[0]); len(near) > 0 {
		return usageError{fmt.Errorf("there is no command %q; did you mean %s %s?", a[0], c.CommandPath(), near[0])}
	}
	return usageError{fmt.Errorf("there is no command %q; see %s --help", a[0], c.CommandPath())}
}

func table(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 4, 2, ' ', 0) }

func statusCommand(f *flags) *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use: "status", Short: "Show the channels, the queues and today's spending", Args: args(cobra.NoArgs),
		RunE: looking(f, func(ctx context.Context, c *cobra.Command, d *desk, _ []string) error {
			s, err := d.Status(ctx)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), s)
			}
			return printStatus(c.OutOrStdout(), s, time.Now())
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func printStatus(out io.Writer, s operator.Status, now time.Time) error {
	if s.Running {
		fmt.Fprintf(out, "gatehouse %s, running for %s\n", s.Version, now.Sub(s.Started).Round(time.Second))
	} else {
		fmt.Fprintf(out, "gatehouse %s, not running\n", s.Version)
	}
	if !s.Paused.IsZero() {
		fmt.Fprintf(out, "paused   since %s; what comes in waits for `gatehouse resume`\n", ago(s.Paused, now))
	}
	if s.Console != "" {
		fmt.Fprintf(out, "console  %s\n", s.Console)
	}
	fmt.Fprintf(out, "model    %s\n", plainly(s.Model))
	if s.Cap >= 0 {
		fmt.Fprintf(out, "today    about $%.2f of $%.2f\n", s.Spent.USD, s.Cap)
	} else {
		fmt.Fprintf(out, "today    about $%.2f, without a cap\n", s.Spent.USD)
	}
	for _, name := range s.Unpriced {
		fmt.Fprintf(out, "         the price of model %s is not known and taken to be high; price_in and price_out correct it\n", name)
	}
	w := table(out)
	fmt.Fprintln(w, "\nCHANNEL\tADAPTER\tSTATE\tAS\tLAST RECEIVED\tLAST SENT")
	for _, c := range s.Channels {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", c.ID, c.Adapter, phase(s, c), orDash(printable(c.As)), ago(c.Received, now), ago(c.Sent, now))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, c := range s.Channels {
		if c.Error != "" {
			fmt.Fprintf(out, "\n%s: %s\n", c.ID, printable(c.Error))
			if c.Fix != "" {
				fmt.Fprintf(out, "  %s\n", printable(c.Fix))
			}
		}
	}
	printModuleNotes(out, s.Modules)
	if err := printLimits(out, s.Limits); err != nil {
		return err
	}
	for _, q := range s.Depths {
		if q.Count > 0 {
			fmt.Fprintf(out, "%s of %s: %d %s, the oldest from %s\n", q.Queue, q.Channel, q.Count, q.State, ago(q.Oldest, now))
		}
	}
	return nil
}

// printLimits shows what was used today of what may be sent and received.
func printLimits(out io.Writer, all []operator.Limit) error {
	if len(all) == 0 {
		return nil
	}
	const mega = 1 << 20
	of := func(used string, limit int64) string {
		if limit == 0 {
			return used
		}
		return fmt.Sprintf("%s of %d", used, limit)
	}
	w := table(out)
	fmt.Fprintln(w, "\nUSED TODAY\tBY\tREQUESTS\tMB")
	for _, l := range all {
		mb := strconv.FormatFloat(float64(l.Bytes)/mega, 'f', 1, 64)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", l.Of, orDash(l.Who), of(strconv.FormatInt(l.Requests, 10), l.RequestsPerDay), of(mb, l.BytesPerDay/mega))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, l := range all {
		if l.Full != "" {
			fmt.Fprintf(out, "%s: %s\n", strings.TrimSpace(l.Of+" "+l.Who), l.Full)
		}
	}
	return nil
}

// phase is how a channel is; while the gateway is stopped, so are they.
func phase(s operator.Status, c gateway.ChannelStatus) string {
	state := orDash(string(c.Phase))
	if !s.Running {
		state = "stopped"
	}
	if !c.Paused.IsZero() {
		state += ", paused"
	}
	return state
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func ago(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return now.Sub(t).Round(time.Second).String() + " ago"
}

// queues can hold dead letters.
var queues = []string{bus.Inbox, bus.Urgent, bus.Outbox}

func deadCommand(f *flags) *cobra.Command {
	queue, asJSON := "", false
	list := &cobra.Command{
		Use: "list", Short: "List what could not be worked on or delivered", Args: args(cobra.NoArgs),
		RunE: looking(f, func(ctx context.Context, c *cobra.Command, d *desk, _ []string) error {
			all, err := allDead(ctx, d, queue)
			if err != nil {
				return err
			}
			return printList(c.OutOrStdout(), asJSON, all, "there are no dead letters", "NUMBER | QUEUE | CHANNEL | ATTEMPTS | DIED | REASON", deadLine)
		}),
		PreRunE: func(*cobra.Command, []string) error {
			if queue != "" && !slices.Contains(queues, queue) {
				return usageError{fmt.Errorf("there is no queue %q; there are: %s", queue, strings.Join(queues, ", "))}
			}
			return nil
		},
	}
	list.Flags().StringVar(&queue, "queue", "", "inbox, urgent or outbox; default all")
	list.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	show := &cobra.Command{
		Use: "show NUMBER", Short: "Show one, with its content", Args: args(cobra.ExactArgs(1)),
		ValidArgsFunction: suggestions(f, false, deadNumbers),
		RunE: looking(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
			seqs, err := numbers(a)
			if err != nil {
				return err
			}
			l, err := d.DeadLetter(ctx, seqs[0])
			if err != nil {
				return err
			}
			return printJSON(c.OutOrStdout(), l)
		}),
	}
	change := func(use, short, done string, act func(*desk, context.Context, []int64) (int, error)) *cobra.Command {
		return &cobra.Command{
			Use: use + " NUMBER...", Short: short, Args: args(cobra.MinimumNArgs(1)),
			ValidArgsFunction: suggestions(f, true, deadNumbers),
			RunE: withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
				seqs, err := numbers(a)
				if err != nil {
					return err
				}
				n, err := act(d, ctx, seqs)
				if err == nil && n > 0 {
					fmt.Fprintf(c.OutOrStdout(), "%d %s\n", n, done)
				}
				if err == nil && n < len(seqs) {
					err = fmt.Errorf("%d of %d are no dead letters; see gatehouse dead list", len(seqs)-n, len(seqs))
				}
				return err
			}),
		}
	}
	return group("dead", "Look after messages that were set aside", list, show,
		change("replay", "Try them again", "will be tried again", func(d *desk, ctx context.Context, s []int64) (int, error) { return d.Replay(ctx, s) }),
		change("drop", "Remove them for good", "removed", func(d *desk, ctx context.Context, s []int64) (int, error) { return d.Drop(ctx, s) }),
	)
}

// allDead reads every page of the dead letters.
func allDead(ctx context.Context, d *desk, queue string) ([]operator.Letter, error) {
	var all []operator.Letter
	for after := int64(0); ; {
		page, err := d.DeadLetters(ctx, queue, after)
		if err != nil || len(page) == 0 {
			return all, err
		}
		all = append(all, page...)
		after = page[len(page)-1].Seq
	}
}

func deadLine(l operator.Letter) []string {
	return []string{
		strconv.FormatInt(l.Seq, 10), l.Queue, l.Channel, strconv.Itoa(l.Attempts), l.Died.Format(time.DateTime), printable(l.Reason),
	}
}

func numbers(a []string) ([]int64, error) {
	var out []int64
	for _, s := range a {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return nil, usageError{fmt.Errorf("%q is not the number of a dead letter; see gatehouse dead list", s)}
		}
		out = append(out, n)
	}
	return out, nil
}
