package anthropic_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
	"github.com/gatehouse-chat/gatehouse/agent/provider/anthropic"
	"github.com/gatehouse-chat/gatehouse/agent/provider/internal/providertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(s providertest.Settings) providertest.Provider {
	return anthropic.New(anthropic.Config{
		Name: "anthropic", BaseURL: s.URL, Client: s.Client, Key: "placeholder",
		First: s.First, Stall: s.Stall, MaxBody: s.MaxBody,
	})
}

func TestProvider(t *testing.T) {
	providertest.Run(t, open, []string{
		"ANTHROPIC_BASE_URL=ELSEWHERE",
		"ANTHROPIC_API_KEY=sk-stray",
		"ANTHROPIC_AUTH_TOKEN=stray-token",
		"ANTHROPIC_PROFILE=stray",
		"ANTHROPIC_CONFIG_DIR=/nonexistent/stray",
		"ANTHROPIC_CUSTOM_HEADERS=X-Stray: stray",
		"ANTHROPIC_WEBHOOK_SIGNING_KEY=stray",
		"ANTHROPIC_FEDERATION_RULE_ID=stray",
		"ANTHROPIC_ORGANIZATION_ID=stray",
		"ANTHROPIC_SERVICE_ACCOUNT_ID=stray",
		"ANTHROPIC_WORKSPACE_ID=stray",
		"ANTHROPIC_IDENTITY_TOKEN=stray",
		"ANTHROPIC_IDENTITY_TOKEN_FILE=/nonexistent/stray",
		"ANTHROPIC_OPEN_TELEMETRY=true",
		"ANTHROPIC_OPEN_TELEMETRY_PROPAGATION=true",
		"ANTHROPIC_OPEN_TELEMETRY_TRACES_CONTENT_MODE=content",
		"ANTHROPIC_OPEN_TELEMETRY_TRACES_MAX_CONTENT_BYTES=stray",
	})
}

func stream(t *testing.T, body string) providertest.Answer {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	return providertest.Ask(t.Context(), t, open(providertest.Settings{URL: s.URL, Client: providertest.Client(t)}), providertest.Hello("hi"))
}

func TestUsageCountsTheCache(t *testing.T) {
	got := stream(t, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":100,\"cache_creation_input_tokens\":1000,\"output_tokens\":1}}}\n\n"+
		"event: ping\ndata: {\"type\":\"ping\"}\n\n"+
		"event: something_new\ndata: {\"type\":\"something_new\",\"x\":[]}\n\n"+
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n"+
		"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":5}}\n\n")
	want := providertest.Answer{
		Text: "hi", Pieces: 1, Finish: agent.Complete,
		Usage: &agent.Usage{Provider: "anthropic", Model: "scripted", Input: 1110, Cached: 100, Output: 5},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestThoughtsComeBack: a model that thought before it asked for a tool gets
// its answer back as it was, and no other model does.
func TestThoughtsComeBack(t *testing.T) {
	event := func(s string) string {
		var e struct{ Type string }
		if err := json.Unmarshal([]byte(s), &e); err != nil {
			t.Fatal(err)
		}
		return "event: " + e.Type + "\ndata: " + s + "\n\n"
	}
	got := stream(t, event(`{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}`)+
		event(`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"it may "}}`)+
		event(`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"rain"}}`)+
		event(`{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}`)+
		event(`{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"ZW5j"}}`)+
		event(`{"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}`)+
		event(`{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"Let me see."}}`)+
		event(`{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"toolu_1","name":"weather","input":{}}}`)+
		event(`{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{\"city\":\"Köln\"}"}}`)+
		event(`{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":5}}`)+
		event(`{"type":"message_stop"}`))
	if got.Err != nil || got.Text != "Let me see." || len(got.Calls) != 1 {
		t.Fatalf("got %+v", got)
	}
	srv := agenttest.NewServer(t, nil)
	p := open(providertest.Settings{URL: srv.URL, Client: providertest.Client(t)})
	again := func(model string) string {
		providertest.Ask(t.Context(), t, p, agent.ModelRequest{Model: model, Messages: []*agent.Entry{
			{Role: agent.User, Text: "weather?"},
			{Role: agent.Assistant, Text: got.Text, Calls: got.Calls},
			{Role: agent.ToolRole, CallID: "toolu_1", Text: "rain"},
		}})
		all := srv.Requests()
		return string(all[len(all)-1].Body)
	}
	const want = `{"role":"assistant","content":[{"type":"thinking","thinking":"it may rain","signature":"c2ln"},` +
		`{"type":"redacted_thinking","data":"ZW5j"},{"type":"text","text":"Let me see."},` +
		`{"type":"tool_use","id":"toolu_1","name":"weather","input":{"city":"Köln"}}]}`
	if body := again("scripted"); !strings.Contains(body, want) {
		t.Errorf("got %s", body)
	}
	if body := again("another"); strings.Contains(body, "thinking") {
		t.Errorf("another model sees the thoughts: %s", body)
	}
}

// TestRequestsThatThePlatformAccepts has the platform's particular demands.
func TestRequestsThatThePlatformAccepts(t *testing.T) {
	srv := agenttest.NewServer(t, nil)
	p := open(providertest.Settings{URL: srv.URL, Client: providertest.Client(t)})
	providertest.Ask(t.Context(), t, p, agent.ModelRequest{Model: "m", Tools: []agent.Spec{{Name: "f"}}, Messages: []*agent.Entry{
		{Role: agent.Assistant, Text: "I am here.", Calls: []agent.ToolCall{{ID: "call:1", Name: "f", Args: []byte(`"not an object"`)}}},
		{Role: agent.ToolRole, CallID: "call:1", Text: "r"},
		{Role: agent.User, Text: "   "},
		{Role: agent.User, Text: "one"},
		{Role: agent.User, Text: "two"},
	}})
	var q struct {
		MaxTokens int `json:"max_tokens"`
		Tools     []struct {
			Schema json.RawMessage `json:"input_schema"`
		}
		Messages []struct {
			Role    string
			Content []map[string]any
		}
	}
	if err := json.Unmarshal(srv.Requests()[0].Body, &q); err != nil {
		t.Fatal(err)
	}
	if q.MaxTokens <= 0 || len(q.Tools) != 1 || len(q.Tools[0].Schema) == 0 {
		t.Errorf("max_tokens %d, tools %v", q.MaxTokens, q.Tools)
	}
	var roles []string
	for _, m := range q.Messages {
		roles = append(roles, m.Role)
		for _, b := range m.Content {
			if b["type"] == "text" && strings.TrimSpace(b["text"].(string)) == "" {
				t.Error("an empty text block")
			}
			if b["type"] == "tool_use" {
				if _, ok := b["input"].(map[string]any); !ok || b["id"] != "call_1" {
					t.Errorf("tool_use %v", b)
				}
			}
		}
	}
	if diff := cmp.Diff([]string{"user", "assistant", "user"}, roles); diff != "" {
		t.Error(diff)
	}
	if n := len(q.Messages[2].Content); n != 3 {
		t.Errorf("%d blocks in the last message", n)
	}
}

// canned answers without a network.
type canned func() (status int, body []byte)

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	_, _ = io.Copy(io.Discard, r.Body)
	_ = r.Body.Close()
	status, body := c()
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"text/event-stream"}, "Retry-After": {"1"}},
		Body: io.NopCloser(bytes.NewReader(body)), Request: r,
	}, nil
}

// FuzzStream sends anything in place of a stream: there is never a panic, and
// always one end.
func FuzzStream(f *testing.F) {
	f.Add(200, []byte("event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":-7,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\"}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"))
	f.Add(200, []byte("event: content_block_start\ndata: {\"type\":\"content_block_start\",\"content_block\":{\"type\":\"thinking\"}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\"}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"))
	f.Add(200, []byte("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n"))
	f.Add(529, []byte(`{"type":"error","error":null}`))
	var status int
	var body []byte
	client := &http.Client{Transport: canned(func() (int, []byte) { return status, body })}
	p := open(providertest.Settings{URL: "http://model.invalid", Client: client, MaxBody: 1 << 20})
	f.Fuzz(func(t *testing.T, s int, b []byte) {
		status, body = 200+max(s, -s)%400, b
		providertest.Ask(t.Context(), t, p, providertest.Hello("hi"))
	})
}

func BenchmarkLoopback(b *testing.B) {
	srv := agenttest.NewServer(b, nil)
	p := open(providertest.Settings{URL: srv.URL, Client: providertest.Client(b)})
	b.ReportAllocs()
	for b.Loop() {
		if got := providertest.Ask(b.Context(), b, p, providertest.Hello("hi")); got.Err != nil {
			b.Fatal(got.Err)
		}
	}
}
