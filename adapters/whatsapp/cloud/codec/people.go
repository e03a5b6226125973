package codec

import (
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// Somebody with a username need not show their number: Meta then names them by an
// id that it has made for this business, such as US.13491208655302741918, and
// leaves the number out. As long as it tells both, the number is who they are, and
// the two are noted as belonging together.

const keepNumber = "number/"

// NumbersOf begins the keys that note the number of an id of Meta's making.
func NumbersOf(id string) string { return keepNumber + id + "/" }

// NumberWrite is what is kept of a number and an id. Its key ends with the number, so
// that it is found when its person is erased.
func NumberWrite(id, number string) channels.Write {
	return channels.Write{Key: NumbersOf(id) + number, Value: []byte{'1'}}
}

// Scoped reports whether an id is of Meta's making, and no number.
func Scoped(id string) bool {
	country, rest, ok := strings.Cut(id, ".")
	return ok && len(country) == 2 && rest != "" && strings.Trim(country, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// Become makes an event of somebody without a number one of the number.
func Become(e channels.Event, number string) channels.Event {
	if e.Who.ID == string(e.Where.Conversation) {
		e.Who.ID = number
	}
	e.Where.Conversation = channels.ConversationID(number)
	return e
}

// person is who is meant by a number and an id, of which one may be missing.
func (u *Update) person(number, scoped string) string {
	if number == "" {
		return scoped
	}
	if Scoped(scoped) && usable(scoped) && usable(number) {
		if u.Numbers == nil {
			u.Numbers = map[string]string{}
		}
		u.Numbers[scoped] = number
	}
	return number
}

// to is the recipient of a call in the field that takes this kind of id.
func (o *outgoing) to(at channels.ConversationID) {
	if o.Recipient = "individual"; Scoped(string(at)) {
		o.Scoped = string(at)
		return
	}
	o.To = string(at)
}
