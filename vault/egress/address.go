package egress

import (
	"errors"
	"net/netip"
)

// reach says what an address is good for.
type reach int

const (
	never   reach = iota // for nobody
	private              // for what the operator's own configuration names
	public
)

var (
	errNever   = errors.New("the address is reserved, or serves a cloud's metadata")
	errPrivate = errors.New("the address is private, and no configuration names it")
	errAddress = errors.New("the address cannot be understood")
)

// privateRanges hold machines of the operator's own. Everything in them is
// reached only by an exact entry of the operator's configuration.
var privateRanges = prefixes(
	"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", // private networks
	"127.0.0.0/8", "::1/128", // this machine
	"100.64.0.0/10", // shared address space: carriers and overlay networks
	"fc00::/7",      // unique local
)

// forbiddenRanges are reached by nobody. The metadata services of clouds stand
// first, since some of them lie within a private or even a public range.
var forbiddenRanges = prefixes(
	"169.254.169.254/32", "169.254.170.2/32", // AWS, GCP, Azure, and others; ECS
	"168.63.129.16/32",   // Azure
	"100.100.100.200/32", // Alibaba
	"192.0.0.192/32",     // Oracle
	"fd00:ec2::/32",      // AWS
	"fd20:ce::254/128",   // GCP
	"fd00:42::42/128",    // Scaleway

	"0.0.0.0/8",       // this network
	"169.254.0.0/16",  // link-local
	"192.0.0.0/24",    // protocol assignments
	"192.0.2.0/24",    // documentation
	"192.31.196.0/24", // AS112
	"192.52.193.0/24", // AMT
	"192.88.99.0/24",  // 6to4 relays
	"192.175.48.0/24", // AS112
	"198.18.0.0/15",   // benchmarks
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"224.0.0.0/4",     // multicast
	"240.0.0.0/4",     // reserved, broadcast

	"2001::/23",         // protocol assignments: Teredo, ORCHID, benchmarks
	"2001:db8::/32",     // documentation
	"2002::/16",         // 6to4: carries any IPv4 address
	"2620:4f:8000::/48", // AS112
	"3fff::/20",         // documentation
)

// globalV6 is all of IPv6 that has been given out. What lies outside is
// forbidden unless it is private or NAT64.
var globalV6 = netip.MustParsePrefix("2000::/3")

// nat64 carries an IPv4 address in its last four bytes. A network without IPv4
// reaches all of the IPv4 internet by it, so the address inside decides.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

func prefixes(all ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(all))
	for i, s := range all {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// classify says what an address may be used for.
func classify(a netip.Addr) reach {
	if !a.IsValid() || a.Zone() != "" {
		return never
	}
	a = a.Unmap()
	if nat64.Contains(a) {
		b := a.As16()
		// A private address behind somebody's translator is not the operator's.
		if classify(netip.AddrFrom4([4]byte(b[12:]))) == public {
			return public
		}
		return never
	}
	if within(forbiddenRanges, a) {
		return never
	}
	if within(privateRanges, a) {
		return private
	}
	if a.Is6() && !globalV6.Contains(a) {
		return never
	}
	return public
}

func within(all []netip.Prefix, a netip.Addr) bool {
	for _, p := range all {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// checkAddress decides about an address that is about to be dialled. named
// says that the operator's configuration names the host and the port, inside
// that it does so for addresses of those networks.
func checkAddress(address string, port uint16, named bool, inside []netip.Prefix) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || ap.Port() != port {
		return errAddress
	}
	switch classify(ap.Addr()) {
	case public:
		return nil
	case private:
		if named || within(inside, ap.Addr().Unmap()) {
			return nil
		}
		return errPrivate
	default:
		return errNever
	}
}
