package egress_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
	"github.com/gatehouse-chat/gatehouse/vault/leak"
)

// TestWildcardsThatAreNames: a name may end in a digit, an address may not have a
// wildcard, and a wildcard of nothing covers nothing.
func TestWildcardsThatAreNames(t *testing.T) {
	for in, want := range map[string]bool{
		"https://*.shop.example9x9": true, "https://*.shop.xn--c1avg9": true, "https://*.10.0.0.10": false, "https://*.[2001:db8::1]": false,
	} {
		if _, err := egress.ParseDestination(in); (err == nil) != want {
			t.Errorf("%q: %v", in, err)
		}
	}
	for _, d := range []egress.Destination{{}, {Scheme: "https", Host: "*.", Port: 443}, {Scheme: "https", Port: 443}, {Scheme: "https", Host: "intranet"}} {
		fake := &internet{names: map[string][]string{"intranet": {publicAddress}}}
		client := egress.New(egress.Options{Dialer: fake.dialer}).Client(egress.Policy{Name: "test", Allow: []egress.Destination{d}})
		if _, err := get(t, client, "https://intranet/"); !errors.Is(err, egress.ErrDenied) {
			t.Errorf("%+v: %v", d, err)
		}
	}
}

// TestExceptionsThatAreNoHost: what the operator wrote wrongly opens nothing, and
// a warning says so.
func TestExceptionsThatAreNoHost(t *testing.T) {
	for host, want := range map[string]bool{
		"nas.lan:80": false, "[fd00::1]:80": false, "[fd00::1]": true,
		"nas.lan": true, "nas.lan:": true, "nas.lan:0": true, "na s:80": true, "[fd00::1:80": true, "[fe80::1%eth0]:80": true, "[::ffff:10.0.0.1]:80": true, "[10.0.0.1]:80": true, "": true,
	} {
		warnings := func(terms egress.Terms, operator ...string) int {
			var log bytes.Buffer
			egress.New(egress.Options{
				Log: slog.New(slog.NewTextHandler(&log, nil)), Terms: func(string) egress.Terms { return terms },
			}).Client(egress.Policy{Name: "test", Operator: operator})
			return strings.Count(log.String(), "has no effect")
		}
		if got := warnings(egress.Terms{}, host) == 1; got != want {
			t.Errorf("operator %q: warned %v", host, got)
		}
		if got := warnings(egress.Terms{Inside: []egress.Inside{{Host: host, Within: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}}) == 1; got != want {
			t.Errorf("inside %q: warned %v", host, got)
		}
	}
}

// TestWhatErrorsSay: where to, if that is known, and whether it was the time.
func TestWhatErrorsSay(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		err     *egress.Error
		text    string
		timeout bool
	}{
		{&egress.Error{Policy: "tool", Host: "a.example:443", Err: broken}, "tool: a.example:443: broken", false},
		{&egress.Error{Policy: "tool", Err: broken}, "tool: broken", false},
		{&egress.Error{Policy: "tool", Err: context.DeadlineExceeded}, "tool: context deadline exceeded", true},
		{&egress.Error{Policy: "tool", Err: fmt.Errorf("dial: %w", &url.Error{Op: "Get", Err: broken})}, `tool: dial: Get "": broken`, false},
	} {
		if tt.err.Error() != tt.text || tt.err.Timeout() != tt.timeout || tt.err.Temporary() != tt.timeout {
			t.Errorf("%v: timeout %v", tt.err, tt.err.Timeout())
		}
	}
}

// post sends a body of a type.
func post(t *testing.T, client *http.Client, to, kind string, body io.Reader, length int64) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	if length != 0 {
		req.ContentLength = length
	}
	res, err := client.Do(req)
	if err == nil {
		_ = res.Body.Close()
	}
	return err
}

// padded is a JSON body of some length that ends in a placeholder.
func padded(n int) string {
	const frame = `{"x":"","t":"` + ph + `"}`
	return `{"x":"` + strings.Repeat("x", n-len(frame)) + `","t":"` + ph + `"}`
}

// TestBodiesAtTheirBounds: a body of a MiB is sent as it is, and one byte less is
// searched. Where the secret belongs into the body, it is refused.
func TestBodiesAtTheirBounds(t *testing.T) {
	const most = 1 << 20
	into := seen{}
	client, base := local(t, record(&into), egress.Policy{
		Name: "test", Inject: []egress.Injection{{Placeholder: ph, In: egress.InBody, Lease: lend("abc")}},
	})
	for n, filled := range map[int]bool{most - 1: true, most: false} {
		if err := post(t, client, base, "application/json", strings.NewReader(padded(n)), 0); err != nil {
			t.Fatal(err)
		}
		if got := strings.HasSuffix(into.Body, `"t":"abc"}`); got != filled {
			t.Errorf("%d bytes: filled in %v", n, got)
		}
	}
	client, base = local(t, record(&into), egress.Policy{
		Name: "test", Inject: []egress.Injection{formatted(vault.Format{Kind: vault.Body, Pointer: "/t"}, "abc")},
	})
	for n, passes := range map[int]bool{most - 1: true, most: false} {
		if err := post(t, client, base, "application/json", strings.NewReader(padded(n)), 0); (err == nil) != passes {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	for in, passes := range map[string]bool{`{"t":["a"]}`: false, `{"t":{"x":"a"}}`: true} {
		client, base := local(t, record(&into), egress.Policy{
			Name: "test", Inject: []egress.Injection{formatted(vault.Format{Kind: vault.Body, Pointer: "/t/x"}, "abc")},
		})
		if err := post(t, client, base, "application/json", strings.NewReader(in), 0); (err == nil) != passes {
			t.Errorf("%s: %v", in, err)
		}
	}
}

// faulty is a body that fails where it is told to.
type faulty struct {
	io.Reader
	closing error
}

func (f faulty) Close() error { return f.closing }

// TestBodiesThatBreak: a body that fails, or is not what it was announced to be,
// fails the request and says why.
func TestBodiesThatBreak(t *testing.T) {
	broken := errors.New("the disk is gone")
	into := seen{}
	client, base := local(t, record(&into), egress.Policy{
		Name: "test", Inject: []egress.Injection{{Placeholder: ph, In: egress.InBody, Lease: lend("abc")}},
	})
	const text = `{"t":"` + ph + `"}`
	for name, tt := range map[string]struct {
		body   io.Reader
		length int64
		want   string
	}{
		"whole":    {faulty{Reader: strings.NewReader(text)}, int64(len(text)), ""},
		"short":    {faulty{Reader: strings.NewReader(text)}, int64(len(text)) + 1, "not as long as announced"},
		"long":     {faulty{Reader: strings.NewReader(text)}, int64(len(text)) - 1, "not as long as announced"},
		"read":     {faulty{Reader: io.MultiReader(strings.NewReader(text), failing{broken})}, int64(len(text)) + 5, broken.Error()},
		"closed":   {faulty{Reader: strings.NewReader(text), closing: broken}, int64(len(text)), broken.Error()},
		"no value": {faulty{Reader: strings.NewReader(`{"t":"x"}`)}, int64(len(`{"t":"x"}`)), ""},
	} {
		err := post(t, client, base, "application/json", tt.body, tt.length)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestPlaceholdersAtTheirBounds: one that is too short could stand in a request
// by chance; without a lease there is nothing to put in; and what stands in a
// path is made of the characters that a path may have.
func TestPlaceholdersAtTheirBounds(t *testing.T) {
	into := seen{}
	for _, tt := range []struct {
		injection egress.Injection
		holder    string
		want      string
	}{
		{egress.Injection{Placeholder: "abcdefghijkl", Lease: lend("abc")}, "abcdefghijkl", "/abc"},
		{egress.Injection{Placeholder: "abcdefghijk", Lease: lend("abc")}, "abcdefghijk", "/abcdefghijk"},
		{egress.Injection{Placeholder: ph}, ph, "/" + ph},
		{egress.Injection{Placeholder: ph, Lease: lend("azAZ09-_~.:@!$&'()*+,=")}, ph, "/azAZ09-_~.:@!$&'()*+,="},
		{egress.Injection{Placeholder: ph, Lease: lend("a`")}, ph, ""},
		{egress.Injection{Placeholder: ph, Lease: lend("a{")}, ph, ""},
		{egress.Injection{Placeholder: ph, Lease: lend("a[")}, ph, ""},
		{egress.Injection{Placeholder: ph, Lease: lend("a;")}, ph, ""},
		{egress.Injection{Placeholder: ph, Lease: lend("ü")}, ph, ""},
	} {
		client, base := local(t, record(&into), egress.Policy{Name: "test", Inject: []egress.Injection{tt.injection}})
		into = seen{}
		_, err := get(t, client, base+"/"+tt.holder)
		if (err == nil) != (tt.want != "") || into.URI != tt.want {
			t.Errorf("%s: got %q, %v, want %q", tt.holder, into.URI, err, tt.want)
		}
	}
	letters := map[rune]bool{}
	for range 300 {
		for _, c := range strings.TrimPrefix(egress.NewPlaceholder(), "0:gh-") {
			letters[c] = true
		}
	}
	if len(letters) != 26 {
		t.Errorf("placeholders are made of %d letters", len(letters))
	}
}

// TestProxiesThatSayNo: only a version of HTTP/1 and a status of success connect,
// whatever follows, and the error says the status.
func TestProxiesThatSayNo(t *testing.T) {
	for says, want := range map[string]string{
		"HTTQ/1.1 200 OK": "no HTTP", "SSH-2.0 200": "no HTTP", "HTTP/2 200 OK": "no HTTP",
		"HTTP/1.1 407 Login": "status 407", "HTTP/1.0 503 Busy": "status 503", "HTTP/1.1 OK": "no HTTP",
	} {
		answers := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, says+"\r\n\r\nHTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
			_ = c.Close()
		}))
		p, err := egress.ParseProxy(answers.URL)
		if err != nil {
			t.Fatal(err)
		}
		client := egress.New(egress.Options{Proxy: p}).Client(egress.Policy{Name: "test", Allow: allow(t, "http://name.example")})
		_, err = get(t, client, "http://name.example/")
		if err == nil || says[:5] == "HTTP/" && says[5] == '1' && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", says, err)
		}
		client.CloseIdleConnections()
		answers.Close()
	}
}

// TestTwoRequestsPartByPart: halves of a value that stand in the same part of two
// requests are a value, wherever else they differ.
func TestTwoRequestsPartByPart(t *testing.T) {
	const short = "q8Xw2mZk4T9bVn3R" // the first 16 of the value
	for name, pieces := range map[string]func(i int, piece string) (query, header, body string){
		"a value of the query": func(i int, piece string) (string, string, string) {
			return fmt.Sprintf("n%d=other%d&q=%s&z=last", i, i, piece), "", ""
		},
		"a name of the query": func(_ int, piece string) (string, string, string) { return piece + "=between", "", "" },
		"a header":            func(_ int, piece string) (string, string, string) { return "", piece, "" },
		"a body":              func(_ int, piece string) (string, string, string) { return "", "", piece },
	} {
		client, base := screened(t, http.NotFoundHandler(), egress.Policy{})
		for i, piece := range []string{short[:8], short[8:]} {
			query, header, body := pieces(i, piece)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/?"+query, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if header != "" {
				req.Header.Set("X-Piece", header)
			}
			res, err := client.Do(req)
			if err == nil {
				_ = res.Body.Close()
			}
			if refused := errors.Is(err, leak.ErrLeak); refused != (i == 1) {
				t.Errorf("%s, piece %d: %v", name, i, err)
			}
		}
	}
	client, base := screened(t, http.NotFoundHandler(), egress.Policy{})
	for _, n := range []int{1<<20 - 1, 1 << 20, 1<<20 + 1} {
		if err := post(t, client, base, "text/plain", strings.NewReader(strings.Repeat("hello, ", n/7+1)[:n]), 0); err != nil {
			t.Errorf("a harmless body of %d bytes: %v", n, err)
		}
	}
}

// TestSocketsAtTheirBounds: the longest message is sent, what nobody asked to
// screen is not touched, and a handshake that fails says with whom.
func TestSocketsAtTheirBounds(t *testing.T) {
	leaks, err := leak.New()
	if err != nil {
		t.Fatal(err)
	}
	leaks.Learn([]byte(token))
	s := openSocket(t, serveSocket(t, socketServer(echoing), egress.Options{Leaks: leaks}), talker(t))
	if got := exchange(t, s, "it is "+token); got != "it is "+token {
		t.Errorf("an adapter's own message came back as %q", got)
	}
	if err := s.Write(t.Context(), bytes.Repeat([]byte("x"), 1<<20)); err != nil {
		t.Errorf("a message of a MiB: %v", err)
	}
	if err := s.Write(t.Context(), bytes.Repeat([]byte("x"), 1<<20+1)); !errors.Is(err, egress.ErrLong) {
		t.Errorf("one byte more: %v", err)
	}
	_, err = serveSocket(t, http.NotFoundHandler(), egress.Options{}).Socket(t.Context(), talker(t), "ws://talk.example/socket", nil)
	if err == nil || !strings.Contains(err.Error(), "talk.example:80") {
		t.Errorf("got %v", err)
	}
}

// TestADaysLimitOutlivesAReport: what a member did today counts until the day is
// over, though it was reported and the ledger is away.
func TestADaysLimitOutlivesAReport(t *testing.T) {
	for name, limits := range map[string]egress.Limits{"requests": {RequestsPerDay: 2}, "both": {RequestsPerDay: 2, BytesPerDay: 1 << 20}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := &internet{names: map[string][]string{"api.example.com": {publicAddress}}}
				gate := egress.New(egress.Options{Dialer: fake.dialer, Terms: terms(egress.Terms{Limits: limits})})
				client := gate.Client(egress.Policy{
					Name: "tool x", By: scope.Principal{Workspace: "home", Member: "ann"}, Allow: allow(t, "https://api.example.com"),
				})
				ledger := &book{broken: errors.New("the store is away")}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- gate.Run(ctx, ledger) }()
				for day := range 3 {
					for i := range 3 {
						if l := ask(t, client); (l == nil) != (i < 2) {
							t.Errorf("day %d, request %d: %v", day, i, l)
						}
						time.Sleep(10 * time.Minute)
					}
					time.Sleep(24*time.Hour - 30*time.Minute)
				}
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestBytesOfADayAreKept: a limit of bytes alone is reason enough to remember a
// day, and no limit of a day is none.
func TestBytesOfADayAreKept(t *testing.T) {
	for _, tt := range []struct {
		limits egress.Limits
		want   bool
	}{{egress.Limits{BytesPerDay: 1000}, true}, {egress.Limits{RequestsPerDay: 1000}, true}, {egress.Limits{RequestsPerMinute: 1000, BytesPerMinute: 1000}, false}} {
		ledger, c := &book{}, &clock{now: time.Date(2030, 5, 6, 12, 0, 0, 0, time.UTC)}
		gate := limited(c, tt.limits)
		if l := ask(t, gate.Client(egress.Policy{Name: "test", Allow: allow(t, "https://api.example.com")})); l != nil {
			t.Error(l)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := gate.Run(ctx, ledger); err != nil {
			t.Fatal(err)
		}
		if got, _ := ledger.state("test"); (got.Requests == 1) != tt.want {
			t.Errorf("%+v: the ledger has %+v", tt.limits, got)
		}
	}
}

// TestSilenceWithoutALimit: a response of any length may still not fall silent.
func TestSilenceWithoutALimit(t *testing.T) {
	release := make(chan struct{})
	client, base := local(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "a beginning")
		w.(http.Flusher).Flush()
		<-release
	}), egress.Policy{Name: "test", MaxResponse: -1, Timeouts: egress.Timeouts{Idle: 50 * time.Millisecond}})
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	// On a slow machine the silence may be over before the beginning is read.
	const sent = "a beginning"
	if !strings.HasPrefix(sent, string(got)) || err == nil || ctx.Err() != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
