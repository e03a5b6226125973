package egress

import (
	"crypto/x509"
	"net/netip"
)

// Terms are what the operator's configuration says of one policy, by its name,
// beside what the policy says of itself. The zero Terms change nothing.
type Terms struct {
	Limits Limits
	Roots  *x509.CertPool // who is trusted in place of the gate's Roots; nil: those
	Proxy  *Proxy         // in place of the gate's; the zero Proxy: connections are direct; nil: the gate's
	// Inside names hosts that may lie within some private networks. They must be
	// allowed by the policy as well, and are connected to directly.
	Inside []Inside
}

// Inside is a host that may lie within private networks of the operator's.
type Inside struct {
	Host   string         // host:port, as in Policy.Operator
	Within []netip.Prefix // nil: none
}

// insideOf makes Inside ready for use, by canonical host:port.
func (g *Gate) insideOf(policy string, all []Inside) map[string][]netip.Prefix {
	out := map[string][]netip.Prefix{}
	for _, i := range all {
		host, port, err := splitHost(i.Host)
		if err != nil || port == 0 {
			g.o.Log.Warn("an internal host of the configuration is not host:port and has no effect", "policy", policy)
			continue
		}
		addr := Destination{Host: host, Port: port}.addr()
		out[addr] = append(out[addr], i.Within...)
	}
	return out
}
