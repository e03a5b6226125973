// Package providertest holds what every provider must do, run against the
// scripted model's server in the provider's own dialect.
package providertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
)

// Key is the key that the servers of the suite expect; it must not stand in any error.
const Key = "sk-verySecret0123456789"

// Settings are what the suite varies.
type Settings struct {
	URL     string // of the server, without a path
	Client  *http.Client
	Stall   time.Duration
	First   time.Duration
	MaxBody int64
}

// Provider is what is tested.
type Provider interface {
	agent.Provider
	agent.Lister
}

// Harness opens the provider under test.
type Harness func(Settings) Provider

// Answer is what a stream came to.
type Answer struct {
	Text   string
	Pieces int
	Calls  []agent.ToolCall
	Usage  *agent.Usage
	Finish agent.Finish
	Err    *agent.Error
}

// Ask reads one stream to its end, and fails the test if the sequence breaks
// the rules of agent.Provider.
func Ask(ctx context.Context, t testing.TB, p agent.Provider, r agent.ModelRequest) Answer {
	t.Helper()
	var a Answer
	var text strings.Builder
	for d, err := range p.Stream(ctx, r) {
		if a.Err != nil || a.Finish != "" {
			t.Error("the sequence went on after its end")
		}
		if err != nil {
			if !errors.As(err, &a.Err) {
				t.Fatalf("not an *agent.Error: %T", err)
			}
			continue
		}
		if d.Text != "" {
			a.Pieces++
			text.WriteString(d.Text)
		}
		if d.Call != nil {
			a.Calls = append(a.Calls, *d.Call)
		}
		if d.Usage != nil {
			a.Usage = d.Usage
		}
		a.Finish = d.Finish
	}
	if a.Err == nil && a.Finish == "" {
		t.Error("the sequence ended with neither an error nor a finish")
	}
	a.Text = text.String()
	return a
}

// Client returns a client that puts the real key in, as the gateway's does. Its
// connections are closed with the test.
func Client(t testing.TB) *http.Client {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: boundary{tr}}
}

// boundary replaces the placeholder, wherever the dialect puts its key.
type boundary struct{ next http.RoundTripper }

func (b boundary) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if r.Header.Get("Authorization") != "" {
		r.Header.Set("Authorization", "Bearer "+Key)
	}
	if r.Header.Get("X-Api-Key") != "" {
		r.Header.Set("X-Api-Key", Key)
	}
	return b.next.RoundTrip(r)
}

// Hello is a request with one message.
func Hello(text string) agent.ModelRequest {
	return agent.ModelRequest{Model: "scripted", Messages: []*agent.Entry{{Role: agent.User, Text: text}}}
}

// Run runs the suite. env is every variable that the SDK might read, as
// name=value, in the order in which it looks for them.
func Run(t *testing.T, open Harness, env []string) {
	t.Run("talk", func(t *testing.T) { testTalk(t, open) })
	t.Run("tools", func(t *testing.T) { testTools(t, open) })
	t.Run("history", func(t *testing.T) { testHistory(t, open) })
	t.Run("breaks", func(t *testing.T) { testBreaks(t, open) })
	t.Run("stop", func(t *testing.T) { testStop(t, open) })
	t.Run("refusals", func(t *testing.T) { testRefusals(t, open) })
	t.Run("unreachable", func(t *testing.T) { testUnreachable(t, open) })
	t.Run("bounds", func(t *testing.T) { testBounds(t, open) })
	t.Run("no retries", func(t *testing.T) { testNoRetries(t, open) })
	t.Run("models", func(t *testing.T) { testModels(t, open) })
	t.Run("environment", func(t *testing.T) { testEnvironment(t, open, env) })
}

func serve(t testing.TB, c agenttest.Config) *agenttest.Server {
	t.Helper()
	s, err := agenttest.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func script(t testing.TB, open Harness, s agenttest.Script) (Provider, *agenttest.Server) {
	t.Helper()
	srv := serve(t, agenttest.Config{Script: s, Key: Key})
	return open(Settings{URL: srv.URL, Client: Client(t)}), srv
}

func testTalk(t *testing.T, open Harness) {
	p, srv := script(t, open, agenttest.In(agenttest.Answer{
		Text: "Grüße, 世界 👋🏽\n\"quoted\" \\ <b>&</b>", Pieces: 5,
		Usage: agenttest.Tokens{Input: 100, Cached: 40, Output: 7},
	}))
	r := Hello("hi <there> & \"you\"\n")
	r.System = "be kind"
	got := Ask(t.Context(), t, p, r)
	if got.Err != nil || got.Text != "Grüße, 世界 👋🏽\n\"quoted\" \\ <b>&</b>" || got.Pieces < 4 || got.Finish != agent.Complete {
		t.Errorf("got %+v", got)
	}
	if u := got.Usage; u == nil || u.Input != 100 || u.Cached != 40 || u.Output != 7 || u.Model != "scripted" {
		t.Errorf("usage: %+v", u)
	}
	req := srv.Requests()[0]
	if req.System() != "be kind" || req.Model != "scripted" || !req.Stream {
		t.Errorf("request: %s", req.Body)
	}
	if diff := cmp.Diff([]string{"hi <there> & \"you\"\n"}, req.Asked()); diff != "" {
		t.Error(diff)
	}
	for finish, want := range map[agent.Finish]agent.Finish{agent.CutOff: agent.CutOff, agent.Refused: agent.Refused} {
		srv.Follow(agenttest.In(agenttest.Answer{Text: "x", Finish: finish}))
		if got := Ask(t.Context(), t, p, Hello("hi")); got.Finish != want {
			t.Errorf("%s: finish %q", finish, got.Finish)
		}
	}
	srv.Follow(agenttest.In(agenttest.Answer{}))
	if got := Ask(t.Context(), t, p, Hello("hi")); got.Err != nil || got.Text != "" || got.Finish != agent.Complete {
		t.Errorf("empty answer: %+v", got)
	}
}

func testTools(t *testing.T, open Harness) {
	p, srv := script(t, open, agenttest.In(agenttest.Answer{
		Text: "Let me see.",
		Calls: []agent.ToolCall{
			{ID: "call_one", Name: "weather", Args: json.RawMessage(`{"city":"Köln","n":[1,2]}`)},
			{ID: "call_two", Name: "clock", Args: json.RawMessage(``)},
			{ID: "call_three", Name: "odd", Args: json.RawMessage(`{"broken`)},
		},
	}))
	r := Hello("weather?")
	r.Tools = []agent.Spec{{Name: "weather", Description: "says the weather", Schema: json.RawMessage(`{"type":"object","properties":{"city":{"type":"string"}}}`)}}
	got := Ask(t.Context(), t, p, r)
	want := []agent.ToolCall{
		{ID: "call_one", Name: "weather", Args: json.RawMessage(`{"city":"Köln","n":[1,2]}`)},
		{ID: "call_two", Name: "clock", Args: json.RawMessage(`{}`)},
		{ID: "call_three", Name: "odd", Args: json.RawMessage(`"{\"broken"`)},
	}
	if diff := cmp.Diff(want, got.Calls); diff != "" || got.Finish != agent.CallTools || got.Text != "Let me see." {
		t.Errorf("%s finish %q text %q", diff, got.Finish, got.Text)
	}
	if diff := cmp.Diff([]string{"weather"}, srv.Requests()[0].Tools()); diff != "" {
		t.Error(diff)
	}
}

func testHistory(t *testing.T, open Harness) {
	p, srv := script(t, open, nil)
	call := agent.ToolCall{ID: "call_one", Name: "weather", Args: json.RawMessage(`{"city":"Köln"}`)}
	r := agent.ModelRequest{Model: "scripted", Messages: []*agent.Entry{
		{Role: agent.User, Text: "weather?"},
		{Role: agent.Assistant, Text: "Let me see.", Calls: []agent.ToolCall{call}},
		{Role: agent.ToolRole, CallID: "call_one", Text: "rain"},
		{Role: agent.User, Text: "and"},
		{Role: agent.User, Text: "tomorrow?"},
	}}
	if got := Ask(t.Context(), t, p, r); got.Text != "echo: and | tomorrow?" {
		t.Errorf("got %+v", got)
	}
	want := []agenttest.Message{
		{Role: agent.User, Text: "weather?"},
		{Role: agent.Assistant, Text: "Let me see.", Calls: []agent.ToolCall{call}},
		{Role: agent.ToolRole, CallID: "call_one", Text: "rain"},
		{Role: agent.User, Text: "and"},
		{Role: agent.User, Text: "tomorrow?"},
	}
	if diff := cmp.Diff(want, srv.Requests()[0].Messages()); diff != "" {
		t.Error(diff)
	}
}

func testBreaks(t *testing.T, open Harness) {
	tests := []struct {
		how  agenttest.Break
		want agent.ErrorKind
	}{
		{agenttest.Cut, agent.Interrupted},
		{agenttest.NoFinish, agent.Interrupted},
		{agenttest.Stall, agent.Stalled},
		{agenttest.InStream, agent.Overloaded},
	}
	for _, tc := range tests {
		t.Run(string(tc.how), func(t *testing.T) {
			srv := serve(t, agenttest.Config{Script: agenttest.In(agenttest.Dying("one two", tc.how))})
			limit := 30 * time.Second
			if tc.how == agenttest.Stall {
				limit = 50 * time.Millisecond
			}
			p := open(Settings{URL: srv.URL, Client: Client(t), Stall: limit, First: 30 * time.Second})
			got := Ask(t.Context(), t, p, Hello("hi"))
			if got.Text != "one " || got.Err == nil || got.Err.Kind != tc.want {
				t.Errorf("text %q, error %v", got.Text, got.Err)
			}
			if got.Err != nil && !got.Err.Temporary() {
				t.Error("must be worth another try")
			}
		})
	}
	t.Run("silence from the start", func(t *testing.T) {
		srv := serve(t, agenttest.Config{Script: agenttest.In(agenttest.Answer{Delay: time.Hour})})
		p := open(Settings{URL: srv.URL, Client: Client(t), First: 50 * time.Millisecond})
		if got := Ask(t.Context(), t, p, Hello("hi")); got.Err == nil || got.Err.Kind != agent.Stalled {
			t.Errorf("error %v", got.Err)
		}
	})
	t.Run("slow but alive", func(t *testing.T) {
		srv := serve(t, agenttest.Config{Script: agenttest.In(agenttest.Answer{Text: "abcdefgh", Pieces: 8, Each: 20 * time.Millisecond})})
		p := open(Settings{URL: srv.URL, Client: Client(t), Stall: 30 * time.Second, First: 30 * time.Second})
		if got := Ask(t.Context(), t, p, Hello("hi")); got.Err != nil || got.Text != "abcdefgh" {
			t.Errorf("got %+v", got)
		}
	})
}

func testStop(t *testing.T, open Harness) {
	p, _ := script(t, open, agenttest.In(agenttest.Dying("one two", agenttest.Stall)))
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var got *agent.Error
	for d, err := range p.Stream(ctx, Hello("hi")) {
		if d.Text != "" {
			cancel(agent.ErrStopped)
		}
		errors.As(err, &got)
	}
	if got == nil || !errors.Is(got, agent.ErrStopped) {
		t.Errorf("got %v", got)
	}
	// Losing interest half-way must leave nothing behind (goleak looks).
	for _, err := range p.Stream(t.Context(), Hello("again")) {
		if err != nil {
			t.Error(err)
		}
		break
	}
}

func testRefusals(t *testing.T, open Harness) {
	tests := []struct {
		name   string
		answer agenttest.Answer
		want   agent.ErrorKind
		after  time.Duration
	}{
		{"key", agenttest.Refuse(401, "invalid_api_key"), agent.Unauthorized, 0},
		{"right", agenttest.Refuse(403, ""), agent.Unauthorized, 0},
		{"model", agenttest.Refuse(404, "model_not_found"), agent.UnknownModel, 0},
		{"rate", agenttest.Limit(1500 * time.Millisecond), agent.RateLimited, 1500 * time.Millisecond},
		{"quota", agenttest.Refuse(429, "insufficient_quota"), agent.Quota, 0},
		{"credit", agenttest.Refuse(402, ""), agent.Quota, 0},
		{"length", agenttest.Refuse(400, "context_length_exceeded"), agent.TooLong, 0},
		{"size", agenttest.Refuse(413, ""), agent.TooLong, 0},
		{"request", agenttest.Refuse(400, ""), agent.BadRequest, 0},
		{"fault", agenttest.Refuse(500, ""), agent.Overloaded, 0},
		{"gateway", agenttest.Answer{Status: 503, RetryAfter: "7"}, agent.Overloaded, 7 * time.Second},
		{"overloaded", agenttest.Refuse(529, "overloaded_error"), agent.Overloaded, 0},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			p, srv := script(t, open, agenttest.In(tc.answer))
			got := Ask(t.Context(), t, p, Hello("my private message"))
			if got.Err == nil {
				t.Fatalf("no error: %+v", got)
			}
			if got.Err.Kind != tc.want || got.Err.RetryAfter != tc.after || got.Err.Status != tc.answer.Status {
				t.Errorf("kind %s after %v status %d: %v", got.Err.Kind, got.Err.RetryAfter, got.Err.Status, got.Err)
			}
			if n := srv.Calls(); n != 1 {
				t.Errorf("%d calls", n)
			}
			discreet(t, got.Err)
		})
	}
	t.Run("wrong key", func(t *testing.T) {
		srv := serve(t, agenttest.Config{Key: "another"})
		p := open(Settings{URL: srv.URL, Client: Client(t)})
		got := Ask(t.Context(), t, p, Hello("hi"))
		if got.Err == nil || got.Err.Kind != agent.Unauthorized {
			t.Errorf("got %v", got.Err)
		}
	})
}

// discreet looks for secrets and texts in every way to print an error.
func discreet(t *testing.T, err error) {
	t.Helper()
	for e := err; e != nil; e = errors.Unwrap(e) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			s := fmt.Sprintf(verb, e)
			for _, secret := range []string{Key, "private message", "placeholder"} {
				if strings.Contains(s, secret) {
					t.Errorf("%T shows %q: %s", e, secret, s)
				}
			}
		}
	}
}

func testUnreachable(t *testing.T, open Harness) {
	srv, err := agenttest.Start(agenttest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	srv.Close()
	p := open(Settings{URL: srv.URL + "/secret-path-" + Key, Client: Client(t)})
	got := Ask(t.Context(), t, p, Hello("hi"))
	if got.Err == nil || got.Err.Kind != agent.Unreachable {
		t.Fatalf("got %v", got.Err)
	}
	discreet(t, got.Err)
	if got := Ask(t.Context(), t, open(Settings{URL: srv.URL}), Hello("hi")); got.Err == nil || got.Err.Kind != agent.Unreachable {
		t.Errorf("without a client: %v", got.Err)
	}
	if got := Ask(t.Context(), t, open(Settings{URL: "http://[::1", Client: Client(t)}), Hello("hi")); got.Err == nil {
		t.Error("a base URL that cannot be parsed is accepted")
	}
}

func testBounds(t *testing.T, open Harness) {
	endless := func(line string) *httptest.Server {
		return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for {
				if _, err := w.Write([]byte(line)); err != nil {
					return
				}
			}
		}))
	}
	for name, line := range map[string]string{
		"one endless line":    strings.Repeat("x", 4096),
		"endless data":        "data: " + strings.Repeat("x", 4000) + "\n",
		"endless empty lines": "\n\n\n\n",
		"endless comments":    ": still alive\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := endless(line)
			defer s.Close()
			p := open(Settings{URL: s.URL, Client: Client(t), MaxBody: 1 << 20})
			got := Ask(t.Context(), t, p, Hello("hi"))
			if got.Err == nil || got.Err.Kind != agent.Garbled {
				t.Errorf("got %v", got.Err)
			}
			s.CloseClientConnections()
		})
	}
	t.Run("a page instead of a stream", func(t *testing.T) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write([]byte("<html>please log in</html>"))
		}))
		defer s.Close()
		got := Ask(t.Context(), t, open(Settings{URL: s.URL, Client: Client(t)}), Hello("hi"))
		if got.Err == nil || got.Err.Kind != agent.Garbled {
			t.Errorf("got %v", got.Err)
		}
	})
	t.Run("an endless refusal", func(t *testing.T) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			for {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}))
		defer s.Close()
		got := Ask(t.Context(), t, open(Settings{URL: s.URL, Client: Client(t)}), Hello("hi"))
		if got.Err == nil || got.Err.Kind != agent.Overloaded {
			t.Errorf("got %v", got.Err)
		}
		s.CloseClientConnections()
	})
}

func testNoRetries(t *testing.T, open Harness) {
	s := agenttest.Answer{Status: 500, RetryAfter: "0"}
	p, srv := script(t, open, agenttest.In(s, s, s, s))
	Ask(t.Context(), t, p, Hello("hi"))
	if n := srv.Calls(); n != 1 {
		t.Errorf("%d calls: the SDK retries by itself", n)
	}
}

func testModels(t *testing.T, open Harness) {
	srv := serve(t, agenttest.Config{Key: Key, Models: []string{"b", "models/a"}})
	p := open(Settings{URL: srv.URL, Client: Client(t)})
	got, err := p.Models(t.Context())
	if err != nil || len(got) != 2 || got[0] != "b" {
		t.Errorf("got %v, %v", got, err)
	}
	wrong := serve(t, agenttest.Config{Key: "another"})
	_, err = open(Settings{URL: wrong.URL, Client: Client(t)}).Models(t.Context())
	var e *agent.Error
	if !errors.As(err, &e) || e.Kind != agent.Unauthorized {
		t.Errorf("wrong key: %v", err)
	}
}

// testEnvironment shows that nothing in the environment reaches a request. An
// SDK may stop looking once it has found something, so each variable is set
// alone, and with all that come after it.
func testEnvironment(t *testing.T, open Harness, env []string) {
	for i, v := range env {
		name, _, _ := strings.Cut(v, "=")
		t.Run(name, func(t *testing.T) { strayFree(t, open, env[i:i+1]) })
		t.Run(name+" and the rest", func(t *testing.T) { strayFree(t, open, env[i:]) })
	}
}

func strayFree(t *testing.T, open Harness, env []string) {
	elsewhere := serve(t, agenttest.Config{})
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, strings.ReplaceAll(value, "ELSEWHERE", elsewhere.URL))
	}
	t.Setenv("HOME", t.TempDir())
	p, srv := script(t, open, nil)
	if got := Ask(t.Context(), t, p, Hello("hi")); got.Err != nil {
		t.Fatalf("got %v", got.Err)
	}
	if _, err := p.Models(t.Context()); err != nil {
		t.Error(err)
	}
	if n := elsewhere.Calls(); n != 0 {
		t.Errorf("%d calls went elsewhere", n)
	}
	req := srv.Requests()[0]
	for name, values := range req.Header {
		if strings.Contains(strings.ToLower(name+strings.Join(values, " ")), "stray") {
			t.Errorf("header %s comes from the environment", name)
		}
	}
	if strings.Contains(string(req.Body), "stray") {
		t.Error("the body has something of the environment")
	}
}
