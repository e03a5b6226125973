package request_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/tool/request"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// out is a way out on which nothing leaves.
type out struct {
	sent []*http.Request
	body string
	kind string
}

func (o *out) RoundTrip(r *http.Request) (*http.Response, error) {
	o.sent = append(o.sent, r)
	return &http.Response{
		StatusCode: 200, Status: "200 OK", Header: http.Header{"Content-Type": {o.kind}}, Body: io.NopCloser(strings.NewReader(o.body)), Request: r,
	}, nil
}

func (o *out) Pass(_ context.Context, s scope.Scope, to *url.URL, secret string) (request.Pass, error) {
	switch {
	case to.Host == "forbidden.example":
		return request.Pass{}, errors.New("not allowed")
	case secret == "":
		return request.Pass{Client: &http.Client{Transport: o}}, nil
	case s.Member() != "ada":
		return request.Pass{}, errors.New("no such secret")
	}
	return request.Pass{
		Client:  &http.Client{Transport: o},
		Prepare: func(r *http.Request) error { r.Header.Set("Authorization", "Bearer holder"); return nil },
		Hide:    func(b []byte) []byte { return []byte(strings.ReplaceAll(string(b), "s3cret", "[secret]")) },
	}, nil
}

func turnOf(member string, role scope.Role, said string) *agent.Turn {
	return &agent.Turn{
		Scope:  scope.New(scope.Principal{Workspace: "w", Member: member, Role: role, Direct: true}),
		Events: []channels.Event{{Content: channels.Message{Text: said}}},
	}
}

func TestInvariant06EffectOfARequest(t *testing.T) {
	tool := request.Tool{}
	ada := turnOf("ada", scope.Ordinary, "read https://a.example/x?q=1, please")
	forwarded := turnOf("ada", scope.Ordinary, "")
	forwarded.Events = []channels.Event{{Content: channels.Message{Text: "https://a.example/x?q=1", Forwarded: "Eve"}}}
	for name, tc := range map[string]struct {
		turn *agent.Turn
		args string
		want agent.Effect
	}{
		"written by the person":    {ada, `{"url":"https://a.example/x?q=1"}`, agent.ReadNet},
		"built by the model":       {ada, `{"url":"https://a.example/x?q=12"}`, agent.External},
		"a part of what was said":  {ada, `{"url":"https://a.example/x"}`, agent.External},
		"with a secret":            {ada, `{"url":"https://a.example/x?q=1","secret":"k"}`, agent.External},
		"with a header":            {ada, `{"url":"https://a.example/x?q=1","headers":{"Accept":"leak"}}`, agent.External},
		"with a body":              {ada, `{"url":"https://a.example/x?q=1","body":"leak"}`, agent.External},
		"forwarded":                {forwarded, `{"url":"https://a.example/x?q=1"}`, agent.External},
		"written by a guest":       {turnOf("g", scope.Guest, "https://a.example/"), `{"url":"https://a.example/"}`, agent.External},
		"head":                     {ada, `{"method":"HEAD","url":"https://a.example/x?q=1"}`, agent.ReadNet},
		"post":                     {ada, `{"method":"POST","url":"https://a.example/x?q=1"}`, agent.External},
		"delete":                   {ada, `{"method":"DELETE","url":"https://a.example/x?q=1"}`, agent.Irreversible},
		"what cannot be a request": {ada, `{"method":"BREW","url":"https://a.example/"}`, agent.External},
	} {
		if got := tool.Aim(tc.turn, json.RawMessage(tc.args)); got.Effect != tc.want {
			t.Errorf("%s: %s, want %s", name, got.Effect, tc.want)
		}
	}
}

func TestRequest(t *testing.T) {
	for name, tc := range map[string]struct {
		member, args string
		out          out
		want         string
		label        agent.Label
		sent         int
	}{
		"answer":         {"ada", `{"url":"https://a.example/"}`, out{body: "hi", kind: "text/plain"}, "200 OK\nContent-Type: text/plain\n\nhi", agent.Untrusted, 1},
		"own secret":     {"ada", `{"url":"https://a.example/","secret":"k"}`, out{body: "it is s3cret"}, "200 OK\n\nit is [secret]", agent.Untrusted, 1},
		"not own":        {"bob", `{"url":"https://a.example/","secret":"k"}`, out{}, "error: no such secret", agent.Trusted, 0},
		"forbidden":      {"ada", `{"url":"https://forbidden.example/"}`, out{}, "error: not allowed", agent.Trusted, 0},
		"a header":       {"ada", `{"url":"https://a.example/","headers":{"authorization":"x"}}`, out{}, "error: the header authorization is not yours", agent.Trusted, 0},
		"user":           {"ada", `{"url":"https://u:p@a.example/"}`, out{}, "error: the url is not", agent.Trusted, 0},
		"a scheme":       {"ada", `{"url":"file:///etc/passwd"}`, out{}, "error: the url is not", agent.Trusted, 0},
		"a method":       {"ada", `{"url":"https://a.example/","method":"CONNECT"}`, out{}, "error: this method", agent.Trusted, 0},
		"unknown":        {"ada", `{"url":"https://a.example/","proxy":"x"}`, out{}, "error: the arguments do not fit", agent.Trusted, 0},
		"no text":        {"ada", `{"url":"https://a.example/"}`, out{body: "\xff\xfe"}, "200 OK\n\n[2 bytes that are not text]", agent.Untrusted, 1},
		"a long answer":  {"ada", `{"url":"https://a.example/"}`, out{body: strings.Repeat("é", 100_000)}, "200 OK\n\né", agent.Untrusted, 1},
		"a long request": {"ada", `{"url":"https://a.example/","method":"POST","body":"` + strings.Repeat("x", 70_000) + `"}`, out{}, "error: a body has at most", agent.Trusted, 0},
	} {
		t.Run(name, func(t *testing.T) {
			o := tc.out
			res, err := request.Tool{Gate: &o}.Call(t.Context(), turnOf(tc.member, scope.Ordinary, ""), json.RawMessage(tc.args))
			got := res.Text
			if err != nil {
				got = "error: " + err.Error()
			}
			if !strings.HasPrefix(got, tc.want) || res.Label != tc.label || len(o.sent) != tc.sent || len(got) > 140<<10 {
				t.Errorf("%.80q (%s), %d sent; want %q (%s), %d", got, res.Label, len(o.sent), tc.want, tc.label, tc.sent)
			}
		})
	}
}

// TestInvariant06FindInsteadOfReading: of an answer that is looked through, the
// turn gets the status and the values, and nothing in the server's own words.
func TestInvariant06FindInsteadOfReading(t *testing.T) {
	find := `"find":[{"name":"price","kind":"number","about":"what it costs"}]`
	var read string
	extract := func(_ context.Context, text string, fields []agent.Field) (json.RawMessage, error) {
		read = text
		if fields[0].Name != "price" || fields[0].Kind != agent.Number {
			t.Errorf("looked for %+v", fields)
		}
		if strings.Contains(text, "nothing of use") {
			return nil, errors.New("not found")
		}
		return json.RawMessage(`{"price":3}`), nil
	}
	for name, tc := range map[string]struct {
		args, body, want string
		reader           bool
		label            agent.Label
	}{
		"values":        {`{"url":"https://a.example/",` + find + `}`, "it is s3cret: 3 PWNED", "status 200\n{\"price\":3}", true, agent.ByMember},
		"with a secret": {`{"url":"https://a.example/","secret":"k",` + find + `}`, "it is s3cret: 3 PWNED", "status 200\n{\"price\":3}", true, agent.ByMember},
		"unread":        {`{"url":"https://a.example/",` + find + `}`, "nothing of use PWNED", "error: not found", true, agent.ByMember},
		"no reader":     {`{"url":"https://a.example/",` + find + `}`, "PWNED", "error: nobody can read the answer here; ask without find", false, agent.ByMember},
		"free text":     {`{"url":"https://a.example/","find":[{"name":"all","kind":"string","about":"all"}]}`, "PWNED", "error: the kinds of fields", true, agent.Trusted},
		"nothing asked": {`{"url":"https://a.example/","find":[]}`, "PWNED", "error: there are 1 to", true, agent.Trusted},
	} {
		t.Run(name, func(t *testing.T) {
			o := out{body: tc.body, kind: "PWNED/x"}
			turn := turnOf("ada", scope.Ordinary, "")
			if tc.reader {
				turn.Extract = extract
			}
			res, err := request.Tool{Gate: &o}.Call(t.Context(), turn, json.RawMessage(tc.args))
			got := res.Text
			if err != nil {
				got = "error: " + err.Error()
			}
			if !strings.HasPrefix(got, tc.want) || res.Label != tc.label || strings.Contains(got, "PWNED") {
				t.Errorf("%q (%s), want %q (%s)", got, res.Label, tc.want, tc.label)
			}
			if name == "with a secret" && strings.Contains(read, "s3cret") {
				t.Error("who reads is told the secret")
			}
		})
	}
}
