package module

import (
	"fmt"
	"net/url"
	"strings"
)

// Describe says in words what a guest wants, one line each, for the person who
// decides. The most that each line allows is in the line.
func (m *Manifest) Describe() []string {
	return append([]string{fmt.Sprintf("%s %s is a %s", m.ID, m.Version, strings.Join(m.Kind, " and a "))}, m.Wishes()...)
}

// Wishes are what a guest wants, one line each, the same for two versions that
// want the same. To grant them is to agree to each line.
func (m *Manifest) Wishes() []string {
	lines := []string{}
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if m.Tool != nil {
		say("is offered to the model as a tool (%s): %s", m.Tool.Effect, m.Tool.Description)
	}
	for _, w := range m.Webhooks {
		say("receives %s calls on %s, verified with %s", strings.Join(w.Methods, ", "), w.Path, w.Verify.words())
	}
	if m.Poll != nil {
		say("is called every %s at most, to look for messages", m.Poll.MinInterval)
	}
	for _, s := range m.Sockets {
		say("keeps a connection to %s%s", s.URL, s.Credential.words())
	}
	for _, h := range m.HTTP {
		say("sends %s to %s%s", strings.Join(h.Methods, ", "), h.url(), h.Credential.words())
	}
	if m.KV != nil {
		say("keeps state of its own%s", bytesWords(m.KV.MaxBytes))
	}
	if m.Emit != nil {
		say("hands in up to %g events a second", m.Emit.Rate)
	}
	if m.Links != nil {
		say("lends each file that it sends under a link of the gateway, for %d hours: whoever has the link can fetch the file", m.Links.Hours)
	}
	if len(m.Tools) > 0 {
		say("calls the tools %s", strings.Join(m.Tools, ", "))
	}
	if m.Engine == "interpreter" {
		say("runs without machine code")
	}
	return lines
}

func (v Verify) words() string {
	switch {
	case variable.MatchString(v.Kind):
		return "what the configuration says"
	case v.KeysURL != "":
		return fmt.Sprintf("tokens of %s for %s, whose keys are at %s", v.Issuer, v.Audience, v.KeysURL)
	case v.Secret == "":
		return "a public key"
	}
	return fmt.Sprintf("the secret %q", v.Secret)
}

func (h HTTP) url() string {
	host := h.Host
	if h.Port != 0 {
		host = fmt.Sprintf("%s:%d", host, h.Port)
	}
	return fmt.Sprintf("%s://%s%s...", h.Scheme, host, h.Path)
}

func (c *Credential) words() string {
	if c == nil {
		return ""
	}
	if c.In == "signature" {
		return fmt.Sprintf(", signed by the gateway with the secret %q", c.Secret)
	}
	return fmt.Sprintf(", with the secret %q put in by the gateway", c.Secret)
}

func bytesWords(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", up to %d bytes", n)
}

// Entry is the line of a manifest that lists a request, with the whole path left
// to its author.
func Entry(method string, u *url.URL) string {
	port := ""
	if u.Port() != "" {
		port = `, "port": ` + u.Port()
	}
	return fmt.Sprintf(`{"scheme": %q, "host": %q%s, "methods": [%q], "path": "/"}`, u.Scheme, u.Hostname(), port, method)
}
