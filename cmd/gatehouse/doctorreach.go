package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/gatehouse-chat/gatehouse/config"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

// renewBefore is when a certificate that nobody has renewed is worth a word.
const renewBefore = 14 * 24 * time.Hour

// examineReach looks at how the console can be reached from elsewhere.
func examineReach(c config.Config, now time.Time) []finding {
	x := finding{what: "console", note: "on this machine alone, " + c.ConsoleURL(c.Admin)}
	switch {
	case c.TLS.On():
		x.note = c.ConsoleURL(c.Admin) + ", encrypted by the gateway"
	case c.AdminURL != "":
		x.note = c.ConsoleURL(c.Admin) + ", through a proxy"
	}
	if !c.TLS.On() {
		return []finding{x}
	}
	return []finding{x, examineCertificate(c, now)}
}

func examineCertificate(c config.Config, now time.Time) finding {
	x := finding{what: "certificate " + c.TLS.Cert}
	pair, err := tls.LoadX509KeyPair(c.TLS.Cert, c.TLS.Key)
	if err != nil {
		x.bad, x.fix = err.Error(), "name the chain and its key, both in PEM, under `tls`, readable for this user"
		return x
	}
	leaf, left := pair.Leaf, pair.Leaf.NotAfter.Sub(now)
	x.note = fmt.Sprintf("valid for %d more days", int(left.Hours()/24))
	name := consoleName(c)
	switch {
	case left <= 0:
		x.bad, x.fix = "has expired on "+leaf.NotAfter.Format(time.DateOnly), "renew it; the gateway takes the new files up by itself"
	case now.Before(leaf.NotBefore):
		x.bad, x.fix = "begins only on "+leaf.NotBefore.Format(time.DateOnly), "check the clock of this machine"
	case leaf.VerifyHostname(name) != nil:
		x.bad, x.fix = "is not for "+name, "have it issued for the host of `admin_url`, or set `admin_url` to a name that it holds"
	case left < renewBefore:
		x.bad, x.fix, x.mild = fmt.Sprintf("ends in %d days", int(left.Hours()/24)), "see why it was not renewed", true
	case readable(c.TLS.Key):
		x.bad, x.fix, x.mild = "every user can read its key", "chmod 600 "+c.TLS.Key, true
	}
	return x
}

// consoleName is the host under which people open the console.
func consoleName(c config.Config) string {
	if u, err := url.Parse(c.AdminURL); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	host, _, _ := net.SplitHostPort(c.Admin) // checked with the configuration
	return host
}

func readable(path string) bool {
	i, err := os.Stat(path)
	return err == nil && i.Mode().Perm()&0o004 != 0
}

// examineProxyLogin asks the proxy for its keys, as the first login would.
func examineProxyLogin(ctx context.Context, c config.Config) []finding {
	if !c.ProxyLogin.On() {
		return nil
	}
	x := finding{what: "proxy login", fix: "check `proxy_login.keys_url`; until it answers, nobody is logged in by the proxy"}
	log := slog.New(slog.DiscardHandler)
	t, err := newToken(egress.New(egress.Options{Log: log}), c.ProxyLogin, c.ProxyLogin.Member, log)
	if err != nil {
		x.bad = err.Error()
		return []finding{x}
	}
	ctx, cancel := context.WithTimeout(ctx, probeFor)
	defer cancel()
	n, err := t.Check(ctx)
	if err != nil {
		x.bad = printable(err.Error())
		return []finding{x}
	}
	x.note = fmt.Sprintf("%d people; the proxy publishes %d keys", len(c.ProxyLogin.People), n)
	return []finding{x}
}
