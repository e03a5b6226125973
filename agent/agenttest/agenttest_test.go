package agenttest_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func post(t *testing.T, url, body string) (int, string) {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := c.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(b)
}

func TestAskedReadsBothDialects(t *testing.T) {
	tests := []struct {
		name, path, body string
		want             []string
	}{
		{
			"openai tail", "/v1/chat/completions",
			`{"model":"m","messages":[{"role":"system","content":"be \"kind\""},{"role":"user","content":"old"},{"role":"assistant","content":"ok"},{"role":"user","content":"a \u00e4 \"q\""},{"content":[{"type":"text","text":"b"}],"role":"user"}]}`,
			[]string{`a ä "q"`, "b"},
		},
		{
			"context is left out", "/v1/chat/completions",
			`{"messages":[{"role":"user","content":"[context] weather"},{"role":"user","content":"hi"}]}`,
			[]string{"hi"},
		},
		{
			"anthropic blocks", "/v1/messages",
			`{"model":"m","system":[{"type":"text","text":"x"}],"messages":[{"role":"user","content":[{"type":"text","text":"one"},{"type":"text","text":"two"}]}]}`,
			[]string{"one", "two"},
		},
		{"not an object", "/v1/messages", `[[[{"`, nil},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			s := agenttest.NewServer(t, nil)
			if status, body := post(t, s.URL+tc.path, tc.body); status != http.StatusOK || !strings.Contains(body, "echo") {
				t.Errorf("status %d, body %s", status, body)
			}
			if diff := cmp.Diff(tc.want, s.Requests()[0].Asked()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDirectedObeys(t *testing.T) {
	s := agenttest.NewServer(t, agenttest.Directed)
	ask := func(text string) (int, string) {
		return post(t, s.OpenAI()+"/chat/completions", `{"model":"m","stream":true,"messages":[{"role":"user","content":"`+text+`"}]}`)
	}
	if status, body := ask("!429 2"); status != 429 || !strings.Contains(body, "rate_limit_exceeded") {
		t.Errorf("429: %d %s", status, body)
	}
	if _, body := ask("!tool weather {}"); !strings.Contains(body, `"tool_calls"`) || !strings.Contains(body, "weather") {
		t.Errorf("tool: %s", body)
	}
	if _, body := ask("!finish"); strings.Contains(body, "DONE") || !strings.Contains(body, "one") {
		t.Errorf("finish: %s", body)
	}
	if _, body := ask("plain"); !strings.Contains(body, "echo: plain") {
		t.Errorf("echo: %s", body)
	}
}

func TestRequestsAreListed(t *testing.T) {
	s := agenttest.NewServer(t, nil)
	post(t, s.OpenAI()+"/chat/completions", `{"model":"m","messages":[{"role":"user","content":"hi"}]}`)
	res, err := http.Get(s.URL + "/requests")
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if !bytes.Contains(b, []byte(`"asked":["hi"]`)) {
		t.Errorf("got %s", b)
	}
}

func TestFollowCountsAnew(t *testing.T) {
	m := agenttest.NewModel(agenttest.In(agenttest.Say("first")))
	text := func() string {
		var b strings.Builder
		for d, err := range m.Stream(t.Context(), agent.ModelRequest{Messages: []*agent.Entry{{Role: agent.User, Text: "hi"}}}) {
			if err != nil {
				t.Fatal(err)
			}
			b.WriteString(d.Text)
		}
		return b.String()
	}
	got := []string{text(), text()}
	m.Follow(agenttest.In(agenttest.Say("again")))
	got = append(got, text())
	if diff := cmp.Diff([]string{"first", "echo: hi", "again"}, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"messages":[{"role":"user","content":"x"}]}`))
	f.Add([]byte(`{"messages":[{"role":"assistant","tool_calls":[{"function":{"name":1}}]},{"role":"tool","content":["`))
	f.Add([]byte(`{"a":"\`))
	f.Fuzz(func(_ *testing.T, b []byte) {
		r := &agenttest.Request{Body: b}
		r.Asked()
		r.Results()
		r.System()
		r.Tools()
		r.Messages()
	})
}
