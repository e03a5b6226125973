package attempt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/attempt"
)

// file is a content that may break off, and notes that it was closed.
type file struct {
	io.Reader
	closed bool
}

func (f *file) Close() error { f.closed = true; return nil }

func (f *file) open(context.Context) (io.ReadCloser, error) { return f, nil }

var errBroken = errors.New("the disk is gone")

func TestForm(t *testing.T) {
	f := &file{Reader: strings.NewReader("content")}
	form, err := attempt.NewForm(t.Context(), []attempt.Field{
		{Name: "plain", Text: []byte("a text")},
		{Name: "json", Type: "application/json", Text: []byte("{}")},
		{Name: "doc", Type: "text/plain", File: "a/b\r\n\"c\".txt", Open: f.open},
		{Name: "nameless", Type: "bad\r\ntype", Open: attempt.Content(channels.File{Open: (&file{Reader: strings.NewReader("x")}).open})},
	}, 100)
	if err != nil {
		t.Fatal(err)
	}
	_, boundary, _ := strings.Cut(form.Type, "boundary=")
	type part struct{ Name, File, Type, Text string }
	var got []part
	for r := multipart.NewReader(form, boundary); ; {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, part{p.FormName(), p.FileName(), p.Header.Get("Content-Type"), string(b)})
	}
	want := []part{
		{"plain", "", "", "a text"},
		{"json", "", "application/json", "{}"},
		{"doc", `a_b__"c".txt`, "text/plain", "content"},
		{"nameless", "file", "application/octet-stream", "x"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if err := errors.Join(form.Close(), form.Broken()); err != nil || !f.closed {
		t.Errorf("%v, closed %v", err, f.closed)
	}
}

// TestFormsThatBreak: why a file broke off is known afterwards, whatever the
// transport makes of it; and what was opened is closed.
func TestFormsThatBreak(t *testing.T) {
	tests := []struct {
		name   string
		fields func(f *file) []attempt.Field
		opens  error // of NewForm
		breaks error
	}{
		{"too large", func(f *file) []attempt.Field {
			f.Reader = strings.NewReader("12345")
			return []attempt.Field{{Name: "a", Open: f.open}}
		}, nil, attempt.ErrTooLarge},
		{"just large enough", func(f *file) []attempt.Field {
			f.Reader = strings.NewReader("1234")
			return []attempt.Field{{Name: "a", Open: f.open}}
		}, nil, nil},
		{"cannot be read", func(f *file) []attempt.Field {
			f.Reader = io.MultiReader(strings.NewReader("1"), readError{})
			return []attempt.Field{{Name: "a", Open: f.open}}
		}, nil, errBroken},
		{"the second cannot be opened", func(f *file) []attempt.Field {
			f.Reader = strings.NewReader("1")
			return []attempt.Field{{Name: "a", Open: f.open}, {Name: "b", Open: func(context.Context) (io.ReadCloser, error) { return nil, errBroken }}}
		}, errBroken, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &file{}
			form, err := attempt.NewForm(t.Context(), tt.fields(f), 4)
			if !errors.Is(err, tt.opens) {
				t.Fatal(err)
			}
			if err == nil {
				_, _ = io.Copy(io.Discard, form)
				_ = form.Close()
			}
			if err := form.Broken(); !errors.Is(err, tt.breaks) || !f.closed {
				t.Errorf("broken %v, closed %v", err, f.closed)
			}
		})
	}
	if _, err := attempt.NewForm(t.Context(), []attempt.Field{{Name: "a", Open: attempt.Content(channels.File{})}}, 4); err == nil {
		t.Error("a file without a content")
	}
	one := &file{Reader: strings.NewReader("12345")}
	if b, err := io.ReadAll(attempt.OneFile(one, 4)); !errors.Is(err, attempt.ErrTooLarge) {
		t.Errorf("%q, %v", b, err)
	}
}

type readError struct{}

func (readError) Read([]byte) (int, error) { return 0, errBroken }

// TestUnsent: only what certainly did not arrive as a whole counts as unsent.
func TestUnsent(t *testing.T) {
	hang := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	}
	server := httptest.NewServer(http.HandlerFunc(hang))
	t.Cleanup(server.Close)
	stuck := &http.Transport{MaxConnsPerHost: 1}
	t.Cleanup(stuck.CloseIdleConnections)
	tests := []struct {
		name string
		do   func(ctx context.Context) (*attempt.Form, error)
		want bool
	}{
		{"nobody listens", func(ctx context.Context) (*attempt.Form, error) {
			l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // loopback
			if err != nil {
				t.Fatal(err)
			}
			_ = l.Close()
			return nil, post(ctx, http.DefaultTransport, "http://"+l.Addr().String(), strings.NewReader("x"))
		}, true},
		{"no such name", func(context.Context) (*attempt.Form, error) {
			return nil, &url.Error{Op: "Post", URL: "http://nowhere/", Err: &net.DNSError{Err: "no such host", Name: "nowhere"}}
		}, true},
		{"the answer was lost", func(ctx context.Context) (*attempt.Form, error) {
			return nil, post(ctx, stuck, server.URL, strings.NewReader("x"))
		}, false},
		{"a file broke off", func(ctx context.Context) (*attempt.Form, error) {
			form, err := attempt.NewForm(ctx, []attempt.Field{{Name: "a", Open: (&file{Reader: io.MultiReader(strings.NewReader("1"), readError{})}).open}}, 4)
			if err != nil {
				t.Fatal(err)
			}
			return form, post(ctx, stuck, server.URL, form)
		}, true},
		{"a whole form, and no answer", func(ctx context.Context) (*attempt.Form, error) {
			form, err := attempt.NewForm(ctx, []attempt.Field{{Name: "a", Open: (&file{Reader: strings.NewReader("1")}).open}}, 4)
			if err != nil {
				t.Fatal(err)
			}
			return form, post(ctx, stuck, server.URL, form)
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var sent attempt.Trace
			form, err := tt.do(sent.Follow(t.Context()))
			if err == nil {
				t.Fatal("it was answered")
			}
			if got := sent.Unsent(err, form); got != tt.want {
				t.Errorf("unsent %v after %v", got, err)
			}
			if text := attempt.Cause(err).Error(); strings.Contains(text, "http://") {
				t.Errorf("the cause shows the URL: %s", text)
			}
		})
	}
	// One that waits for a connection while its time runs out has not left.
	busy, release := make(chan struct{}), make(chan struct{})
	holder := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(busy); <-release }))
	t.Cleanup(holder.Close)
	first := make(chan error, 1)
	go func() { first <- post(context.Background(), stuck, holder.URL, strings.NewReader("x")) }()
	<-busy
	ctx, cancel := context.WithCancel(t.Context())
	var sent attempt.Trace
	second := make(chan error, 1)
	asked := make(chan struct{})
	traced := sent.Follow(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GetConn: func(string) { close(asked) }}))
	go func() { second <- post(traced, stuck, holder.URL, bytes.NewReader([]byte("y"))) }()
	<-asked
	cancel()
	if err := <-second; err == nil || !sent.Unsent(err, nil) {
		t.Errorf("waiting for a connection: %v", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if (&attempt.Trace{}).Unsent(errBroken, nil) {
		t.Error("a transport that says nothing is believed to have sent nothing")
	}
}

func post(ctx context.Context, by http.RoundTripper, to string, body io.Reader) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, body)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: by}).Do(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	return err
}

// TestLost: what may have arrived is Ambiguous, unless it may be repeated, or it
// is known that it did not.
func TestLost(t *testing.T) {
	form, err := attempt.NewForm(t.Context(), []attempt.Field{{Name: "a", Open: (&file{Reader: readError{}}).open}}, 4)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, form)
	away := &net.OpError{Op: "dial", Err: errors.New("nobody listens")}
	held := fmt.Errorf("held back: %w", &channels.Error{Kind: channels.RateLimited, RetryAfter: time.Minute, Err: errors.New("no")})
	tests := []struct {
		name       string
		err        error
		form       *attempt.Form
		repeatable bool
		want       channels.Kind
		after      time.Duration
	}{
		{"no answer", io.ErrUnexpectedEOF, nil, false, channels.Ambiguous, 0},
		{"no answer, and it may be repeated", io.ErrUnexpectedEOF, nil, true, channels.Transient, 0},
		{"it did not leave", away, nil, false, channels.Transient, 0},
		{"the host holds it back", held, nil, false, channels.RateLimited, time.Minute},
		{"a file broke off", io.ErrUnexpectedEOF, form, true, channels.Other, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var sent attempt.Trace
			got := sent.Lost(&url.Error{Op: "Post", URL: "http://x/token", Err: tt.err}, tt.form, tt.repeatable)
			if got.Kind != tt.want || got.RetryAfter != tt.after || strings.Contains(got.Error(), "token") {
				t.Errorf("%v: %s after %s", got, got.Kind, got.RetryAfter)
			}
		})
	}
}

func TestAtMost(t *testing.T) {
	for text, want := range map[string]error{"1234": nil, "12345": errBroken} {
		f := &file{Reader: strings.NewReader(text)}
		r := attempt.AtMost(f, 4, errBroken)
		if _, err := io.ReadAll(r); !errors.Is(err, want) {
			t.Errorf("%q: %v", text, err)
		}
		if err := r.Close(); err != nil || !f.closed {
			t.Errorf("%q: closed %v, %v", text, f.closed, err)
		}
	}
}
