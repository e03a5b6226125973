// Package anthropic speaks Anthropic's Messages.
//
// The official SDK carries the requests and splits the stream into events; the
// JSON of requests and events is our own small set of fields, for the reasons
// that package openai gives.
package anthropic

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"time"

	sdk "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
	"github.com/anthropics/anthropic-sdk-go/packages/ssestream"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/provider/internal/wire"
)

// Config says where a model is.
type Config struct {
	Name    string       // of the provider, in errors and usage
	BaseURL string       // such as https://api.anthropic.com
	Client  *http.Client // puts the real key in; without one every call fails
	Key     string       // placeholder for the key

	First   time.Duration // longest silence before an answer begins; 0: 3 min
	Stall   time.Duration // longest silence once it has begun; 0: 60 s
	MaxBody int64         // bytes of one response; 0: 16 MiB
}

// Provider implements agent.Provider. It is safe for concurrent use.
type Provider struct {
	cfg    Config
	client sdk.Client
}

var (
	_ agent.Provider = (*Provider)(nil)
	_ agent.Lister   = (*Provider)(nil)
)

var errNoClient = errors.New("no http client is configured")

// New returns a provider. It does no I/O. A base URL that cannot be parsed
// fails the calls.
func New(c Config) *Provider {
	opts := []option.RequestOption{
		// Without this the SDK looks for keys, profiles, a base URL and headers
		// in the environment and in files of the home folder.
		option.WithoutEnvironmentDefaults(),
		option.WithBaseURL(c.BaseURL),
		option.WithMaxRetries(0),
		option.WithoutOpenTelemetry(),
		option.WithOpenTelemetryPropagation(false),
	}
	if c.Client != nil {
		opts = append(opts, option.WithHTTPClient(c.Client))
	}
	if c.Key != "" {
		opts = append(opts, option.WithAPIKey(c.Key))
	}
	return &Provider{cfg: c, client: sdk.NewClient(opts...)}
}

func (p *Provider) limits() wire.Limits {
	return wire.Limits{First: p.cfg.First, Stall: p.cfg.Stall, MaxBody: p.cfg.MaxBody}
}

// Stream implements agent.Provider. The sequence may be used once.
func (p *Provider) Stream(ctx context.Context, r agent.ModelRequest) iter.Seq2[agent.Delta, error] {
	return func(yield func(agent.Delta, error) bool) {
		ctx, call := wire.Begin(ctx, p.cfg.Name, r.Model, p.limits(), true)
		defer call.End()
		body, err := encode(r, p.cfg.Name)
		if err != nil {
			yield(agent.Delta{}, call.Garbled("the request cannot be written as JSON"))
			return
		}
		res, err := p.send(ctx, call, http.MethodPost, "v1/messages", body)
		if err != nil {
			yield(agent.Delta{}, call.Failed(err))
			return
		}
		defer func() { _ = res.Body.Close() }()
		events := ssestream.NewDecoder(res)
		a := &answer{usage: agent.Usage{Provider: p.cfg.Name, Model: r.Model}}
		if failed := call.Read(events, func() []byte { return events.Event().Data }, a, yield); failed != nil {
			yield(agent.Delta{}, failed)
		}
	}
}

func (p *Provider) send(ctx context.Context, call *wire.Call, method, path string, body []byte) (*http.Response, error) {
	if p.cfg.Client == nil {
		return nil, &agent.Error{Kind: agent.Unreachable, Provider: p.cfg.Name, Err: errNoClient}
	}
	var params any
	if body != nil {
		params = body
	}
	var res *http.Response
	err := p.client.Execute(ctx, method, path, params, &res, option.WithMiddleware(call.Middleware))
	if err == nil && res == nil {
		err = io.ErrUnexpectedEOF
	}
	return res, err
}

// Models implements agent.Lister. The order is the provider's, newest first.
func (p *Provider) Models(ctx context.Context) ([]string, error) {
	ctx, call := wire.Begin(ctx, p.cfg.Name, "", p.limits(), false)
	defer call.End()
	res, err := p.send(ctx, call, http.MethodGet, "v1/models?limit=1000", nil)
	if err != nil {
		return nil, call.Failed(err)
	}
	defer func() { _ = res.Body.Close() }()
	return call.Names(res.Body)
}
