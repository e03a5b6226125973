package egress_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"code.dny.dev/ssrf"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

// One address or more of every special range. None is ever dialled: the network
// of these tests leads nowhere.
var forbidden = []string{
	"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "100.100.100.200",
	"127.0.0.1", "127.1.2.3", "169.254.0.1", "169.254.169.254", "169.254.170.2", "168.63.129.16",
	"172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.170", "192.0.0.192", "192.0.2.1", "192.31.196.1",
	"192.52.193.1", "192.88.99.1", "192.168.0.1", "192.168.255.255", "192.175.48.1", "198.18.0.1", "198.19.255.255",
	"198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
	"::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1",
	"64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::a00:1", "64:ff9b::a83f:8110", "64:ff9b:1::808:808",
	"100::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:10::1", "2001:20::1", "2001:2::1", "2001:db8::1",
	"2002:7f00:1::", "2002:a9fe:a9fe::", "2620:4f:8000::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254",
	"fd20:ce::254", "fe80::1", "fec0::1", "ff02::1",
}

var legal = []string{
	"8.8.8.8", "1.1.1.1", publicAddress, "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
	"128.0.0.1", "149.154.167.220", "168.63.129.15", "172.15.255.255", "172.32.0.0", "192.0.1.0", "198.17.255.255",
	"198.20.0.0", "223.255.255.255",
	"2606:4700:4700::1111", "2001:4860:4860::8888", "2a00:1450:4001::1", "2001:67c:4e8::a", "64:ff9b::808:808", "::ffff:8.8.8.8",
}

func TestInvariant05AddressesBehindNames(t *testing.T) {
	check := func(address string, want bool) {
		net := &internet{names: map[string][]string{"name.example": {address}}}
		dial := egress.New(egress.Options{Dialer: net.dialer}).
			Dial(egress.Policy{Name: "test", Allow: allow(t, "https://name.example")})
		_, err := dial(t.Context(), "tcp", "name.example:443")
		if passed := errors.Is(err, errNowhere); passed != want || passed == errors.Is(err, egress.ErrDenied) {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, a := range forbidden {
		check(a, false)
	}
	for _, a := range legal {
		check(a, true)
	}
}

// A library of the field is asked for its opinion: whatever it forbids, this
// table forbids as well, but for NAT64 with a public address inside.
func TestAddressesAgreeWithAnotherTable(t *testing.T) {
	other := ssrf.New(ssrf.WithAnyPort())
	rapid.Check(t, func(t *rapid.T) {
		var a netip.Addr
		if rapid.Bool().Draw(t, "four") {
			a = netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "bytes")))
		} else {
			b := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes")
			b[0] = rapid.SampledFrom([]byte{0x20, 0x24, 0x26, 0x2a, 0x3f, 0xfc, 0xfe, 0, b[0]}).Draw(t, "first")
			a = netip.AddrFrom16([16]byte(b))
		}
		net := &internet{names: map[string][]string{"name.example": {a.String()}}}
		dial := egress.New(egress.Options{Dialer: net.dialer}).
			Dial(egress.Policy{Allow: []egress.Destination{{Scheme: "https", Host: "name.example", Port: 443}}})
		_, err := dial(context.Background(), "tcp", "name.example:443")
		if other.SafeAddr(a.Unmap()) != nil && !errors.Is(err, egress.ErrDenied) &&
			!netip.MustParsePrefix("64:ff9b::/96").Contains(a) {
			t.Fatalf("%s passed", a)
		}
	})
}

func TestExceptionsOfTheConfiguration(t *testing.T) {
	tests := []struct {
		name, operator, dial string
		answers              []string
		want                 bool
	}{
		{"loopback", "127.0.0.1:8081", "127.0.0.1:8081", nil, true},
		{"loopback by name", "localhost:11434", "localhost:11434", []string{"::1", "127.0.0.1"}, true},
		{"upper case", "LocalHost:11434", "localhost:11434", []string{"127.0.0.1"}, true},
		{"IPv6", "[::1]:11434", "[::1]:11434", nil, true},
		{"a private network", "ollama.lan:11434", "ollama.lan:11434", []string{"192.168.1.7"}, true},
		{"an overlay network", "box.ts.example:80", "box.ts.example:80", []string{"100.101.102.103"}, true},
		{"another port", "127.0.0.1:8081", "127.0.0.1:8082", nil, false},
		{"another host at the same address", "localhost:8081", "127.0.0.1:8081", nil, false},
		{"no port", "127.0.0.1", "127.0.0.1:443", nil, false},
		{"metadata by address", "169.254.169.254:80", "169.254.169.254:80", nil, false},
		{"metadata behind the name", "ollama.lan:80", "ollama.lan:80", []string{"169.254.169.254"}, false},
		{"metadata in an overlay's range", "ollama.lan:80", "ollama.lan:80", []string{"100.100.100.200"}, false},
		{"metadata in a unique local range", "ollama.lan:80", "ollama.lan:80", []string{"fd00:ec2::254"}, false},
		{"unspecified", "0.0.0.0:80", "0.0.0.0:80", nil, false},
		{"link-local", "[fe80::1]:80", "[fe80::1]:80", nil, false},
		{"loopback behind NAT64", "ollama.lan:80", "ollama.lan:80", []string{"64:ff9b::7f00:1"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fake := &internet{names: map[string][]string{}}
			if tt.answers != nil {
				host, _, _ := net.SplitHostPort(tt.dial)
				fake.names[host] = tt.answers
			}
			dial := egress.New(egress.Options{Dialer: fake.dialer}).Dial(egress.Policy{
				Name: "test", Operator: []string{tt.operator},
				Allow: allow(t, "tcp://"+tt.dial),
			})
			_, err := dial(t.Context(), "tcp", tt.dial)
			if got := errors.Is(err, errNowhere); got != tt.want || got == errors.Is(err, egress.ErrDenied) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAnExceptionIsThePolicysAlone(t *testing.T) {
	fake := &internet{}
	gate := egress.New(egress.Options{Dialer: fake.dialer})
	addr := "127.0.0.1:11434"
	_ = gate.Client(egress.Policy{Name: "one", Allow: allow(t, "http://"+addr), Operator: []string{addr}})
	other := gate.Client(egress.Policy{Name: "other", Allow: allow(t, "http://"+addr)})
	_, err := other.Get("http://" + addr) //nolint:bodyclose // refused
	if !errors.Is(err, egress.ErrDenied) || fake.seen() != nil {
		t.Errorf("got %v", err)
	}
}

func TestInvariant05NamesThatChangeTheirMind(t *testing.T) {
	tests := []struct {
		name    string
		answers []string
		want    []string // dialled
	}{
		{"only private", []string{"10.0.0.1"}, nil},
		{"private first, then public", []string{"10.0.0.1", publicAddress}, []string{publicAddress}},
		{"public first, then private", []string{publicAddress, "10.0.0.1"}, []string{publicAddress}},
		{"an alias of something internal", []string{"192.168.0.1", "fd12::1"}, nil},
		{"only a private IPv6 address", []string{"fd12::1"}, nil},
		{"loopback from the hosts file", []string{"127.0.0.1"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fake := &internet{names: map[string][]string{"name.example": tt.answers}}
			client := egress.New(egress.Options{Dialer: fake.dialer}).
				Client(egress.Policy{Name: "test", Allow: allow(t, "https://name.example")})
			_, err := client.Get("https://name.example/") //nolint:bodyclose // leads nowhere
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(tt.want, fake.seen()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A name is looked up once for a connection, and the check sees the address
// that is dialled: an answer that is harmless at first and private then gains
// nothing.
func TestInvariant05Rebinding(t *testing.T) {
	fake := &internet{names: map[string][]string{"name.example": {publicAddress}}}
	client := egress.New(egress.Options{Dialer: fake.dialer}).
		Client(egress.Policy{Name: "test", Allow: allow(t, "https://name.example")})
	_, err := client.Get("https://name.example/") //nolint:bodyclose // leads nowhere
	if !errors.Is(err, errNowhere) {
		t.Fatal(err)
	}
	fake.mu.Lock()
	fake.names["name.example"] = []string{"127.0.0.1"}
	fake.mu.Unlock()
	_, err = client.Get("https://name.example/") //nolint:bodyclose // refused
	if !errors.Is(err, egress.ErrDenied) {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]string{publicAddress}, fake.seen()); diff != "" {
		t.Error(diff)
	}
}

func TestDialReachesOnlyWhatIsAllowed(t *testing.T) {
	tests := []struct {
		network, addr string
		want          bool
	}{
		{"tcp", "gateway.example:443", true},
		{"tcp4", "gateway.example:443", true},
		{"tcp", "GATEWAY.example:443", true},
		{"tcp", "gateway.example:80", false},
		{"tcp", "gateway.example", false},
		{"tcp", "evil.example:443", false},
		{"tcp", "gateway.example.:443", false},
		{"tcp", publicAddress + ":443", false},
		{"udp", "gateway.example:443", false},
		{"unix", "/run/docker.sock", false},
		{"", "gateway.example:443", false},
	}
	for _, tt := range tests {
		t.Run(tt.network+" "+tt.addr, func(t *testing.T) {
			fake := &internet{names: map[string][]string{"gateway.example": {publicAddress}, "evil.example": {publicAddress}}}
			dial := egress.New(egress.Options{Dialer: fake.dialer}).
				Dial(egress.Policy{Name: "test", Allow: allow(t, "wss://gateway.example/ws")})
			_, err := dial(t.Context(), tt.network, tt.addr)
			if got := errors.Is(err, errNowhere); got != tt.want || got == errors.Is(err, egress.ErrDenied) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// The real dialer is used here, on loopback alone: without an exception it must
// be stopped by the check inside the socket call, with one it must connect.
func TestTheRealDialerMakesTheCheck(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	addr := l.Addr().String()
	gate := egress.New(egress.Options{})
	p := egress.Policy{Name: "test", Allow: allow(t, "tcp://"+addr)}
	if _, err := gate.Dial(p)(t.Context(), "tcp", addr); !errors.Is(err, egress.ErrDenied) || !strings.Contains(err.Error(), "private") {
		t.Errorf("without an exception: %v", err)
	}
	p.Operator = []string{addr}
	c, err := gate.Dial(p)(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatalf("with an exception: %v", err)
	}
	_ = c.Close()
}

// The check is told what is really dialled: an address that is no address, or
// another port than the one that was asked for, must not pass.
func TestDialersThatGoElsewhere(t *testing.T) {
	for address, want := range map[string]bool{
		publicAddress + ":443": true, publicAddress + ":80": false, "name.example:443": false, "": false,
	} {
		dialer := func(control egress.Control, _ time.Duration) egress.DialFunc {
			return func(context.Context, string, string) (net.Conn, error) {
				if err := control("tcp4", address, nil); err != nil {
					return nil, err
				}
				return nil, errNowhere
			}
		}
		dial := egress.New(egress.Options{Dialer: dialer}).
			Dial(egress.Policy{Name: "test", Allow: allow(t, "https://name.example")})
		_, err := dial(t.Context(), "tcp", "name.example:443")
		if got := errors.Is(err, errNowhere); got != want {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestRefusalsAreReported(t *testing.T) {
	var got []string
	fake := &internet{names: map[string][]string{"name.example": {"10.0.0.1"}}}
	gate := egress.New(egress.Options{Dialer: fake.dialer, Report: func(_ context.Context, d egress.Decision) {
		got = append(got, d.Policy+" "+d.Method+" "+d.Host)
	}})
	client := gate.Client(egress.Policy{Name: "test", Allow: allow(t, "https://name.example")})
	_, _ = client.Get("https://evil.example/") //nolint:bodyclose // refused
	_, _ = client.Get("https://name.example/") //nolint:bodyclose // refused
	if diff := cmp.Diff([]string{"test GET evil.example:443", "test  name.example:443"}, got); diff != "" {
		t.Error(diff)
	}
}
