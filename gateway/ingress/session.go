package ingress

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

// An Authenticator says which member sent a request. Login links are the first;
// the signed token of a proxy and OIDC are to follow the same contract.
type Authenticator interface {
	// Member returns a member's id, or ErrNobody when the request carries no
	// login that this authenticator knows. It must not have an effect that a
	// request of a stranger could bring about.
	Member(r *http.Request) (string, error)
}

// ErrNobody: the request carries no valid login.
var ErrNobody = errors.New("nobody is logged in")

// The lives of logins.
const (
	linkLife    = 10 * time.Minute
	sessionLife = 30 * 24 * time.Hour
	idleLife    = 7 * 24 * time.Hour
	seenEvery   = time.Hour // how exactly the idle time is kept
)

// space holds links and sessions, by the SHA-256 of their secrets.
const space = "ingress"

// link is a login link that was not used yet.
type link struct {
	Member  string    `json:"member"`
	Expires time.Time `json:"expires"`
}

// session is a browser that is logged in.
type session struct {
	Member  string    `json:"member"`
	Created time.Time `json:"created"`
	Seen    time.Time `json:"seen"`
}

func (s session) over(now time.Time) bool {
	return now.Sub(s.Created) >= sessionLife || now.Sub(s.Seen) >= idleLife
}

// sessions keeps logins. Only hashes are stored, so that a copy of the database
// logs nobody in.
type sessions struct {
	store  kv.Store
	cookie string // its name
	secure bool
	now    func() time.Time
}

var _ Authenticator = (*sessions)(nil)

// newSessions names the cookie after the console's port: browsers keep one jar
// for all ports of a host, and two gateways must not log each other out.
func newSessions(store kv.Store, base *url.URL, now func() time.Time) *sessions {
	s := &sessions{store: store, secure: base.Scheme == "https", now: now, cookie: "gatehouse"}
	if p := base.Port(); p != "" {
		s.cookie += "-" + p
	}
	if s.secure {
		s.cookie = "__Host-" + s.cookie
	}
	return s
}

// newToken makes a secret of 256 bits.
func newToken() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails; see crypto/rand
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func hashed(kind, token string) string {
	sum := sha256.Sum256([]byte(kind + "\x00" + token))
	return kind + "/" + hex.EncodeToString(sum[:])
}

// invite makes the secret of a login link.
func (s *sessions) invite(ctx context.Context, member string) (string, error) {
	token := newToken()
	b, err := json.Marshal(link{Member: member, Expires: s.now().Add(linkLife)})
	if err != nil {
		return "", err
	}
	return token, s.store.Write(ctx, kv.Write{Space: space, Key: hashed("link", token), If: kv.Absent, Value: b})
}

// errUsed: the link was used, has expired, or never was one.
var errUsed = errors.New("this login link was used already or has expired")

// redeem uses up a link and begins a session, in one commit. It returns the
// session's secret.
func (s *sessions) redeem(ctx context.Context, token string) (string, error) {
	key := hashed("link", token)
	var l link
	version, err := s.get(ctx, key, &l)
	if err != nil {
		return "", err
	}
	if version == 0 || !s.now().Before(l.Expires) {
		return "", errUsed
	}
	secret := newToken()
	b, err := json.Marshal(session{Member: l.Member, Created: s.now(), Seen: s.now()})
	if err != nil {
		return "", err
	}
	err = s.store.Write(ctx,
		kv.Write{Space: space, Key: key, If: version},
		kv.Write{Space: space, Key: hashed("session", secret), If: kv.Absent, Value: b},
	)
	if errors.Is(err, kv.ErrConflict) { // somebody was faster
		return "", errUsed
	}
	return secret, err
}

// get reads a value; version 0 means that there is none.
func (s *sessions) get(ctx context.Context, key string, into any) (int64, error) {
	e, err := s.store.Get(ctx, space, key)
	if err != nil || e.Version == 0 {
		return 0, err
	}
	if err := json.Unmarshal(e.Value, into); err != nil {
		return 0, fmt.Errorf("a stored login: %w", err)
	}
	return e.Version, nil
}

// Member implements Authenticator.
func (s *sessions) Member(r *http.Request) (string, error) {
	c, err := r.Cookie(s.cookie)
	if err != nil || c.Value == "" {
		return "", ErrNobody
	}
	key := hashed("session", c.Value)
	var now session
	version, err := s.get(r.Context(), key, &now)
	if err != nil {
		return "", err
	}
	if version == 0 || now.over(s.now()) {
		return "", ErrNobody
	}
	if s.now().Sub(now.Seen) >= seenEvery {
		s.touch(r.Context(), key, version, now)
	}
	return now.Member, nil
}

// touch notes that a session is in use. When another request was faster, or the
// store cannot write, the next request tries again.
func (s *sessions) touch(ctx context.Context, key string, version int64, was session) {
	was.Seen = s.now()
	if b, err := json.Marshal(was); err == nil {
		_ = s.store.Write(ctx, kv.Write{Space: space, Key: key, If: version, Value: b})
	}
}

// end forgets the session of a request.
func (s *sessions) end(r *http.Request) error {
	c, err := r.Cookie(s.cookie)
	if err != nil {
		return nil //nolint:nilerr // there is no session to end
	}
	return s.store.Write(r.Context(), kv.Write{Space: space, Key: hashed("session", c.Value)})
}

// set gives a browser its session; an empty secret takes it away.
func (s *sessions) set(w http.ResponseWriter, secret string) {
	c := &http.Cookie{ //nolint:gosec // Secure where the console is reached by https; on loopback it is not
		Name: s.cookie, Value: secret, Path: "/", MaxAge: int(sessionLife / time.Second),
		HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteLaxMode,
	}
	if secret == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// sweep forgets links and sessions that are over.
func (s *sessions) sweep(ctx context.Context) error {
	var gone []kv.Write
	for _, kind := range []string{"link/", "session/"} {
		rows, err := s.store.List(ctx, space, kind, "", 0)
		if err != nil {
			return err
		}
		for _, e := range rows {
			var l link
			var one session
			if json.Unmarshal(e.Value, &l) != nil || json.Unmarshal(e.Value, &one) != nil {
				continue
			}
			if kind == "link/" && !s.now().Before(l.Expires) || kind == "session/" && one.over(s.now()) {
				gone = append(gone, kv.Write{Space: space, Key: e.Key, If: e.Version})
			}
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return s.store.Write(ctx, gone...)
}
