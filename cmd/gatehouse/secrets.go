package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/vault"
)

func secretsCommand(f *flags) *cobra.Command {
	list := listing(f, "List the secrets, without their values", "the vault is empty", "NAME | VERSION | CHANGED | SENT AS | GOES TO | GRANTED TO",
		func(ctx context.Context, d *desk) ([]vault.Meta, error) { return d.Secrets(ctx) }, secretLine)
	return inWorkspace(f, group("secrets", "Keep tokens and keys in the vault", setSecretCommand(f), list,
		rotateSecretCommand(f), grantCommand(f), revokeCommand(f), tryCommand(f), secretAuditCommand(f), deleteSecretCommand(f)))
}

func secretLine(m vault.Meta) []string {
	return []string{
		m.Name, strconv.Itoa(m.Version), m.Changed.Local().Format("2006-01-02 15:04"),
		orDash(string(m.Format.Kind)), orDash(strings.Join(m.Hosts, ", ")), orDash(grantsText(m.Grants)),
	}
}

// grantsText writes grants in the words of the flags that make them.
func grantsText(all []vault.Grant) string {
	var out []string
	for _, g := range all {
		text := g.Name
		for _, part := range []struct{ what, is string }{
			{"member", g.Member}, {"role", string(g.Role)}, {"channel", g.Channel}, {"conversation", g.Conversation},
		} {
			if part.is != "" {
				text += " " + part.what + " " + printable(part.is)
			}
		}
		if !g.Until.IsZero() {
			text += " until " + g.Until.Local().Format("2006-01-02 15:04")
		}
		out = append(out, text)
	}
	return strings.Join(out, "; ")
}

// ofMember adds the flag that names whose own secret is meant.
func ofMember(c *cobra.Command) func(name string) string {
	member := c.Flags().String("member", "", "the secret is this member's own, and used in their turns alone")
	return func(name string) string {
		if *member == "" {
			return name
		}
		return vault.OwnedBy(name, *member)
	}
}

func setSecretCommand(f *flags) *cobra.Command {
	c := &cobra.Command{
		Use: "set NAME", Short: "Store a secret; its value comes from a hidden prompt or standard input", Args: args(cobra.ExactArgs(1)),
		Long: "Store a secret. Its value comes from a hidden prompt or standard input, never from\n" +
			"the arguments, which every user of the machine can see.\n\n" +
			"--host says where it may be sent, --as how it is put into a request there. The\n" +
			"kinds are\n  " + strings.Join(vault.Kinds(), " ") + ";\n" +
			"what a kind needs is said with --with FIELD=VALUE.",
		Example: "  gatehouse secrets set openai <key.txt\n" +
			"  gatehouse secrets set github --host api.github.com --as bearer --tool http_request\n" +
			"  gatehouse secrets set crm --host crm.example.com --as header --with name=X-Api-Key\n" +
			"  gatehouse secrets set mail --member m-3f2a --host mail.example.com --as oauth2-client \\\n" +
			"      --with token_url=https://login.example.com/token --with client_id=me",
	}
	full := ofMember(c)
	hosts := c.Flags().StringSlice("host", nil, "where it may be sent: host or host:port; can be repeated")
	as := c.Flags().String("as", "", "how it is put into a request")
	with := c.Flags().StringArray("with", nil, "a field of --as: name=value; can be repeated")
	tool := c.Flags().String("tool", "", "grant it to this tool at once")
	c.RunE = withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
		to := operator.SecretSetting{Hosts: *hosts}
		if *as != "" {
			format, err := formatOf(*as, *with)
			if err != nil {
				return err
			}
			to.Format = &format
		} else if len(*with) > 0 {
			return usageError{errors.New("--with says more about --as, which is missing")}
		}
		name := full(a[0])
		if err := vault.CheckSecret(name); err != nil {
			return usageError{err} // before a person is asked for its value
		}
		value, err := askSecret(c, "Value of "+name)
		if err != nil {
			return err
		}
		warnings, err := d.SetSecret(ctx, name, value, to)
		if err != nil {
			return err
		}
		warn(c, warnings)
		if *tool != "" {
			if err := d.GrantSecret(ctx, name, vault.Grant{Kind: "tool", Name: *tool}); err != nil {
				return err
			}
		}
		fmt.Fprintf(c.OutOrStdout(), "stored; the configuration names it secret://%s\n", a[0])
		return nil
	})
	return c
}

// formatOf reads --as and --with.
func formatOf(kind string, with []string) (vault.Format, error) {
	fields := map[string]string{}
	for _, w := range with {
		name, value, ok := strings.Cut(w, "=")
		if !ok {
			return vault.Format{}, usageError{fmt.Errorf("--with %s: write FIELD=VALUE", w)}
		}
		fields[name] = value
	}
	f, err := vault.ParseFormat(kind, fields)
	if err != nil {
		return f, usageError{err}
	}
	return f, nil
}

func warn(c *cobra.Command, warnings []string) {
	for _, w := range warnings {
		fmt.Fprintln(c.ErrOrStderr(), "warning:", w)
	}
}

func rotateSecretCommand(f *flags) *cobra.Command {
	c := &cobra.Command{
		Use: "rotate NAME", Short: "Give a secret a new value; what it is for stays", Args: args(cobra.ExactArgs(1)),
		ValidArgsFunction: suggestions(f, false, secretNames),
	}
	full := ofMember(c)
	c.RunE = withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
		value, err := askSecret(c, "New value of "+full(a[0]))
		if err != nil {
			return err
		}
		warnings, err := d.RotateSecret(ctx, full(a[0]), value)
		if err != nil {
			return err
		}
		warn(c, warnings)
		fmt.Fprintln(c.OutOrStdout(), "rotated")
		return nil
	})
	return c
}

func deleteSecretCommand(f *flags) *cobra.Command {
	c := &cobra.Command{
		Use: "delete NAME", Short: "Remove a secret for good", Args: args(cobra.ExactArgs(1)),
		ValidArgsFunction: suggestions(f, false, secretNames),
	}
	full := ofMember(c)
	c.RunE = withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
		err := d.DeleteSecret(ctx, full(a[0]))
		if err == nil {
			fmt.Fprintln(c.OutOrStdout(), "deleted")
		}
		return err
	})
	return c
}

// grantFlags are the flags that describe a grant.
type grantFlags struct {
	grant vault.Grant
	role  string
}

func (g *grantFlags) bind(c *cobra.Command) {
	s := c.Flags()
	s.StringVar(&g.grant.Name, "tool", "", "the tool that uses the secret")
	s.StringVar(&g.grant.Channel, "channel", "", "only in this channel")
	s.StringVar(&g.grant.Conversation, "conversation", "", "only in this conversation")
	s.StringVar(&g.grant.Member, "to", "", "only in the turns of this member")
	s.StringVar(&g.role, "role", "", "only in the turns of members with this role")
}

func (g *grantFlags) read() vault.Grant {
	g.grant.Kind, g.grant.Role = "tool", scope.Role(g.role)
	return g.grant
}

func grantCommand(f *flags) *cobra.Command {
	c := &cobra.Command{
		Use: "grant NAME --tool TOOL", Short: "Let a tool use a secret", Args: args(cobra.ExactArgs(1)),
		Long: "Let a tool use a secret, in the turns that the flags describe; without them in all\n" +
			"turns of the workspace. Channels and models need no grant: what the\n" +
			"configuration names is theirs.",
		ValidArgsFunction: suggestions(f, false, secretNames),
	}
	full, g := ofMember(c), &grantFlags{}
	g.bind(c)
	period := c.Flags().Duration("for", 0, "how long, such as 720h; default for good")
	_ = c.MarkFlagRequired("tool")
	c.RunE = withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
		grant := g.read()
		if *period > 0 {
			grant.Until = time.Now().Add(*period)
		}
		err := d.GrantSecret(ctx, full(a[0]), grant)
		if err == nil {
			fmt.Fprintln(c.OutOrStdout(), "granted")
		}
		return err
	})
	return c
}

func revokeCommand(f *flags) *cobra.Command {
	c := &cobra.Command{
		Use: "revoke NAME [--tool TOOL ... | --all]", Short: "Take grants back; leases end at once", Args: args(cobra.ExactArgs(1)),
		ValidArgsFunction: suggestions(f, false, secretNames),
	}
	full, g := ofMember(c), &grantFlags{}
	g.bind(c)
	all := c.Flags().Bool("all", false, "every grant of the secret")
	c.MarkFlagsOneRequired("tool", "all")
	c.MarkFlagsMutuallyExclusive("tool", "all")
	c.RunE = withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
		grant := vault.Grant{}
		if !*all {
			grant = g.read()
		}
		err := d.RevokeSecret(ctx, full(a[0]), grant)
		if err == nil {
			fmt.Fprintln(c.OutOrStdout(), "revoked")
		}
		return err
	})
	return c
}
