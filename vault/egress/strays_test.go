package egress_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/go-telegram/bot"
	"github.com/google/go-cmp/cmp"
	"github.com/openai/openai-go/v3"
	openaioption "github.com/openai/openai-go/v3/option"

	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

// strays records every request and every look-up that goes round the gate.
type strays struct {
	mu  sync.Mutex
	all []string
}

func (s *strays) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, what)
}

// RoundTrip stands in for http.DefaultTransport.
func (s *strays) RoundTrip(r *http.Request) (*http.Response, error) {
	s.note("request to " + r.URL.Host)
	return nil, errNowhere
}

// watch replaces what a library uses that was given no client.
func watch(t *testing.T) *strays {
	s := &strays{}
	transport, client := http.DefaultTransport, *http.DefaultClient
	pure, dial := net.DefaultResolver.PreferGo, net.DefaultResolver.Dial
	t.Cleanup(func() {
		http.DefaultTransport = transport
		*http.DefaultClient = client
		net.DefaultResolver.PreferGo, net.DefaultResolver.Dial = pure, dial
	})
	http.DefaultTransport = s
	*http.DefaultClient = http.Client{Transport: s}
	net.DefaultResolver.PreferGo = true
	net.DefaultResolver.Dial = func(_ context.Context, _, addr string) (net.Conn, error) {
		s.note("look-up at " + addr)
		return nil, errNowhere
	}
	for _, name := range []string{
		"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "OPENAI_BASE_URL", "ANTHROPIC_BASE_URL",
	} {
		t.Setenv(name, "http://stray.example:3128")
	}
	return s
}

// Each library of a platform or a model is started with a client of the gate.
// Everything it sends must come through there, with the value in the place of
// the placeholder, and nothing may go elsewhere.
func TestInvariant09Strays(t *testing.T) {
	const answer = `{"ok":true,"result":{"id":1,"is_bot":true,"first_name":"x"},"id":"x","object":"chat.completion",` +
		`"choices":[{"message":{"role":"assistant","content":"hi"}}],"type":"message","role":"assistant","content":[{"type":"text","text":"hi"}]}`
	tests := []struct {
		name, uri, header string
		call              func(client *http.Client, base string) error
	}{
		{"openai-go", "/v1/chat/completions", "Bearer " + token, func(client *http.Client, base string) error {
			c := openai.NewClient(openaioption.WithHTTPClient(client), openaioption.WithBaseURL(base+"/v1"),
				openaioption.WithAPIKey(ph), openaioption.WithMaxRetries(0))
			_, err := c.Chat.Completions.New(context.Background(), openai.ChatCompletionNewParams{
				Model: "m", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("hi")},
			})
			return err
		}},
		{"anthropic-sdk-go", "/v1/messages", token, func(client *http.Client, base string) error {
			c := anthropic.NewClient(anthropicoption.WithHTTPClient(client), anthropicoption.WithBaseURL(base),
				anthropicoption.WithAPIKey(ph), anthropicoption.WithMaxRetries(0))
			_, err := c.Messages.New(context.Background(), anthropic.MessageNewParams{
				Model: "m", MaxTokens: 1, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("hi"))},
			})
			return err
		}},
		{"go-telegram/bot", "/bot" + token + "/getMe", "", func(client *http.Client, base string) error {
			_, err := bot.New(ph, bot.WithHTTPClient(0, client), bot.WithServerURL(base))
			return err
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := watch(t)
			var uri, header string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				uri, header = r.RequestURI, r.Header.Get("Authorization")+r.Header.Get("X-Api-Key")
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(answer))
			}))
			t.Cleanup(server.Close)
			fake := &internet{}
			fake.host("api.example.com:80", publicAddress, server.Listener.Addr().String())
			client := egress.New(egress.Options{Dialer: fake.dialer}).Client(egress.Policy{
				Name: tt.name, Allow: allow(t, "http://api.example.com"),
				Inject: []egress.Injection{{Placeholder: ph, Lease: lend(token)}},
			})
			t.Cleanup(client.CloseIdleConnections)
			if err := tt.call(client, "http://api.example.com"); err != nil {
				t.Fatal(err)
			}
			if uri != tt.uri || header != tt.header {
				t.Errorf("got %q with %q", uri, header)
			}
			if diff := cmp.Diff([]string{publicAddress}, fake.seen()); diff != "" {
				t.Error(diff)
			}
			if s.all != nil {
				t.Errorf("strays: %v", s.all)
			}
		})
	}
}

// Their errors often quote the whole request.
func TestErrorsOfLibrariesShowThePlaceholder(t *testing.T) {
	tests := []struct {
		name string
		call func(client *http.Client, base string) error
	}{
		{"openai-go", func(client *http.Client, base string) error {
			c := openai.NewClient(openaioption.WithHTTPClient(client), openaioption.WithBaseURL(base+"/v1"),
				openaioption.WithAPIKey(ph), openaioption.WithMaxRetries(0))
			_, err := c.Models.List(context.Background())
			var e *openai.Error
			if errors.As(err, &e) {
				return errors.New(err.Error() + string(e.DumpRequest(true)) + string(e.DumpResponse(true)))
			}
			return err
		}},
		{"anthropic-sdk-go", func(client *http.Client, base string) error {
			c := anthropic.NewClient(anthropicoption.WithHTTPClient(client), anthropicoption.WithBaseURL(base),
				anthropicoption.WithAPIKey(ph), anthropicoption.WithMaxRetries(0))
			_, err := c.Models.List(context.Background(), anthropic.ModelListParams{})
			var e *anthropic.Error
			if errors.As(err, &e) {
				return errors.New(err.Error() + string(e.DumpRequest(true)) + string(e.DumpResponse(true)))
			}
			return err
		}},
		{"go-telegram/bot", func(client *http.Client, base string) error {
			_, err := bot.New(ph, bot.WithHTTPClient(0, client), bot.WithServerURL(base))
			return err
		}},
	}
	for _, tt := range tests {
		for _, how := range []string{"status", "broken"} {
			t.Run(tt.name+" "+how, func(t *testing.T) {
				h := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					http.Error(w, `{"ok":false,"description":"Unauthorized","error_code":401}`, http.StatusUnauthorized)
				}))
				if how == "broken" {
					h = hijack(func(r *http.Request) string { return "x" + r.RequestURI + r.Header.Get("Authorization") + "\r\n\r\n" })
				}
				client, base := local(t, h, egress.Policy{
					Name: "test", Inject: []egress.Injection{{Placeholder: ph, Lease: lend(token)}},
				})
				err := tt.call(client, base)
				if err == nil || strings.Contains(err.Error(), token) {
					t.Errorf("got %v", err)
				}
			})
		}
	}
}
