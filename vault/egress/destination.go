package egress

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// Destination is one place that a policy allows. Make it with
// [ParseDestination]; one that is not in canonical form matches nothing.
type Destination struct {
	Scheme string // http or https, also for ws and wss; tcp for [Gate.Dial] alone
	Host   string // lower case, no trailing dot; an IPv6 address without brackets; *.host for one label more
	Port   uint16
	Path   string // prefix of whole segments, "" for all
}

// ParseDestination reads "https://host:port/prefix" as a configuration names
// it. A query, a fragment, user information and anything whose meaning differs
// between programs are refused.
//
// A host may begin with "*.", which stands for exactly one label, as it does in
// a certificate: *.x.com is a.x.com, and neither x.com nor a.b.x.com. It is
// refused where anybody can have a name, such as *.com, *.co.uk or *.github.io.
func ParseDestination(s string) (Destination, error) {
	u, err := url.Parse(s)
	if err != nil {
		return Destination{}, fmt.Errorf("%q is not a URL", s)
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(s, "#") {
		return Destination{}, fmt.Errorf("%q: a destination has no query and no fragment", s)
	}
	plain := *u
	wild := strings.HasPrefix(u.Host, anyLabel)
	plain.Host = strings.TrimPrefix(u.Host, anyLabel)
	d, err := canonical(&plain)
	if err != nil {
		return Destination{}, fmt.Errorf("%q: %w", s, err)
	}
	if wild {
		if err := checkWildcard(d.Host); err != nil {
			return Destination{}, fmt.Errorf("%q: %w", s, err)
		}
		d.Host = anyLabel + d.Host
	}
	d.Path = strings.TrimRight(d.Path, "/")
	return d, nil
}

// String writes what ParseDestination reads.
func (d Destination) String() string { return d.Scheme + "://" + d.addr() + d.Path }

// addr is host:port.
func (d Destination) addr() string {
	return net.JoinHostPort(d.Host, strconv.Itoa(int(d.Port)))
}

// anyLabel stands for one label in front of a host.
const anyLabel = "*."

// checkWildcard refuses wildcards in front of addresses, and of names below
// which anybody can register one.
func checkWildcard(host string) error {
	if _, err := netip.ParseAddr(host); err == nil {
		return errors.New("a wildcard needs a name, not an address")
	}
	if suffix, _ := publicsuffix.PublicSuffix(host); suffix == host {
		return errors.New("a wildcard there would cover everybody's names")
	}
	return nil
}

// names reports whether the destination's host, which may have a wildcard, is
// the canonical host.
func (d Destination) names(host string) bool {
	rest, wild := strings.CutPrefix(d.Host, anyLabel)
	if !wild {
		return d.Host == host
	}
	label, below, ok := strings.Cut(host, ".")
	return ok && label != "" && below == rest
}

// covers reports whether the destination allows a canonical request.
func (d Destination) covers(to Destination) bool {
	return d.Host != "" && d.Port != 0 && d.names(to.Host) && d.Port == to.Port &&
		d.Scheme == to.Scheme && under(d.Path, to.Path)
}

// under reports whether path is prefix or lies below it, by whole segments.
func under(prefix, path string) bool {
	prefix = strings.TrimRight(prefix, "/")
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

var ports = map[string]uint16{"http": 80, "ws": 80, "https": 443, "wss": 443, "tcp": 0}

// canonical brings a URL into the one form that is compared, or refuses it.
func canonical(u *url.URL) (Destination, error) {
	var none Destination
	if u == nil || u.Opaque != "" || u.User != nil {
		return none, errors.New("user information and opaque URLs are not allowed")
	}
	port, known := ports[u.Scheme]
	if !known {
		return none, errors.New("the scheme is not http, https, ws, wss or tcp")
	}
	host, given, err := splitHost(u.Host)
	if err != nil {
		return none, err
	}
	if given != 0 {
		port = given
	}
	if port == 0 {
		return none, errors.New("the port is missing")
	}
	path := u.EscapedPath()
	if err := checkPath(path); err != nil {
		return none, err
	}
	return Destination{Scheme: transportScheme(u.Scheme), Host: host, Port: port, Path: path}, nil
}

// transportScheme is the scheme under which a WebSocket is asked for.
func transportScheme(s string) string {
	switch s {
	case "ws":
		return "http"
	case "wss":
		return "https"
	}
	return s
}

// splitHost takes host:port apart and brings the host into canonical form. The
// port is 0 when there is none.
func splitHost(s string) (host string, port uint16, err error) {
	host, digits := s, ""
	bracket := strings.HasPrefix(s, "[")
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		host, digits = s[:i], s[i+1:]
		if port, err = parsePort(digits); err != nil {
			return "", 0, err
		}
	}
	if bracket {
		host, err = canonicalV6(host)
	} else {
		host, err = canonicalName(host)
	}
	return host, port, err
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 || s[0] == '0' || s[0] == '+' {
		return 0, errors.New("the port is not a number from 1 to 65535")
	}
	return uint16(n), nil
}

// canonicalV6 reads an address in brackets.
func canonicalV6(s string) (string, error) {
	inner, ok := strings.CutSuffix(s[1:], "]")
	a, err := netip.ParseAddr(inner)
	if !ok || err != nil || !a.Is6() || a.Is4In6() || a.Zone() != "" {
		return "", errors.New("the host is not a plain IPv6 address")
	}
	return a.String(), nil
}

const (
	maxHost  = 253
	maxLabel = 63
)

// canonicalName reads a DNS name or a dotted IPv4 address. Only the one
// spelling of an address is accepted that every program reads alike, and only
// ASCII: a name in another script is written as xn--.
func canonicalName(s string) (string, error) {
	if s == "" || len(s) > maxHost {
		return "", errors.New("the host is missing or too long")
	}
	if isCanonical(s) {
		return s, checkNumeric(s)
	}
	s = strings.ToLower(s)
	if !isCanonical(s) {
		return "", errors.New("the host is not a plain name")
	}
	return s, checkNumeric(s)
}

// isCanonical reports whether s consists of labels of lower-case letters,
// digits, hyphens and underscores.
func isCanonical(s string) bool {
	length := 0
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '.':
			if length == 0 || s[i-1] == '-' {
				return false
			}
			length = 0
			continue
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '_':
		case c == '-' && length > 0:
		default:
			return false
		}
		if length++; length > maxLabel {
			return false
		}
	}
	return length > 0 && s[len(s)-1] != '-'
}

// checkNumeric refuses names that some program reads as an IPv4 address in
// decimal, hexadecimal, octal or short form.
func checkNumeric(s string) error {
	last := s[strings.LastIndexByte(s, '.')+1:]
	if last[0] < '0' || last[0] > '9' {
		return nil
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Is4() {
		return nil
	}
	return errors.New("the host looks like a number and is not a dotted IPv4 address")
}

// checkPath refuses paths that two programs may understand differently. s is
// in escaped form.
func checkPath(s string) error {
	if s == "" {
		return nil
	}
	if s[0] != '/' {
		return errors.New("the path does not begin with a slash")
	}
	start := 1
	for i := 0; i <= len(s); i++ {
		if i == len(s) || s[i] == '/' {
			if i < start {
				continue
			}
			segment := s[start:i]
			if segment == "." || segment == ".." || (segment == "" && i < len(s)) {
				return errors.New("the path has dots or an empty segment")
			}
			start = i + 1
			continue
		}
		if err := checkPathByte(s, i); err != nil {
			return err
		}
	}
	return nil
}

// checkPathByte looks at one byte of an escaped path.
func checkPathByte(s string, i int) error {
	switch c := s[i]; {
	case c == '\\' || c == ';' || c <= ' ' || c >= 0x7f:
		return errors.New("the path has a character that is not allowed")
	case c == '%':
		if i+2 >= len(s) {
			return errors.New("the path has a broken escape")
		}
		n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil || n < 0x20 || n == 0x7f || strings.IndexByte(`./\%;`, byte(n)) >= 0 {
			return errors.New("the path has an escape that is not allowed")
		}
	}
	return nil
}
