// Package request holds the tool that makes HTTP requests. It never holds a
// secret: it puts a placeholder where the secret's own format wants the value,
// and the way out puts the value in its place, for the destinations that the
// secret allows and in the turns of those to whom it was granted.
package request

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// Name is the tool's name, to which secrets are granted.
const Name = "http_request"

// The limits of one request.
const (
	maxURL      = 4096
	maxSent     = 64 << 10  // bytes of a body
	maxReceived = 128 << 10 // bytes of an answer that the model is given
)

// Pass is leave for one request.
type Pass struct {
	Client *http.Client
	// Prepare puts the placeholder into the request; nil without a secret.
	Prepare func(*http.Request) error
	// Hide takes the secret out of what came back; nil without a secret.
	Hide func([]byte) []byte
}

// Gate lets requests out. It is given by whoever owns the vault and the egress.
type Gate interface {
	// Pass gives leave for a request to the URL in a scope, with the secret of
	// that name, "" for none. An error says why not, without a value.
	Pass(ctx context.Context, s scope.Scope, to *url.URL, secret string) (Pass, error)
}

// Tool makes requests.
type Tool struct{ Gate Gate }

var (
	_ agent.Tool  = Tool{}
	_ agent.Aimer = Tool{}
)

// args are what the model gives.
type args struct {
	Method string            `json:"method"`
	URL    string            `json:"url"`
	Header map[string]string `json:"headers"`
	Body   string            `json:"body"`
	Secret string            `json:"secret"`
	Find   []agent.Field     `json:"find"`
}

// Spec implements agent.Tool.
func (Tool) Spec() agent.Spec {
	return agent.Spec{
		Name: Name, Effect: agent.External,
		Description: "Makes an HTTP request to a destination that is allowed, and returns the status and the body. " +
			"With secret, the person's own secret of that name is put in where it belongs: never write keys or tokens yourself.",
		Schema: json.RawMessage(`{"type":"object","properties":{` +
			`"method":{"type":"string","enum":["GET","HEAD","POST","PUT","PATCH","DELETE"],"description":"GET without it"},` +
			`"url":{"type":"string","description":"absolute, https"},` +
			`"headers":{"type":"object","additionalProperties":{"type":"string"},"description":"only Accept, Accept-Language, Content-Type, If-Match and If-None-Match"},` +
			`"body":{"type":"string"},"secret":{"type":"string","description":"name of a secret"},` +
			`"find":{"type":"array","description":"Only these values of the answer, without reading it: safer for pages of strangers, and fewer questions to the person.",` +
			`"items":{"type":"object","properties":{"name":{"type":"string"},"kind":{"type":"string","enum":["number","boolean","date","choice"]},` +
			`"choices":{"type":"array","items":{"type":"string"}},"about":{"type":"string","description":"what to look for"}},"required":["name","kind","about"]}}},` +
			`"required":["url"],"additionalProperties":false}`),
	}
}

func parse(raw json.RawMessage) (args, *url.URL, error) {
	var a args
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return a, nil, fmt.Errorf("the arguments do not fit: %w", err)
	}
	if a.Method == "" {
		a.Method = http.MethodGet
	}
	if !slices.Contains([]string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	}, a.Method) {
		return a, nil, errors.New("this method is not allowed")
	}
	if a.Find != nil {
		if err := agent.CheckFields(a.Find); err != nil {
			return a, nil, err
		}
	}
	u, err := url.Parse(a.URL)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" || len(a.URL) > maxURL {
		return a, nil, errors.New("the url is not one such as https://api.example.com/v1/things")
	}
	return a, u, nil
}

// Aim implements agent.Aimer. A read of a URL that the person wrote is a read;
// one that the model put together says something to whoever serves it, and so
// does one with a secret.
func (Tool) Aim(t *agent.Turn, raw json.RawMessage) agent.Aim {
	a, u, err := parse(raw)
	if err != nil {
		return agent.Aim{Effect: agent.External}
	}
	aim := agent.Aim{Effect: agent.External, Target: strings.ToLower(u.Scheme + "://" + u.Host), Method: a.Method, Secret: a.Secret}
	switch a.Method {
	case http.MethodDelete:
		aim.Effect = agent.Irreversible
	case http.MethodGet, http.MethodHead:
		if a.Secret == "" && len(a.Header) == 0 && a.Body == "" && written(t, a.URL) {
			aim.Effect = agent.ReadNet
		}
	}
	return aim
}

// written reports whether the person wrote the URL, whole and themselves.
func written(t *agent.Turn, u string) bool {
	for i := range t.Events {
		m, ok := t.Events[i].Content.(channels.Message)
		if !ok || m.Forwarded != "" || t.Scope.Role() == scope.Guest {
			continue
		}
		for _, word := range strings.Fields(m.Text) {
			if strings.Trim(word, "<>()[]{}\"'.,;:!?") == strings.TrimRight(u, ".,;:!?") {
				return true
			}
		}
	}
	return false
}

// allowedHeaders are what a model may say in a header. Credentials come from
// secrets alone.
var allowedHeaders = []string{"Accept", "Accept-Language", "Content-Type", "If-Match", "If-None-Match"}

// Call implements agent.Tool.
func (x Tool) Call(ctx context.Context, t *agent.Turn, raw json.RawMessage) (agent.ToolResult, error) {
	trusted := agent.ToolResult{Label: agent.Trusted} // of what is said here
	a, u, err := parse(raw)
	if err != nil {
		return trusted, err
	}
	req, err := build(ctx, a, u)
	if err != nil {
		return trusted, err
	}
	pass, err := x.Gate.Pass(ctx, t.Scope, u, a.Secret)
	if err != nil {
		return trusted, err
	}
	defer pass.Client.CloseIdleConnections()
	if pass.Prepare != nil {
		if err := pass.Prepare(req); err != nil {
			return trusted, err
		}
	}
	resp, err := pass.Client.Do(req)
	if err != nil {
		return trusted, fmt.Errorf("the request failed: %w", bare(err))
	}
	defer resp.Body.Close()
	text, err := answer(resp, pass.Hide)
	if a.Find != nil {
		return find(ctx, t, resp.StatusCode, text, err, a.Find)
	}
	return agent.ToolResult{Text: text, Label: agent.Untrusted}, err
}

// find gives the values that were asked for in the place of the answer. What
// whoever serves it can still choose is one of the values, so that it is worth as
// much as another member's word, and not as the speaker's.
func find(ctx context.Context, t *agent.Turn, status int, text string, err error, fields []agent.Field) (agent.ToolResult, error) {
	res := agent.ToolResult{Label: agent.ByMember}
	switch {
	case err != nil:
		return res, errBroke
	case t.Extract == nil:
		return res, errNoReader
	}
	values, err := t.Extract(ctx, text, fields)
	if err != nil {
		return res, err
	}
	res.Text = fmt.Sprintf("status %d\n%s", status, values)
	return res, nil
}

// These say nothing of what was received.
var (
	errBroke    = errors.New("the answer broke off")
	errNoReader = errors.New("nobody can read the answer here; ask without find")
)

func build(ctx context.Context, a args, u *url.URL) (*http.Request, error) {
	if len(a.Body) > maxSent {
		return nil, fmt.Errorf("a body has at most %d bytes", maxSent)
	}
	req, err := http.NewRequestWithContext(ctx, a.Method, u.String(), strings.NewReader(a.Body))
	if err != nil {
		return nil, errors.New("this is no request that can be made")
	}
	if a.Body == "" {
		req.Body, req.ContentLength = http.NoBody, 0
	}
	for k, v := range a.Header {
		if !slices.Contains(allowedHeaders, http.CanonicalHeaderKey(k)) {
			return nil, fmt.Errorf("the header %s is not yours to set; there are: %s", k, strings.Join(allowedHeaders, ", "))
		}
		req.Header.Set(k, v)
	}
	return req, nil
}

// bare takes the URL, which may hold anything, out of an error.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// answer writes a response for the model: the status, and as much of a text as
// is of use.
func answer(resp *http.Response, hide func([]byte) []byte) (string, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReceived+1))
	if err != nil {
		return "", fmt.Errorf("the answer broke off: %w", bare(err))
	}
	cut := len(body) > maxReceived
	head := resp.Status
	if where := resp.Header.Get("Location"); where != "" {
		head += "\nLocation: " + where
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if kind != "" {
		head += "\nContent-Type: " + kind
	}
	if hide != nil {
		head, body = string(hide([]byte(head))), hide(body)
	}
	switch {
	case !utf8.Valid(body) && !cut:
		return fmt.Sprintf("%s\n\n[%d bytes that are not text]", head, len(body)), nil
	case cut:
		body = append([]byte(strings.ToValidUTF8(string(body[:maxReceived]), "")), "\n[the rest is left out]"...)
	}
	return head + "\n\n" + string(body), nil
}
