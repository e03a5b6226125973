package wire

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/gatehouse-chat/gatehouse/agent"
)

// Endpoint is where requests go: a base URL and the key that is shown there.
type Endpoint struct {
	Client *http.Client
	Base   string // such as https://api.openai.com/v1
	Key    string // sent as a bearer token; "": none
}

var errBase = errors.New("the base URL is not a URL")

// Send makes the request of a call below the endpoint's base, and fails as
// [Call.Middleware] does. A nil body is none; kind is its media type.
func (c *Call) Send(e Endpoint, method, path, kind string, body io.Reader) (*http.Response, error) {
	base, err := url.Parse(e.Base)
	if err != nil || base.Host == "" {
		return nil, c.fail(agent.Unreachable, errBase)
	}
	req, err := http.NewRequestWithContext(c.ctx, method, base.JoinPath(path).String(), body)
	if err != nil {
		return nil, c.fail(agent.Unreachable, errBase)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	req.Header.Set("Accept", "application/json")
	if c.streams {
		req.Header.Set("Accept", "text/event-stream")
	}
	req.Header.Set("User-Agent", "gatehouse")
	if e.Key != "" {
		req.Header.Set("Authorization", "Bearer "+e.Key)
	}
	return c.Middleware(req, e.Client.Do)
}

// SendJSON does the same with a document; nil is none.
func (c *Call) SendJSON(e Endpoint, method, path string, body []byte) (*http.Response, error) {
	if body == nil {
		return c.Send(e, method, path, "", nil)
	}
	return c.Send(e, method, path, "application/json", bytes.NewReader(body))
}
