package openai_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/provider/openai"
)

// asked is what of a request an endpoint goes by.
type asked struct {
	Method, Path, Authorization, ContentType string
	Model, Role, Text                        string
}

// TestAsTheSDKDoes makes the same request with the official client and with
// ours, below base URLs as people write them, with a key and without.
func TestAsTheSDKDoes(t *testing.T) {
	var got asked
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = asked{Method: r.Method, Path: r.URL.RequestURI(), Authorization: r.Header.Get("Authorization"), ContentType: r.Header.Get("Content-Type")}
		body, _ := io.ReadAll(r.Body)
		var b struct {
			Model    string
			Messages []struct{ Role, Content string }
		}
		if json.Unmarshal(body, &b) == nil && len(b.Messages) == 1 {
			got.Model, got.Role, got.Text = b.Model, b.Messages[0].Role, b.Messages[0].Content
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusTeapot)
	}))
	t.Cleanup(server.Close)
	for _, base := range []string{"", "/", "/v1", "/v1/", "/api/openai/v1"} {
		for _, key := range []string{"", "sk-test"} {
			client := sdk.Client{Options: []option.RequestOption{option.WithBaseURL(server.URL + base), option.WithMaxRetries(0)}}
			if key != "" {
				client.Options = append(client.Options, option.WithAPIKey(key))
			}
			chat := sdk.NewChatCompletionService(client.Options...)
			_, _ = chat.New(t.Context(), sdk.ChatCompletionNewParams{
				Model: "m", Messages: []sdk.ChatCompletionMessageParamUnion{sdk.UserMessage("hello")},
			})
			want := got
			got = asked{}
			p := openai.New(openai.Config{Name: "test", BaseURL: server.URL + base, Client: server.Client(), Key: key})
			for range p.Stream(t.Context(), agent.ModelRequest{Model: "m", Messages: []*agent.Entry{{Role: agent.User, Text: "hello"}}}) { //nolint:errcheck // it fails: the endpoint is a teapot
				continue
			}
			if want.Method == "" {
				t.Fatal("the SDK asked nothing")
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("base %q, key %q: %s", base, key, d)
			}
		}
	}
}
