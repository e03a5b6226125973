package vault

import (
	"context"
)

// Wrapper locks data keys with a key that only it knows: a key file, an
// operating system's keyring, a key management service.
type Wrapper interface {
	// KeyID names the key; it is stored and shown. ErrNoKey when there is none
	// yet.
	KeyID(ctx context.Context) (string, error)
	// Wrap encrypts a data key and binds it to bound. A source that makes its
	// own key makes it here, at the first use.
	Wrap(ctx context.Context, plain, bound []byte) ([]byte, error)
	// Unwrap undoes Wrap: ErrNoKey when there is no key, ErrWrongKey when it is
	// another one.
	Unwrap(ctx context.Context, wrapped, bound []byte) ([]byte, error)
}

// Watermark keeps, outside the database, how far each data key's version
// counter has come, so that an older database is recognised.
type Watermark interface {
	// Highest returns the last number raised for id, 0 when there is none.
	Highest(ctx context.Context, id string) (int64, error)
	// Raise makes n durable; a smaller number than the one kept changes nothing.
	Raise(ctx context.Context, id string, n int64) error
}

// KeySource is what unlocks a vault. It is safe for concurrent use.
type KeySource interface {
	Wrapper
	Watermark
}

// Renewer is a source whose key can be replaced by a new one.
type Renewer interface {
	// Renew makes a new key, which Wrap uses from now on. What was locked with
	// an older one is still unlocked.
	Renew(ctx context.Context) error
	// Retire forgets every key but the newest. Without older ones it does
	// nothing.
	Retire(ctx context.Context) error
}

// Rewrapper is a source that can lock anew, with its newest key, what an older
// one locked, without showing it. Others unwrap and wrap.
type Rewrapper interface {
	Rewrap(ctx context.Context, wrapped, bound []byte) ([]byte, error)
}

// Source is a key source of two parts: a key, and counters kept elsewhere.
type Source struct {
	Wrapper
	Watermark
}

var _ KeySource = Source{}
