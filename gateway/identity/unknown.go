package identity

import (
	"cmp"
	"fmt"
)

// Unknown says what is not there, and which command lists what is. It wraps
// [ErrUnknown], or Kind.
type Unknown struct {
	What string // of which kind: "member"
	Name string // as it was given; "": it had none
	See  string // the command that lists what there is, without the program's name: "members list"
	Kind error  // on what a caller branches instead of ErrUnknown; or nil
}

// Error implements error, for people.
func (u Unknown) Error() string {
	return fmt.Sprintf("%s; see gatehouse %s", u.Short(), u.See)
}

// Short is Error where the command would be of no use, as in a browser.
func (u Unknown) Short() string {
	if u.Name == "" {
		return "there is no such " + u.What
	}
	return fmt.Sprintf("there is no %s %q", u.What, u.Name)
}

// Unwrap returns the kind.
func (u Unknown) Unwrap() error { return cmp.Or(u.Kind, ErrUnknown) }

// NoChannel says that no channel has an id.
func NoChannel(id string) error {
	return Unknown{What: "channel", Name: id, See: "channels list"}
}

func noMember(id string) error {
	return Unknown{What: "member", Name: id, See: "members list"}
}

func noWorkspace(id string) error {
	return Unknown{What: "workspace", Name: id, See: "workspaces list"}
}

// named gives what get and getVersion say of a row the name that people know it
// by.
func named(err, missing error) error {
	if err == ErrUnknown { //nolint:errorlint // only the bare one says nothing
		return missing
	}
	return err
}

// refusal is an ErrInvalid whose text is for people, and nothing before it.
type refusal string

// Error implements error.
func (r refusal) Error() string { return string(r) }

// Is reports what a caller branches on.
func (r refusal) Is(target error) bool { return target == ErrInvalid }

func refuse(format string, a ...any) error { return refusal(fmt.Sprintf(format, a...)) }
