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
		l.hosts, l.named = append(l.hosts, d), append(l.named, hostPort(h))
	}
	return l
}

var (
	errNoLeave = errors.New("this destination is not allowed; the person who runs this bot can name it under agent.hosts")
	errKind    = errors.New("a secret of this kind cannot be used by this tool")
)

// requestFor bounds one request of a turn, its answer included.
const requestFor = 60 * time.Second

// Pass implements request.Gate.
func (l *passes) Pass(ctx context.Context, s scope.Scope, to *url.URL, secret string) (request.Pass, error) {
	p := egress.Policy{
		Name: "tool " + request.Name, Allow: l.hosts, Operator: l.named,
		Timeouts: egress.Timeouts{Total: requestFor}, MaxResponse: 4 << 20,
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
	holder := egress.NewPlaceholder()
	p.Allow = append(slices.Clone(p.Allow), origin)
	p.Inject = []egress.Injection{{
		Placeholder: holder, In: egress.Anywhere,
		Lease: func(ctx context.Context, host string) (egress.Lease, error) {
			purpose.Host = host
			return l.b.vault.Lease(ctx, s, ref, purpose)
		},
	}}
	return request.Pass{
		Client:  l.b.gate.Client(p),
		Prepare: func(r *http.Request) error { return place(r, lease.How(), holder) },
		Hide:    func(text []byte) []byte { return hideValue(lease, text) },
	}, nil
}

// place puts the placeholder where the secret's own format wants the value.
func place(r *http.Request, how vault.Format, holder string) error {
	switch how.Kind {
	case vault.Bearer, vault.InPlace:
		r.Header.Set("Authorization", "Bearer "+holder)
	case vault.Header:
		r.Header.Set(how.Name, how.Prefix+holder)
	case vault.Query:
		q := r.URL.Query()
		q.Set(how.Name, holder)
		r.URL.RawQuery = q.Encode()
	case vault.Path:
		mark := "{" + how.Name + "}"
		if !strings.Contains(r.URL.Path, mark) {
			return fmt.Errorf("the path of the url has no %s, where this secret belongs", mark)
		}
		r.URL.Path, r.URL.RawPath = strings.ReplaceAll(r.URL.Path, mark, holder), ""
	default:
		return errKind
	}
	return nil
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
