package identity

import (
	"slices"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// DM says who may write to the bot in a direct chat. The zero DM admits nobody.
type DM string

// The policies of direct chats.
const (
	DMPairing   DM = "pairing"   // strangers get a code that somebody in charge approves
	DMAllowlist DM = "allowlist" // only linked members and the listed ids
	DMOpen      DM = "open"      // everybody, as a guest
	DMSelf      DM = "self"      // only the person whose own account the channel is, in the chat with themselves
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
	Workspace string // that the channel belongs to; "": the home
	DM        DM
	Groups    Groups
	Mention   bool     // in rooms, answer only when addressed
	Allow     []string // immutable ids of senders and of conversations; empty allows nobody
	// Rooms holds what is different in single rooms, by the id of the
	// conversation. A room that is named here is admitted.
	Rooms map[channels.ConversationID]RoomPolicy
	// Documents says whether documents that are sent are remembered by themselves.
	Documents Documents
	// Authenticated is set for a channel whose sender ids are member ids that
	// the gateway itself has verified: the console.
	Authenticated bool
}

// Documents says what becomes of the documents that people send. The set is
// closed, and the zero value is as good as DocumentsOff.
type Documents string

// What becomes of them.
const (
	DocumentsOff   Documents = "off"
	DocumentsQuiet Documents = "quiet" // they are remembered
	DocumentsTell  Documents = "tell"  // and whoever sent them is told
)

// RoomPolicy is what the configuration says about one room. The zero RoomPolicy
// changes nothing.
type RoomPolicy struct {
	Mention      *bool     // nil: as in the channel
	Allow        []string  // ids of senders and members who may use the bot there; nil: everybody in the room; empty: nobody
	Model        string    // the configured name that conversations there start with; "": as elsewhere
	Instructions string    // added to those that hold everywhere
	Documents    Documents // "": as in the channel
	Tools        []string  // the only ones that turns there may call; nil: as elsewhere; empty: none
}

func (p Policy) allows(id string) bool { return id != "" && slices.Contains(p.Allow, id) }

// listsRoom reports whether the configuration admits a room.
func (p Policy) listsRoom(id channels.ConversationID) bool {
	_, named := p.Rooms[id]
	return p.allows(string(id)) || id != "" && named
}

// In is what the configuration says about one conversation.
func (p Policy) In(id channels.ConversationID) RoomPolicy {
	r := p.Rooms[id]
	if r.Mention == nil {
		r.Mention = &p.Mention
	}
	if r.Documents == "" {
		r.Documents = p.Documents
	}
	return r
}

// lets reports whether somebody may use the bot in a room that is admitted.
func (r RoomPolicy) lets(sender, member string) bool {
	return r.Allow == nil || sender != "" && slices.Contains(r.Allow, sender) || member != "" && slices.Contains(r.Allow, member)
}
