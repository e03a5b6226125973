// Package jwks believes signed tokens (JWT) whose issuer publishes its public
// keys as a JSON Web Key Set. What it cannot check it denies.
package jwks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// How the key set is kept.
const (
	fetchEvery = time.Minute      // at most so often, whether it succeeds or not
	freshFor   = time.Hour        // after which it is looked at anew
	keptFor    = 24 * time.Hour   // after which keys that cannot be looked at anew are worth nothing
	fetchFor   = 10 * time.Second // how long one look may take
	maxKeySet  = 1 << 20
)

// keySet is an issuer's public keys. A key that is not known is looked for at
// once, for issuers change their keys; but tokens of strangers cannot make it
// ask more than once a minute.
type keySet struct {
	client *http.Client
	url    string
	now    func() time.Time

	mu    sync.Mutex // held while it is fetched: everybody waits for the same answer
	keys  []jose.JSONWebKey
	got   time.Time // when keys were fetched last
	tried time.Time
	err   error // of the last try
}

func newKeySet(client *http.Client, url string, now func() time.Time) *keySet {
	return &keySet{client: client, url: url, now: now}
}

// find returns the key of an id for an algorithm.
func (s *keySet) find(ctx context.Context, id, algorithm string) (*jose.JSONWebKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := s.known(id, algorithm)
	if key == nil || s.now().Sub(s.got) >= freshFor {
		s.refresh(ctx)
		key = s.known(id, algorithm)
	}
	switch {
	case s.now().Sub(s.got) >= keptFor:
		return nil, fmt.Errorf("%w: %w", ErrNoKeys, s.err)
	case key == nil:
		return nil, errors.New("the issuer does not publish its key")
	}
	return key, nil
}

func (s *keySet) known(id, algorithm string) *jose.JSONWebKey {
	for i := range s.keys {
		if s.keys[i].KeyID == id && fits(s.keys[i], algorithm) {
			return &s.keys[i]
		}
	}
	return nil
}

// refresh fetches the set unless it was tried less than a minute ago. Who asks
// may go away; the answer is for the others as well.
func (s *keySet) refresh(ctx context.Context) {
	now := s.now()
	if !s.tried.IsZero() && now.Sub(s.tried) < fetchEvery {
		return
	}
	s.tried = now
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchFor)
	defer cancel()
	keys, err := s.fetch(ctx)
	s.err = err
	if err == nil {
		s.keys, s.got = keys, now
	}
}

func (s *keySet) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", s.url, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySet))
	if err != nil {
		return nil, err
	}
	return parseKeys(body)
}

// parseKeys reads a set and leaves out what is no public key that it knows. A
// set without any is an error: it is a page that says something else.
func parseKeys(body []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("it is no key set: %w", err)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(raw) == nil && k.IsPublic() && k.Valid() && k.KeyID != "" {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("it holds no key")
	}
	return keys, nil
}
