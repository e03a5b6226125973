package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

// ErrExchange: an access token could not be got for a secret.
var ErrExchange = errors.New("no access token")

// ForToken is the kind of purpose of an exchange, in the audit.
const ForToken = "token"

const (
	tokenEarly = time.Minute      // a token is replaced when it has less than this left
	tokenUsual = 10 * time.Minute // how long one lasts that does not say
	tokenTries = 15 * time.Second // how long an exchange may take
)

// token is what an exchange gave, as it is kept.
type token struct {
	Access  string    `json:"access"`
	Refresh string    `json:"refresh,omitempty"` // the newest; the secret's value is the first
	Expires time.Time `json:"expires"`
}

// tokenCell is a secret's token, sealed as it lies in the durable state. Whoever
// holds turn may replace it.
type tokenCell struct {
	turn   chan struct{} // of one
	serial int64         // of the secret's record that it belongs to; 0: unknown
	row    int64         // version of the row
	sealed []byte
	until  time.Time
}

// cell returns a secret's cell.
func (s *Store) cell(workspace, name string) *tokenCell {
	c := &tokenCell{turn: make(chan struct{}, 1)}
	got, _ := s.tokens.LoadOrStore(workspace+"/"+name, c)
	return got.(*tokenCell) //nolint:forcetypeassert // only cells are kept
}

// tokenFields is what a kept token is tied to: with a new value of the secret, or
// other hosts, it is worth nothing.
func tokenFields(sh *shelf, r *record) []string {
	return []string{sh.workspace, r.meta.Name, strconv.FormatInt(r.serial, 10)}
}

// access returns a sealed access token for a secret that is exchanged for one,
// and when it ends. At most one exchange for a secret is under way. What comes
// back is durable before it is used, since the refresh token that was spent may
// be worth nothing any more.
func (s *Store) access(ctx context.Context, sh *shelf, r *record) (sealed []byte, until time.Time, err error) {
	c := s.cell(sh.workspace, r.meta.Name)
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, time.Time{}, ctx.Err()
	}
	defer func() { <-c.turn }()
	kept, err := s.recall(ctx, sh, r, c)
	if err != nil {
		return nil, time.Time{}, err
	}
	now := s.o.Now()
	if now.Add(tokenEarly).Before(c.until) {
		return c.sealed, c.until, nil
	}
	fresh, err := s.exchange(ctx, sh, r, kept)
	if err != nil {
		if now.Before(c.until) {
			s.o.Log.WarnContext(ctx, "an access token could not be replaced; the old one still holds",
				"workspace", sh.workspace, "secret", r.meta.Name, "err", err)
			return c.sealed, c.until, nil
		}
		return nil, time.Time{}, err
	}
	if err := s.keep(ctx, sh, r, c, fresh); err != nil {
		return nil, time.Time{}, err
	}
	return c.sealed, c.until, nil
}

// recall reads the kept token into its cell, unless the cell has it.
func (s *Store) recall(ctx context.Context, sh *shelf, r *record, c *tokenCell) (token, error) {
	if c.serial != r.serial {
		entry, err := s.o.State.Get(ctx, space, tokenPrefix+sh.workspace+"/"+r.meta.Name)
		if err != nil {
			return token{}, err
		}
		c.serial, c.row, c.sealed, c.until = r.serial, entry.Version, entry.Value, time.Time{}
	}
	t, ok := openToken(sh, r, c.sealed)
	if !ok { // there is none, or it belongs to an older value
		c.sealed = nil
		return token{}, nil
	}
	c.until = t.Expires
	s.learn(tokenLesson(sh.workspace, r.meta.Name), t)
	return t, nil
}

// learn tells the leak guard of a token.
func (s *Store) learn(name string, t token) {
	s.o.Leaks.LearnAs(name, []byte(t.Access))
	s.o.Leaks.LearnAs(name, []byte(t.Refresh))
}

func openToken(sh *shelf, r *record, sealed []byte) (t token, ok bool) {
	plain, err := sh.keys.open(domainToken, sealed, tokenFields(sh, r)...)
	if err != nil {
		return t, false
	}
	defer clear(plain)
	return t, strict(plain, &t) == nil
}

// keep makes a token durable.
func (s *Store) keep(ctx context.Context, sh *shelf, r *record, c *tokenCell, t token) error {
	name := tokenLesson(sh.workspace, r.meta.Name)
	s.o.Leaks.Forget(name) // what it takes the place of
	s.learn(name, t)
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	defer clear(text)
	sealed, err := sh.keys.now.seal(domainToken, text, tokenFields(sh, r)...)
	if err != nil {
		return err
	}
	w := kv.Write{Space: space, Key: tokenPrefix + sh.workspace + "/" + r.meta.Name, If: c.row, Value: sealed}
	if c.row == 0 {
		w.If = kv.Absent
	}
	if err := s.o.State.Write(ctx, w); err != nil {
		c.serial = 0 // another process was faster: what it kept is read the next time
		return fmt.Errorf("keep the access token: %w", err)
	}
	c.row, c.sealed, c.until = c.row+1, sealed, t.Expires
	return nil
}

// exchange asks for a token at the secret's own address, and records that.
func (s *Store) exchange(ctx context.Context, sh *shelf, r *record, kept token) (token, error) {
	f := r.meta.Format
	if s.o.Exchange == nil {
		return token{}, fmt.Errorf("%w: exchanges are not possible here", ErrExchange)
	}
	ctx, cancel := context.WithTimeout(ctx, tokenTries)
	defer cancel()
	use := Use{
		At: s.o.Now(), Workspace: sh.workspace, Secret: r.meta.Name, Version: r.meta.Version,
		Purpose: Purpose{Kind: ForToken, Name: string(f.Kind), Host: tokenHost(f.TokenURL)},
	}
	plain, err := r.open(sh.keys, sh.workspace)
	if err != nil {
		return token{}, err
	}
	defer clear(plain)
	form, header, err := f.ask(plain, kept.Refresh, s.o.Now())
	var t token
	if err == nil {
		t, err = s.post(ctx, s.o.Exchange(sh.workspace, r.meta.Name, f.TokenURL), f.TokenURL, form, header)
	}
	use.Err = withoutValue(err, plain)
	s.o.Audit(ctx, use)
	if t.Refresh == "" {
		t.Refresh = kept.Refresh
	}
	return t, use.Err
}

func tokenHost(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	c, err := canonicalHost(u.Host)
	if err != nil {
		return ""
	}
	return c
}

// post sends the form and reads the token.
func (s *Store) post(ctx context.Context, c *http.Client, to string, form url.Values, header http.Header) (token, error) {
	answer, err := postForm(ctx, c, to, form, header)
	if err != nil {
		return token{}, fmt.Errorf("%w: %w", ErrExchange, err)
	}
	lasts := time.Duration(answer.ExpiresIn) * time.Second
	if lasts <= 0 || lasts > 366*24*time.Hour {
		lasts = tokenUsual
	}
	return token{Access: answer.AccessToken, Refresh: answer.RefreshToken, Expires: s.o.Now().Add(lasts).UTC()}, nil
}
