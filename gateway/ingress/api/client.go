package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/login"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/vault"
)

// Client calls the API. Its errors match what the handler's did: errors.Is
// finds operator.ErrInvalid, identity.ErrForbidden and the like.
type Client struct {
	HTTP      *http.Client
	Base      string // "http://gatehouse"
	Workspace string // in which whoever controls the machine acts; "": the home
}

// Error is a failure that the gateway reported.
type Error struct {
	Failure
	Status int
}

// Error implements error.
func (e *Error) Error() string { return e.Failure.Error }

// Is matches the error that the kind stands for.
func (e *Error) Is(target error) bool {
	for _, k := range kinds {
		if k.name == e.Kind {
			return errors.Is(k.err, target)
		}
	}
	return false
}

// maxAnswer bounds an answer. The longest is a list of what is remembered.
const maxAnswer = maxItems

// open sends a request and returns an answer that is no failure. The caller
// closes its body.
func (c *Client) open(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.Base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if c.Workspace != "" {
		req.Header.Set(Workspace, c.Workspace)
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the gateway: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the gateway's answer: %w", err)
	}
	e := &Error{Status: resp.StatusCode}
	if json.Unmarshal(text, &e.Failure) != nil || e.Failure.Error == "" {
		e.Failure.Error = "the gateway answered " + resp.Status
	}
	return nil, e
}

func (c *Client) call(ctx context.Context, method, path string, body []byte, into any) error {
	resp, err := c.open(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the gateway's answer: %w", err)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("read the gateway's answer: %w", err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, method, path string, body, into any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return c.call(ctx, method, path, b, into)
}

func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	var v T
	err := c.call(ctx, http.MethodGet, path, nil, &v)
	return v, err
}

func post[T any](ctx context.Context, c *Client, path string, body any) (T, error) {
	var v T
	err := c.send(ctx, http.MethodPost, path, body, &v)
	return v, err
}

// Status asks how everything is.
func (c *Client) Status(ctx context.Context) (operator.Status, error) {
	return get[operator.Status](ctx, c, "/api/status")
}

// Secrets lists secrets without their values.
func (c *Client) Secrets(ctx context.Context) ([]vault.Meta, error) {
	return get[[]vault.Meta](ctx, c, "/api/secrets")
}

// SetSecret stores a value.
func (c *Client) SetSecret(ctx context.Context, name string, value []byte, to operator.SecretSetting) ([]string, error) {
	setting, err := json.Marshal(to)
	if err != nil {
		return nil, err
	}
	var w Warnings
	err = c.call(ctx, http.MethodPut, secretPath(name, "")+"?setting="+url.QueryEscape(string(setting)), value, &w)
	return w.Warnings, err
}

// RotateSecret gives an existing secret a new value.
func (c *Client) RotateSecret(ctx context.Context, name string, value []byte) ([]string, error) {
	var w Warnings
	err := c.call(ctx, http.MethodPost, secretPath(name, "/rotate"), value, &w)
	return w.Warnings, err
}

// GrantSecret lets turns use a secret.
func (c *Client) GrantSecret(ctx context.Context, name string, g vault.Grant) error {
	return c.send(ctx, http.MethodPost, secretPath(name, "/grants"), g, nil)
}

// RevokeSecret takes a grant back; an empty one stands for all.
func (c *Client) RevokeSecret(ctx context.Context, name string, g vault.Grant) error {
	return c.send(ctx, http.MethodPost, secretPath(name, "/revoke"), g, nil)
}

func secretPath(name, below string) string { return "/api/secrets/" + url.PathEscape(name) + below }

// RotateKey replaces the vault's key, and the data key if data is set.
func (c *Client) RotateKey(ctx context.Context, data bool) error {
	return c.send(ctx, http.MethodPost, "/api/key/rotate", KeyRotation{Data: data}, nil)
}

// DeleteSecret removes one.
func (c *Client) DeleteSecret(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "/api/secrets/"+url.PathEscape(name), nil, nil)
}

// DeadLetters lists dead records after a number.
func (c *Client) DeadLetters(ctx context.Context, queue string, after int64) ([]operator.Letter, error) {
	q := url.Values{"queue": {queue}, "after": {strconv.FormatInt(after, 10)}}
	return get[[]operator.Letter](ctx, c, "/api/dead?"+q.Encode())
}

// DeadLetter shows one.
func (c *Client) DeadLetter(ctx context.Context, seq int64) (operator.Letter, error) {
	return get[operator.Letter](ctx, c, "/api/dead/"+strconv.FormatInt(seq, 10))
}

// Replay makes dead letters due again.
func (c *Client) Replay(ctx context.Context, seqs []int64) (int, error) {
	n, err := post[Count](ctx, c, "/api/dead/replay", Seqs{Seqs: seqs})
	return n.N, err
}

// Drop removes dead letters.
func (c *Client) Drop(ctx context.Context, seqs []int64) (int, error) {
	n, err := post[Count](ctx, c, "/api/dead/drop", Seqs{Seqs: seqs})
	return n.N, err
}

// TurnFailed asks for the kind of failure of a turn, "" for none.
func (c *Client) TurnFailed(ctx context.Context, turn string) (string, error) {
	t, err := get[Turn](ctx, c, "/api/turns/"+url.PathEscape(turn))
	return t.Failed, err
}

// Reload applies the configuration file anew.
func (c *Client) Reload(ctx context.Context) ([]string, error) {
	w, err := post[Warnings](ctx, c, "/api/reload", nil)
	return w.Warnings, err
}

// Providers lists the kinds of model provider.
func (c *Client) Providers(ctx context.Context) ([]operator.Provider, error) {
	return get[[]operator.Provider](ctx, c, "/api/providers")
}

// CheckModel tries a key and lists the provider's models.
func (c *Client) CheckModel(ctx context.Context, m operator.Model, key string) ([]string, error) {
	return post[[]string](ctx, c, "/api/models/check", ModelAndKey{Model: m, Key: key})
}

// SetModel keeps a model and its key.
func (c *Client) SetModel(ctx context.Context, m operator.Model, key string) error {
	return c.send(ctx, http.MethodPut, "/api/models", ModelAndKey{Model: m, Key: key}, nil)
}

// AddChannel adds a channel.
func (c *Client) AddChannel(ctx context.Context, n NewChannel) (operator.Added, error) {
	return post[operator.Added](ctx, c, "/api/channels", n)
}

// RemoveChannel removes one, and says what it has left.
func (c *Client) RemoveChannel(ctx context.Context, id channels.ID) (left operator.Removed, err error) {
	return left, c.send(ctx, http.MethodDelete, "/api/channels/"+url.PathEscape(string(id)), nil, &left)
}

// ProbeChannel asks a channel's platform whether it works.
func (c *Client) ProbeChannel(ctx context.Context, id channels.ID) (channels.Identity, error) {
	return post[channels.Identity](ctx, c, "/api/channels/"+url.PathEscape(string(id))+"/probe", nil)
}

// Connect makes a start link for a channel.
func (c *Client) Connect(ctx context.Context, id channels.ID) (string, error) {
	l, err := post[Link](ctx, c, "/api/channels/"+url.PathEscape(string(id))+"/connect", nil)
	return l.URL, err
}

// Logins lists the browsers that are logged in.
func (c *Client) Logins(ctx context.Context) ([]login.Session, error) {
	return get[[]login.Session](ctx, c, "/api/logins")
}

// RevokeLogin logs one browser out.
func (c *Client) RevokeLogin(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/api/logins/"+url.PathEscape(id), nil, nil)
}

// RevokeLogins logs a member out everywhere, "" everybody.
func (c *Client) RevokeLogins(ctx context.Context, member string) (int, error) {
	var n Count
	err := c.call(ctx, http.MethodDelete, "/api/logins?"+url.Values{"member": {member}}.Encode(), nil, &n)
	return n.N, err
}

// Login makes a login link for the console.
func (c *Client) Login(ctx context.Context) (string, error) {
	l, err := post[Link](ctx, c, "/api/login", nil)
	return l.URL, err
}
