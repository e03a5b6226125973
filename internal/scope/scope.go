// Package scope says what a turn may read.
//
// A [Scope] is minted from a verified sender, in gateway/identity and nowhere
// else (internal/archtest opens the sources and checks it). Secrets, memory,
// tools and approvals are looked up by scope, never by a name that a message
// or a model supplied. Rows store a [Principal]; the scope itself is never
// stored and has no decoder, so that a row can describe who asked without
// being able to grant anything.
package scope

import (
	"log/slog"
	"slices"
)

// Role ranks a member within a workspace. The zero Role may do nothing.
type Role string

// The roles, from the most to the least powerful. A service acts for a
// program and never approves or administers.
const (
	Owner    Role = "owner"
	Admin    Role = "admin"
	Approver Role = "approver"
	Ordinary Role = "member"
	Guest    Role = "guest"
	Service  Role = "service"
)

// Roles lists every role, from the most to the least powerful.
func Roles() []Role { return []Role{Owner, Admin, Approver, Ordinary, Guest, Service} }

// Right is one thing that a role may or may not do. The set is closed.
type Right string

// The rights.
const (
	Speak      Right = "speak"      // start turns where the channel's policy admits them
	Console    Right = "console"    // hold a session on the console
	See        Right = "see"        // see who the members are and who asks to be let in
	Approve    Right = "approve"    // let strangers in, and answer an approval of somebody else
	Administer Right = "administer" // members, rooms, secrets, channels, models, dead letters
	Own        Right = "own"        // make and unmake those who administer; make and delete workspaces
)

// rights is the one table of what each role may do.
func rights(r Role) []Right {
	switch r {
	case Owner:
		return []Right{Speak, Console, See, Approve, Administer, Own}
	case Admin:
		return []Right{Speak, Console, See, Approve, Administer}
	case Approver:
		return []Right{Speak, Console, See, Approve}
	case Ordinary:
		return []Right{Speak, Console}
	case Guest, Service:
		return []Right{Speak}
	}
	return nil
}

// May reports whether the role has a right. A role that is not known has none.
func (r Role) May(right Right) bool { return slices.Contains(rights(r), right) }

// Administers reports whether the role may change the workspace: members,
// channels, models, secrets, dead letters.
func (r Role) Administers() bool { return r.May(Administer) }

// Approves reports whether the role may answer an approval of somebody else.
func (r Role) Approves() bool { return r.May(Approve) }

// Principal is the storable description of who acts and where. It grants
// nothing: identity checks the membership again each time it mints a scope.
type Principal struct {
	Workspace    string `json:"workspace"`
	Channel      string `json:"channel,omitempty"`
	Account      string `json:"account,omitempty"`
	Conversation string `json:"conversation,omitempty"` // with its thread, as channels.Address.Order gives it
	Member       string `json:"member"`
	Role         Role   `json:"role,omitempty"`
	Direct       bool   `json:"direct,omitempty"` // a private chat: the member's private scope may be used and shown
}

// Scope is what one turn may read. The zero Scope denies everything. Scopes
// are comparable: equal scopes may share a turn, unequal ones never do.
type Scope struct{ p Principal }

// New mints a scope. Only gateway/identity and tests may call it.
func New(p Principal) Scope {
	if p.Workspace == "" || p.Member == "" || p.Role == "" {
		return Scope{}
	}
	return Scope{p: p}
}

// Valid reports whether the scope grants anything at all.
func (s Scope) Valid() bool { return s.p.Workspace != "" && s.p.Member != "" && s.p.Role != "" }

// Workspace is the tenant's id, or "" for a scope that denies.
func (s Scope) Workspace() string { return s.p.Workspace }

// Channel is the configured channel's id; "" when the turn came from none.
func (s Scope) Channel() string { return s.p.Channel }

// Account is the platform account within the channel, such as a Slack team.
func (s Scope) Account() string { return s.p.Account }

// Conversation is the ordering key of the conversation, thread included.
func (s Scope) Conversation() string { return s.p.Conversation }

// Member is the id of the person who speaks.
func (s Scope) Member() string { return s.p.Member }

// Role is the member's role at the time of minting.
func (s Scope) Role() Role { return s.p.Role }

// Direct reports whether only this member reads the conversation.
func (s Scope) Direct() bool { return s.p.Direct }

// Principal is the description to store beside what the scope did.
func (s Scope) Principal() Principal { return s.p }

// String names the scope in logs: ids only, nothing that grants.
func (s Scope) String() string {
	if !s.Valid() {
		return "denied"
	}
	return s.p.Workspace + "/" + s.p.Channel + "/" + s.p.Conversation + "/" + s.p.Member
}

// LogValue implements slog.LogValuer.
func (s Scope) LogValue() slog.Value { return slog.StringValue(s.String()) }

// UnmarshalJSON always fails: a scope is minted, never decoded.
func (s *Scope) UnmarshalJSON([]byte) error { return errNoDecoder }

// UnmarshalText always fails: a scope is minted, never decoded.
func (s *Scope) UnmarshalText([]byte) error { return errNoDecoder }

type constError string

func (e constError) Error() string { return string(e) }

const errNoDecoder = constError("scope: a scope is minted from a verified sender, never decoded")
