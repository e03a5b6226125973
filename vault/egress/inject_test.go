package egress_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

const (
	token = "123456:AAsecretsecretsecretsecret"
	ph    = "0:gh-abcdefghijklmnopqrstuvwxyzabcdef"
)

// seen is what a server got.
type seen struct {
	URI, Auth, Body string
}

func record(into *seen) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		*into = seen{URI: r.RequestURI, Auth: r.Header.Get("Authorization"), Body: string(b)}
	})
}

func TestInjectionPutsTheValueWhereItsPlaceholderStands(t *testing.T) {
	tests := []struct {
		name, method, path, auth, kind, body string
		in                                   egress.Places
		want                                 seen
	}{
		{
			name: "path", path: "/bot" + ph + "/getMe",
			want: seen{URI: "/bot" + token + "/getMe"},
		},
		{
			name: "query", path: "/x?a=1&token=" + ph + "&b=2",
			want: seen{URI: "/x?a=1&token=123456%3AAAsecretsecretsecretsecret&b=2"},
		},
		{
			name: "escaped query", path: "/x?token=" + url.QueryEscape(ph),
			want: seen{URI: "/x?token=123456%3AAAsecretsecretsecretsecret"},
		},
		{
			name: "part of a query value", path: "/x?text=hello+" + ph,
			want: seen{URI: "/x?text=hello+" + ph},
		},
		{
			name: "header", path: "/", auth: "Bearer " + ph,
			want: seen{URI: "/", Auth: "Bearer " + token},
		},
		{
			name: "JSON by request", method: "POST", path: "/", in: egress.InBody, kind: "application/json; charset=utf-8",
			body: `{"token":"` + ph + `","text":"I say ` + ph + `"}`,
			want: seen{URI: "/", Body: `{"token":"` + token + `","text":"I say ` + ph + `"}`},
		},
		{
			name: "JSON is not searched by default", method: "POST", path: "/", kind: "application/json",
			body: `{"text":"` + ph + `"}`,
			want: seen{URI: "/", Body: `{"text":"` + ph + `"}`},
		},
		{
			name: "form", method: "POST", path: "/", in: egress.InBody, kind: "application/x-www-form-urlencoded",
			body: "a=b&token=" + url.QueryEscape(ph),
			want: seen{URI: "/", Body: "a=b&token=123456%3AAAsecretsecretsecretsecret"},
		},
		{
			name: "multipart is never searched", method: "POST", path: "/", in: egress.InBody, kind: "multipart/form-data; boundary=x",
			body: "--x\r\n\r\n\"" + ph + "\"\r\n--x--\r\n",
			want: seen{URI: "/", Body: "--x\r\n\r\n\"" + ph + "\"\r\n--x--\r\n"},
		},
		{
			name: "a place that the injection does not name", path: "/" + ph, auth: "Bearer " + ph, in: egress.InPath,
			want: seen{URI: "/" + token, Auth: "Bearer " + ph},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got seen
			client, base := local(t, record(&got), egress.Policy{
				Name: "test", Inject: []egress.Injection{{Placeholder: ph, In: tt.in, Lease: lend(token)}},
			})
			req, err := http.NewRequest(tt.method, base+tt.path, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if tt.auth != "" {
				req.Header.Set("Authorization", tt.auth)
			}
			if tt.kind != "" {
				req.Header.Set("Content-Type", tt.kind)
			}
			before := fmt.Sprint(req.URL, req.Header)
			res, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if after := fmt.Sprint(req.URL, req.Header); after != before {
				t.Errorf("the caller's request was changed to %s", after)
			}
			if shown := fmt.Sprint(res.Request.URL, res.Request.Header); strings.Contains(shown, "secret") {
				t.Errorf("the response shows the request %s", shown)
			}
		})
	}
}

func TestInjectionWithTwoSecrets(t *testing.T) {
	var got seen
	const second = "0:gh-second-placeholder"
	client, base := local(t, record(&got), egress.Policy{
		Name: "test", Inject: []egress.Injection{
			{Placeholder: ph, In: egress.InBody, Lease: lend("one\"1")},
			{Placeholder: second, In: egress.InBody | egress.InHeader, Lease: lend("two")},
		},
	})
	req, _ := http.NewRequest("POST", base, strings.NewReader(`["`+ph+`","`+second+`"]`))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", second)
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if diff := cmp.Diff(seen{URI: "/", Auth: "two", Body: `["one\"1","two"]`}, got); diff != "" {
		t.Error(diff)
	}
}

func TestInjectionLeasesForTheDestinationAndOnlyIfAsked(t *testing.T) {
	var hosts []string
	refuse := errors.New("not for this host")
	client, base := local(t, record(&seen{}), egress.Policy{
		Name: "test", Inject: []egress.Injection{{
			Placeholder: ph, Lease: func(_ context.Context, host string) (egress.Lease, error) {
				hosts = append(hosts, host)
				return nil, refuse
			},
		}},
	})
	res, err := client.Get(base + "/plain")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	_, err = client.Get(base + "/" + ph) //nolint:bodyclose // refused
	if !errors.Is(err, refuse) || !errors.Is(err, egress.ErrDenied) {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]string{strings.TrimPrefix(base, "http://")}, hosts); diff != "" {
		t.Error(diff)
	}
}

func TestInjectionRefusesValuesThatCannotStandThere(t *testing.T) {
	tests := []struct{ name, path, auth, value string }{
		{"empty", "/" + ph, "", ""},
		{"slash in a path", "/" + ph, "", "a/../b"},
		{"dots for a segment", "/" + ph + "/x", "", ".."},
		{"query in a path", "/" + ph, "", "a?b"},
		{"escape in a path", "/" + ph, "", "a%2fb"},
		{"new line in a header", "/", ph, "a\r\nX-Evil: 1"},
		{"NUL in a header", "/", ph, "a\x00"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reached := false
			h := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true })
			client, base := local(t, h, egress.Policy{
				Name: "test", Inject: []egress.Injection{{Placeholder: ph, Lease: lend(tt.value)}},
			})
			req, _ := http.NewRequest("GET", base+tt.path, nil)
			if tt.auth != "" {
				req.Header.Set("Authorization", tt.auth)
			}
			_, err := client.Do(req) //nolint:bodyclose // refused
			if !errors.Is(err, egress.ErrDenied) || reached {
				t.Errorf("got %v, reached %v", err, reached)
			}
		})
	}
}

// hijack answers every request with raw bytes made from it.
func hijack(answer func(r *http.Request) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, answer(r))
		_ = c.Close()
	})
}

func TestErrorsShowThePlaceholder(t *testing.T) {
	inject := []egress.Injection{{Placeholder: ph, Lease: lend(token)}}
	tests := []struct {
		name  string
		h     http.Handler
		short bool
	}{
		{"closed connection", hijack(func(*http.Request) string { return "" }), false},
		{"a broken answer that quotes the URL", hijack(func(r *http.Request) string { return "no HTTP " + r.RequestURI + "\r\n\r\n" }), false},
		{"a broken header that quotes the URL", hijack(func(r *http.Request) string {
			return "HTTP/1.1 200 OK\r\n" + url.QueryEscape(r.RequestURI) + "\r\n\r\n"
		}), false},
		{"timeout", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := egress.Policy{Name: "test", Inject: inject}
			if tt.short {
				p.Timeouts.Header = 1
			}
			client, base := local(t, tt.h, p)
			_, err := client.Get(base + "/bot" + ph + "/getMe") //nolint:bodyclose // fails
			if err == nil || strings.Contains(err.Error(), "secret") && !strings.Contains(err.Error(), "contains the secret") {
				t.Errorf("got %v", err)
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				if strings.Contains(e.Error(), token) || strings.Contains(e.Error(), url.QueryEscape(token)) {
					t.Errorf("%T shows the value", e)
				}
			}
			var timeout net.Error
			if tt.short && (!errors.As(err, &timeout) || !timeout.Timeout()) {
				t.Errorf("%v is not known as a timeout", err)
			}
		})
	}
}

func TestCancellationIsKnownAsSuch(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
	client, base := local(t, h, egress.Policy{Name: "test", Inject: []egress.Injection{{Placeholder: ph, Lease: lend(token)}}})
	req, _ := http.NewRequestWithContext(ctx, "GET", base+"/"+ph, nil)
	_, err := client.Do(req) //nolint:bodyclose // fails
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestTheCallersTraceSeesNoValue(t *testing.T) {
	client, base := local(t, record(&seen{}), egress.Policy{
		Name: "test", Inject: []egress.Injection{{Placeholder: ph, Lease: lend(token)}},
	})
	wrote := false
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) { wrote = true },
		WroteHeaderField: func(k string, v []string) {
			if strings.Contains(strings.Join(v, ""), token) {
				t.Errorf("the trace was shown %s", k)
			}
		},
	})
	req, _ := http.NewRequestWithContext(ctx, "GET", base, nil)
	req.Header.Set("Authorization", ph)
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if !wrote {
		t.Error("the caller cannot tell that the request left")
	}
}

func TestRedirectThatRepeatsTheValue(t *testing.T) {
	paths := []string{}
	mux := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path)
		if len(paths) == 1 {
			http.Redirect(w, r, "/again"+r.URL.Path, http.StatusFound)
		}
	})
	client, base := local(t, mux, egress.Policy{
		Name: "test", Redirects: 3, Inject: []egress.Injection{{Placeholder: ph, Lease: lend(token)}},
	})
	res, err := client.Get(base + "/bot" + ph)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if diff := cmp.Diff([]string{"/bot" + token, "/again/bot" + token}, paths); diff != "" {
		t.Error(diff)
	}
	if got := res.Request.URL.Path; got != "/again/bot"+ph {
		t.Errorf("the response shows %s", got)
	}
}

func TestLargeUploadsAreStreamed(t *testing.T) {
	first := make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		part, err := r.MultipartReader()
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p, err := part.NextPart()
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = io.CopyN(io.Discard, p, 1<<20)
		close(first) // the client writes the rest only after this
		n, _ := io.Copy(io.Discard, p)
		fmt.Fprint(w, n)
	})
	client, base := local(t, h, egress.Policy{
		Name: "test", Inject: []egress.Injection{{Placeholder: ph, In: egress.Anywhere | egress.InBody, Lease: lend(token)}},
	})
	r, w := io.Pipe()
	form := multipart.NewWriter(w)
	go func() {
		part, _ := form.CreateFormFile("document", "film.mp4")
		_, _ = part.Write(make([]byte, 2<<20))
		<-first
		for range 48 {
			_, _ = part.Write(make([]byte, 1<<20))
		}
		_ = w.CloseWithError(form.Close())
	}()
	req, _ := http.NewRequest("POST", base+"/bot"+ph+"/sendDocument", r)
	req.Header.Set("Content-Type", form.FormDataContentType())
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var got bytes.Buffer
	_, _ = got.ReadFrom(res.Body)
	if got.String() != fmt.Sprint(49<<20) {
		t.Errorf("%s bytes arrived after the first MiB", got.String())
	}
}

func TestPlaceholdersDiffer(t *testing.T) {
	known := map[string]bool{}
	for range 1000 {
		p := egress.NewPlaceholder()
		if len(p) != len(ph) || !strings.HasPrefix(p, "0:gh-") || known[p] {
			t.Fatalf("%q", p)
		}
		known[p] = true
	}
}
