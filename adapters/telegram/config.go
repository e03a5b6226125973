package telegram

import (
	"encoding/json"
	"strings"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/section"
)

// The ways to receive.
const (
	modePoll    = "poll"
	modeWebhook = "webhook"
)

// settings are the adapter's own keys of a channel's section.
type settings struct {
	BaseURL     string `json:"base_url"`
	Token       string `json:"token"`
	Mode        string `json:"mode"`
	AckReaction string `json:"ack_reaction"`
}

func defaults() settings {
	return settings{BaseURL: "https://api.telegram.org", Mode: modePoll}
}

const schema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["token"],
  "additionalProperties": false,
  "properties": {
    "token": {
      "type": "string",
      "description": "The bot's token from @BotFather, as a reference such as secret://support-bot."
    },
    "base_url": {
      "type": "string",
      "format": "uri",
      "default": "https://api.telegram.org",
      "description": "The Bot API server: Telegram's own, or one that you host."
    },
    "mode": {
      "enum": ["poll", "webhook"],
      "default": "poll",
      "description": "poll asks Telegram for messages and works everywhere; webhook lets Telegram call a public URL."
    },
    "ack_reaction": {
      "type": "string",
      "description": "An emoji that the bot puts on a message when it begins to work on it. Empty: none."
    }
  }
}
`

// parse reads a section and lists everything that is wrong with it.
func parse(cfg json.RawMessage) (settings, []channels.Fault) {
	s := defaults()
	f, ok := section.Read(cfg, "telegram", map[string]any{
		"base_url": &s.BaseURL, "token": &s.Token, "mode": &s.Mode, "ack_reaction": &s.AckReaction,
	})
	if ok {
		s.check(f)
	}
	return s, f.List()
}

// check notes the values that mean nothing.
func (s *settings) check(f *section.Faults) {
	if strings.TrimSpace(s.Token) == "" {
		f.Add("token", "is missing: store the token that @BotFather gave you with `gatehouse secrets set NAME` and write secret://NAME here")
	}
	s.BaseURL = f.URL("base_url", s.BaseURL, defaults().BaseURL)
	if s.Mode != modePoll && s.Mode != modeWebhook {
		f.Add("mode", "must be poll or webhook")
	}
	if s.AckReaction != "" && !codec.Reactable(s.AckReaction) {
		f.Add("ack_reaction", "must be one of the emoji that Telegram offers as a reaction, such as 👀, or empty")
	}
}

var _ channels.Guided = Driver{}

// Guide implements channels.Guided.
func (Driver) Guide() channels.Guide {
	return channels.Guide{
		Title: "Telegram",
		Steps: []string{
			"In Telegram, open https://t.me/BotFather and send `/newbot`.",
			"Choose a name, and copy the token that @BotFather gives you.",
		},
		Asks: []channels.Ask{{
			Key: "token", Label: "Bot token", Secret: true, Example: "1234567890:AA…",
			Help: "It goes to the vault, encrypted, and is never shown again.",
		}},
	}
}
