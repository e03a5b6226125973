// Package embed knows the kinds of embedders that memory can be configured
// with. memory/embed/local needs nothing; memory/embed/endpoint asks whatever
// speaks OpenAI's dialect.
package embed

import (
	"slices"
	"strings"
)

// Kind is a kind of embedder, as the configuration names it.
type Kind struct {
	Name    string
	Title   string // as people write it
	BaseURL string // of the endpoint; empty: the configuration must say it, or there is none
	Model   string // that is used where none is named; empty: one must be named
	NeedKey bool
	NeedURL bool
	AtHome  bool // its endpoint lies on this machine, or in this network
	Remote  bool // it asks an endpoint
}

// The kinds that are not asked over a network.
const (
	Local = "local"
	None  = "none"
)

// Kinds are all kinds, in the order in which they are shown.
func Kinds() []Kind {
	return []Kind{
		{Name: Local, Title: "built in"},
		{Name: "openai", Title: "OpenAI", BaseURL: "https://api.openai.com/v1", Model: "text-embedding-3-small", NeedKey: true, Remote: true},
		{Name: "mistral", Title: "Mistral", BaseURL: "https://api.mistral.ai/v1", Model: "mistral-embed", NeedKey: true, Remote: true},
		{Name: "gemini", Title: "Gemini", BaseURL: "https://generativelanguage.googleapis.com/v1beta/openai", Model: "gemini-embedding-001", NeedKey: true, Remote: true},
		{Name: "ollama", Title: "Ollama", BaseURL: "http://127.0.0.1:11434/v1", Model: "nomic-embed-text", AtHome: true, Remote: true},
		{Name: "compatible", Title: "another endpoint", NeedURL: true, Remote: true},
		{Name: None, Title: "none"},
	}
}

// Names are the names of all kinds.
func Names() []string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, k.Name)
	}
	return names
}

// Find returns the kind of a name.
func Find(name string) (Kind, bool) {
	all := Kinds()
	i := slices.IndexFunc(all, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		return Kind{}, false
	}
	return all[i], true
}

// Model is what is known of an endpoint's model: how long its vectors are, with
// which words it wants a text to be introduced, and whether it was made for
// English, so that it knows the Latin script alone.
type Model struct {
	Dimensions     int
	Query, Passage string
	Latin          bool
}

// models are those whose makers say so.
func models() map[string]Model {
	return map[string]Model{
		"text-embedding-3-small": {Dimensions: 1536},
		"text-embedding-3-large": {Dimensions: 3072},
		"text-embedding-ada-002": {Dimensions: 1536},
		"mistral-embed":          {Dimensions: 1024},
		"gemini-embedding-001":   {Dimensions: 3072},
		"nomic-embed-text":       {Dimensions: 768, Query: "search_query: ", Passage: "search_document: ", Latin: true},
		"mxbai-embed-large":      {Dimensions: 1024, Query: "Represent this sentence for searching relevant passages: ", Latin: true},
		"bge-m3":                 {Dimensions: 1024},
		"all-minilm":             {Dimensions: 384, Latin: true},
		"snowflake-arctic-embed": {Dimensions: 1024, Query: "Represent this sentence for searching relevant passages: ", Latin: true},
		"multilingual-e5-small":  {Dimensions: 384, Query: "query: ", Passage: "passage: "},
		"multilingual-e5-base":   {Dimensions: 768, Query: "query: ", Passage: "passage: "},
		"multilingual-e5-large":  {Dimensions: 1024, Query: "query: ", Passage: "passage: "},
	}
}

// Known returns what is known of a model, by a name such as "bge-m3",
// "BAAI/bge-m3" or "bge-m3:latest".
func Known(model string) (Model, bool) {
	name := strings.ToLower(model)
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		name = name[i+1:]
	}
	name, _, _ = strings.Cut(name, ":")
	m, ok := models()[name]
	return m, ok
}
