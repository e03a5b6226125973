//go:build !nowhatsapp

package whatsapptest

import (
	"fmt"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"
)

// answer is what the server says to the next message of the device.
type answer struct {
	code int  // refuse with it; 0: take the message
	lose bool // take it, and end the connection instead of saying so
}

// sent takes in a message of the linked device; false ends the connection.
func (s *Server) sent(w *wire, n *waBinary.Node) bool {
	to, id := jid(n, "to"), text(n, "id")
	var a answer
	if len(s.answers) > 0 {
		a, s.answers = s.answers[0], s.answers[1:]
	}
	ack := waBinary.Node{Tag: "ack", Attrs: waBinary.Attrs{
		"class": "message", "id": id, "from": n.Attrs["to"], "t": fmt.Sprint(time.Now().Unix()),
	}}
	if a.code == 0 {
		a.code = s.take(to, id, n)
	}
	if a.code != 0 {
		ack.Attrs["error"] = fmt.Sprint(a.code)
		w.send(ack)
		return true
	}
	if a.lose {
		w.cut()
		return false
	}
	held := s.stalled
	if held == nil {
		w.send(ack)
		return true
	}
	s.stalled = nil
	s.released = held
	s.work.Add(1)
	go func() {
		defer s.work.Done()
		select {
		case <-held:
			w.send(ack)
		case <-s.ctx.Done():
		}
	}()
	return true
}

// take opens a message on the phones that it is for, and shows it there. The
// code of a refusal is 0 when it is taken.
func (s *Server) take(to types.JID, id string, n *waBinary.Node) (code int) {
	g := s.group(to)
	if to.Server == types.GroupServer && (g == nil || g.without) {
		return 403
	}
	plain, err := s.opened(to, g, n)
	if err != nil {
		return 479
	}
	if plain == nil {
		return 400
	}
	s.show(s.chat(to), id, plain)
	return 0
}

// opened decrypts what is for the phones, and returns the content once.
func (s *Server) opened(to types.JID, g *Group, n *waBinary.Node) (found *waE2E.Message, err error) {
	parts := n.GetChildByTag("participants")
	seen := map[*Person]bool{}
	for _, part := range parts.GetChildren() {
		p := s.who(jid(&part, "jid"))
		if p == nil || seen[p] {
			continue
		}
		seen[p] = true
		e := part.GetChildByTag("enc")
		sealed, _ := e.Content.([]byte)
		plain, err := p.phone.decrypt(text(&e, "type"), sealed)
		if err != nil {
			return nil, fmt.Errorf("%s cannot read it: %w", p.Name, err)
		}
		var m waE2E.Message
		if err := proto.Unmarshal(plain, &m); err != nil {
			return nil, err
		}
		if k := m.GetSenderKeyDistributionMessage(); k != nil {
			if err := p.phone.learn(k.GetGroupID(), k.GetAxolotlSenderKeyDistributionMessage()); err != nil {
				return nil, err
			}
			continue
		}
		if inner := m.GetDeviceSentMessage().GetMessage(); inner != nil {
			found = inner
		} else {
			found = &m
		}
	}
	if g == nil {
		return found, nil
	}
	for _, e := range n.GetChildrenByTag("enc") {
		sealed, _ := e.Content.([]byte)
		for _, p := range g.members {
			plain, err := p.phone.decryptGroup(to.String(), sealed)
			if err != nil {
				return nil, fmt.Errorf("%s cannot read it: %w", p.Name, err)
			}
			found = &waE2E.Message{}
			if err := proto.Unmarshal(plain, found); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

// show does what a phone does with a message of the device.
func (s *Server) show(chat types.JID, id string, m *waE2E.Message) {
	if inner := m.GetEditedMessage().GetMessage(); inner != nil {
		m = inner
	}
	switch p := m.GetProtocolMessage(); {
	case p.GetType() == waE2E.ProtocolMessage_MESSAGE_EDIT && p.GetEditedMessage() != nil:
		if old := s.find(chat, p.GetKey().GetID()); old != nil {
			old.Text = textOf(p.GetEditedMessage())
			old.Edits++
		}
		return
	case p != nil && p.GetType() == waE2E.ProtocolMessage_REVOKE:
		if old := s.find(chat, p.GetKey().GetID()); old != nil {
			old.Deleted = true
		}
		return
	}
	if r := m.GetReactionMessage(); r != nil {
		if old := s.find(chat, r.GetKey().GetID()); old != nil {
			old.Reacted[""] = r.GetText()
		}
		return
	}
	if old := s.find(chat, id); old != nil { // phones show an id once
		old.Again++
		return
	}
	c := contextOf(m)
	s.messages = append(s.messages, &Message{
		ID: id, Chat: chat, Text: textOf(m), ReplyTo: c.GetStanzaID(), Quoted: textOf(c.GetQuotedMessage()),
		File: s.fileOf(m), Reacted: map[string]string{}, body: m,
	})
}

// textOf is the text or caption of a message.
func textOf(m *waE2E.Message) string {
	switch {
	case m.GetConversation() != "":
		return m.GetConversation()
	case m.GetExtendedTextMessage() != nil:
		return m.GetExtendedTextMessage().GetText()
	case m.GetImageMessage() != nil:
		return m.GetImageMessage().GetCaption()
	case m.GetVideoMessage() != nil:
		return m.GetVideoMessage().GetCaption()
	case m.GetDocumentMessage() != nil:
		return m.GetDocumentMessage().GetCaption()
	case m.GetDocumentWithCaptionMessage() != nil:
		return textOf(m.GetDocumentWithCaptionMessage().GetMessage())
	}
	return ""
}

// contextOf is what a message says of what is around it.
func contextOf(m *waE2E.Message) *waE2E.ContextInfo {
	switch {
	case m.GetExtendedTextMessage() != nil:
		return m.GetExtendedTextMessage().GetContextInfo()
	case m.GetImageMessage() != nil:
		return m.GetImageMessage().GetContextInfo()
	case m.GetVideoMessage() != nil:
		return m.GetVideoMessage().GetContextInfo()
	case m.GetAudioMessage() != nil:
		return m.GetAudioMessage().GetContextInfo()
	case m.GetDocumentMessage() != nil:
		return m.GetDocumentMessage().GetContextInfo()
	case m.GetDocumentWithCaptionMessage() != nil:
		return contextOf(m.GetDocumentWithCaptionMessage().GetMessage())
	case m.GetStickerMessage() != nil:
		return m.GetStickerMessage().GetContextInfo()
	}
	return nil
}
