package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/config"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/memory"
	"github.com/gatehouse-chat/gatehouse/memory/chunk"
	"github.com/gatehouse-chat/gatehouse/memory/embed"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
	"github.com/gatehouse-chat/gatehouse/vault/leak"
	"github.com/gatehouse-chat/gatehouse/vault/vaulttest"
)

// The configuration cannot import memory; what it says of it must be so all the
// same.
func TestConfigurationKnowsMemory(t *testing.T) {
	f, _ := reflect.TypeFor[config.Memory]().FieldByName("Embedder")
	if diff := cmp.Diff(embed.Names(), strings.Split(f.Tag.Get("enum"), ",")); diff != "" {
		t.Errorf("kinds of embedder: %s", diff)
	}
	m := config.Default().Memory
	if m.ChunkTokens != chunk.DefaultTokens || m.ChunkOverlap != chunk.DefaultOverlap {
		t.Errorf("chunks of %d with %d; the chunker says %d with %d", m.ChunkTokens, m.ChunkOverlap, chunk.DefaultTokens, chunk.DefaultOverlap)
	}
}

func TestVectors(t *testing.T) {
	b := &border{ollama: "http://10.0.0.9:11434/v1"}
	for _, c := range []struct {
		name string
		m    config.Memory
		want string // base URL, model, dimensions, or the error
	}{
		{"usual", config.Memory{Embedder: "openai", APIKey: "k"}, "https://api.openai.com/v1 text-embedding-3-small 1536"},
		{"shorter", config.Memory{Embedder: "openai", APIKey: "k", Dimensions: 512}, "https://api.openai.com/v1 text-embedding-3-small 512 shortened"},
		{"no key", config.Memory{Embedder: "mistral"}, "Mistral wants a key: set api_key"},
		{"behind a proxy that has the key", config.Memory{Embedder: "mistral", BaseURL: "http://x/v1"}, "http://x/v1 mistral-embed 1024"},
		{"found", config.Memory{Embedder: "ollama"}, "http://10.0.0.9:11434/v1 nomic-embed-text 768"},
		{"named", config.Memory{Embedder: "ollama", BaseURL: "http://x/v1", Model: "bge-m3:latest"}, "http://x/v1 bge-m3:latest 1024"},
		{"unknown", config.Memory{Embedder: "compatible", BaseURL: "http://x/v1", Model: "own"}, "how long the vectors of own are is not known here: set dimensions"},
		{"said", config.Memory{Embedder: "compatible", BaseURL: "http://x/v1", Model: "own", Dimensions: 99}, "http://x/v1 own 99"},
		{"none", config.Memory{Embedder: "none"}, `there is no endpoint "none"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, _, err := b.vectors(c.m)
			got := strings.TrimSpace(strings.Join([]string{o.BaseURL, o.Model, jsonOf(o.Dimensions)}, " "))
			if o.Shorten {
				got += " shortened"
			}
			if err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func jsonOf(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// The key stands in the request at the boundary and nowhere before, and goes to
// the endpoint alone.
func TestEmbedderAsksWithItsKey(t *testing.T) {
	const value = "the-value-of-a-secret"
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/embeddings" || r.Header.Get("Authorization") != "Bearer "+value {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		_, _ = io.WriteString(w, `{"data":[{"index":0,"embedding":[0,3]}]}`)
	}))
	defer srv.Close()
	store := inprocess.New(inprocess.Options{})
	defer store.Close()
	v := vaulttest.Open(t, store, vaulttest.NewKey(t))
	leaks, err := leak.New()
	if err != nil {
		t.Fatal(err)
	}
	b := &border{gate: egress.New(egress.Options{Log: slog.New(slog.DiscardHandler)}), vault: v, workspace: workspace, leaks: leaks}
	if _, err := v.Put(t.Context(), workspace, "memory", []byte(value), vault.Setting{}); err != nil {
		t.Fatal(err)
	}
	m := config.Memory{Embedder: "compatible", BaseURL: srv.URL + "/v1", Model: "own", Dimensions: 2, APIKey: "secret://memory"}
	e, err := b.embedder(m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Embed(t.Context(), memory.ForQuery, []string{"a"}); err == nil {
		t.Error("the key was lent before the configuration granted it")
	}
	if err := v.Configure(workspace, b.vectorBinding(m)...); err != nil {
		t.Fatal(err)
	}
	got, err := e.Embed(t.Context(), memory.ForPassage, []string{"a"})
	if diff := cmp.Diff([][]float32{{0, 1}}, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestEmbeddersWithoutAnEndpoint(t *testing.T) {
	b := &border{}
	e, err := b.embedder(config.Default().Memory)
	if err != nil || e.Dimensions() == 0 {
		t.Errorf("the default embedder: %v", err)
	}
	if e, err := b.embedder(config.Memory{Embedder: config.EmbedderNone}); e != nil || err != nil {
		t.Errorf("none is %v, %v", e, err)
	}
	if got := len(chunker(config.Memory{ChunkTokens: 50})(memory.Note, strings.Repeat("word ", 100))); got != 3 {
		t.Errorf("%d chunks", got)
	}
}
