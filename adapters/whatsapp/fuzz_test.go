//go:build !nowhatsapp

package whatsapp_test

import (
	"encoding/json"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp"
	"github.com/gatehouse-chat/gatehouse/channels"
)

var (
	ownPN  = types.JID{User: "491700000001", Server: types.DefaultUserServer}
	ownLID = types.JID{User: "100000000000001", Server: types.HiddenUserServer}
)

func event(body []byte, sender, chat string, group, mine bool) (*events.Message, bool) {
	var m waE2E.Message
	if proto.Unmarshal(body, &m) != nil {
		return nil, false
	}
	from, err1 := types.ParseJID(sender)
	in, err2 := types.ParseJID(chat)
	if err1 != nil || err2 != nil {
		return nil, false
	}
	e := &events.Message{RawMessage: &m, Info: types.MessageInfo{
		ID: "3A01", Timestamp: time.Unix(1_700_000_000, 0), PushName: "Somebody",
		MessageSource: types.MessageSource{Chat: in, Sender: from, IsGroup: group, IsFromMe: mine},
	}}
	return e.UnwrapRaw(), true
}

// FuzzDecode: whatever comes out of an encrypted message, the decoder neither
// panics nor makes an event that the gateway cannot keep.
func FuzzDecode(f *testing.F) {
	for _, m := range []*waE2E.Message{
		{Conversation: proto.String("hello *there*")},
		{Conversation: proto.String("/help me")},
		pollOf("Lunch?", "Pizza"),
		{ReactionMessage: &waE2E.ReactionMessage{Text: proto.String("👍")}},
		{ProtocolMessage: &waE2E.ProtocolMessage{Type: waE2E.ProtocolMessage_REVOKE.Enum()}},
		{ImageMessage: &waE2E.ImageMessage{Caption: proto.String("look"), FileLength: proto.Uint64(1 << 62)}},
		{ExtendedTextMessage: &waE2E.ExtendedTextMessage{Text: proto.String("@1"), ContextInfo: &waE2E.ContextInfo{
			StanzaID: proto.String("x"), Participant: proto.String("1@lid"), MentionedJID: []string{ownLID.String(), "?"},
		}}},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, "491700000002:3@s.whatsapp.net", "120363000000000001@g.us", true, false)
		f.Add(b, ownPN.String(), ownPN.String(), false, true)
	}
	f.Fuzz(func(t *testing.T, body []byte, sender, chat string, group, mine bool) {
		m, ok := event(body, sender, chat, group, mine)
		if !ok {
			return
		}
		e, ok := whatsapp.Decode(m, ownPN, ownLID, 7)
		if !ok {
			return
		}
		if e.Key == "" || e.Who.ID == "" || e.Where.Conversation == "" || e.Content == nil {
			t.Errorf("an event without what it needs: %+v", e)
		}
		if _, err := json.Marshal(e); err != nil {
			t.Error(err)
		}
	})
}

// FuzzReference: a reference that is read is written the same again.
func FuzzReference(f *testing.F) {
	f.Add("3EB0AA")
	f.Add("3A01/491700000002@s.whatsapp.net")
	f.Add("/x@y")
	f.Fuzz(func(t *testing.T, s string) {
		if again, ok := whatsapp.Referred(channels.MessageID(s)); ok {
			if twice, ok := whatsapp.Referred(again); !ok || twice != again {
				t.Errorf("%q becomes %q and then %q", s, again, twice)
			}
		}
		_ = whatsapp.ParseRef(s)
	})
}

// TestIDs: a part's id is its own, and only ours are known as ours.
func TestIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "part"), rapid.String().Draw(t, "another")
		id := whatsapp.OwnID(a, "")
		if !whatsapp.Own(id) || id != whatsapp.OwnID(a, "") || len(id) != 22 {
			t.Fatalf("the id of %q is %q", a, id)
		}
		if a != b && id == whatsapp.OwnID(b, "") || id == whatsapp.OwnID(a, "text") {
			t.Fatal("two messages share an id")
		}
		changed := []byte(id)
		changed[len(changed)-1] ^= 1
		if whatsapp.Own(string(changed)) {
			t.Fatalf("%s is taken for ours", changed)
		}
	})
	for _, id := range []string{"", "3EB0", "3A000000000000000001", "3EB0ZZ"} {
		if whatsapp.Own(id) {
			t.Errorf("%q is taken for ours", id)
		}
	}
}
