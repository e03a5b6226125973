package vault

import (
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Lease is a timed use of one secret for one purpose. It holds no plaintext:
// each Use decrypts anew and clears what it decrypted. A lease may be used
// concurrently. However it is printed, it reads "[secret]".
type Lease struct {
	purpose Purpose
	version int
	format  Format
	expires time.Time
	now     func() time.Time
	stands  func() bool // false once the secret was changed or deleted
	open    func() ([]byte, error)
}

// Literal lends a value that the vault does not keep, such as a token that is
// tried before it is stored, or one from the environment. The lease does not
// expire and is not audited. It keeps its own copy of plain.
func Literal(plain []byte) *Lease {
	kept := append([]byte(nil), plain...)
	return &Lease{open: func() ([]byte, error) {
		if len(kept) == 0 {
			return nil, ErrDenied
		}
		return append([]byte(nil), kept...), nil
	}}
}

// Use calls f with the value and clears the value when f returns. f must not
// keep plain, nor a slice of it. Use fails with ErrExpired when the lease has
// ended; otherwise the error is f's, withheld when its text contains the value.
func (l *Lease) Use(f func(plain []byte) error) error {
	if l == nil || l.open == nil {
		return ErrDenied
	}
	if l.now != nil && !l.now().Before(l.expires) {
		return ErrExpired
	}
	if l.stands != nil && !l.stands() {
		return ErrExpired
	}
	plain, err := l.open()
	if err != nil {
		return err
	}
	defer clear(plain)
	return withoutValue(f(plain), plain)
}

// Purpose says what the lease was given for.
func (l *Lease) Purpose() Purpose { return l.purpose }

// Version is the version of the secret that is lent; 0 for a literal.
func (l *Lease) Version() int { return l.version }

// How says in which way the value is put into a request; the zero Format for a
// literal. Whoever sends the value follows it, and takes no other from a caller.
func (l *Lease) How() Format { return l.format }

type constError string

func (e constError) Error() string { return string(e) }

// errWithheld stands for an error whose text held the value. The chain is cut,
// for whoever unwraps it would find the value again.
const errWithheld = constError("the error is withheld: its text contains the secret")

func withoutValue(err error, plain []byte) error {
	if err != nil && strings.Contains(err.Error(), string(plain)) {
		return errWithheld
	}
	return err
}

const hidden = "[secret]"

// String implements fmt.Stringer.
func (l *Lease) String() string { return hidden }

// Format implements fmt.Formatter, so that no verb shows more.
func (l *Lease) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// LogValue implements slog.LogValuer.
func (l *Lease) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText implements encoding.TextMarshaler.
func (l *Lease) MarshalText() ([]byte, error) { return []byte(hidden), nil }
