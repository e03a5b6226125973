package kek

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/vault"
)

var (
	_ vault.Wrapper   = (*Transit)(nil)
	_ vault.Renewer   = (*Transit)(nil)
	_ vault.Rewrapper = (*Transit)(nil)
)

// Transit locks data keys with a key of the transit engine of HashiCorp Vault or
// OpenBao, which never leaves that server. The server is needed at the start,
// and for the first secret of a workspace; in between, the gateway goes on with
// the data keys in its memory. Its methods may be called concurrently.
type Transit struct {
	Address string // such as https://vault.example.com:8200
	Mount   string // path of the engine; "" means transit
	Name    string // of the key, which must exist
	Client  *http.Client
	// Token returns the token to show. It is called for every request, so that
	// an agent may replace it.
	Token func(ctx context.Context) (string, error)
	Log   *slog.Logger
}

const (
	transitPrefix = "vault:v"        // begins what the engine encrypts
	transitTime   = 20 * time.Second // for one request
	maxTransit    = 1 << 20          // bytes of an answer
	retryEvery    = time.Minute      // a renewal that failed
)

// KeyID names the server, the key and its newest version: two servers may well
// have a key of the same name.
func (t *Transit) KeyID(ctx context.Context) (string, error) {
	var a struct {
		Latest int `json:"latest_version"`
	}
	if err := t.call(ctx, http.MethodGet, t.path("keys"), nil, &a); err != nil {
		return "", err
	}
	_, at, _ := strings.Cut(strings.TrimRight(t.Address, "/"), "://")
	return fmt.Sprintf("transit:%s/%s/%s:%d", at, t.mount(), t.Name, a.Latest), nil
}

// sealed is what the engine encrypts and decrypts.
type sealed struct {
	Plaintext  []byte `json:"plaintext,omitempty"`
	Ciphertext string `json:"ciphertext,omitempty"`
}

// Wrap encrypts with the key's newest version. What it is bound to is encrypted
// with it: not every version of the engine rewraps with additional data.
func (t *Transit) Wrap(ctx context.Context, plain, bound []byte) ([]byte, error) {
	sum := sha256.Sum256(bound)
	full := append(sum[:], plain...)
	defer clear(full)
	var a sealed
	if err := t.call(ctx, http.MethodPost, t.path("encrypt"), sealed{Plaintext: full}, &a); err != nil {
		return nil, err
	}
	return ours([]byte(a.Ciphertext))
}

// ours refuses what the engine did not make.
func ours(wrapped []byte) ([]byte, error) {
	if !bytes.HasPrefix(wrapped, []byte(transitPrefix)) {
		return nil, vault.ErrWrongKey
	}
	return wrapped, nil
}

// Unwrap decrypts with whichever version of the key fits.
func (t *Transit) Unwrap(ctx context.Context, wrapped, bound []byte) ([]byte, error) {
	if _, err := ours(wrapped); err != nil {
		return nil, err
	}
	var a sealed
	if err := t.call(ctx, http.MethodPost, t.path("decrypt"), sealed{Ciphertext: string(wrapped)}, &a); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(bound)
	if len(a.Plaintext) < len(sum) || subtle.ConstantTimeCompare(a.Plaintext[:len(sum)], sum[:]) != 1 {
		clear(a.Plaintext)
		return nil, vault.ErrCorrupt
	}
	return a.Plaintext[len(sum):], nil
}

// Rewrap encrypts anew inside the server, with the key's newest version.
func (t *Transit) Rewrap(ctx context.Context, wrapped, _ []byte) ([]byte, error) {
	if _, err := ours(wrapped); err != nil {
		return nil, err
	}
	var a sealed
	if err := t.call(ctx, http.MethodPost, t.path("rewrap"), sealed{Ciphertext: string(wrapped)}, &a); err != nil {
		return nil, err
	}
	return ours([]byte(a.Ciphertext))
}

// Renew makes a new version of the key.
func (t *Transit) Renew(ctx context.Context) error {
	return t.call(ctx, http.MethodPost, t.path("keys")+"/rotate", struct{}{}, nil)
}

// Retire does nothing: who may forget versions of the key is decided in the
// server, by min_decryption_version.
func (t *Transit) Retire(context.Context) error { return nil }

// Run keeps the token alive until ctx ends, if it can be renewed. When the
// server is away it says so and tries again.
func (t *Transit) Run(ctx context.Context) error {
	away := false
	for {
		wait, err := t.renew(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !away:
			t.Log.WarnContext(ctx, "the server that holds the vault's key does not answer as it should; the gateway goes on with the keys in memory", "err", err)
		case err == nil && away:
			t.Log.InfoContext(ctx, "the server that holds the vault's key answers again")
		}
		if away = err != nil; away {
			wait = retryEvery
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// renew asks how long the token lasts, renews it when half of that is over, and
// returns when to look again.
func (t *Transit) renew(ctx context.Context) (time.Duration, error) {
	var a struct {
		TTL       int64 `json:"ttl"`
		Creation  int64 `json:"creation_ttl"`
		Renewable bool  `json:"renewable"`
	}
	if err := t.call(ctx, http.MethodGet, "auth/token/lookup-self", nil, &a); err != nil {
		return 0, err
	}
	if a.TTL <= 0 || !a.Renewable { // it lasts, or somebody else replaces it
		return time.Hour, nil
	}
	left := time.Duration(a.TTL) * time.Second
	if half := time.Duration(a.Creation) * time.Second / 2; left > half && half > 0 {
		return left - half, nil
	}
	if err := t.call(ctx, http.MethodPost, "auth/token/renew-self", struct{}{}, nil); err != nil {
		return 0, err
	}
	return max(left/2, time.Second), nil
}

func (t *Transit) mount() string {
	if m := strings.Trim(t.Mount, "/"); m != "" {
		return m
	}
	return "transit"
}

func (t *Transit) path(verb string) string {
	return t.mount() + "/" + verb + "/" + url.PathEscape(t.Name)
}

// call sends one request. Answers are not quoted in errors: they may hold what
// was decrypted.
func (t *Transit) call(ctx context.Context, method, path string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, transitTime)
	defer cancel()
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
		defer clear(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(t.Address, "/")+"/v1/"+path, bytes.NewReader(text))
	if err != nil {
		return errors.New("the address of the key's server is no URL")
	}
	token, err := t.Token(ctx)
	if err != nil {
		return fmt.Errorf("the token for the key's server: %w", err)
	}
	req.Header.Set("X-Vault-Token", token)
	req.Header.Set("X-Vault-Request", "true")
	resp, err := t.Client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the key's server: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxTransit))
	if err != nil {
		return fmt.Errorf("ask the key's server: %w", err)
	}
	defer clear(answer)
	if err := t.refused(resp.StatusCode, path); err != nil || into == nil {
		return err
	}
	whole := struct {
		Data any `json:"data"`
	}{into}
	if json.Unmarshal(answer, &whole) != nil {
		return errors.New("the key's server answers with something else than it should")
	}
	return nil
}

// refused explains a status.
func (t *Transit) refused(status int, path string) error {
	switch {
	case status == http.StatusOK || status == http.StatusNoContent:
		return nil
	case status == http.StatusBadRequest && (path == t.path("decrypt") || path == t.path("rewrap")): // what another key locked
		return vault.ErrWrongKey
	case status == http.StatusForbidden:
		return fmt.Errorf("the key's server refuses %s: has the token expired, or does its policy not allow this path?", path)
	case status == http.StatusNotFound:
		return fmt.Errorf("%w: the key's server has nothing at %s", vault.ErrNoKey, path)
	case status == http.StatusServiceUnavailable:
		return errors.New("the key's server is sealed or under maintenance")
	}
	return fmt.Errorf("the key's server answers %s with status %d", path, status)
}
