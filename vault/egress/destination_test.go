package egress_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

func TestParseDestination(t *testing.T) {
	tests := []struct {
		in, want string // want "": refused
	}{
		{"https://api.telegram.org", "https://api.telegram.org:443"},
		{"https://API.Telegram.ORG/", "https://api.telegram.org:443"},
		{"HTTPS://api.telegram.org", "https://api.telegram.org:443"},
		{"http://localhost:11434/v1/", "http://localhost:11434/v1"},
		{"http://127.0.0.1:8081", "http://127.0.0.1:8081"},
		{"http://[::1]:8081/x", "http://[::1]:8081/x"},
		{"http://[0:0:0:0:0:0:0:1]", "http://[::1]:80"},
		{"wss://gateway.discord.gg/", "https://gateway.discord.gg:443"},
		{"ws://h", "http://h:80"},
		{"tcp://h:5222", "tcp://h:5222"},
		{"https://my_host.example", "https://my_host.example:443"},
		{"https://xn--bcher-kva.example", "https://xn--bcher-kva.example:443"},
		{"https://h/v1/models/a:b@c", "https://h:443/v1/models/a:b@c"},

		{"", ""},
		{"api.telegram.org", ""},
		{"//api.telegram.org", ""},
		{"ftp://h", ""},
		{"file:///etc/passwd", ""},
		{"tcp://h", ""},
		{"https:h", ""},
		{"https://", ""},
		{"https:///x", ""},
		{"https://user@h", ""},
		{"https://*.example.com", "https://*.example.com:443"},
		{"https://*.a.B.example.co.uk/x/", "https://*.a.b.example.co.uk:443/x"},
		{"https://*.some.github.io", "https://*.some.github.io:443"},
		{"wss://*.example.com:8443", "https://*.example.com:8443"},
		{"https://*", ""},
		{"https://*.", ""},
		{"https://*.com", ""},
		{"https://*.co.uk", ""},
		{"https://*.github.io", ""},
		{"https://*.localhost", ""},
		{"https://*.*.example.com", ""},
		{"https://a.*.example.com", ""},
		{"https://a*.example.com", ""},
		{"https://*example.com", ""},
		{"https://*.1.2.3.4", ""},
		{"https://*.[::1]", ""},
		{"https://*.example.com.", ""},
		{"https://*.example.com@evil.example", ""},
		{"https://%2a.example.com", ""},
		{"https://h:0", ""},
		{"https://h:", ""},
		{"https://h:65536", ""},
		{"https://h:+443", ""},
		{"https://h:0443", ""},
		{"https://h?x=1", ""},
		{"https://h?", ""},
		{"https://h#", ""},
		{"https://h#x", ""},
		{"https://a..b", ""},
		{"https://.a", ""},
		{"https://a-.b", ""},
		{"https://-a.b", ""},
		{"https://" + strings.Repeat("a", 64) + ".b", ""},
		{"https://" + strings.Repeat("a.", 127) + "b", ""},
		{"https://2130706433", ""},
		{"https://0x7f000001", ""},
		{"https://0x7f.1", ""},
		{"https://0177.0.0.1", ""},
		{"https://127.1", ""},
		{"https://1.2.3.256", ""},
		{"https://[127.0.0.1]", ""},
		{"https://[::ffff:127.0.0.1]", ""},
		{"https://[fe80::1%25eth0]", ""},
		{"https://h/a//b", ""},
		{"https://h/a/../b", ""},
		{"https://h/a/.", ""},
	}
	for _, tt := range tests {
		got := ""
		if d, err := egress.ParseDestination(tt.in); err == nil {
			got = d.String()
		}
		if got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.in, got, tt.want)
		}
	}
}

// request makes a request from a URL that url.Parse may have refused.
func request(u *url.URL) *http.Request {
	return &http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}}
}

func https(host, path string) *url.URL { return &url.URL{Scheme: "https", Host: host, Path: path} }

// The hosts and paths with which filters are fooled. The policy allows
// api.example.com/bot1 alone, and every name of the table would lead somewhere.
func TestInvariant05DestinationsThatMustNotPass(t *testing.T) {
	raw := func(s string) *url.URL {
		u, err := url.Parse(s)
		if err != nil {
			return nil // what no program here can express cannot be requested
		}
		return u
	}
	tests := []struct {
		name string
		url  *url.URL
	}{
		// hosts
		{"user information", raw("https://api.example.com@evil.example/bot1")},
		{"user information with a port", raw("https://api.example.com:443@evil.example/bot1")},
		{"user information that is allowed", raw("https://evil@api.example.com/bot1")},
		{"backslash and at", https(`evil.example\@api.example.com`, "/bot1")},
		{"backslash after the host", raw(`https://evil.example\.api.example.com/bot1`)},
		{"trailing dot", raw("https://api.example.com./bot1")},
		{"fullwidth dot", raw("https://api。example.com/bot1")},
		{"fullwidth dot by hand", https("api。example.com", "/bot1")},
		{"circled digits", https("①②⑦.⓪.⓪.①", "/bot1")},
		{"punycode look-alike", raw("https://xn--pi-7kc.example.com/bot1")},
		{"look-alike letters", https("аpi.example.com", "/bot1")},
		{"decimal address", raw("https://2130706433/bot1")},
		{"hexadecimal address", raw("https://0x7f000001/bot1")},
		{"hexadecimal parts", raw("https://0x7f.0.0.0x1/bot1")},
		{"octal address", raw("https://0177.0.0.1/bot1")},
		{"short address", raw("https://127.1/bot1")},
		{"address in brackets", raw("https://[127.0.0.1]/bot1")},
		{"mapped address", raw("https://[::ffff:127.0.0.1]/bot1")},
		{"zone", raw("https://[fe80::1%25eth0]/bot1")},
		{"escaped dot", https("api%2eexample%2ecom", "/bot1")},
		{"escaped NUL", https("api.example.com%00.evil.example", "/bot1")},
		{"NUL", https("api.example.com\x00.evil.example", "/bot1")},
		{"space", https("api.example.com evil.example", "/bot1")},
		{"new line", https("api.example.com\r\nHost: evil.example", "/bot1")},
		{"empty host with an opaque part", &url.URL{Scheme: "https", Opaque: "//evil.example/bot1"}},
		{"opaque part beside a host", &url.URL{Scheme: "https", Host: "api.example.com", Path: "/bot1", Opaque: "//evil.example/bot1"}},
		{"no host", https("", "/bot1")},
		{"no URL", nil},
		{"no scheme", raw("//api.example.com/bot1")},
		{"another scheme", raw("http://api.example.com/bot1")},
		{"a file", raw("file:///bot1")},
		{"gopher", raw("gopher://api.example.com/bot1")},
		{"another scheme on the same port", raw("http://api.example.com:443/bot1")},
		{"another port", raw("https://api.example.com:8443/bot1")},
		{"empty port", https("api.example.com:", "/bot1")},
		{"two ports", https("api.example.com:443:80", "/bot1")},
		{"suffix", raw("https://evilapi.example.com/bot1")},
		{"subdomain", raw("https://x.api.example.com/bot1")},
		{"parent domain", raw("https://example.com/bot1")},
		{"as a prefix of another", raw("https://api.example.com.evil.example/bot1")},

		// paths
		{"outside", raw("https://api.example.com/other")},
		{"the root", raw("https://api.example.com")},
		{"a sibling with the same beginning", raw("https://api.example.com/bot1Evil")},
		{"dots", raw("https://api.example.com/bot1/../other")},
		{"dots at the end", raw("https://api.example.com/bot1/..")},
		{"one dot", raw("https://api.example.com/./bot1")},
		{"escaped dots", raw("https://api.example.com/bot1/%2e%2e/other")},
		{"escaped dots, upper case", raw("https://api.example.com/bot1/%2E%2E/other")},
		{"half-escaped dots", raw("https://api.example.com/bot1/.%2e/other")},
		{"escaped slash", raw("https://api.example.com/bot1/..%2fother")},
		{"escaped backslash", raw("https://api.example.com/bot1/..%5cother")},
		{"backslash", raw(`https://api.example.com/bot1/..\other`)},
		{"double encoding", raw("https://api.example.com/bot1/%252e%252e/other")},
		{"escaped NUL in the path", raw("https://api.example.com/bot1/%00")},
		{"escaped new line", raw("https://api.example.com/bot1/%0d%0aX")},
		{"empty segment", raw("https://api.example.com//bot1")},
		{"empty segment inside", raw("https://api.example.com/bot1//x")},
		{"parameter", raw("https://api.example.com/bot1;x=1")},
		{"dots with a parameter", raw("https://api.example.com/bot1/..;/other")},
		{"escaped parameter", raw("https://api.example.com/bot1/..%3b/other")},
		{"a raw path that says otherwise", &url.URL{Scheme: "https", Host: "api.example.com", Path: "/other", RawPath: "/bot1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			net := &internet{names: map[string][]string{}}
			for _, h := range []string{"evil.example", "api.example.com", "api.example.com.", "example.com"} {
				net.names[h] = []string{publicAddress}
			}
			gate := egress.New(egress.Options{Dialer: net.dialer})
			client := gate.Client(egress.Policy{Name: "test", Allow: allow(t, "https://api.example.com/bot1")})
			_, err := client.Transport.RoundTrip(request(tt.url)) //nolint:bodyclose // refused
			if !errors.Is(err, egress.ErrDenied) {
				t.Errorf("got %v", err)
			}
			if got := net.seen(); got != nil {
				t.Errorf("dialled %v", got)
			}
		})
	}
}

func TestDestinationsThatMustPass(t *testing.T) {
	for _, s := range []string{
		"https://api.example.com/bot1", "https://API.example.COM/bot1", "https://api.example.com:443/bot1/x",
		"https://api.example.com/bot1/a%20b", "https://api.example.com/bot1/", "https://api.example.com/bot1/%C3%A4",
		"https://api.example.com/bot1?q=../..;%00", "https://api.example.com/bot1/a:b@c",
	} {
		net := &internet{names: map[string][]string{"api.example.com": {publicAddress}, "API.example.COM": {publicAddress}}}
		client := egress.New(egress.Options{Dialer: net.dialer}).
			Client(egress.Policy{Name: "test", Allow: allow(t, "https://api.example.com/bot1")})
		_, err := client.Get(s) //nolint:bodyclose // leads nowhere
		if !errors.Is(err, errNowhere) {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestInvariant04PolicyThatAllowsNothing(t *testing.T) {
	for name, p := range map[string]egress.Policy{
		"zero":                 {},
		"an empty destination": {Allow: []egress.Destination{{}}},
		"only an exception":    {Operator: []string{"api.example.com:443"}},
		"no method":            {Allow: allow(t, "https://api.example.com"), Methods: []string{}},
	} {
		net := &internet{names: map[string][]string{"api.example.com": {publicAddress}}}
		_, err := egress.New(egress.Options{Dialer: net.dialer}).Client(p).Get("https://api.example.com/") //nolint:bodyclose // refused
		if !errors.Is(err, egress.ErrDenied) || net.seen() != nil {
			t.Errorf("%s: %v, dialled %v", name, err, net.seen())
		}
	}
}

func FuzzParseDestination(f *testing.F) {
	for _, s := range []string{
		"https://api.telegram.org/bot1", "http://[::1]:80/x", "https://0x7f.1/", "https://h/%2e%2e", "wss://h:1",
		"https://a@b", "https://h\\@e", "tcp://h:1", "https://h/;x", "https://[fe80::1%25e]/",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := egress.ParseDestination(s)
		if err != nil {
			return
		}
		again, err := egress.ParseDestination(d.String())
		if err != nil {
			t.Fatalf("%q gives %q, which is refused: %v", s, d, err)
		}
		if diff := cmp.Diff(d, again); diff != "" {
			t.Errorf("%q: %s", s, diff)
		}
		if strings.ContainsAny(d.Host, "@/\\%*? \x00") || d.Port == 0 || strings.Contains(d.Path, "..") && strings.Contains(d.Path, "/../") {
			t.Errorf("%q gives %+v", s, d)
		}
	})
}

func TestInvariant05Wildcards(t *testing.T) {
	tests := []struct {
		host string
		want bool
	}{
		{"a.x.com", true},
		{"A.X.com", true},
		{"xn--bcher-kva.x.com", true},
		{"x.com", false},
		{"a.b.x.com", false},
		{"evilx.com", false},
		{"a.evilx.com", false},
		{"a.x.com.evil.com", false},
		{".x.com", false},
		{"a.x.com.", false},
		{"*.x.com", false},
		{"a-.x.com", false},
	}
	for _, tt := range tests {
		fake := &internet{names: map[string][]string{strings.ToLower(tt.host): {publicAddress}}}
		gate := egress.New(egress.Options{Dialer: fake.dialer})
		p := egress.Policy{Name: "test", Allow: allow(t, "https://*.x.com")}
		client := gate.Client(p)
		_, err := client.Transport.RoundTrip(request(https(tt.host, "/"))) //nolint:bodyclose // leads nowhere
		if passed := !errors.Is(err, egress.ErrDenied); passed != tt.want {
			t.Errorf("%s: %v", tt.host, err)
		}
		_, err = gate.Dial(p)(t.Context(), "tcp", tt.host+":443")
		if passed := !errors.Is(err, egress.ErrDenied); passed != tt.want {
			t.Errorf("dial %s: %v", tt.host, err)
		}
	}
	fake := &internet{names: map[string][]string{"a.x.com": {"10.0.0.1"}}}
	dial := egress.New(egress.Options{Dialer: fake.dialer}).Dial(egress.Policy{
		Name: "test", Allow: allow(t, "https://*.x.com"), Operator: []string{"*.x.com:443"},
	})
	if _, err := dial(t.Context(), "tcp", "a.x.com:443"); !errors.Is(err, egress.ErrDenied) {
		t.Errorf("a wildcard makes a private address reachable: %v", err)
	}
}
