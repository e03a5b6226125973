package telegramtest

import (
	"encoding/json"
	"strings"
)

// reactionEmoji are the emoji that may be used as a reaction.
var reactionEmoji = func() map[string]bool {
	all := "👍 👎 ❤ 🔥 🥰 👏 😁 🤔 🤯 😱 🤬 😢 🎉 🤩 🤮 💩 🙏 👌 🕊 🤡 🥱 🥴 😍 🐳 ❤‍🔥 🌚 🌭 💯 🤣 ⚡ 🍌 🏆 💔 🤨 😐 🍓 🍾 💋 🖕 " +
		"😈 😴 😭 🤓 👻 👨‍💻 👀 🎃 🙈 😇 😨 🤝 ✍ 🤗 🫡 🎅 🎄 ☃ 💅 🤪 🗿 🆒 💘 🙉 🦄 😘 💊 🙊 😎 👾 🤷‍♂ 🤷 🤷‍♀ 😡"
	set := map[string]bool{}
	for _, e := range strings.Fields(all) {
		set[e] = true
	}
	return set
}()

func (s *Server) setMessageReaction(q *query) (any, error) {
	list := []wireReaction{}
	if raw := q.str("reaction"); raw != "" && json.Unmarshal([]byte(raw), &list) != nil {
		return nil, badRequest("can't parse reaction types JSON object")
	}
	c, err := s.chatOf(q, read)
	if err != nil {
		return nil, err
	}
	m, ok := c.messages[q.int("message_id")]
	if !ok {
		return nil, badRequest("message to react not found")
	}
	if err := c.check(write); err != nil {
		return nil, err
	}
	if len(list) > 1 {
		return nil, badRequest("REACTIONS_TOO_MANY")
	}
	d := Delivery{Kind: Reacted, Chat: c.id, Thread: m.ThreadID, Message: m.ID}
	for i, r := range list {
		list[i].Emoji = strings.ReplaceAll(r.Emoji, "\ufe0f", "")
		if r.Type != "emoji" || !reactionEmoji[list[i].Emoji] {
			return nil, badRequest("REACTION_INVALID")
		}
		d.Reactions = append(d.Reactions, list[i].Emoji)
	}
	m.react(0, list)
	s.record(q, d)
	return true, nil
}

func (m *stored) react(user int64, list []wireReaction) (old []wireReaction) {
	if m.reactions == nil {
		m.reactions = map[int64][]wireReaction{}
	}
	old = m.reactions[user]
	m.reactions[user] = list
	return old
}

// React sets the reactions of a person to a message, none to take them back. The
// bot hears of it if it asked for message_reaction and, in a group, is an
// administrator. It returns the id of the update or 0.
func (c *Chat) React(u *User, message int64, emoji ...string) int64 {
	s := c.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := c.messages[message]
	if !ok {
		return 0
	}
	list := []wireReaction{}
	for _, e := range emoji {
		list = append(list, wireReaction{Type: "emoji", Emoji: e})
	}
	old := m.react(u.ID, list)
	if old == nil {
		old = []wireReaction{}
	}
	if c.kind != kindPrivate && c.botState != "administrator" {
		return 0
	}
	return s.push("message_reaction", wireReacted{
		Chat: c.wire(), ID: m.ID, User: u.profile(), Date: s.now().Unix(), Old: old, New: list,
	}, c.id+queueReaction, updateLife)
}
