package telegramtest

import (
	"slices"
	"strings"
)

// shown says whether the bot gets to see a message of somebody else. In groups
// a bot in privacy mode sees commands for it, mentions of it, answers to it and
// service messages.
func (c *Chat) shown(m *stored) bool {
	bot := c.srv.bot
	switch {
	case c.botState == "left" || c.botState == "kicked":
		return false
	case m.From != nil && m.From.IsBot:
		return false
	case c.kind == kindPrivate || c.srv.options.readAll || c.botState == "administrator":
		return true
	case m.Text == "" && m.Caption == "" && len(m.files) == 0:
		return true // a service message
	case m.ReplyTo != nil && m.ReplyTo.TopicCreated == nil && m.ReplyTo.From != nil && m.ReplyTo.From.ID == bot.ID:
		return true
	}
	return c.addressed(m, bot)
}

func (c *Chat) addressed(m *stored, bot Profile) bool {
	text := m.Text + m.Caption
	for _, e := range slices.Concat(m.Entities, m.CaptionEntities) {
		start := byteOffset(text, e.Offset)
		run := text[start : start+byteOffset(text[start:], e.Length)]
		switch e.Type {
		case "mention":
			if strings.EqualFold(run, "@"+bot.Username) {
				return true
			}
		case "text_mention":
			if e.User != nil && e.User.ID == bot.ID {
				return true
			}
		case "bot_command":
			_, name, named := strings.Cut(run, "@")
			if named && strings.EqualFold(name, bot.Username) {
				return true
			}
			if !named && (e.Offset == 0 || c.lastSender == bot.ID) {
				return true
			}
		}
	}
	return false
}
