package main

import (
	"log/slog"
	"time"

	"github.com/gatehouse-chat/gatehouse/config"
	"github.com/gatehouse-chat/gatehouse/gateway/ingress"
	"github.com/gatehouse-chat/gatehouse/gateway/login"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

// proxyLogin are the logins beside the console's own sessions.
func (a *app) proxyLogin() []ingress.Authenticator {
	p := a.cfg.ProxyLogin
	if !p.On() {
		return nil
	}
	t, err := newToken(a.settings.border.gate, p, a.settings.proxied, a.log)
	if err != nil { // nobody is logged in by what cannot be checked
		a.log.Error("the proxy's logins are off", "err", err)
		return nil
	}
	return []ingress.Authenticator{t}
}

// newToken makes the check of a proxy's tokens, with a client that reaches its
// keys and nothing else.
func newToken(gate *egress.Gate, p config.ProxyLogin, member func(string) string, log *slog.Logger) (*login.Token, error) {
	to, err := egress.ParseDestination(p.KeysURL)
	if err != nil {
		return nil, err
	}
	return login.NewToken(login.TokenOptions{
		Header: p.Header, Issuer: p.Issuer, Audience: p.Audience, KeysURL: p.KeysURL, Member: member,
		Client: gate.Client(egress.Policy{
			Name: "proxy login", Allow: []egress.Destination{to}, Operator: []string{hostPort(p.KeysURL)},
			MaxResponse: 1 << 20, Timeouts: egress.Timeouts{Header: 10 * time.Second},
		}),
		Log: log,
	}), nil
}

// proxied is whose address a proxy vouches for, by the configuration as it is now.
func (s *settings) proxied(email string) string {
	if p := s.proxyLogin.Load(); p != nil {
		return p.Member(email)
	}
	return ""
}
