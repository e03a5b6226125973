package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent/tool/request"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

// passes lets the requests of turns out: to what `agent.hosts` names, and with a
// secret to where the secret may go.
type passes struct {
	b     *border
	hosts []egress.Destination
	named []string // host:port of hosts, which may lie at a private address
}

var _ request.Gate = (*passes)(nil)

func newPasses(b *border, hosts []string) *passes {
	l := &passes{b: b}
	for _, h := range hosts {
		d, err := egress.ParseDestination(h)
		if err != nil {
			continue // the configuration's check reports it
		}
		l.hosts = append(l.hosts, d)
		if !strings.HasPrefix(d.Host, "*") { // of many hosts nobody has named one
			l.named = append(l.named, hostPort(h))
		}
	}
	return l
}

var errNoLeave = errors.New("this destination is not allowed; the person who runs this bot can name it under agent.hosts")

// speaker is who a turn's requests are counted for and recorded under.
func speaker(s scope.Scope) scope.Principal {
	return scope.Principal{Workspace: s.Workspace(), Member: s.Member(), Role: s.Role()}
}

// requestFor bounds one request of a turn, its answer included.
const requestFor = 60 * time.Second

// Pass implements request.Gate.
func (l *passes) Pass(ctx context.Context, s scope.Scope, to *url.URL, secret string) (request.Pass, error) {
	p := egress.Policy{
		Name: ofTool + request.Name, By: speaker(s), Allow: l.hosts, Operator: l.named,
		Timeouts: egress.Timeouts{Total: requestFor}, MaxResponse: 4 << 20, Screen: true,
	}
	if secret == "" {
		if len(l.hosts) == 0 {
			return request.Pass{}, errNoLeave
		}
		return request.Pass{Client: l.b.gate.Client(p)}, nil
	}
	ref, ok := vault.ParseRef("secret://" + secret)
	if !ok {
		return request.Pass{}, fmt.Errorf("%q is no name of a secret", secret)
	}
	purpose := vault.Purpose{Kind: "tool", Name: request.Name, Host: hostPort(to.String())}
	lease, err := l.b.vault.Lease(ctx, s, ref, purpose)
	if err != nil { // one answer for what is not there and what is not theirs
		return request.Pass{}, fmt.Errorf("there is no secret %q for this person, this tool and this destination", secret)
	}
	origin, err := egress.ParseDestination(to.Scheme + "://" + to.Host)
	if err != nil {
		return request.Pass{}, errNoLeave
	}
	p.Allow = append(slices.Clone(p.Allow), origin)
	p.Inside = l.b.near.of(s.Workspace(), ref.Name())
	inject := egress.Injection{Lease: func(ctx context.Context, host string) (egress.Lease, error) {
		at := purpose
		at.Host = host
		return l.b.vault.Lease(ctx, s, ref, at)
	}}
	pass := request.Pass{
		Prepare: func(*http.Request) error { return nil },
		Hide:    func(text []byte) []byte { return hideValue(lease, text) },
	}
	if lease.How().Kind == vault.InPlace { // it says of no place: what most services want
		inject.Placeholder, inject.In = egress.NewPlaceholder(), egress.InHeader
		pass.Prepare = func(r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+inject.Placeholder)
			return nil
		}
	}
	p.Inject = []egress.Injection{inject}
	pass.Client = l.b.gate.Client(p)
	return pass, nil
}

// hideValue takes a value out of what came back, also where it is encoded. A
// lease that has ended hides everything.
func hideValue(lease *vault.Lease, text []byte) []byte {
	out := text
	err := lease.Use(func(plain []byte) error {
		value := string(plain)
		for _, form := range []string{
			value, url.QueryEscape(value), url.PathEscape(value), hex.EncodeToString(plain), strings.ToUpper(hex.EncodeToString(plain)),
			base64.StdEncoding.EncodeToString(plain), base64.RawStdEncoding.EncodeToString(plain),
			base64.URLEncoding.EncodeToString(plain), base64.RawURLEncoding.EncodeToString(plain),
		} {
			out = bytes.ReplaceAll(out, []byte(form), []byte("[secret]"))
		}
		return nil
	})
	if err != nil {
		return []byte("[the answer is withheld: the secret's lease has ended]")
	}
	return out
}
