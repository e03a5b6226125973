//go:build !nowhatsapp

package whatsapp

import (
	"fmt"
	"slices"
	"strings"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
)

// decoder turns messages into events. It is a value without I/O.
type decoder struct {
	channel channels.ID
	self    self
	ids     ids
	device  uint16 // our own
}

// event is what a message means; false when it means nothing to the gateway: a
// status, a channel's post, keys, or what the owner wrote to somebody else.
func (d decoder) event(m *events.Message) (channels.Event, bool) {
	who, where, ok := d.place(m.Info)
	if !ok || m.Message == nil {
		return channels.Event{}, false
	}
	direct := !m.Info.IsGroup
	content, context := d.content(m)
	if content == nil {
		return channels.Event{}, false
	}
	return channels.Event{
		Key: string(where.Conversation) + "/" + who.ID + "/" + m.Info.ID,
		At:  m.Info.Timestamp, Account: d.account(), Where: where, Who: who,
		Room: channels.Room{Direct: direct}, Addressed: direct || d.addressed(context),
		Content: content,
	}, true
}

// account is the linked account, by its phone number.
func (d decoder) account() channels.AccountID { return channels.AccountID(d.self.pn.User) }

// place is who said something, and where. People and direct chats are named by
// the LID, the id that a person keeps; where WhatsApp tells none, by the number.
func (d decoder) place(i types.MessageInfo) (who channels.Sender, where channels.Address, ok bool) {
	chat := i.Chat.ToNonAD()
	if i.IsFromMe && i.Sender.Device == d.device {
		return who, where, false // our own message
	}
	lasting := lasting(i.Sender, i.SenderAlt)
	number := i.Sender
	if number.Server != types.DefaultUserServer {
		number = i.SenderAlt
	}
	if i.IsFromMe {
		lasting, number = d.me(), d.self.pn
	}
	who = channels.Sender{ID: lasting.String(), Name: i.PushName, Owner: i.IsFromMe}
	if number.Server == types.DefaultUserServer {
		who.Handle = "+" + number.User
	}
	switch {
	case chat.Server == types.GroupServer:
	case i.IsFromMe && d.self.is(chat):
		chat = d.me()
	case i.IsFromMe: // the owner writes to somebody: that is between them
		return who, where, false
	case chat.Server == types.DefaultUserServer || chat.Server == types.HiddenUserServer:
		chat = lasting
	default:
		return who, where, false
	}
	return who, channels.Address{Channel: d.channel, Account: d.account(), Conversation: channels.ConversationID(chat.String())}, who.ID != ""
}

func (d decoder) me() types.JID {
	if d.self.lid.User != "" {
		return d.self.lid
	}
	return d.self.pn
}

// lasting is the one of somebody's two ids that they keep.
func lasting(id, alt types.JID) types.JID {
	if id.Server != types.HiddenUserServer && alt.Server == types.HiddenUserServer {
		id = alt
	}
	return id.ToNonAD()
}

// content is what a message holds, and what it says of its surroundings; nil
// for nothing.
func (d decoder) content(m *events.Message) (channels.Content, *waE2E.ContextInfo) {
	body := m.Message
	if p := body.GetProtocolMessage(); p != nil {
		target := reference(p.GetKey().GetID(), d.author(m.Info))
		switch {
		case p.GetType() == waE2E.ProtocolMessage_REVOKE && p.GetKey() != nil:
			return channels.Deletion{IDs: []channels.MessageID{target}}, nil
		case p.GetType() == waE2E.ProtocolMessage_MESSAGE_EDIT && p.GetEditedMessage() != nil:
			text, context := d.text(p.GetEditedMessage())
			return channels.Edit{ID: target, Text: text}, context
		}
		return nil, nil
	}
	if r := body.GetReactionMessage(); r != nil {
		return d.reaction(m.Info, r), nil
	}
	return d.message(m)
}

// author is who wrote what an edit or a deletion is about: only authors can.
func (d decoder) author(i types.MessageInfo) types.JID { return i.Sender.ToNonAD() }

func (d decoder) reaction(i types.MessageInfo, r *waE2E.ReactionMessage) channels.Content {
	k := r.GetKey()
	out := channels.Reaction{ID: channels.MessageID(k.GetID())}
	if !d.ids.own(k.GetID()) {
		author := i.Chat.ToNonAD()
		switch {
		case k.GetParticipant() != "":
			author, _ = types.ParseJID(k.GetParticipant())
		case k.GetFromMe():
			author = i.Sender
		case !i.IsFromMe:
			author = d.me()
		}
		out.ID = reference(k.GetID(), author)
	}
	if r.GetText() != "" { // an empty one says that a reaction is gone, and not which
		out.Added = []string{r.GetText()}
	}
	return out
}

func (d decoder) message(m *events.Message) (channels.Content, *waE2E.ContextInfo) {
	id := reference(m.Info.ID, d.author(m.Info))
	text, context := d.text(m.Message)
	files := filesOf(m.Message)
	if text == "" && files == nil {
		return nil, nil
	}
	out := channels.Message{ID: id, Text: text, Files: files, ReplyTo: d.quote(context)}
	if k := m.Message.GetMessageContextInfo().GetMessageAssociation().GetParentMessageKey(); k != nil {
		out.Group = k.GetID()
	}
	if context.GetIsForwarded() {
		out.Forwarded = "somebody"
	}
	if files == nil && out.Forwarded == "" {
		if c, ok := codec.Command(id, d.afterMention(text)); ok {
			return c, context
		}
	}
	return out, context
}

// text is what a message says, in CommonMark, and its context.
func (d decoder) text(m *waE2E.Message) (string, *waE2E.ContextInfo) {
	raw, context := rawText(m)
	return codec.CommonMark(raw), context
}

func rawText(m *waE2E.Message) (string, *waE2E.ContextInfo) {
	switch {
	case m.GetConversation() != "":
		return m.GetConversation(), nil
	case m.GetExtendedTextMessage() != nil:
		return m.GetExtendedTextMessage().GetText(), m.GetExtendedTextMessage().GetContextInfo()
	case m.GetImageMessage() != nil:
		return m.GetImageMessage().GetCaption(), m.GetImageMessage().GetContextInfo()
	case m.GetVideoMessage() != nil:
		return m.GetVideoMessage().GetCaption(), m.GetVideoMessage().GetContextInfo()
	case m.GetDocumentMessage() != nil:
		return m.GetDocumentMessage().GetCaption(), m.GetDocumentMessage().GetContextInfo()
	case m.GetDocumentWithCaptionMessage().GetMessage() != nil:
		return rawText(m.GetDocumentWithCaptionMessage().GetMessage())
	case m.GetAudioMessage() != nil:
		return "", m.GetAudioMessage().GetContextInfo()
	case m.GetStickerMessage() != nil:
		return "", m.GetStickerMessage().GetContextInfo()
	case m.GetLocationMessage() != nil:
		l := m.GetLocationMessage()
		return strings.TrimSpace(fmt.Sprintf("Location: %.5f, %.5f %s %s", l.GetDegreesLatitude(), l.GetDegreesLongitude(), l.GetName(), l.GetAddress())), l.GetContextInfo()
	case m.GetContactMessage() != nil:
		return "Contact: " + m.GetContactMessage().GetDisplayName(), m.GetContactMessage().GetContextInfo()
	}
	return pollText(m)
}

// pollText writes a poll as a list: there is nothing to vote with.
func pollText(m *waE2E.Message) (string, *waE2E.ContextInfo) {
	for _, p := range []*waE2E.PollCreationMessage{m.GetPollCreationMessage(), m.GetPollCreationMessageV2(), m.GetPollCreationMessageV3()} {
		if p == nil {
			continue
		}
		var b strings.Builder
		b.WriteString("Poll: " + p.GetName())
		for _, o := range p.GetOptions() {
			b.WriteString("\n- " + o.GetOptionName())
		}
		return b.String(), p.GetContextInfo()
	}
	return "", nil
}

// quote is the message that a message answers.
func (d decoder) quote(c *waE2E.ContextInfo) *channels.Quote {
	if c.GetStanzaID() == "" {
		return nil
	}
	author, _ := types.ParseJID(c.GetParticipant())
	text, _ := d.text(c.GetQuotedMessage())
	q := &channels.Quote{Text: text}
	if d.quotesUs(c) {
		q.ID = channels.MessageID(c.GetStanzaID())
		q.Who = channels.Sender{ID: d.me().String(), Self: true}
		return q
	}
	q.ID = reference(c.GetStanzaID(), author)
	q.Who = channels.Sender{ID: author.ToNonAD().String(), Owner: d.self.is(author)}
	return q
}

// quotesUs reports whether a quote is of the bot's message, and not of one that
// the owner typed.
func (d decoder) quotesUs(c *waE2E.ContextInfo) bool {
	author, err := types.ParseJID(c.GetParticipant())
	return err == nil && d.self.is(author.ToNonAD()) && d.ids.own(c.GetStanzaID())
}

// addressed reports whether a message in a group means the account.
func (d decoder) addressed(c *waE2E.ContextInfo) bool {
	return d.quotesUs(c) || slices.ContainsFunc(c.GetMentionedJID(), func(s string) bool {
		id, err := types.ParseJID(s)
		return err == nil && d.self.is(id.ToNonAD())
	})
}

// afterMention is the text without a leading mention of the account, if a
// command follows it.
func (d decoder) afterMention(text string) string {
	first, rest, ok := strings.Cut(text, " ")
	if !ok || first != "@"+d.self.lid.User && first != "@"+d.self.pn.User {
		return text
	}
	return strings.TrimSpace(rest)
}
