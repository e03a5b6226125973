package provider_test

import (
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/openai/openai-go/v3"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
	"github.com/gatehouse-chat/gatehouse/agent/provider"
	"github.com/gatehouse-chat/gatehouse/agent/provider/internal/providertest"
)

// TestDefaultsAreKnownToTheLibraries: a default that a provider withdraws leaves
// its library first.
func TestDefaultsAreKnownToTheLibraries(t *testing.T) {
	for kind, want := range map[string]string{
		"openai": openai.ChatModelGPT6Luna, "openrouter": "openai/" + openai.ChatModelGPT6Luna, "anthropic": anthropic.ModelClaudeHaiku5_5,
	} {
		if k, _ := provider.Find(kind); k.Model != want {
			t.Errorf("%s: the default is %q, the library knows %q", kind, k.Model, want)
		}
	}
}

func TestKindsAreComplete(t *testing.T) {
	env := map[string]string{
		"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY", "gemini": "GEMINI_API_KEY", "mistral": "MISTRAL_API_KEY",
		"nearai": "NEARAI_API_KEY", "openrouter": "OPENROUTER_API_KEY", "ollama": "", "compatible": "",
	}
	for _, k := range provider.Kinds() {
		want, known := env[k.Name]
		if !known || k.Env != want {
			t.Errorf("%s: env %q", k.Name, k.Env)
		}
		if k.Env != "" && (k.Model == "" || k.KeysURL == "" || k.BaseURL == "" || k.Local) {
			t.Errorf("%s: %+v", k.Name, k)
		}
		if k.Env != "" && provider.Price(k.Name, k.Model).Guessed {
			t.Errorf("%s: the default model %s has no price", k.Name, k.Model)
		}
		delete(env, k.Name)
	}
	if len(env) != 0 {
		t.Errorf("missing %v", env)
	}
	if _, ok := provider.Find(provider.None); ok {
		t.Error("none must not be a provider")
	}
}

func TestOpen(t *testing.T) {
	srv := agenttest.NewServer(t, nil)
	for _, k := range provider.Kinds() {
		t.Run(k.Name, func(t *testing.T) {
			for _, key := range []string{"placeholder", ""} {
				p, err := k.Open(provider.Config{BaseURL: srv.OpenAI(), Client: providertest.Client(t), Key: key})
				if err != nil {
					t.Fatal(err)
				}
				if got := providertest.Ask(t.Context(), t, p, providertest.Hello("hi")); got.Text != "echo: hi" {
					t.Errorf("got %+v", got)
				}
				all := srv.Requests()
				h := all[len(all)-1].Header
				if sent := h.Get("Authorization") + h.Get("X-Api-Key"); (sent != "") != (key != "") {
					t.Errorf("key %q: %q is sent", key, sent)
				}
				if _, err := p.Models(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	if _, err := (provider.Kind{Name: "compatible"}).Open(provider.Config{Client: &http.Client{}}); err == nil {
		t.Error("a provider without an address is opened")
	}
}

// TestModelsRefusesAWrongKey also where the provider shows its models to anybody.
func TestModelsRefusesAWrongKey(t *testing.T) {
	for _, k := range provider.Kinds() {
		if k.Local {
			continue
		}
		t.Run(k.Name, func(t *testing.T) {
			public := slices.Contains([]string{"nearai", "openrouter", "compatible"}, k.Name)
			for key, right := range map[string]bool{providertest.Key: true, "sk-test-another": false} {
				srv, err := agenttest.Start(agenttest.Config{Key: key, PublicList: public})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(srv.Close)
				p, err := k.Open(provider.Config{BaseURL: srv.OpenAI(), Client: providertest.Client(t), Key: "placeholder"})
				if err != nil {
					t.Fatal(err)
				}
				names, err := p.Models(t.Context())
				var failed *agent.Error
				if refused := errors.As(err, &failed) && failed.Kind == agent.Unauthorized; refused == right || right && len(names) == 0 {
					t.Errorf("a key that is right, %v: %v, %v", right, names, err)
				}
				if n := len(srv.Requests()); n != 0 {
					t.Errorf("the model was asked %d questions to learn about a key", n)
				}
			}
		})
	}
}

func TestPrice(t *testing.T) {
	guess := agent.Price{Input: 5, Cached: 5, Output: 25, Guessed: true}
	tests := []struct {
		kind, model string
		want        agent.Price
	}{
		{"openai", "gpt-5-mini", agent.Price{Input: 0.25, Cached: 0.025, Output: 2}},
		{"openai", "gpt-5-mini-2025-08-07", agent.Price{Input: 0.25, Cached: 0.025, Output: 2}},
		{"openai", "gpt-5-unheard-of", guess},
		{"openai", "gpt-5", agent.Price{Input: 1.25, Cached: 0.125, Output: 10}},
		{"anthropic", "claude-haiku-4-5-20251001", agent.Price{Input: 1, Cached: 0.1, Output: 5}},
		{"anthropic", "claude-opus-5-7-20270101", guess},
		{"gemini", "gemini-flash-latest", agent.Price{Input: 1.5, Cached: 0.15, Output: 9}},
		{"openrouter", "openai/gpt-5-mini", agent.Price{Input: 0.25, Cached: 0.025, Output: 2}},
		{"openrouter", "anthropic/claude-haiku-4.5", agent.Price{Input: 1, Cached: 0.1, Output: 5}},
		{"openrouter", "somebody/model:free", agent.Price{}},
		{"openrouter", "somebody/model", guess},
		{"compatible", "anything", guess},
		{"ollama", "anything", agent.Price{}},
	}
	for _, tc := range tests {
		if got := provider.Price(tc.kind, tc.model); got != tc.want {
			t.Errorf("%s/%s: %+v", tc.kind, tc.model, got)
		}
	}
	if _, err := time.Parse(time.DateOnly, provider.PricesAsOf()); err != nil {
		t.Error(err)
	}
}

func TestPriceOf(t *testing.T) {
	p := agent.Price{Input: 2, Cached: 1, Output: 10}
	if got := p.Of(agent.Usage{Input: 1_000_000, Cached: 500_000, Output: 100_000}); got != 2.5 {
		t.Errorf("got %v", got)
	}
	if got := p.Of(agent.Usage{Input: -5, Cached: 7, Output: -1}); got != 0 {
		t.Errorf("nonsense costs %v", got)
	}
}
