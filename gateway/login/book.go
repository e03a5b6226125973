// Package login says who may open the console. A [Book] keeps the links that
// log in once and the sessions that follow from them; a [Token] believes what a
// proxy has signed. Neither knows of pages or cookies.
package login

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

// Errors on which a caller branches.
var (
	// ErrNobody: there is no valid login.
	ErrNobody = errors.New("nobody is logged in")
	// ErrUsed: the link was used, has expired, or never was one.
	ErrUsed = errors.New("this login link was used already or has expired")
	// ErrUnknown: there is no such session any more.
	ErrUnknown = errors.New("there is no such login")
)

// The lives of logins.
const (
	LinkLife    = 10 * time.Minute
	SessionLife = 30 * 24 * time.Hour
	IdleLife    = 7 * 24 * time.Hour
	seenEvery   = time.Hour // how exactly the idle time is kept
)

// space holds links and sessions, by the SHA-256 of their secrets.
const space = "login"

// idLength is how much of a session's key names it for people: enough to tell
// them apart, and of no use to anybody.
const idLength = 12

// Session is a browser that is logged in.
type Session struct {
	ID      string    `json:"id"`
	Member  string    `json:"member"`
	Created time.Time `json:"created"`
	Seen    time.Time `json:"seen"` // to the hour
	Ends    time.Time `json:"ends"` // unless it is used before
	Browser string    `json:"browser,omitempty"`
	Addr    string    `json:"addr,omitempty"` // from which it was opened
}

// Visitor is what is noted of a browser that logs in.
type Visitor struct{ Browser, Addr string }

type link struct {
	Member  string    `json:"member"`
	Expires time.Time `json:"expires"`
}

type session struct {
	Member  string    `json:"member"`
	Created time.Time `json:"created"`
	Seen    time.Time `json:"seen"`
	Browser string    `json:"browser,omitempty"`
	Addr    string    `json:"addr,omitempty"`
}

// ends is when the session is over if nobody uses it any more.
func (s session) ends() time.Time {
	idle, last := s.Seen.Add(IdleLife), s.Created.Add(SessionLife)
	if idle.Before(last) {
		return idle
	}
	return last
}

// Book keeps links and sessions. Only hashes of their secrets are stored, so
// that a copy of the database logs nobody in. It is safe for concurrent use,
// also by several processes on one store.
type Book struct {
	store kv.Store
	now   func() time.Time
}

// NewBook makes a book. A nil now is time.Now.
func NewBook(store kv.Store, now func() time.Time) *Book {
	if now == nil {
		now = time.Now
	}
	return &Book{store: store, now: now}
}

// newSecret makes a secret of 256 bits.
func newSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails; see crypto/rand
	return base64.RawURLEncoding.EncodeToString(b[:])
}

const (
	links    = "link/"
	sessions = "session/"
)

func hashed(kind, secret string) string {
	sum := sha256.Sum256([]byte(strings.TrimSuffix(kind, "/") + "\x00" + secret))
	return kind + hex.EncodeToString(sum[:])
}

// Invite makes the secret of a link that logs a member in, once, within LinkLife.
func (b *Book) Invite(ctx context.Context, member string) (string, error) {
	secret := newSecret()
	v, err := json.Marshal(link{Member: member, Expires: b.now().Add(LinkLife)})
	if err != nil {
		return "", err
	}
	return secret, b.store.Write(ctx, kv.Write{Space: space, Key: hashed(links, secret), If: kv.Absent, Value: v})
}

// Redeem uses up a link and begins a session, in one commit. It returns the
// session's secret, or ErrUsed.
func (b *Book) Redeem(ctx context.Context, secret string, from Visitor) (string, error) {
	key := hashed(links, secret)
	var l link
	version, err := b.get(ctx, key, &l)
	if err != nil {
		return "", err
	}
	if version == 0 || !b.now().Before(l.Expires) {
		return "", ErrUsed
	}
	fresh := newSecret()
	v, err := json.Marshal(session{Member: l.Member, Created: b.now(), Seen: b.now(), Browser: from.Browser, Addr: from.Addr})
	if err != nil {
		return "", err
	}
	err = b.store.Write(ctx,
		kv.Write{Space: space, Key: key, If: version},
		kv.Write{Space: space, Key: hashed(sessions, fresh), If: kv.Absent, Value: v},
	)
	if errors.Is(err, kv.ErrConflict) { // somebody was faster
		return "", ErrUsed
	}
	return fresh, err
}

// get reads a value; version 0 means that there is none.
func (b *Book) get(ctx context.Context, key string, into any) (int64, error) {
	e, err := b.store.Get(ctx, space, key)
	if err != nil || e.Version == 0 {
		return 0, err
	}
	if err := json.Unmarshal(e.Value, into); err != nil {
		return 0, fmt.Errorf("a stored login: %w", err)
	}
	return e.Version, nil
}

// Member returns whose session a secret is, and notes that it is in use;
// ErrNobody when it is none, or over.
func (b *Book) Member(ctx context.Context, secret string) (string, error) {
	key := hashed(sessions, secret)
	var s session
	version, err := b.get(ctx, key, &s)
	if err != nil {
		return "", err
	}
	if version == 0 || !b.now().Before(s.ends()) {
		return "", ErrNobody
	}
	if b.now().Sub(s.Seen) >= seenEvery {
		b.touch(ctx, key, version, s)
	}
	return s.Member, nil
}

// touch notes that a session is in use. When another request was faster, or the
// store cannot write, the next request tries again.
func (b *Book) touch(ctx context.Context, key string, version int64, was session) {
	was.Seen = b.now()
	if v, err := json.Marshal(was); err == nil {
		_ = b.store.Write(ctx, kv.Write{Space: space, Key: key, If: version, Value: v})
	}
}

// End forgets the session of a secret, if there is one.
func (b *Book) End(ctx context.Context, secret string) error {
	return b.store.Write(ctx, kv.Write{Space: space, Key: hashed(sessions, secret)})
}

// ID names the session of a secret, as List does.
func ID(secret string) string { return idOf(hashed(sessions, secret)) }

func idOf(key string) string { return strings.TrimPrefix(key, sessions)[:idLength] }
