package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-chat/gatehouse/gateway/audit"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

// tryFor bounds the request with which a secret is tried out.
const tryFor = 30 * time.Second

// try makes one request with a secret, put in as its format says, and returns
// the status of the answer. Only those who administer the installation reach an
// address in a private network by it: others could look around there.
func (b *border) try(ctx context.Context, by scope.Scope, secret string, to *url.URL) (string, error) {
	lease, err := b.vault.LeaseTrial(ctx, by.Principal(), secret, hostPort(to.String()))
	if err != nil {
		return "", err
	}
	origin, err := egress.ParseDestination(to.Scheme + "://" + to.Host)
	if err != nil {
		return "", err
	}
	p := egress.Policy{
		Name: "secrets test", By: speaker(by), Allow: []egress.Destination{origin}, Timeouts: egress.Timeouts{Total: tryFor}, MaxResponse: 1 << 20,
	}
	p.Inside = b.near.of(by.Workspace(), secret)
	if by.Workspace() == b.workspace && by.Role().Administers() {
		p.Operator = []string{hostPort(to.String())}
	}
	req, err := trial(ctx, lease.How().Kind, to)
	if err != nil {
		return "", err
	}
	inject := egress.Injection{Lease: func(ctx context.Context, host string) (egress.Lease, error) {
		return b.vault.LeaseTrial(ctx, by.Principal(), secret, host)
	}}
	if lease.How().Kind == vault.InPlace { // it says of no place: what most services want
		inject.Placeholder, inject.In = egress.NewPlaceholder(), egress.InHeader
		req.Header.Set("Authorization", "Bearer "+inject.Placeholder)
	}
	p.Inject = []egress.Injection{inject}
	client := b.gate.Client(p)
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err // the URL may hold anything
	}
	if err != nil {
		return "", err
	}
	return resp.Status, resp.Body.Close()
}

// trial is a request that changes nothing where a service keeps to the rules.
// What goes into a body needs one.
func trial(ctx context.Context, k vault.Kind, to *url.URL) (*http.Request, error) {
	method, body := http.MethodGet, ""
	if k == vault.Body {
		method, body = http.MethodPost, "{}"
	}
	req, err := http.NewRequestWithContext(ctx, method, to.String(), strings.NewReader(body))
	if err != nil {
		return nil, errors.New("this is no request that can be made")
	}
	if body == "" {
		req.Body, req.ContentLength = http.NoBody, 0
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

func tryCommand(f *flags) *cobra.Command {
	c := &cobra.Command{
		Use: "test NAME", Short: "Make one request with a secret, and say what status came back", Args: args(cobra.ExactArgs(1)),
		Long: "Make one request with a secret, put in as its kind says, to a host that it may be\n" +
			"sent to. Only the host and the status are shown. Without --url it is the root of\n" +
			"the first host, which many services answer to anybody: name an address that\n" +
			"wants the secret. It is a GET; for the kind body a POST of {}.",
		Example:           "  gatehouse secrets test github --url https://api.github.com/user",
		ValidArgsFunction: suggestions(f, false, secretNames),
	}
	full := ofMember(c)
	to := c.Flags().String("url", "", "address at one of the secret's hosts")
	c.RunE = withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
		tried, err := d.TrySecret(ctx, full(a[0]), *to)
		if err != nil {
			return err
		}
		if strings.HasPrefix(tried.Status, "401") || strings.HasPrefix(tried.Status, "403") {
			return fmt.Errorf("%s answers %s: it does not accept the secret", tried.Host, tried.Status)
		}
		fmt.Fprintf(c.OutOrStdout(), "%s answers %s\n", tried.Host, tried.Status)
		return nil
	})
	return c
}

func secretAuditCommand(f *flags) *cobra.Command {
	last, asJSON := 50, false
	c := &cobra.Command{
		Use: "audit NAME", Short: "List what was done with a secret: who used or changed it, for what, where to", Args: args(cobra.ExactArgs(1)),
		ValidArgsFunction: suggestions(f, false, secretNames),
	}
	full := ofMember(c)
	c.Flags().IntVar(&last, "last", last, "how many, at most 1000")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
		d.Workspace = "" // the log is the installation's; the home's owner reads it
		all, err := d.Audit(ctx, audit.Query{On: full(a[0])}, last)
		all = slices.DeleteFunc(all, func(e audit.Entry) bool { return e.By.Workspace != cmp.Or(f.workspace, workspace) })
		switch {
		case err != nil:
			return err
		case asJSON:
			return printJSON(c.OutOrStdout(), all)
		}
		return printAudit(c.OutOrStdout(), all)
	})
	return c
}
