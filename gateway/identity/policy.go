package identity

import "slices"

// DM says who may write to the bot in a direct chat. The zero DM admits nobody.
type DM string

// The policies of direct chats.
const (
	DMPairing   DM = "pairing"   // strangers get a code that somebody in charge approves
	DMAllowlist DM = "allowlist" // only linked members and the listed ids
	DMOpen      DM = "open"      // everybody, as a guest
	DMDisabled  DM = "disabled"
)

// Groups says in which rooms the bot answers. The zero Groups is none.
type Groups string

// The policies of rooms.
const (
	GroupsAllowlist Groups = "allowlist" // only the listed and admitted conversations
	GroupsOpen      Groups = "open"
	GroupsDisabled  Groups = "disabled"
)

// Policy is what a channel's configuration says about who is let in.
type Policy struct {
	DM      DM
	Groups  Groups
	Mention bool     // in rooms, answer only when addressed
	Allow   []string // immutable ids of senders and of conversations; empty allows nobody
	// Authenticated is set for a channel whose sender ids are member ids that
	// the gateway itself has verified: the console.
	Authenticated bool
}

func (p Policy) allows(id string) bool { return id != "" && slices.Contains(p.Allow, id) }
