package channels

import "context"

// Keyring is a [Host] that keeps credentials which a platform hands to the
// channel itself, such as the token of an installation, found by a type
// assertion. They lie where all secrets lie, and belong to the channel.
type Keyring interface {
	// KeepSecret stores a value under a name of the channel's own, in the place
	// of an earlier one. It is durable when KeepSecret returns, and goes to the
	// hosts that the section names, and no others. What is returned is its
	// reference, which is always the same for a name: Secret takes it. Names
	// have 1 to 40 lower-case letters, digits, dots, underscores and hyphens.
	KeepSecret(ctx context.Context, name string, value []byte) (ref string, err error)
	// DropSecret forgets it. One that is not there is no error.
	DropSecret(ctx context.Context, name string) error
}
