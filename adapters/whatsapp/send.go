//go:build !nowhatsapp

package whatsapp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/keystore"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// message is what was said lately.
type message struct{ body *waE2E.Message }

// Send implements channels.Channel.
func (c *Channel) Send(ctx context.Context, p channels.Part) (channels.Receipt, error) {
	const op = "send"
	to, err := types.ParseJID(string(p.To.Conversation))
	if err != nil || to.User == "" {
		return channels.Receipt{}, c.fail(op, channels.Rejected, errors.New("the conversation is no id of WhatsApp"))
	}
	s, err := c.session(ctx, op)
	if err != nil {
		return channels.Receipt{}, err
	}
	defer s.release()
	if p.Replaces != "" {
		return c.replace(ctx, s, to, p)
	}
	text := render(p)
	quote := c.quoted(s, p.ReplyTo)
	if len(p.Files) == 0 {
		return c.deliver(ctx, s, to, c.ids.of(p.Key, ""), textMessage(text, quote))
	}
	m, err := c.upload(ctx, s, p.Files[0])
	if err != nil {
		return channels.Receipt{}, err
	}
	captioned := caption(m, text, quote)
	if text != "" && !captioned { // a voice message has no room for a text
		if r, err := c.deliver(ctx, s, to, c.ids.of(p.Key, "text"), textMessage(text, quote)); err != nil {
			return r, err
		}
	}
	return c.deliver(ctx, s, to, c.ids.of(p.Key, ""), m)
}

func render(p channels.Part) string {
	if p.Plain {
		return markup.PlainText.Render(p.Body)
	}
	return markup.WhatsApp.Render(p.Body)
}

func textMessage(text string, quote *waE2E.ContextInfo) *waE2E.Message {
	if quote == nil {
		return &waE2E.Message{Conversation: proto.String(text)}
	}
	return &waE2E.Message{ExtendedTextMessage: &waE2E.ExtendedTextMessage{Text: proto.String(text), ContextInfo: quote}}
}

// caption puts the text beside a file; false when the file has no place for one.
func caption(m *waE2E.Message, text string, quote *waE2E.ContextInfo) bool {
	var at *string
	if text != "" {
		at = proto.String(text)
	}
	switch {
	case m.ImageMessage != nil:
		m.ImageMessage.Caption, m.ImageMessage.ContextInfo = at, quote
	case m.VideoMessage != nil:
		m.VideoMessage.Caption, m.VideoMessage.ContextInfo = at, quote
	case m.DocumentMessage != nil:
		m.DocumentMessage.Caption, m.DocumentMessage.ContextInfo = at, quote
		if at != nil {
			inner := &waE2E.Message{DocumentMessage: m.DocumentMessage} // the form in which phones show a document with a caption
			m.DocumentMessage, m.DocumentWithCaptionMessage = nil, &waE2E.FutureProofMessage{Message: inner}
		}
	case m.AudioMessage != nil:
		m.AudioMessage.ContextInfo = quote
		return false
	case m.StickerMessage != nil:
		m.StickerMessage.ContextInfo = quote
		return false
	}
	return true
}

// quoted is the quote of a message; nil for none. Phones show what the quote
// itself holds, so that of a message that is no longer remembered only the frame
// is there.
func (c *Channel) quoted(s *session, of channels.MessageID) *waE2E.ContextInfo {
	if of == "" {
		return nil
	}
	id, author, ok := referred(of)
	if !ok {
		return nil
	}
	if author.IsEmpty() {
		author = decoder{self: s.self}.me()
	}
	m, known := c.recent.get(id)
	if !known {
		m.body = &waE2E.Message{Conversation: proto.String("")}
	}
	return &waE2E.ContextInfo{StanzaID: proto.String(id), Participant: proto.String(author.String()), QuotedMessage: m.body}
}

// replace edits an earlier message.
func (c *Channel) replace(ctx context.Context, s *session, to types.JID, p channels.Part) (channels.Receipt, error) {
	id, _, _ := referred(p.Replaces)
	r, err := c.deliver(ctx, s, to, c.ids.of(p.Key, "edit "+id), s.client.BuildEdit(to, id, textMessage(render(p), nil)))
	if err == nil {
		r.ID = p.Replaces
	}
	return r, err
}

// Edit implements channels.Editor.
func (c *Channel) Edit(ctx context.Context, at channels.Address, id channels.MessageID, p channels.Part) error {
	p.To, p.Replaces = at, id
	if p.Key == "" {
		p.Key = fmt.Sprintf("edit %d", time.Now().UnixNano())
	}
	_, err := c.Send(ctx, p)
	return err
}

// Delete implements channels.Deleter: for everybody, which WhatsApp allows for
// about two days.
func (c *Channel) Delete(ctx context.Context, at channels.Address, id channels.MessageID) error {
	return c.about(ctx, "delete", at, id, func(s *session, to types.JID, author types.JID, id types.MessageID) *waE2E.Message {
		return s.client.BuildRevoke(to, author, id)
	})
}

// React implements channels.Reactor.
func (c *Channel) React(ctx context.Context, at channels.Address, id channels.MessageID, emoji string) error {
	return c.about(ctx, "react", at, id, func(s *session, to types.JID, author types.JID, id types.MessageID) *waE2E.Message {
		return s.client.BuildReaction(to, author, id, emoji)
	})
}

// about sends something that is about an earlier message.
func (c *Channel) about(
	ctx context.Context, op string, at channels.Address, ref channels.MessageID,
	build func(s *session, to, author types.JID, id types.MessageID) *waE2E.Message,
) error {
	to, err := types.ParseJID(string(at.Conversation))
	id, author, ok := referred(ref)
	if err != nil || to.User == "" || !ok {
		return c.fail(op, channels.Rejected, errors.New("no such message"))
	}
	s, err := c.session(ctx, op)
	if err != nil {
		return err
	}
	defer s.release()
	_, err = c.deliver(ctx, s, to, s.client.GenerateMessageID(), build(s, to, author, id))
	return err
}

// Sent implements channels.Reconciler. What the server is not known to have
// taken can be sent again under the same id: phones show it once.
func (c *Channel) Sent(_ context.Context, p channels.Part, _ time.Time) (channels.Receipt, bool, error) {
	what := ""
	if p.Replaces != "" {
		id, _, _ := referred(p.Replaces)
		what = "edit " + id
	}
	r, ok := c.sent.get(c.ids.of(p.Key, what))
	return r, ok, nil
}

const (
	// turns is how long one send keeps all others waiting for its answer:
	// whatsmeow has one at a time.
	turns = 2 * time.Second
	// answering is how long an answer is waited for after that.
	answering = 60 * time.Second
	// moves is how often a send is made again at once, because messages came in
	// while it was encrypted.
	moves = 5
)

// deliver sends a message and waits for the server's answer.
func (c *Channel) deliver(ctx context.Context, s *session, to types.JID, id types.MessageID, m *waE2E.Message) (channels.Receipt, error) {
	c.recent.put(id, message{body: m})
	resp, err := s.client.SendMessage(ctx, to, m, whatsmeow.SendRequestExtra{ID: id, Timeout: turns})
	for n := 0; errors.Is(err, keystore.ErrMoved) && n < moves; n++ {
		resp, err = s.client.SendMessage(ctx, to, m, whatsmeow.SendRequestExtra{ID: id, Timeout: turns})
	}
	at := resp.Timestamp
	if errors.Is(err, whatsmeow.ErrMessageTimedOut) {
		at, err = s.await(ctx, id)
	}
	if err != nil {
		return channels.Receipt{}, c.refused(ctx, s, err)
	}
	if at.IsZero() {
		at = time.Now()
	}
	r := channels.Receipt{ID: channels.MessageID(id), At: at}
	c.sent.put(id, r)
	s.asleep(ctx)
	return r, nil
}

// await waits for an answer that takes long, while other sends go on.
func (s *session) await(ctx context.Context, id types.MessageID) (time.Time, error) {
	inner := internals(s.client)
	answer := inner.WaitResponse(id)
	t := time.NewTimer(answering)
	defer t.Stop()
	select {
	case n := <-answer:
		return answered(n)
	case <-s.ctx.Done():
		return time.Time{}, &whatsmeow.DisconnectedError{Action: sending}
	case <-t.C:
		inner.CancelResponse(id, answer)
		return time.Time{}, whatsmeow.ErrMessageTimedOut
	case <-ctx.Done():
		inner.CancelResponse(id, answer)
		return time.Time{}, ctx.Err()
	}
}

// sending is how whatsmeow calls what a disconnection interrupted.
const sending = "message send"

func answered(n *waBinary.Node) (time.Time, error) {
	if n == nil || n.Tag != "ack" {
		return time.Time{}, &whatsmeow.DisconnectedError{Action: sending, Node: n}
	}
	ag := n.AttrGetter()
	if code := ag.OptionalInt("error"); code != 0 {
		return time.Time{}, fmt.Errorf("%w %d", whatsmeow.ErrServerReturnedError, code)
	}
	return ag.OptionalUnixTime("t"), nil
}
