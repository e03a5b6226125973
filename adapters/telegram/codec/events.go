package codec

import (
	"slices"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// press decodes a callback query. The platform gives it no time of its own.
func (d *decoder) press(c *callback) ([]channels.Event, error) {
	switch {
	case c.ID == "":
		return nil, ignored(IgnoredMalformed)
	case c.Message == nil || c.Message.Chat.ID == 0:
		return nil, ignored(IgnoredNoPlace)
	case c.Data == "":
		return nil, ignored(IgnoredNoData)
	}
	who, err := d.sender(c.From, nil)
	if err != nil {
		return nil, err
	}
	e := d.event(c.Message.Chat, "press/"+c.ID, 0)
	e.Who = who
	e.Where.Thread = c.Message.thread()
	e.Addressed = true // only the bot's own messages carry its buttons
	e.Content = channels.Press{ID: messageID(c.Message.ID), Data: c.Data, Query: c.ID}
	return []channels.Event{e}, nil
}

// reaction decodes a change of somebody's reactions. Telegram does not say in
// which topic the message is.
func (d *decoder) reaction(r *reaction) ([]channels.Event, error) {
	if r.Chat.ID == 0 || r.MessageID == 0 {
		return nil, ignored(IgnoredMalformed)
	}
	who, err := d.sender(r.User, r.Actor)
	if err != nil {
		return nil, err
	}
	c := channels.Reaction{
		ID: messageID(r.MessageID), Added: missing(r.New, r.Old), Removed: missing(r.Old, r.New),
	}
	if len(c.Added) == 0 && len(c.Removed) == 0 {
		return nil, ignored(IgnoredNoChange)
	}
	e := d.event(r.Chat, key("reaction", r.Chat.ID, r.MessageID, d.update), r.Date)
	e.Who, e.Content = who, c
	return []channels.Event{e}, nil
}

// missing lists what is in a and not in b.
func missing(a, b []reactionType) []string {
	var names []string
	for _, r := range a {
		if name := r.name(); name != "" && !slices.Contains(b, r) {
			names = append(names, name)
		}
	}
	return names
}

func (r reactionType) name() string {
	switch r.Type {
	case "emoji":
		return r.Emoji
	case "custom_emoji":
		return "custom:" + r.CustomID
	case "paid":
		return "⭐"
	}
	return ""
}

// vote decodes an answer to a poll. Telegram does not say where the poll
// stands; the voter's direct chat, whose id is the voter's, is the only place
// that is certainly theirs.
func (d *decoder) vote(v *pollAnswer) ([]channels.Event, error) {
	if v.PollID == "" {
		return nil, ignored(IgnoredMalformed)
	}
	who, err := d.sender(v.User, nil)
	if err != nil {
		return nil, err
	}
	e := d.event(chat{ID: v.User.ID, Type: "private"}, "vote/"+v.PollID+"/"+id(v.User.ID)+"/"+id(d.update), 0)
	e.Who = who
	e.Content = channels.PollAnswer{Poll: v.PollID, Options: v.Options}
	return []channels.Event{e}, nil
}

// service decodes messages about the chat itself. It returns nothing for an
// ordinary message.
func (d *decoder) service(m *message) ([]channels.Event, error) {
	switch {
	case m.MigrateTo != 0:
		return []channels.Event{d.moved(m, m.Chat.ID, m.MigrateTo)}, nil
	case m.MigrateFrom != 0:
		return []channels.Event{d.moved(m, m.MigrateFrom, m.Chat.ID)}, nil
	case len(m.Joined) > 0:
		return d.came(m)
	case m.Left != nil:
		if d.mine(m.Left) {
			return nil, ignored(IgnoredSelfService)
		}
		return []channels.Event{d.gone(m.Chat, m.Left, m.Date)}, nil
	}
	return nil, nil
}

// moved says that a group has become a supergroup. Telegram says so twice, in
// the old chat and in the new one; both give the same key.
func (d *decoder) moved(m *message, from, to int64) channels.Event {
	e := Moved(d.self, from, to)
	e.At, e.Room = moment(m.Date), m.Chat.room()
	if who, err := d.sender(m.From, m.SenderChat); err == nil {
		e.Who = who
	}
	return e
}

// Moved is the event that a conversation has a new id, as a refused send
// reports it.
func Moved(self Self, from, to int64) channels.Event {
	d := decoder{self: self}
	e := d.event(chat{ID: from}, key("moved", from, to), 0)
	e.Who = self.sender()
	e.Content = channels.Moved{To: channels.ConversationID(id(to))}
	return e
}

func (s Self) sender() channels.Sender {
	return channels.Sender{ID: id(s.ID), Handle: s.Username, Bot: true, Self: true}
}

// came decodes a list of new members. The bot itself is left out: its own
// membership comes as my_chat_member, in every chat and always.
func (d *decoder) came(m *message) ([]channels.Event, error) {
	var events []channels.Event
	for i := range m.Joined {
		if u := &m.Joined[i]; u.ID != 0 && !d.mine(u) {
			events = append(events, d.entered(m.Chat, u, m.Date))
		}
	}
	if events == nil {
		return nil, ignored(IgnoredSelfService)
	}
	return events, nil
}

// entered and gone use the member and the second as the key: where the bot is
// an administrator, a change of membership comes as a service message and as a
// chat_member update, which is one event.
func (d *decoder) entered(c chat, u *user, date int64) channels.Event {
	e := d.event(c, key("joined", c.ID, u.ID, date), date)
	e.Who = d.account(u)
	e.Content = channels.Joined{Members: []channels.Sender{e.Who}}
	return e
}

func (d *decoder) gone(c chat, u *user, date int64) channels.Event {
	e := d.event(c, key("left", c.ID, u.ID, date), date)
	e.Who = d.account(u)
	e.Content = channels.Left{Members: []channels.Sender{e.Who}}
	return e
}

// shift decodes my_chat_member and chat_member. In a direct chat "kicked" means
// that the person blocked the bot.
func (d *decoder) shift(s *memberShift) ([]channels.Event, error) {
	u := &s.New.User
	if s.Chat.ID == 0 || u.ID == 0 {
		return nil, ignored(IgnoredMalformed)
	}
	if s.Chat.Type == "channel" {
		return nil, ignored(IgnoredChannelPost)
	}
	switch before, after := s.Old.inside(), s.New.inside(); {
	case !before && after:
		return []channels.Event{d.entered(s.Chat, u, s.Date)}, nil
	case before && !after:
		return []channels.Event{d.gone(s.Chat, u, s.Date)}, nil
	}
	return nil, ignored(IgnoredMembership)
}

func (m *member) inside() bool {
	switch m.Status {
	case "creator", "administrator", "member":
		return true
	case "restricted":
		return m.IsMember
	}
	return false
}
