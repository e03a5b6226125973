package provider_test

import (
	"testing"

	"github.com/gatehouse-chat/gatehouse/agent/provider"
)

func TestPick(t *testing.T) {
	tests := []struct {
		name, kind string
		listed     []string
		want       string
	}{
		{"the newest small one", "openai", []string{"gpt-4o-mini", "gpt-5-mini", "gpt-5.6-luna", "gpt-6-luna", "gpt-6-sol", "gpt-5-mini-2026-01-31"}, "gpt-6-luna"},
		{"before there was a luna", "openai", []string{"gpt-4.1-mini", "gpt-5-mini", "gpt-5", "gpt-5-nano"}, "gpt-5-mini"},
		{"numbers, not letters", "openai", []string{"gpt-9-luna", "gpt-10-luna"}, "gpt-10-luna"},
		{"none that is known", "openai", []string{"text-embedding-3-large", "whisper-1", "o9"}, "o9"},
		{"none that speaks", "openai", []string{"text-embedding-3-large", "whisper-1"}, "text-embedding-3-large"},
		{"haiku", "anthropic", []string{"claude-opus-5-5", "claude-haiku-4-5-20251001", "claude-haiku-5-5", "claude-haiku-4-5"}, "claude-haiku-5-5"},
		{"a dated haiku", "anthropic", []string{"claude-opus-4-7", "claude-haiku-4-5-20251001"}, "claude-haiku-4-5-20251001"},
		{"gemini's alias", "gemini", []string{"models/gemini-3.7-flash", "models/gemini-flash-latest", "models/gemini-3.7-flash-image"}, "models/gemini-flash-latest"},
		{"gemini without it", "gemini", []string{"models/gemini-3.7-flash", "models/gemini-3.5-flash", "models/gemini-3.9-flash-image"}, "models/gemini-3.7-flash"},
		{"mistral", "mistral", []string{"mistral-embed", "mistral-small-2506", "mistral-small-latest"}, "mistral-small-latest"},
		{"openrouter", "openrouter", []string{"anthropic/claude-haiku-4.5", "openai/gpt-5-mini", "openai/gpt-6-luna"}, "openai/gpt-6-luna"},
		{"what is installed", "ollama", []string{"nomic-embed-text:latest", "llama3.2:latest"}, "llama3.2:latest"},
		{"nothing listed", "openai", nil, "gpt-6-luna"},
		{"nothing installed", "ollama", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := provider.Pick(tt.kind, tt.listed); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestOllamaURL(t *testing.T) {
	tests := map[string]string{
		"":                         "http://127.0.0.1:11434/v1",
		"127.0.0.1":                "http://127.0.0.1:11434/v1",
		"0.0.0.0":                  "http://127.0.0.1:11434/v1",
		"0.0.0.0:9000":             "http://127.0.0.1:9000/v1",
		":9000":                    "http://127.0.0.1:9000/v1",
		"[::]:9000":                "http://127.0.0.1:9000/v1",
		"::1":                      "http://[::1]:11434/v1",
		"[::1]":                    "http://[::1]:11434/v1",
		"[::1]:9000":               "http://[::1]:9000/v1",
		"gpu.lan":                  "http://gpu.lan:11434/v1",
		"gpu.lan:9000":             "http://gpu.lan:9000/v1",
		"http://gpu.lan":           "http://gpu.lan:80/v1",
		"https://gpu.lan":          "https://gpu.lan:443/v1",
		"https://gpu.lan:9000/":    "https://gpu.lan:9000/v1",
		"http://gpu.lan:9000/a/b/": "http://gpu.lan:9000/a/b/v1",
		"gpu.lan:99999":            "http://gpu.lan:11434/v1",
		"gpu.lan:x":                "http://gpu.lan:11434/v1",
	}
	for host, want := range tests {
		if got := provider.OllamaURL(host); got != want {
			t.Errorf("%q: %s, want %s", host, got, want)
		}
	}
}
