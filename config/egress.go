package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Egress says how requests leave.
type Egress struct {
	CA         []string `yaml:"ca" doc:"Files with certificates of private authorities to trust beside the system's, in PEM."`
	Proxy      string   `yaml:"proxy" doc:"http://host:port or socks5://host:port through which everything goes but what this file names and lies inside. It is never taken from the environment."`
	ProxyLogin string   `yaml:"proxy_login" doc:"secret://name of the proxy's user:password."`

	Tools    map[string]Way `yaml:"tools" doc:"What is different for single tools, by name, and how much each member may do with them."`
	Channels map[string]Way `yaml:"channels" doc:"What is different for single channels, by id."`
	Models   map[string]Way `yaml:"models" doc:"What is different for single models, by name."`

	Secrets []Near `yaml:"secrets" doc:"Where requests of turns with single secrets, and the requests for their access tokens, may go within private networks."`
}

// Near is where requests with one secret may go within private networks.
type Near struct {
	Name      string   `yaml:"name" doc:"The secret's name; members' own of that name are meant as well."`
	Workspace string   `yaml:"workspace" doc:"The secret's workspace; default the one that is there from the start."`
	Inside    []string `yaml:"inside" doc:"As that of a tool, for requests with this secret alone. The secret's own hosts have to allow them as well."`
}

// Places splits the entries of Inside into host:port and networks.
func (n Near) Places() (map[string][]netip.Prefix, error) { return places(n.Inside) }

// Way is what is different for one tool, channel or model. Limits are those of
// the tool for each member, and of the channel or the model as a whole.
type Way struct {
	RequestsPerMinute int      `yaml:"requests_per_minute" doc:"0 means the default, which is 60 for tools and none else; -1 none."`
	RequestsPerDay    int      `yaml:"requests_per_day" doc:"In a day of UTC; 0 means the default, which is 2000 for tools and none else; -1 none."`
	MegabytesMinute   int      `yaml:"megabytes_per_minute" doc:"Sent and received; 0 means the default, which is 100 for tools and none else; -1 none."`
	MegabytesDay      int      `yaml:"megabytes_per_day" doc:"0 means the default, which is 1000 for tools and none else; -1 none."`
	CA                []string `yaml:"ca" doc:"Files with certificates of private authorities to trust here, beside the system's and those of 'egress.ca'."`
	Proxy             string   `yaml:"proxy" doc:"Another proxy than 'egress.proxy', without a login, or off for none."`
	Inside            []string `yaml:"inside" doc:"Hosts that may lie in private networks: 'git.corp.example:443 10.1.2.0/24'. What is not allowed otherwise is not allowed by this."`
}

// limits are the fields of a Way that bound traffic, with the defaults of tools.
func (w *Way) limits() map[*int]int {
	return map[*int]int{
		&w.RequestsPerMinute: 60, &w.RequestsPerDay: 2000, &w.MegabytesMinute: 100, &w.MegabytesDay: 1000,
	}
}

// Tool is the way of a tool, with the defaults filled in; below 0 there is no
// limit.
func (e Egress) Tool(name string) Way {
	w := e.Tools[name]
	for field, usual := range w.limits() {
		if *field == 0 {
			*field = usual
		}
	}
	return w
}

// Places splits the entries of Inside into host:port and networks.
func (w Way) Places() (map[string][]netip.Prefix, error) { return places(w.Inside) }

func places(lines []string) (map[string][]netip.Prefix, error) {
	all := map[string][]netip.Prefix{}
	for _, line := range lines {
		words := strings.Fields(line)
		if len(words) < 2 {
			return nil, fmt.Errorf("%q is not host:port and a network, such as 'git.corp.example:443 10.1.2.0/24'", line)
		}
		if host, port, err := net.SplitHostPort(words[0]); err != nil || host == "" || port == "" || strings.Contains(host, "*") {
			return nil, fmt.Errorf("%q is not host:port", words[0])
		}
		for _, word := range words[1:] {
			network, err := netip.ParsePrefix(word)
			if err != nil || network != network.Masked() {
				return nil, fmt.Errorf("%q is not a network such as 10.1.2.0/24 or 10.1.2.7/32", word)
			}
			all[words[0]] = append(all[words[0]], network)
		}
	}
	return all, nil
}

// ways checks what is said of single tools, channels and models.
func (r *reader) ways(c *Config) {
	tools := map[string]bool{}
	for _, t := range r.o.Tools {
		tools[t] = true
	}
	for _, t := range c.Agent.Tools {
		if id, is := strings.CutPrefix(t, ModuleTool); is {
			tools[strings.ReplaceAll(id, "-", "_")] = true
		}
	}
	if len(tools) > 0 {
		each(r, "egress.tools", c.Egress.Tools, tools)
	}
	each(r, "egress.channels", c.Egress.Channels, c.Channels)
	each(r, "egress.models", c.Egress.Models, c.Models)
	for i, n := range c.Egress.Secrets {
		at := fmt.Sprintf("egress.secrets[%d]", i)
		if n.Name == "" || strings.Contains(n.Name, "@") {
			r.plain(at+".name", "is the name of a secret, without @member: members' own of that name are meant as well")
		}
		if _, err := n.Places(); err != nil {
			r.plain(at+".inside", err.Error())
		}
	}
}

func each[T any](r *reader, path string, ways map[string]Way, known map[string]T) {
	for name, w := range ways {
		at := path + "." + name
		if _, is := known[name]; !is {
			there := slices.Sorted(maps.Keys(known))
			r.plain(at, fmt.Sprintf("there is none of this name; there are: %s", strings.Join(there, ", ")))
		}
		for field := range w.limits() {
			if *field < -1 {
				r.plain(at, "a limit is at least 1; 0 means the default and -1 none")
				break
			}
		}
		if w.Proxy != "" && w.Proxy != Off {
			r.proxy(at+".proxy", w.Proxy)
		}
		if _, err := w.Places(); err != nil {
			r.plain(at+".inside", err.Error())
		}
	}
}

// Off is what a proxy is called where there is none.
const Off = "off"

// egress checks how requests leave. The files are read at the start.
func (r *reader) egress(c *Config) {
	e := c.Egress
	r.ways(c)
	if e.ProxyLogin != "" && !strings.HasPrefix(e.ProxyLogin, "secret://") {
		r.plain("egress.proxy_login", "must be a secret of the vault: `gatehouse secrets set proxy`, and then secret://proxy")
	}
	if e.Proxy == "" {
		if e.ProxyLogin != "" {
			r.plain("egress.proxy_login", "needs 'proxy' beside it")
		}
		return
	}
	r.proxy("egress.proxy", e.Proxy)
}

func (r *reader) proxy(path, proxy string) {
	u, err := url.Parse(proxy)
	switch {
	case err != nil || u.Port() == "" || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "socks5":
		r.plain(path, "is not http://host:port or socks5://host:port")
	case u.User != nil:
		r.plain(path, "must not hold the login: put user:password in the vault and name it under 'egress.proxy_login'")
	}
}
