package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-chat/gatehouse/config"
	"github.com/gatehouse-chat/gatehouse/gateway/audit"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

// openAudit opens the record of what is done with power.
func (a *app) openAudit() {
	a.audit = audit.Open(audit.Options{Store: a.engine, Keep: config.Days(a.cfg.Retention.Audit), Log: a.log})
	a.closers = append(a.closers, a.lastEntries)
}

// signAudit lets the log make checkpoints, signed with a key that comes from the
// workspace's.
func (a *app) signAudit(ctx context.Context) error {
	file := a.cfg.AuditFile()
	if file == "" {
		return nil
	}
	secret, err := a.vault.Derive(ctx, workspace, "audit", "checkpoints")
	if err != nil {
		return fmt.Errorf("make the key of the audit log: %w", err)
	}
	a.audit.Checkpoint(audit.NewSigner(secret), audit.File(file))
	return nil
}

// lastEntries keeps what was recorded in the last moment.
func (a *app) lastEntries() error {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	return a.audit.Run(ended)
}

// reportLease records the use of a secret.
func (a *app) reportLease(_ context.Context, u vault.Use) {
	e := audit.Entry{
		At: u.At, Kind: audit.Secret, Do: "lent", By: u.By, On: u.Secret, To: u.Purpose.Host,
		For: strings.TrimSpace(u.Purpose.Kind + " " + u.Purpose.Name),
	}
	if e.By.Member == "" {
		e.By = scope.Principal{Workspace: u.Workspace, Member: "gateway", Role: scope.Service}
	}
	if u.Err != nil {
		e.Do, e.Err = "refused", u.Err.Error()
	}
	a.audit.Record(e)
}

// reportKey records that a workspace is locked with another key.
func (a *app) reportKey(_ context.Context, of, from, to string) {
	a.audit.Record(audit.Entry{
		Kind: audit.Admin, Do: "key replaced", On: of, By: scope.Principal{Workspace: of, Member: "gateway", Role: scope.Service},
		Facts: audit.Facts{"from": from, "to": to},
	})
}

// reportEgress records a refused way out, or those that were allowed in the last
// minute.
func (a *app) reportEgress(_ context.Context, d egress.Decision) {
	e := audit.Entry{Kind: audit.Egress, Do: "allowed", By: d.By, On: d.Method, To: d.Host, For: d.Policy, Count: d.Count}
	if e.By.Member == "" {
		e.By = scope.Principal{Workspace: workspace, Member: "gateway", Role: scope.Service}
	}
	if d.Err != nil {
		e.Do, e.Err = "refused", d.Err.Error()
	}
	a.audit.Record(e)
}

// auditFlags select entries.
type auditFlags struct {
	since, until, member, on string
	kinds                    []string
	failed                   bool
}

func (f *auditFlags) bind(c *cobra.Command) {
	c.Flags().StringVar(&f.since, "since", "", "from this time or age on: 2006-01-02, 2006-01-02T15:04:05Z, 36h")
	c.Flags().StringVar(&f.until, "until", "", "before this time or age")
	c.Flags().StringSliceVar(&f.kinds, "kind", nil, "only these kinds: "+strings.Join(actKinds(), ", "))
	c.Flags().StringVar(&f.member, "member", "", "only what this member did; gateway for the gateway itself")
	c.Flags().StringVar(&f.on, "on", "", "only what was done to this: the name of a secret, a model, a member")
	c.Flags().BoolVar(&f.failed, "failed", false, "only what was refused or failed")
	_ = c.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions(actKinds(), cobra.ShellCompDirectiveNoFileComp)) // the flag is there
}

func actKinds() []string {
	var names []string
	for _, k := range audit.Kinds() {
		names = append(names, string(k))
	}
	return names
}

func (f *auditFlags) query(now time.Time) (q audit.Query, err error) {
	q.Member, q.On, q.Failed = f.member, f.on, f.failed
	for _, k := range f.kinds {
		if !slices.Contains(actKinds(), k) {
			return q, usageError{fmt.Errorf("there is no kind %q; there are: %s", k, strings.Join(actKinds(), ", "))}
		}
		q.Kinds = append(q.Kinds, audit.Kind(k))
	}
	if q.Since, err = moment(f.since, now); err == nil {
		q.Until, err = moment(f.until, now)
	}
	return q, err
}

// moment reads a time or an age; "" is the zero time.
func moment(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, s, time.Local); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, usageError{fmt.Errorf("%q is neither a time such as 2006-01-02 or 2006-01-02T15:04:05Z nor an age such as 36h", s)}
	}
	return t, nil
}

func auditCommand(f *flags) *cobra.Command {
	return group("audit", "See what was done with secrets, models, tools and power",
		auditListCommand(f), auditCheckCommand(f), auditExportCommand(f))
}

func auditListCommand(f *flags) *cobra.Command {
	var sel auditFlags
	last, asJSON := 50, false
	c := &cobra.Command{
		Use: "list", Short: "List the last entries", Args: args(cobra.NoArgs),
		RunE: looking(f, func(ctx context.Context, c *cobra.Command, d *desk, _ []string) error {
			q, err := sel.query(time.Now())
			if err != nil {
				return err
			}
			all, err := d.Audit(ctx, q, last)
			switch {
			case err != nil:
				return err
			case asJSON:
				return printJSON(c.OutOrStdout(), all)
			}
			return printAudit(c.OutOrStdout(), all)
		}),
	}
	sel.bind(c)
	c.Flags().IntVar(&last, "last", last, "how many, at most 1000; for all see export")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func printAudit(out io.Writer, all []audit.Entry) error {
	if len(all) == 0 {
		fmt.Fprintln(out, "there are no such entries")
		return nil
	}
	w := table(out)
	fmt.Fprintln(w, "NUMBER\tWHEN\tWHO\tWHAT\tON\tTO\tFOR\tOUTCOME")
	for _, e := range all {
		what := string(e.Kind) + " " + e.Do
		if e.Count > 1 {
			what += " ×" + strconv.Itoa(e.Count)
		}
		outcome := "ok"
		if e.Err != "" {
			outcome = printable(e.Err)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Seq, e.At.Local().Format(time.DateTime), orDash(printable(e.By.Member)), what,
			orDash(printable(e.On)), orDash(printable(e.To)), orDash(printable(e.For)), outcome)
	}
	return w.Flush()
}

func auditCheckCommand(f *flags) *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use: "verify", Short: "Check that nothing was changed, removed or cut off", Args: args(cobra.NoArgs),
		Long: "Check that nothing was changed, removed or cut off.\n\n" +
			"Every entry is checked against the one before it, and against the signed\n" +
			"checkpoints that the gateway keeps outside of its database.",
		RunE: looking(f, func(ctx context.Context, c *cobra.Command, d *desk, _ []string) error {
			r, err := d.VerifyAudit(ctx)
			if err != nil {
				return err
			}
			if asJSON {
				if err := printJSON(c.OutOrStdout(), r); err != nil {
					return err
				}
			}
			if r.Fault != "" {
				return fmt.Errorf("%s", r.Fault) //nolint:err113 // it is for reading
			}
			if !asJSON {
				fmt.Fprintf(c.OutOrStdout(), "%d entries hold together, from %d to %d; %d of them buried\n", r.Entries, min(r.First, r.Last), r.Last, r.Buried)
				fmt.Fprintf(c.OutOrStdout(), "%d %s; the last covers entry %d (%s)\n", r.Checkpoints, plural(r.Checkpoints, "checkpoint agrees", "checkpoints agree"), r.Covered, orDash(r.File))
				fmt.Fprintf(c.OutOrStdout(), "public key of the checkpoints: %s\n", orDash(r.Public))
			}
			return nil
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func auditExportCommand(f *flags) *cobra.Command {
	var sel auditFlags
	to := ""
	c := &cobra.Command{
		Use: "export", Short: "Write all entries, a JSON object a line", Args: args(cobra.NoArgs),
		RunE: looking(f, func(ctx context.Context, c *cobra.Command, d *desk, _ []string) error {
			q, err := sel.query(time.Now())
			if err != nil {
				return err
			}
			if to == "" {
				_, err := d.ExportAudit(ctx, q, c.OutOrStdout())
				return err
			}
			out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			if err != nil {
				return fmt.Errorf("make the file: %w", err)
			}
			n, err := d.ExportAudit(ctx, q, out)
			if cerr := out.Close(); err == nil {
				err = cerr
			}
			if err == nil {
				fmt.Fprintf(c.OutOrStdout(), "%d entries are in %s\n", n, to)
			}
			return err
		}),
	}
	sel.bind(c)
	c.Flags().StringVar(&to, "to", "", "a new file; default standard output")
	return c
}

// examineAudit checks the audit log.
func examineAudit(ctx context.Context, d *desk) finding {
	x := finding{what: "audit log"}
	r, err := d.VerifyAudit(ctx)
	switch {
	case err != nil:
		x.bad, x.fix = err.Error(), "run `gatehouse audit verify`"
	case r.Fault != "":
		x.bad = r.Fault
		x.fix = "somebody has changed the database from outside: keep a copy of it, replace the secrets, and see docs/security.md"
	default:
		x.note = fmt.Sprintf("%d entries hold together, %d %s", r.Entries, r.Checkpoints, plural(r.Checkpoints, "checkpoint agrees", "checkpoints agree"))
	}
	return x
}
