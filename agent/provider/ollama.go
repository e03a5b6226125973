package provider

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// ollamaPort is where Ollama listens unless it was told otherwise.
const ollamaPort = "11434"

// OllamaURL is where Ollama's API is, by what OLLAMA_HOST says: a host, a port
// behind it, a scheme before it and a path, each of which may be missing. An
// empty one means the usual place. All addresses of this machine, on which a
// server listens, are reached over loopback.
func OllamaURL(host string) string {
	scheme, rest, found := strings.Cut(strings.TrimSpace(host), "://")
	port := map[string]string{"http": "80", "https": "443"}[scheme]
	if !found || port == "" {
		if !found {
			rest = scheme
		}
		scheme, port = "http", ollamaPort
	}
	rest, path, _ := strings.Cut(rest, "/")
	name := strings.Trim(rest, "[]")
	if h, p, err := net.SplitHostPort(rest); err == nil {
		name = h
		if n, err := strconv.Atoi(p); err == nil && n >= 0 && n <= 65535 {
			port = p
		}
	}
	if ip, err := netip.ParseAddr(name); name == "" || err == nil && ip.IsUnspecified() {
		name = "127.0.0.1"
	}
	u := url.URL{Scheme: scheme, Host: net.JoinHostPort(name, port)}
	return strings.TrimSuffix(u.JoinPath(path, "v1").String(), "/")
}
