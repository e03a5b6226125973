package openai_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
	"github.com/gatehouse-chat/gatehouse/agent/provider/internal/providertest"
	"github.com/gatehouse-chat/gatehouse/agent/provider/openai"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(s providertest.Settings) providertest.Provider {
	return openai.New(openai.Config{
		Name: "openai", BaseURL: s.URL + "/v1", Client: s.Client, Key: "placeholder",
		First: s.First, Stall: s.Stall, MaxBody: s.MaxBody,
	})
}

func TestProvider(t *testing.T) {
	providertest.Run(t, open, []string{
		"OPENAI_BASE_URL=ELSEWHERE/v1",
		"OPENAI_API_KEY=sk-stray",
		"OPENAI_ADMIN_KEY=sk-stray-admin",
		"OPENAI_ORG_ID=org-stray",
		"OPENAI_PROJECT_ID=proj-stray",
		"OPENAI_WEBHOOK_SECRET=whsec-stray",
		"OPENAI_CUSTOM_HEADERS=X-Stray: stray",
		"AWS_BEARER_TOKEN_BEDROCK=stray",
	})
}

func stream(t *testing.T, contentType, body string) providertest.Answer {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	return providertest.Ask(t.Context(), t, open(providertest.Settings{URL: s.URL, Client: providertest.Client(t)}), providertest.Hello("hi"))
}

// TestDialects has streams as endpoints send them that are only nearly alike.
func TestDialects(t *testing.T) {
	const events = "text/event-stream"
	tests := []struct {
		name, contentType, body string
		want                    providertest.Answer
	}{
		{
			"no [DONE]", events,
			"data: {\"choices\":[{\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\n",
			providertest.Answer{Text: "hi", Pieces: 1, Finish: agent.Complete},
		},
		{
			"[DONE] and no finish_reason", events,
			"data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\r\n\r\ndata: [DONE]\r\n\r\n",
			providertest.Answer{Text: "hi", Pieces: 1, Finish: agent.Complete},
		},
		{
			"plain text type, comments, reasoning", "text/plain",
			": OPENROUTER PROCESSING\n\ndata: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\",\"content\":null}}]}\n\n" +
				"data: {\"choices\":[{\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1,\"prompt_tokens_details\":null}}\n\ndata: [DONE]\n\n",
			providertest.Answer{Text: "hi", Pieces: 1, Finish: agent.Complete, Usage: &agent.Usage{Provider: "openai", Model: "scripted", Input: 3, Output: 1}},
		},
		{
			"content in parts", events,
			"data: {\"choices\":[{\"delta\":{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"hm\"}]},{\"type\":\"text\",\"text\":\"hi\"}]},\"finish_reason\":\"stop\"}]}\n\n",
			providertest.Answer{Text: "hi", Pieces: 1, Finish: agent.Complete},
		},
		{
			"calls that share an index, finish stop, signature", events,
			"data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"extra_content\":{\"google\":{\"thought_signature\":\"sig\"}},\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}}]}\n\n" +
				"data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"{\\\"x\\\":1}\"}}]},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
			providertest.Answer{Finish: agent.CallTools, Calls: []agent.ToolCall{
				{ID: "a", Name: "f", Args: []byte("{}"), Sealed: &agent.Sealed{Provider: "openai", Data: []byte(`{"google":{"thought_signature":"sig"}}`)}},
				{ID: "b", Name: "g", Args: []byte(`{"x":1}`)},
			}},
		},
		{
			"refusal", events,
			"data: {\"choices\":[{\"delta\":{\"refusal\":\"no\"},\"finish_reason\":\"stop\"}]}\n\n",
			providertest.Answer{Text: "no", Pieces: 1, Finish: agent.Refused},
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, stream(t, tc.contentType, tc.body)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestErrorsOfOtherEndpoints(t *testing.T) {
	tests := []struct {
		name   string
		status int
		body   string
		want   agent.ErrorKind
	}{
		{"Gemini key", 400, `[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}]`, agent.Unauthorized},
		{"Gemini rate", 429, `[{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details.","status":"RESOURCE_EXHAUSTED","details":[{"retryDelay":"34s"}]}}]`, agent.RateLimited},
		{"Gemini day", 429, `{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}}`, agent.Quota},
		{"Mistral model", 400, `{"object":"error","message":"Invalid model: x","type":"invalid_model","code":"1500"}`, agent.UnknownModel},
		{"Ollama model", 404, `{"error":"model \"x\" not found, try pulling it first"}`, agent.UnknownModel},
		{"OpenRouter model", 400, `{"error":{"message":"x is not a valid model ID","code":400}}`, agent.UnknownModel},
		{"OpenRouter credit", 402, `{"error":{"message":"Insufficient credits","code":402}}`, agent.Quota},
		{"vLLM length", 400, `{"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 5000","type":"BadRequestError","code":400}`, agent.TooLong},
		{"llama.cpp length", 400, `{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error"}}`, agent.TooLong},
		{"nothing in it", 502, ``, agent.Overloaded},
		{"a page", 503, `<html>Service Unavailable</html>`, agent.Overloaded},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tc.status)
				_, _ = w.Write([]byte(tc.body))
			}))
			defer s.Close()
			got := providertest.Ask(t.Context(), t, open(providertest.Settings{URL: s.URL, Client: providertest.Client(t)}), providertest.Hello("hi"))
			if got.Err == nil || got.Err.Kind != tc.want {
				t.Fatalf("got %v", got.Err)
			}
			if tc.name == "Gemini rate" && got.Err.RetryAfter.Seconds() != 34 {
				t.Errorf("retry after %v", got.Err.RetryAfter)
			}
		})
	}
}

func TestStreamOptionsRefused(t *testing.T) {
	srv, err := agenttest.Start(agenttest.Config{NoStreamOptions: true})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	p := open(providertest.Settings{URL: srv.URL, Client: providertest.Client(t)})
	for range 2 {
		if got := providertest.Ask(t.Context(), t, p, providertest.Hello("hi")); got.Err != nil || got.Text != "echo: hi" || got.Usage != nil {
			t.Errorf("got %+v", got)
		}
	}
	if n := srv.Calls(); n != 2 {
		t.Errorf("%d calls reached the model", n)
	}
}

func TestNoKeySendsNoAuthorization(t *testing.T) {
	srv := agenttest.NewServer(t, nil)
	p := openai.New(openai.Config{Name: "ollama", BaseURL: srv.OpenAI(), Client: providertest.Client(t)})
	if got := providertest.Ask(t.Context(), t, p, providertest.Hello("hi")); got.Err != nil {
		t.Fatal(got.Err)
	}
	if h := srv.Requests()[0].Header.Get("Authorization"); h != "" {
		t.Errorf("Authorization: %q", h)
	}
}

func TestShortCallIDs(t *testing.T) {
	srv := agenttest.NewServer(t, nil)
	p := openai.New(openai.Config{Name: "mistral", BaseURL: srv.OpenAI(), Client: providertest.Client(t), ShortCallIDs: true})
	providertest.Ask(t.Context(), t, p, agent.ModelRequest{Model: "m", MaxOutput: 5, Messages: []*agent.Entry{
		{Role: agent.User, Text: "x"},
		{Role: agent.Assistant, Calls: []agent.ToolCall{{ID: "toolu_01ABC", Name: "f", Args: []byte("{}")}, {ID: "abcdefgh9", Name: "f", Args: []byte("{}")}}},
		{Role: agent.ToolRole, CallID: "toolu_01ABC", Text: "r"},
		{Role: agent.ToolRole, CallID: "abcdefgh9", Text: "r"},
	}})
	m := srv.Requests()[0].Messages()
	if id := m[1].Calls[0].ID; len(id) != 9 || id != m[2].CallID || strings.ContainsAny(id, "_-") {
		t.Errorf("id %q, result for %q", id, m[2].CallID)
	}
	if m[1].Calls[1].ID != "abcdefgh9" {
		t.Error("an id that fits is changed")
	}
	if !strings.Contains(string(srv.Requests()[0].Body), `"max_tokens":5`) {
		t.Error("no max_tokens")
	}
}

// FuzzStream sends anything in place of a stream: there is never a panic, and
// always one end.
func FuzzStream(f *testing.F) {
	f.Add(200, "text/event-stream", []byte("data: {\"choices\":[{\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"))
	f.Add(200, "", []byte("data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":-1,\"function\":{\"arguments\":\"\\u0000\"}}]}}]}\n\ndata: [DONE]\n\n"))
	f.Add(200, "application/json", []byte(`{"error":{"message":"x","code":"rate_limit_exceeded"}}`))
	f.Add(429, "application/json", []byte(`[{"error":{"code":429,"details":[{"retryDelay":"9e99s"}]}}]`))
	f.Add(500, "text/html", []byte("\x1f\x8b\x08"))
	var status int
	var contentType string
	var body []byte
	client := &http.Client{Transport: canned(func() (int, string, []byte) { return status, contentType, body })}
	p := open(providertest.Settings{URL: "http://model.invalid", Client: client, MaxBody: 1 << 20})
	f.Fuzz(func(t *testing.T, s int, c string, b []byte) {
		status, contentType, body = 200+max(s, -s)%400, c, b
		providertest.Ask(t.Context(), t, p, providertest.Hello("hi"))
	})
}
