package channels

import (
	"fmt"
	"log/slog"
)

// Secret is a value that must not be shown: it prints, logs and formats as
// "[secret]". It is written to JSON in full, because a guest must get it; whoever
// keeps JSON, or writes it for people, leaves it out.
//
// The zero Secret is empty. Compare what Reveal returns, in constant time where
// it matters; the operator == compares identities.
type Secret struct {
	// A pointer, because fmt prints the fields of a value whose methods it does
	// not call (a wrong verb, %w outside of Errorf), and of a nested pointer
	// only the address.
	v *string
}

// NewSecret wraps a value.
func NewSecret(v string) Secret {
	if v == "" {
		return Secret{}
	}
	return Secret{v: &v}
}

// Reveal returns the value, for the one place that puts it on the wire.
func (s Secret) Reveal() string {
	if s.v == nil {
		return ""
	}
	return *s.v
}

// Empty reports whether there is no value. An empty secret never matches.
func (s Secret) Empty() bool { return s.Reveal() == "" }

const hidden = "[secret]"

// String implements fmt.Stringer.
func (s Secret) String() string { return hidden }

// Format implements fmt.Formatter, so that no verb shows the value.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText writes the value in full; see [Secret].
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.Reveal()), nil }

// UnmarshalText reads a value.
func (s *Secret) UnmarshalText(b []byte) error { *s = NewSecret(string(b)); return nil }
