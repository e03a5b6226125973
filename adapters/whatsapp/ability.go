//go:build !nowhatsapp

package whatsapp

import (
	"context"
	"errors"
	"net/url"
	"time"

	"go.mau.fi/whatsmeow/types"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// unread is a message that is not marked as read yet.
type unread struct {
	id     types.MessageID
	chat   types.JID
	sender types.JID
}

const maxUnread = 64 // of one conversation

func (c *Channel) noteUnread(at channels.ConversationID, i types.MessageInfo) {
	if !c.cfg.Read || i.IsFromMe {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.unread) > 1000 {
		clear(c.unread)
	}
	c.unread[at] = append(c.unread[at], unread{i.ID, i.Chat, i.Sender})
	c.unread[at] = c.unread[at][max(0, len(c.unread[at])-maxUnread):]
}

func (c *Channel) takeUnread(at channels.ConversationID) []unread {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.unread[at]
	delete(c.unread, at)
	return list
}

// Type implements channels.Typer. By the time it is called the gateway works on
// what was said there, so that is marked as read.
func (c *Channel) Type(ctx context.Context, at channels.Address) error {
	const op = "type"
	to, err := types.ParseJID(string(at.Conversation))
	if err != nil {
		return c.fail(op, channels.Rejected, errors.New("the conversation is no id of WhatsApp"))
	}
	s, err := c.session(ctx, op)
	if err != nil {
		return err
	}
	defer s.release()
	for _, u := range c.takeUnread(at.Conversation) {
		if err := s.client.MarkRead(ctx, []types.MessageID{u.id}, time.Now(), u.chat, u.sender); err != nil {
			return c.fail(op, channels.Transient, plain(err))
		}
	}
	s.awake(ctx)
	if err := s.client.SendChatPresence(ctx, to, types.ChatPresenceComposing, types.ChatPresenceMediaText); err != nil {
		return c.fail(op, channels.Transient, plain(err))
	}
	return nil
}

// attention is how long the device counts as being used after it was seen
// composing, if no answer ends it.
const attention = 30 * time.Second

// awake shows the account as online, without which nobody sees that it is
// composing. It ends with the answer: while one device is online, WhatsApp keeps
// the phone quiet.
func (s *session) awake(ctx context.Context) {
	s.mu.Lock() // also guards the device's name, which the presence carries
	defer s.mu.Unlock()
	if s.client.Store.PushName == "" || s.client.SendPresence(ctx, types.PresenceAvailable) != nil {
		return // WhatsApp shows no presence without a name
	}
	if s.online != nil {
		s.online.Stop()
	}
	s.online = time.AfterFunc(attention, func() { s.asleep(s.ctx) })
}

// asleep shows the account as offline again, if awake has shown it.
func (s *session) asleep(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.online != nil {
		s.online.Stop()
		s.online = nil
		_ = s.client.SendPresence(ctx, types.PresenceUnavailable) // the end of the connection says it too
	}
}

// Probe implements channels.Prober.
func (c *Channel) Probe(ctx context.Context) (channels.Identity, error) {
	const op = "probe"
	dev, err := c.device(ctx)
	if err != nil {
		return channels.Identity{}, c.fail(op, channels.Other, err)
	}
	if dev == nil {
		return channels.Identity{}, c.fail(op, channels.Unauthorized, errUnlinked)
	}
	id := channels.Identity{
		Account: channels.AccountID(dev.ID.User), Name: named(dev), Handle: named(dev), Link: "https://wa.me/" + dev.ID.User,
		Notes: []string{warning},
	}
	if dev.PushName != "" {
		id.Name = dev.PushName
	}
	s, err := c.session(ctx, op)
	if err != nil {
		id.Notes = append(id.Notes, "The device is linked and not connected at the moment, so WhatsApp was not asked.")
		return id, nil //nolint:nilerr // it is linked; a stopped gateway does not connect
	}
	defer s.release()
	if !ping(ctx, s.client) {
		return channels.Identity{}, c.fail(op, channels.Transient, errors.New("WhatsApp does not answer"))
	}
	return id, nil
}

// warning is what everybody should know who links an account.
const warning = "WhatsApp does not permit bots on personal accounts and may ban the number. " +
	"Keep to your own chat and few others; for a business, use the Cloud API (adapter whatsapp-cloud)."

// StartLink implements channels.Starter: it opens the owner's chat with himself
// with the code typed in.
func (c *Channel) StartLink(ctx context.Context, code string) (string, error) {
	dev, err := c.device(ctx)
	if err != nil {
		return "", c.fail("start link", channels.Other, err)
	}
	if dev == nil {
		return "", c.fail("start link", channels.Unauthorized, errUnlinked)
	}
	return "https://wa.me/" + dev.ID.User + "?text=" + url.QueryEscape("/start "+code), nil
}

// Guide implements channels.Guided.
func (Driver) Guide() channels.Guide {
	return channels.Guide{
		Title: "WhatsApp (your own account)",
		Steps: []string{
			"Gatehouse becomes a linked device of your phone, like WhatsApp Web. By default it answers only in your chat with yourself.",
			warning,
			"Keep your phone at hand: in the next step you scan a code with it, under `Settings`, `Linked devices`, `Link a device`.",
		},
		Link: true,
	}
}
