package channels

import (
	"fmt"
	"log/slog"
)

// Secret is a value that must not be shown: it prints, logs and formats as
// "[secret]". It is written to JSON in full, because events are sealed at
// rest; whoever writes JSON for people leaves it out.
type Secret struct{ v string }

// NewSecret wraps a value.
func NewSecret(v string) Secret { return Secret{v: v} }

// Reveal returns the value, for the one place that puts it on the wire.
func (s Secret) Reveal() string { return s.v }

// Empty reports whether there is no value. An empty secret never matches.
func (s Secret) Empty() bool { return s.v == "" }

const hidden = "[secret]"

// String implements fmt.Stringer.
func (s Secret) String() string { return hidden }

// Format implements fmt.Formatter, so that no verb shows the value.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText writes the value in full; see [Secret].
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.v), nil }

// UnmarshalText reads a value.
func (s *Secret) UnmarshalText(b []byte) error { s.v = string(b); return nil }
