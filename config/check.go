package config

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
)

// check looks at what single values cannot show.
func (r *reader) check(c *Config) {
	r.address("listen", c.Listen)
	r.address("admin", c.Admin)
	if c.Listen == c.Admin && !strings.HasSuffix(c.Listen, ":0") {
		r.plain("admin", "must not be the same address as 'listen': webhooks are open to platforms, the console is not")
	}
	r.reach(c)
	r.egress(c)
	if c.Public != "" {
		if u, err := url.Parse(c.Public); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			r.plain("public_url", fmt.Sprintf("%q is not a URL such as https://bot.example.org", c.Public))
		}
	}
	r.folders(c)
	if c.Store != "sqlite" && !strings.HasPrefix(c.Store, "postgres://") && !strings.HasPrefix(c.Store, "postgresql://") {
		r.plain("store", fmt.Sprintf("%q is neither sqlite nor a postgres:// URL", redactURL(c.Store)))
	}
	r.models(c)
	r.agent(c)
	r.memory(c)
	r.people(c)
	for name, n := range map[string]int{
		"bodies": c.Retention.Bodies, "dead": c.Retention.Dead, "keys": c.Retention.Keys, "turns": c.Retention.Turns,
		"sessions": c.Retention.Sessions, "replaced": c.Retention.Replaced, "spending": c.Retention.Spending,
		"audit": c.Retention.Audit,
	} {
		if n < 0 {
			r.plain("retention."+name, "must not be negative; 0 keeps for ever")
		}
	}
	if n := c.Retention.Spending; n == 1 {
		r.plain("retention.spending", "must be at least 2: the daily cap needs the whole of today")
	}
	if c.Retention.Keys > 0 && (c.Retention.Bodies == 0 || c.Retention.Keys < c.Retention.Bodies) {
		r.plain("retention.keys", "must not be shorter than 'retention.bodies'")
	}
}

func (r *reader) plain(path, text string) {
	r.faults = append(r.faults, Fault{Path: path, Line: r.line(path), Text: text})
}

func (r *reader) address(path, addr string) {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		r.plain(path, fmt.Sprintf("%q is not an address such as 127.0.0.1:8484", addr))
	}
}

func (r *reader) folders(c *Config) {
	for _, f := range []struct{ path, value string }{{"data", c.Data}, {"key", c.Key.Path}} {
		if f.value == "" {
			r.plain(f.path, "must not be empty")
		}
	}
	r.keys(c)
}

func redactURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "..."
	}
	return u.Redacted()
}

func (r *reader) models(c *Config) {
	for name, m := range c.Models {
		at := "models." + name
		if len(r.o.Providers) > 0 && !slices.Contains(r.o.Providers, m.Provider) {
			r.enum(nil, m.Provider, at+".provider", r.o.Providers)
			continue
		}
		if m.Provider == "compatible" && m.BaseURL == "" {
			r.plain(at+".base_url", "is missing: a compatible endpoint has no usual address")
		}
		if m.BaseURL != "" {
			if u, err := url.Parse(m.BaseURL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
				r.plain(at+".base_url", "is not a URL such as https://api.openai.com/v1")
			}
		}
		if plainSecret(m.APIKey) && !r.o.Strict && !c.Vault.Strict {
			r.warn(at+".api_key", "a key in the configuration can be read by whoever reads it; better: gatehouse secrets set %s, and api_key: secret://%s", name, name)
		}
		for _, f := range m.Fallbacks {
			if _, ok := c.Models[f]; !ok || f == name {
				r.plain(at+".fallbacks", fmt.Sprintf("%q is not another model of this section", f))
			}
		}
		if m.Context < 0 || m.MaxOutput < 0 {
			r.plain(at, "'context' and 'max_output' must not be negative")
		}
	}
}

// ModuleTool begins the name of a tool that is an installed module.
const ModuleTool = "module:"

func (r *reader) agent(c *Config) {
	if _, ok := c.Models[c.Agent.Model]; !ok && len(c.Models) > 0 {
		known := make([]string, 0, len(c.Models))
		for k := range c.Models {
			known = append(known, k)
		}
		slices.Sort(known)
		r.plain("agent.model", fmt.Sprintf("%q is not under 'models'; there are: %s", c.Agent.Model, strings.Join(known, ", ")))
	}
	for i, h := range c.Agent.Hosts {
		if u, err := url.Parse(h); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" {
			r.plain(fmt.Sprintf("agent.hosts[%d]", i), fmt.Sprintf("%q is not a destination such as https://api.example.com/v1", h))
		}
	}
	for i, name := range c.Agent.Tools {
		if strings.HasPrefix(name, ModuleTool) {
			continue // whoever knows what is installed says more
		}
		if len(r.o.Tools) > 0 && !slices.Contains(r.o.Tools, name) {
			r.plain(fmt.Sprintf("agent.tools[%d]", i), fmt.Sprintf("there is no tool %q; there are: %s", name, strings.Join(r.o.Tools, ", ")))
		}
	}
	if t := c.Agent.Transcribe; t != "" {
		switch m, ok := c.Models[t]; {
		case !ok && len(c.Models) > 0:
			r.plain("agent.transcribe", fmt.Sprintf("%q is not under 'models'", t))
		case m.Provider == "anthropic" || m.Provider == "none":
			r.plain("agent.transcribe", fmt.Sprintf("%q has a provider that does not transcribe; name a model of one that speaks OpenAI's dialect", t))
		}
	}
	if c.Agent.MaxTurns < 1 || c.Agent.MaxTurns > 10000 {
		r.plain("agent.max_turns", "must be from 1 to 10000")
	}
	if c.Agent.DailySpend < 0 && c.Agent.DailySpend != -1 {
		r.plain("agent.daily_spend", "must be 0 or more, or -1 for no cap")
	}
}
