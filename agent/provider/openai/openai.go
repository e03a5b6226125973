// Package openai speaks Chat Completions, the dialect of OpenAI that NEAR AI,
// Mistral, Gemini's compatible endpoint, Ollama, OpenRouter, vLLM and many
// others share.
//
// Of the official SDK it uses what splits a stream into events. The requests
// are made here: the SDK's client registers the types of OpenAI's whole API when
// a program starts, which no linker can leave out. They took 20 of a binary's 72
// MB, for a POST with a token. That a request is addressed and authorised as the
// SDK does it is tested side by side. The JSON of requests and events is our own
// small set of fields (request.go, event.go): reading each event into the SDK's
// types costs three to five times the CPU, and endpoints that are only nearly
// compatible need fields that those types do not have.
package openai

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openai/openai-go/v3/packages/ssestream"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/provider/internal/wire"
)

// Config says where a model is and how it likes to be spoken to.
type Config struct {
	Name    string       // of the provider, in errors and usage
	BaseURL string       // such as https://api.openai.com/v1
	Client  *http.Client // puts the real key in; without one every call fails
	Key     string       // placeholder for the key; "" sends no Authorization at all

	First   time.Duration // longest silence before an answer begins; 0: 3 min
	Stall   time.Duration // longest silence once it has begun; 0: 60 s
	MaxBody int64         // bytes of one response; 0: 16 MiB

	// MaxCompletionTokens says that a limit of the output is called
	// max_completion_tokens, as OpenAI does, and not max_tokens.
	MaxCompletionTokens bool
	// ShortCallIDs says that ids of tool calls must be nine letters or digits
	// (Mistral). Ids of another form, from another provider's turn, are mapped.
	ShortCallIDs bool
	// Proof is what Models asks with the key beside the list.
	Proof Proof
}

// Proof is a way to learn whether a key is right from an endpoint that lists its
// models to anybody. It costs nothing.
type Proof int

// The ways to prove a key.
const (
	ProofByList     Proof = iota // the list itself wants the key
	ProofByKey                   // GET key tells about the key (OpenRouter)
	ProofByQuestion              // a question without content: nothing answers it, and only a right key is told so
)

// Provider implements agent.Provider. It is safe for concurrent use.
type Provider struct {
	cfg Config
	at  wire.Endpoint
	// plainStream is set once the endpoint has refused stream_options.
	plainStream atomic.Bool
	// toolless holds the names of models that have refused tools.
	toolless sync.Map
}

var (
	_ agent.Provider = (*Provider)(nil)
	_ agent.Lister   = (*Provider)(nil)
)

var errNoClient = errors.New("no http client is configured")

// New returns a provider. It does no I/O. A base URL that cannot be parsed
// fails the calls.
func New(c Config) *Provider {
	return &Provider{cfg: c, at: wire.Endpoint{Client: c.Client, Base: c.BaseURL, Key: c.Key}}
}

func (p *Provider) limits() wire.Limits {
	return wire.Limits{First: p.cfg.First, Stall: p.cfg.Stall, MaxBody: p.cfg.MaxBody}
}

// Stream implements agent.Provider. The sequence may be used once.
func (p *Provider) Stream(ctx context.Context, r agent.ModelRequest) iter.Seq2[agent.Delta, error] {
	return func(yield func(agent.Delta, error) bool) {
		_, bare := p.toolless.Load(r.Model)
		s := spoken{usage: !p.plainStream.Load(), bare: bare}
		for {
			switch p.stream(ctx, r, s, yield) {
			case refusedUsage:
				p.plainStream.Store(true)
				s.usage = false
			case refusedTools:
				p.toolless.Store(r.Model, true)
				s.bare = true
			case refusedNothing:
				return
			}
		}
	}
}

// spoken is how much of the dialect is spoken to an endpoint.
type spoken struct {
	usage bool // stream_options is sent
	bare  bool // no tools are
}

func (s spoken) tools(r agent.ModelRequest) []agent.Spec {
	if s.bare {
		return nil
	}
	return r.Tools
}

// refusal is what of a request the endpoint does not know. The rest is sent again.
type refusal int

const (
	refusedNothing refusal = iota
	refusedUsage
	refusedTools
)

// refusedPart tells which part of a request was in the way, if it was one of
// those that can be left out.
func (s spoken) refusedPart(r agent.ModelRequest, call *wire.Call) refusal {
	switch {
	case s.usage && call.RefusedFor("stream_options"):
		return refusedUsage
	case len(s.tools(r)) > 0 && call.RefusedFor("does not support tools"): // Ollama's words
		return refusedTools
	}
	return refusedNothing
}

// stream makes one call. When it reports that the endpoint does not know a part
// of the request, nothing was yielded.
func (p *Provider) stream(ctx context.Context, r agent.ModelRequest, s spoken, yield func(agent.Delta, error) bool) refusal {
	_, call := wire.Begin(ctx, p.cfg.Name, r.Model, p.limits(), true)
	defer call.End()
	body, err := p.body(r, s)
	if err != nil {
		yield(agent.Delta{}, call.Garbled("the request cannot be written as JSON"))
		return refusedNothing
	}
	res, err := p.send(call, http.MethodPost, "chat/completions", body)
	if err != nil {
		failed := call.Failed(err)
		if part := s.refusedPart(r, call); part != refusedNothing && failed.Kind == agent.BadRequest {
			return part
		}
		yield(agent.Delta{}, failed)
		return refusedNothing
	}
	defer func() { _ = res.Body.Close() }()
	events := ssestream.NewDecoder(res)
	a := &answer{provider: p.cfg.Name, model: r.Model}
	if failed := call.Read(events, func() []byte { return events.Event().Data }, a, yield); failed != nil {
		yield(agent.Delta{}, failed)
	}
	return refusedNothing
}

func (p *Provider) send(call *wire.Call, method, path string, body []byte) (*http.Response, error) {
	if p.cfg.Client == nil {
		return nil, &agent.Error{Kind: agent.Unreachable, Provider: p.cfg.Name, Err: errNoClient}
	}
	return call.SendJSON(p.at, method, path, body)
}

// Models implements agent.Lister. The order is the provider's. A key that is
// refused is an error, also where anybody may see the list.
func (p *Provider) Models(ctx context.Context) ([]string, error) {
	names, err := p.list(ctx)
	if err != nil {
		return nil, err
	}
	if failed := p.prove(ctx); failed != nil && failed.Kind == agent.Unauthorized {
		return nil, failed
	}
	return names, nil
}

// prove shows the key to the endpoint. Only that it is refused says anything of
// it: an endpoint may not know the address, or may dislike the question.
func (p *Provider) prove(ctx context.Context) *agent.Error {
	method, path, body := http.MethodGet, "key", []byte(nil)
	switch {
	case p.cfg.Key == "" || p.cfg.Proof == ProofByList:
		return nil
	case p.cfg.Proof == ProofByQuestion:
		method, path, body = http.MethodPost, "chat/completions", []byte("{}")
	}
	_, call := wire.Begin(ctx, p.cfg.Name, "", p.limits(), false)
	defer call.End()
	res, err := p.send(call, method, path, body)
	if err != nil {
		return call.Failed(err)
	}
	_ = res.Body.Close()
	return nil
}

func (p *Provider) list(ctx context.Context) ([]string, error) {
	_, call := wire.Begin(ctx, p.cfg.Name, "", p.limits(), false)
	defer call.End()
	res, err := p.send(call, http.MethodGet, "models", nil)
	if err != nil {
		return nil, call.Failed(err)
	}
	defer func() { _ = res.Body.Close() }()
	names, err := call.Names(res.Body)
	for i := range names {
		names[i] = strings.TrimPrefix(names[i], "models/") // Gemini lists resource names
	}
	return names, err
}
