package config

import (
	"fmt"
	"net/url"
)

// Memory says how what is remembered is cut and found.
type Memory struct {
	Embedder     string `yaml:"embedder" enum:"local,openai,mistral,gemini,ollama,compatible,none" doc:"What makes vectors, by which texts are found that say the same with other words: local is built in and needs nothing, none leaves it to the words, the others ask an endpoint. compatible is any other endpoint that speaks the dialect of OpenAI, such as vLLM."`
	Model        string `yaml:"model" doc:"The endpoint's name for the model; empty: its usual one."`
	BaseURL      string `yaml:"base_url" doc:"Endpoint; empty means the provider's own."`
	APIKey       string `yaml:"api_key" doc:"secret://name, or ${ENV}."`
	Dimensions   int    `yaml:"dimensions" doc:"How long the vectors of the model are; 0: what is known of it."`
	Fusion       string `yaml:"fusion" enum:"score,rank" doc:"How what the words find and what the vectors find is joined. score weighs the vectors by how much the words leave open. rank is reciprocal rank with k = 60, which takes both to be equally good; words then count only where they are 40 % of the question."`
	Recall       int    `yaml:"recall" doc:"How much of memory a turn is given before it begins, in tokens; 0: nothing, then only the tool 'recall' looks."`
	HalfLife     int    `yaml:"half_life" doc:"Days after which something remembered counts half when it is looked for; 0: age does not matter."`
	Digests      bool   `yaml:"digests" doc:"Whether what a conversation came to is remembered when its history is summarised."`
	ChunkTokens  int    `yaml:"chunk_tokens" doc:"Size of the parts into which texts are cut, in tokens."`
	ChunkOverlap int    `yaml:"chunk_overlap" doc:"How much of the end of a part is repeated at the beginning of the next, in tokens."`
}

// FusionRank joins by rank.
const FusionRank = "rank"

// The embedders that ask no endpoint.
const (
	EmbedderLocal = "local"
	EmbedderNone  = "none"
)

// Remote reports whether an endpoint makes the vectors.
func (m Memory) Remote() bool { return m.Embedder != EmbedderLocal && m.Embedder != EmbedderNone }

// What chunks may be: under the least they say nothing, over the most they say
// everything.
const (
	leastChunk, mostChunk = 40, 2000
	mostDimensions        = 4096
	mostRecall            = 16_000
)

func (r *reader) memory(c *Config) {
	m := c.Memory
	for _, f := range []struct{ key, value string }{{"model", m.Model}, {"base_url", m.BaseURL}, {"api_key", m.APIKey}} {
		if f.value != "" && !m.Remote() {
			r.plain("memory."+f.key, fmt.Sprintf("is for an endpoint, and 'embedder' is %s", m.Embedder))
		}
	}
	switch {
	case m.Embedder == "compatible" && m.BaseURL == "":
		r.plain("memory.base_url", "is missing: a compatible endpoint has no usual address")
	case m.Embedder == "compatible" && m.Model == "":
		r.plain("memory.model", "is missing: say which model makes the vectors")
	}
	if m.BaseURL != "" {
		if u, err := url.Parse(m.BaseURL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
			r.plain("memory.base_url", "is not a URL such as https://api.openai.com/v1")
		}
	}
	if plainSecret(m.APIKey) && !r.o.Strict && !c.Vault.Strict {
		r.warn("memory.api_key", "a key in the configuration can be read by whoever reads it; better: gatehouse secrets set memory, and api_key: secret://memory")
	}
	if m.Recall < 0 || m.Recall > mostRecall {
		r.plain("memory.recall", fmt.Sprintf("must be from 0 to %d", mostRecall))
	}
	if m.HalfLife < 0 {
		r.plain("memory.half_life", "must not be negative; 0: age does not matter")
	}
	if m.Dimensions < 0 || m.Dimensions > mostDimensions {
		r.plain("memory.dimensions", fmt.Sprintf("must be from 1 to %d, or 0 for what is known of the model", mostDimensions))
	}
	if m.ChunkTokens < leastChunk || m.ChunkTokens > mostChunk {
		r.plain("memory.chunk_tokens", fmt.Sprintf("must be from %d to %d", leastChunk, mostChunk))
	}
	if m.ChunkOverlap < 0 || m.ChunkOverlap > m.ChunkTokens/2 {
		r.plain("memory.chunk_overlap", "must be from 0 to half of 'chunk_tokens'")
	}
	if r.o.Embedder != nil && m.Remote() {
		if err := r.o.Embedder(m); err != nil {
			r.plain("memory", err.Error())
		}
	}
}
