//go:build !nowhatsapp

package whatsapptest

import (
	"fmt"
	"slices"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"
)

// Message is a message in a chat, as a phone shows it.
type Message struct {
	ID      string
	Chat    types.JID // a group, or the phone number of the other side; the owner's own for notes to self
	From    *Person   // nil: the linked device
	Text    string
	ReplyTo string // id of the message that it quotes
	Quoted  string // text of the quote
	Edits   int
	Deleted bool
	Again   int // how often it was delivered again, and shown once
	File    *File
	Reacted map[string]string // emoji by person's name; "" is the linked device

	body *waE2E.Message
}

// File is an attachment of a message.
type File struct {
	Kind string // image, video, audio, ptt, document, sticker
	Name string
	MIME string
	Body []byte
}

// chat is the chat that an address leads to, whichever of a person's ids it has.
func (s *Server) chat(id types.JID) types.JID {
	if p := s.who(id); p != nil && id.Server != types.GroupServer {
		return p.PN
	}
	return id.ToNonAD()
}

// deliver sends the linked device what a phone has sent. It is called under the lock.
func (s *Server) deliver(from *Person, chat types.JID, id string, m *waE2E.Message, more waBinary.Attrs) error {
	d := s.device
	if d == nil {
		return nil // nobody is linked: it never hears of it
	}
	attrs := waBinary.Attrs{"id": id, "t": fmt.Sprint(time.Now().Unix()), "notify": from.Name, "type": "text"}
	for k, v := range more {
		attrs[k] = v
	}
	var content []waBinary.Node
	var err error
	if g := s.group(chat); g != nil {
		attrs["from"], attrs["participant"], attrs["participant_pn"], attrs["addressing_mode"] = g.JID, from.LID, from.PN, "lid"
		content, err = s.forGroup(from, g, m)
	} else {
		content, err = s.forChat(from, chat, m, attrs)
	}
	if err != nil {
		return err
	}
	p := &parcel{id: id, node: waBinary.Node{Tag: "message", Attrs: attrs, Content: content}}
	d.queue = append(d.queue, p)
	if d.wire != nil {
		d.wire.send(p.node)
	}
	return nil
}

func enc(kind string, sealed []byte) waBinary.Node {
	return waBinary.Node{Tag: "enc", Attrs: waBinary.Attrs{"v": "2", "type": kind}, Content: sealed}
}

func (s *Server) forChat(from *Person, chat types.JID, m *waE2E.Message, attrs waBinary.Attrs) ([]waBinary.Node, error) {
	if from == s.owner { // the owner's phone tells the owner's other devices what it sent
		attrs["from"], attrs["recipient"] = s.owner.PN, chat
		attrs["peer_recipient_lid"] = s.who(chat).LID
		m = &waE2E.Message{DeviceSentMessage: &waE2E.DeviceSentMessage{DestinationJID: proto.String(chat.String()), Message: m}}
	} else {
		attrs["from"], attrs["sender_lid"] = from.PN, from.LID
	}
	plain, err := proto.Marshal(m)
	if err != nil {
		return nil, err
	}
	kind, sealed, err := from.phone.encrypt(s.device, plain)
	if err != nil {
		return nil, err
	}
	return []waBinary.Node{enc(kind, sealed)}, nil
}

// forGroup encrypts for everybody at once; who does not have the sender's key
// yet gets it beside the message.
func (s *Server) forGroup(from *Person, g *Group, m *waE2E.Message) ([]waBinary.Node, error) {
	plain, err := proto.Marshal(m)
	if err != nil {
		return nil, err
	}
	announcement, sealed, err := from.phone.encryptGroup(g.JID.String(), plain)
	if err != nil {
		return nil, err
	}
	nodes := []waBinary.Node{enc("skmsg", sealed)}
	if from.told[g.JID.User] {
		return nodes, nil
	}
	key, err := proto.Marshal(&waE2E.Message{SenderKeyDistributionMessage: &waE2E.SenderKeyDistributionMessage{
		GroupID: proto.String(g.JID.String()), AxolotlSenderKeyDistributionMessage: announcement,
	}})
	if err != nil {
		return nil, err
	}
	kind, direct, err := from.phone.encrypt(s.device, key)
	if err != nil {
		return nil, err
	}
	from.told[g.JID.User] = true
	return append([]waBinary.Node{enc(kind, direct)}, nodes...), nil
}

// find is the message with this id in a chat, or nil.
func (s *Server) find(chat types.JID, id string) *Message {
	i := slices.IndexFunc(s.messages, func(m *Message) bool { return m.ID == id && (chat.IsEmpty() || m.Chat == chat) })
	if i < 0 {
		return nil
	}
	return s.messages[i]
}
