// Package provider lists the kinds of model provider that Gatehouse knows:
// where each is, what its key is called, what it costs, and how to open it.
package provider

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/provider/anthropic"
	"github.com/gatehouse-chat/gatehouse/agent/provider/openai"
)

// None is the kind of a configuration without a model: commands work, and
// ordinary messages are told how to configure one.
const None = "none"

// Kind describes a provider.
type Kind struct {
	Name    string // in the configuration, such as "openai"; also the suggested name of its secret
	Title   string // for people
	BaseURL string // "" where the configuration must say it
	Env     string // variable that holds a key; "" where none is needed
	Model   string // default; "" where only the installation knows: take the first that it lists
	KeysURL string // page where a person gets a key
	Local   bool   // runs on the owner's own machines and costs nothing

	dialect dialect
	proof   openai.Proof // what tells a wrong key where the list of models does not
}

type dialect string

const (
	chat        dialect = "chat"         // Chat Completions
	chatOpenAI  dialect = "chat-openai"  // with a limit of the output by its newer name
	chatMistral dialect = "chat-mistral" // with short ids of tool calls
	messages    dialect = "messages"     // Anthropic's
)

// Kinds returns every known kind, in the order in which a key in the
// environment is looked for. "compatible" stands for any other endpoint that
// speaks OpenAI's dialect, such as vLLM or llama.cpp.
func Kinds() []Kind {
	return []Kind{
		{
			Name: "openai", Title: "OpenAI", BaseURL: "https://api.openai.com/v1", Env: "OPENAI_API_KEY",
			Model: "gpt-6-luna", KeysURL: "https://platform.openai.com/api-keys", dialect: chatOpenAI,
		},
		{
			Name: "anthropic", Title: "Anthropic", BaseURL: "https://api.anthropic.com", Env: "ANTHROPIC_API_KEY",
			Model: "claude-haiku-5-5", KeysURL: "https://console.anthropic.com/settings/keys", dialect: messages,
		},
		{
			Name: "gemini", Title: "Google Gemini", BaseURL: "https://generativelanguage.googleapis.com/v1beta/openai", Env: "GEMINI_API_KEY",
			Model: "gemini-flash-latest", KeysURL: "https://aistudio.google.com/apikey", dialect: chat,
		},
		{
			Name: "mistral", Title: "Mistral", BaseURL: "https://api.mistral.ai/v1", Env: "MISTRAL_API_KEY",
			Model: "mistral-small-latest", KeysURL: "https://console.mistral.ai/api-keys", dialect: chatMistral,
		},
		{
			Name: "nearai", Title: "NEAR AI", BaseURL: "https://cloud-api.near.ai/v1", Env: "NEARAI_API_KEY",
			Model: "openai/gpt-oss-120b", KeysURL: "https://cloud.near.ai", dialect: chat, proof: openai.ProofByQuestion,
		},
		{
			Name: "openrouter", Title: "OpenRouter", BaseURL: "https://openrouter.ai/api/v1", Env: "OPENROUTER_API_KEY",
			Model: "openai/gpt-6-luna", KeysURL: "https://openrouter.ai/settings/keys", dialect: chat, proof: openai.ProofByKey,
		},
		{
			Name: "ollama", Title: "Ollama", BaseURL: "http://127.0.0.1:11434/v1",
			KeysURL: "https://ollama.com/download", Local: true, dialect: chat,
		},
		{Name: "compatible", Title: "OpenAI-compatible", dialect: chat, proof: openai.ProofByQuestion},
	}
}

// sighted are the beginnings of the names of models that take images, by kind.
// Gateways to other providers put the provider's name before.
var sighted = map[string][]string{
	"openai":     {"gpt-4o", "gpt-4.1", "gpt-5", "gpt-6", "o1", "o3", "o4", "chatgpt-4o"},
	"anthropic":  {"claude-"},
	"gemini":     {"gemini-"},
	"mistral":    {"mistral-small", "mistral-medium", "mistral-large", "pixtral", "ministral", "magistral"},
	"openrouter": {"openai/gpt-4o", "openai/gpt-4.1", "openai/gpt-5", "openai/gpt-6", "openai/o3", "openai/o4", "anthropic/claude-", "google/gemini-", "mistralai/pixtral"},
}

// blind are those of them that do not.
var blind = []string{"gpt-5-codex", "o1-mini", "o1-preview", "o3-mini"}

// Sees reports whether a model most likely takes images. A configuration that
// knows better says so.
func (k Kind) Sees(model string) bool {
	begins := func(name string) bool { return strings.HasPrefix(model, name) }
	bare := model[strings.LastIndexByte(model, '/')+1:]
	return slices.ContainsFunc(sighted[k.Name], begins) && !slices.Contains(blind, bare)
}

// Find returns the kind of that name.
func Find(name string) (Kind, bool) {
	for _, k := range Kinds() {
		if k.Name == name {
			return k, true
		}
	}
	return Kind{}, false
}

// Names lists the names of the kinds and None, for messages about mistakes.
func Names() []string {
	var out []string
	for _, k := range Kinds() {
		out = append(out, k.Name)
	}
	return append(out, None)
}

// Config is what an installation says about a provider.
type Config struct {
	BaseURL string       // "": the kind's own
	Client  *http.Client // puts the key in; required
	Key     string       // placeholder that Client replaces; "": no Authorization is sent
	First   time.Duration
	Stall   time.Duration
}

// Provider is what Open returns.
type Provider interface {
	agent.Provider
	agent.Lister
}

// Open makes a provider. It does no I/O. The key that it sends is a
// placeholder: Client replaces it on the way out.
func (k Kind) Open(c Config) (Provider, error) {
	base := c.BaseURL
	if base == "" {
		base = k.BaseURL
	}
	if base == "" {
		return nil, fmt.Errorf("provider %s: base_url is not set", k.Name)
	}
	key := c.Key
	if k.dialect == messages {
		// The SDK adds the version to the path itself; many people write it.
		base = strings.TrimSuffix(strings.TrimSuffix(base, "/"), "/v1")
		return anthropic.New(anthropic.Config{Name: k.Name, BaseURL: base, Client: c.Client, Key: key, First: c.First, Stall: c.Stall}), nil
	}
	return openai.New(openai.Config{
		Name: k.Name, BaseURL: base, Client: c.Client, Key: key, First: c.First, Stall: c.Stall,
		MaxCompletionTokens: k.dialect == chatOpenAI,
		ShortCallIDs:        k.dialect == chatMistral,
		Proof:               k.proof,
	}), nil
}
