//go:build !nowhatsapp

package whatsapp

import (
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// Decode is what a message means to a device of an account.
func Decode(m *events.Message, pn, lid types.JID, device uint16) (channels.Event, bool) {
	return decoder{channel: "wa", self: self{pn: pn, lid: lid}, ids: newIDs(channels.NewSecret("key")), device: device}.event(m)
}

// OwnID makes an id, and Own knows it.
func OwnID(part, what string) string { return newIDs(channels.NewSecret("key")).of(part, what) }

// Own reports whether the bot made an id.
func Own(id string) bool { return newIDs(channels.NewSecret("key")).own(id) }

// Referred takes a message's reference apart and puts it together again.
func Referred(m channels.MessageID) (again channels.MessageID, ok bool) {
	id, author, ok := referred(m)
	return reference(id, author), ok
}

// ParseRef reports whether a file's reference can be read.
func ParseRef(ref string) error {
	_, err := parseRef(ref)
	return err
}

// Render is a part's text as it is sent.
func Render(p channels.Part) string { return render(p) }
