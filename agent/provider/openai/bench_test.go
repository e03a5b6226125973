package openai_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
	"github.com/gatehouse-chat/gatehouse/agent/provider/internal/providertest"
)

// canned answers without a network.
type canned func() (status int, contentType string, body []byte)

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
	status, contentType, body := c()
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {contentType}, "Retry-After": {"1"}},
		Body: io.NopCloser(bytes.NewReader(body)), Request: r,
	}, nil
}

func history(n int) agent.ModelRequest {
	r := providertest.Hello("how are you?")
	r.Messages = nil
	for range n / 2 {
		r.Messages = append(r.Messages,
			&agent.Entry{Role: agent.User, Text: "hello there, how are you doing today?"},
			&agent.Entry{Role: agent.Assistant, Text: "echo: hello there, how are you doing today?"})
	}
	r.Messages = append(r.Messages, &agent.Entry{Role: agent.User, Text: "how are you?"})
	return r
}

// BenchmarkClient is the client's own work for a call, without a network.
func BenchmarkClient(b *testing.B) {
	for _, n := range []int{0, 40} {
		for _, pieces := range []int{1, 200} {
			b.Run(fmt.Sprintf("history=%d/pieces=%d", n, pieces), func(b *testing.B) {
				var body []byte
				for range pieces {
					body = append(body, "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1735689600,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},\"finish_reason\":null}]}\n\n"...)
				}
				body = append(body, "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":3}}\n\ndata: [DONE]\n\n"...)
				client := &http.Client{Transport: canned(func() (int, string, []byte) { return 200, "text/event-stream", body })}
				p := open(providertest.Settings{URL: "http://model.invalid", Client: client})
				r := history(n)
				b.ReportAllocs()
				for b.Loop() {
					if got := providertest.Ask(b.Context(), b, p, r); got.Err != nil {
						b.Fatal(got.Err)
					}
				}
			})
		}
	}
}

// BenchmarkLoopback is a call over loopback, the scripted server's work included.
func BenchmarkLoopback(b *testing.B) {
	srv := agenttest.NewServer(b, nil)
	for _, n := range []int{0, 40} {
		b.Run(fmt.Sprintf("history=%d", n), func(b *testing.B) {
			p := open(providertest.Settings{URL: srv.URL, Client: providertest.Client(b)})
			r := history(n)
			b.ReportAllocs()
			for b.Loop() {
				if got := providertest.Ask(b.Context(), b, p, r); got.Err != nil {
					b.Fatal(got.Err)
				}
			}
		})
	}
}
