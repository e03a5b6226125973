package embed_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/memory/embed"
)

func TestKinds(t *testing.T) {
	want := []string{"local", "openai", "mistral", "gemini", "ollama", "compatible", "none"}
	if diff := cmp.Diff(want, embed.Names()); diff != "" {
		t.Error(diff)
	}
	for _, k := range embed.Kinds() {
		if k.Model == "" {
			continue
		}
		if _, ok := embed.Known(k.Model); !ok {
			t.Errorf("nothing is known of %s, which %s starts with", k.Model, k.Name)
		}
	}
	if k, ok := embed.Find("other"); ok {
		t.Errorf("found %v", k)
	}
}

func TestKnown(t *testing.T) {
	for name, want := range map[string]int{
		"text-embedding-3-small": 1536, "nomic-embed-text:latest": 768, "BAAI/bge-m3": 1024,
		"intfloat/multilingual-e5-small": 384, "all-MiniLM:33m": 384, "other": 0, "": 0, "a/": 0,
	} {
		if m, ok := embed.Known(name); m.Dimensions != want || ok != (want > 0) {
			t.Errorf("%q: %d, %t; want %d", name, m.Dimensions, ok, want)
		}
	}
}
