package config

import (
	"net/url"
	"strings"
)

// Egress says how requests leave.
type Egress struct {
	CA         []string `yaml:"ca" doc:"Files with certificates of private authorities to trust beside the system's, in PEM."`
	Proxy      string   `yaml:"proxy" doc:"http://host:port or socks5://host:port through which everything goes but what this file names and lies inside. It is never taken from the environment."`
	ProxyLogin string   `yaml:"proxy_login" doc:"secret://name of the proxy's user:password."`
}

// egress checks the proxy. The files are read at the start.
func (r *reader) egress(e Egress) {
	if e.ProxyLogin != "" && !strings.HasPrefix(e.ProxyLogin, "secret://") {
		r.plain("egress.proxy_login", "must be a secret of the vault: `gatehouse secrets set proxy`, and then secret://proxy")
	}
	if e.Proxy == "" {
		if e.ProxyLogin != "" {
			r.plain("egress.proxy_login", "needs 'proxy' beside it")
		}
		return
	}
	u, err := url.Parse(e.Proxy)
	switch {
	case err != nil || u.Port() == "" || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "socks5":
		r.plain("egress.proxy", "is not http://host:port or socks5://host:port")
	case u.User != nil:
		r.plain("egress.proxy", "must not hold the login: put user:password in the vault and name it under 'proxy_login'")
	}
}
