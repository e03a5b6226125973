package egress_test

import (
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
	"github.com/gatehouse-chat/gatehouse/vault/leak"
)

// kept is a lease of a value with a format.
type kept struct {
	value
	how vault.Format
}

func (k kept) How() vault.Format { return k.how }

func formatted(how vault.Format, v string) egress.Injection {
	return egress.Injection{Lease: func(context.Context, string) (egress.Lease, error) { return kept{value(v), how}, nil }}
}

// bornIn2015 is the time of the published vectors.
func bornIn2015() time.Time { return time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC) }

const apiKey = "q8Xw2mZk4T9bVn3Rj7Lc5Hd1"

func TestInvariant02TheSecretSaysWhereItGoes(t *testing.T) {
	jsonType := http.Header{"Content-Type": {"application/json"}}
	formType := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	tests := []struct {
		name   string
		how    vault.Format
		value  string
		url    string
		header http.Header
		body   string
		want   string // what the server gets; "": refused
	}{
		{name: "bearer", how: vault.Format{Kind: vault.Bearer}, want: "GET / | Authorization: Bearer " + apiKey},
		{
			name: "bearer instead of the caller's", how: vault.Format{Kind: vault.Bearer}, header: http.Header{"Authorization": {"Bearer x"}},
			want: "GET / | Authorization: Bearer " + apiKey,
		},
		{
			name: "basic", how: vault.Format{Kind: vault.Basic, User: "ann"},
			want: "GET / | Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("ann:"+apiKey)),
		},
		{name: "basic with the name", how: vault.Format{Kind: vault.Basic}, value: "bob:pw", want: "GET / | Authorization: Basic Ym9iOnB3"},
		{name: "header", how: vault.Format{Kind: vault.Header, Name: "X-Key", Prefix: "Key "}, want: "GET / | X-Key: Key " + apiKey},
		{name: "line break in a header", how: vault.Format{Kind: vault.Header, Name: "X-Key"}, value: "a\r\nX-Evil: 1"},
		{name: "query", how: vault.Format{Kind: vault.Query, Name: "key"}, url: "/x?a=1&key=mine&%6bey=2&b", want: "GET /x?a=1&b&key=" + apiKey},
		{name: "query to be escaped", how: vault.Format{Kind: vault.Query, Name: "key"}, value: "a&b=c", want: "GET /?key=a%26b%3Dc"},
		{name: "path", how: vault.Format{Kind: vault.Path, Name: "token"}, url: "/bot{token}/me", want: "GET /bot" + apiKey + "/me"},
		{name: "path without a place", how: vault.Format{Kind: vault.Path, Name: "token"}, url: "/bot/me"},
		{name: "path that would be dots", how: vault.Format{Kind: vault.Path, Name: "token"}, url: "/{token}/me", value: ".."},
		{name: "path that would be a slash", how: vault.Format{Kind: vault.Path, Name: "token"}, url: "/{token}/me", value: "a/b"},
		{
			name: "body", how: vault.Format{Kind: vault.Body, Pointer: "/auth/to~1ken"}, header: jsonType,
			body: `{"auth":{"to/ken":"x","n":12345678901234567890}}`,
			want: `POST / | {"auth":{"n":12345678901234567890,"to/ken":"` + apiKey + `"}}`,
		},
		{
			name: "body in a list", how: vault.Format{Kind: vault.Body, Pointer: "/0/key"}, header: jsonType, body: `[{}]`,
			want: `POST / | [{"key":"` + apiKey + `"}]`,
		},
		{name: "body that ends early", how: vault.Format{Kind: vault.Body, Pointer: "/a/b"}, header: jsonType, body: `{}`},
		{name: "body that leads nowhere", how: vault.Format{Kind: vault.Body, Pointer: "/a/b"}, header: jsonType, body: `{"a":"x"}`},
		{name: "body beyond a list", how: vault.Format{Kind: vault.Body, Pointer: "/1"}, header: jsonType, body: `["x"]`},
		{name: "two documents", how: vault.Format{Kind: vault.Body, Pointer: "/a"}, header: jsonType, body: `{} {}`},
		{name: "no JSON", how: vault.Format{Kind: vault.Body, Pointer: "/a"}, body: `{}`},
		{name: "form", how: vault.Format{Kind: vault.Body, Pointer: "/key"}, header: formType, body: "a=b&key=x", want: "POST / | a=b&key=" + apiKey},
		{name: "form with depth", how: vault.Format{Kind: vault.Body, Pointer: "/key/x"}, header: formType, body: "a=b"},
		{
			name: "signature", how: vault.Format{Kind: vault.HMAC, Name: "X-Sign", Prefix: "sha256="}, value: "key", header: jsonType,
			body: "The quick brown fox jumps over the lazy dog",
			want: "POST / | X-Sign: sha256=f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8 | The quick brown fox jumps over the lazy dog",
		},
		{
			name: "signature of parts", value: "key", url: "/p?q=1",
			how: vault.Format{
				Kind: vault.HMAC, Name: "X-Sign", Hash: "sha1", Encoding: "base64", Stamp: "X-Time",
				Signs: "{method}\n{path}\n{query}\n{timestamp}\n{body}",
			},
			want: "GET /p?q=1 | X-Sign: UzrxcNbO9K7sG+g3d1TosCBjoys= | X-Time: 1440938160",
		},
		{name: "in place without a placeholder", how: vault.Format{}},
		{name: "not exchanged", how: vault.Format{Kind: vault.OAuth2Client}},
		{name: "an unknown kind", how: vault.Format{Kind: "x"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			v := tt.value
			if v == "" {
				v = apiKey
			}
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = arrivedAs(r) }))
			t.Cleanup(server.Close)
			base := server.URL
			client := egress.New(egress.Options{Now: bornIn2015}).Client(egress.Policy{
				Name: "test", Allow: allow(t, base), Operator: []string{strings.TrimPrefix(base, "http://")},
				Inject: []egress.Injection{formatted(tt.how, v)},
			})
			t.Cleanup(client.CloseIdleConnections)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+tt.url, nil)
			if tt.body != "" {
				req, err = http.NewRequestWithContext(t.Context(), http.MethodPost, base+tt.url, strings.NewReader(tt.body))
			}
			if err != nil {
				t.Fatal(err)
			}
			if tt.header != nil {
				req.Header = tt.header.Clone()
			}
			res, err := client.Do(req)
			if err == nil {
				_ = res.Body.Close()
			}
			if (tt.want == "") != errors.Is(err, egress.ErrDenied) {
				t.Fatalf("got %v", err)
			}
			if err != nil && strings.Contains(err.Error(), v) {
				t.Errorf("the error shows the value: %v", err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if req.Header.Get("Authorization") != tt.header.Get("Authorization") || strings.Contains(req.URL.String(), v) {
				t.Error("the caller's request was changed")
			}
		})
	}
}

// arrivedAs describes a request as it arrived.
func arrivedAs(r *http.Request) string {
	out := r.Method + " " + r.RequestURI
	for _, name := range []string{"Authorization", "X-Key", "X-Evil", "X-Sign", "X-Time"} {
		if v := r.Header.Get(name); v != "" {
			out += " | " + name + ": " + v
		}
	}
	if body, _ := io.ReadAll(r.Body); len(body) > 0 {
		out += " | " + string(body)
	}
	return out
}

// The vectors are those that AWS publishes for the algorithm.
func TestSigV4(t *testing.T) {
	tests := []struct{ method, url, want string }{
		{"GET", "/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"POST", "/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{"GET", "/?Param2=value2&Param1=value1", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
	}
	for _, tt := range tests {
		got := ""
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			got = r.Header.Get("Authorization")
		}))
		fake := &internet{}
		fake.host("example.amazonaws.com:80", publicAddress, server.Listener.Addr().String())
		client := egress.New(egress.Options{Dialer: fake.dialer, Now: bornIn2015}).Client(egress.Policy{
			Name: "test", Allow: allow(t, "http://example.amazonaws.com"), Inject: []egress.Injection{formatted(
				vault.Format{Kind: vault.SigV4, AccessKey: "AKIDEXAMPLE", Region: "us-east-1", Service: "service"},
				"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")},
		})
		req, err := http.NewRequestWithContext(t.Context(), tt.method, "http://example.amazonaws.com"+tt.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		client.CloseIdleConnections()
		server.Close()
		want := "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, " +
			"SignedHeaders=host;x-amz-date, Signature=" + tt.want
		if got != want {
			t.Errorf("%s %s: got %s", tt.method, tt.url, got)
		}
	}
}

// screened serves h to a client whose requests and responses are searched.
func screened(t *testing.T, h http.Handler, p egress.Policy) (client *http.Client, base string) {
	t.Helper()
	leaks, err := leak.New()
	if err != nil {
		t.Fatal(err)
	}
	leaks.Learn([]byte(apiKey))
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	p.Name, p.Screen = "tool", true
	p.Allow, p.Operator = allow(t, server.URL), []string{strings.TrimPrefix(server.URL, "http://")}
	client = egress.New(egress.Options{Leaks: leaks}).Client(p)
	t.Cleanup(client.CloseIdleConnections)
	return client, server.URL
}

func TestInvariant02NoSecretLeavesWithARequest(t *testing.T) {
	var mu sync.Mutex // a request that is cut off leaves the server at work
	arrived := ""
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		arrived += r.RequestURI + string(body)
	})
	b64 := base64.StdEncoding.EncodeToString([]byte("x" + apiKey))
	tests := []struct {
		name, url string
		header    http.Header
		body      io.Reader
		want      bool
	}{
		{name: "harmless", url: "/a/b?c=d", header: http.Header{"X-A": {"b"}}, body: strings.NewReader("hello"), want: true},
		{name: "path", url: "/a/" + apiKey},
		{name: "query", url: "/?q=" + apiKey},
		{name: "query's name", url: "/?" + apiKey + "=1"},
		{name: "base64 in the query", url: "/?q=" + b64},
		{name: "header", header: http.Header{"X-A": {apiKey}}},
		{name: "header's name", header: http.Header{apiKey: {"1"}}},
		{name: "two values of a header", header: http.Header{"X-A": {apiKey[:11], apiKey[11:22]}}},
		{name: "body", body: strings.NewReader("it is " + apiKey)},
		{name: "base64 in the body", body: strings.NewReader(`{"x":"` + b64 + `"}`)},
		{name: "body of unknown length", body: io.MultiReader(strings.NewReader("it is "+apiKey[:9]), strings.NewReader(apiKey[9:]))},
		{name: "a long harmless body", body: io.MultiReader(strings.NewReader(strings.Repeat("hello ", 1000))), want: true},
		{name: "a known pattern", body: strings.NewReader("gh" + "p_q8Xw2mZk4T9bVn3Rj7Lc5Hd1Fs6Gy0Pa2KeM")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			mu.Lock()
			arrived = ""
			mu.Unlock()
			client, base := screened(t, h, egress.Policy{})
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+tt.url, tt.body)
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range tt.header {
				req.Header[k] = v
			}
			res, err := client.Do(req)
			if err == nil {
				_ = res.Body.Close()
			}
			if passed := err == nil; passed != tt.want || !passed && !errors.Is(err, leak.ErrLeak) {
				t.Errorf("got %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			if strings.Contains(arrived, apiKey[:12]) || strings.Contains(arrived, b64[:16]) {
				t.Errorf("the server got %q", arrived)
			}
		})
	}
}

func TestInvariant02NoSecretLeavesWithTwoRequests(t *testing.T) {
	client, base := screened(t, http.NotFoundHandler(), egress.Policy{})
	const short = "q8Xw2mZk4T9bVn3R" // the first 16 of the value
	for _, where := range []string{"/?a=", "/path/"} {
		for i, piece := range []string{short[:8], short[8:]} {
			res, err := client.Get(base + where + piece)
			if err == nil {
				_ = res.Body.Close()
			}
			if refused := errors.Is(err, leak.ErrLeak); refused != (i == 1) {
				t.Errorf("%s, piece %d: %v", where, i, err)
			}
		}
	}
}

// Servers that repeat the request's header show no value, however they write it.
func TestInvariant02EchoingServers(t *testing.T) {
	tests := []struct {
		name string
		echo func(w http.ResponseWriter, auth string)
	}{
		{"plain", func(w http.ResponseWriter, a string) { _, _ = io.WriteString(w, "you said "+a) }},
		{"base64", func(w http.ResponseWriter, a string) {
			_, _ = io.WriteString(w, "you said "+base64.StdEncoding.EncodeToString([]byte(a)))
		}},
		{"gzip", func(w http.ResponseWriter, a string) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, "you said "+a)
			_ = z.Close()
		}},
		{"JSON", func(w http.ResponseWriter, a string) {
			_, _ = io.WriteString(w, `{"auth":"`)
			for _, c := range a {
				_, _ = fmt.Fprintf(w, `\u%04x`, c)
			}
			_, _ = io.WriteString(w, `"}`)
		}},
		{"header", func(w http.ResponseWriter, a string) { w.Header().Set("X-Echo", a) }},
		{"pieces", func(w http.ResponseWriter, a string) {
			for _, c := range a {
				_, _ = io.WriteString(w, string(c))
				w.(http.Flusher).Flush()
			}
		}},
		{"trailer", func(w http.ResponseWriter, a string) {
			w.Header().Set("Trailer", "X-Echo")
			_, _ = io.WriteString(w, "x")
			w.Header().Set("X-Echo", a)
		}},
		{"encoding that was not asked for", func(w http.ResponseWriter, _ string) { w.Header().Set("Content-Encoding", "br") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			used := ""
			client, base := screened(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				used = r.Header.Get("Authorization")
				tt.echo(w, used)
			}), egress.Policy{Inject: []egress.Injection{formatted(vault.Format{Kind: vault.Bearer}, apiKey)}})
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Accept-Encoding", "gzip, br")
			res, err := client.Do(req)
			if used != "Bearer "+apiKey {
				t.Fatalf("the server got %q", used)
			}
			if (tt.name == "encoding that was not asked for") != (err != nil) {
				t.Fatal(err)
			}
			if err != nil {
				return
			}
			body, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			all := fmt.Sprint(string(body), res.Header, res.Trailer, res.Status)
			leaks, _ := leak.New()
			leaks.Learn([]byte(apiKey))
			if err != nil || leaks.Holds([]byte(all)) {
				t.Errorf("got %q, %v", all, err)
			}
		})
	}
}
