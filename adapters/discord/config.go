package discord

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/section"
)

// settings are the adapter's own keys of a channel's section.
type settings struct {
	BaseURL        string `json:"base_url"`
	Token          string `json:"token"`
	MessageContent bool   `json:"message_content"`
	Pings          bool   `json:"pings"`
	AckReaction    string `json:"ack_reaction"`
}

func defaults() settings {
	return settings{BaseURL: "https://discord.com/api/v10", MessageContent: true}
}

const schema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["token"],
  "additionalProperties": false,
  "properties": {
    "token": {
      "type": "string",
      "description": "The bot's token from the Developer Portal, as a reference such as secret://discord-bot."
    },
    "base_url": {
      "type": "string",
      "format": "uri",
      "default": "https://discord.com/api/v10",
      "description": "The root of the REST API; the gateway's address is asked for there."
    },
    "message_content": {
      "type": "boolean",
      "default": true,
      "description": "Read what is said in servers besides what mentions the bot, for context. Needs the Message Content intent. Without it, the bot reads direct messages, mentions and commands."
    },
    "pings": {
      "type": "boolean",
      "default": false,
      "description": "Notify those whom an answer mentions or replies to. Roles and @everyone are never notified."
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
	f, ok := section.Read(cfg, "discord", map[string]any{
		"base_url": &s.BaseURL, "token": &s.Token, "message_content": &s.MessageContent, "pings": &s.Pings, "ack_reaction": &s.AckReaction,
	})
	if ok {
		s.check(f)
	}
	return s, f.List()
}

// check notes the values that mean nothing.
func (s *settings) check(f *section.Faults) {
	if strings.TrimSpace(s.Token) == "" {
		f.Add("token", "is missing: store the token of the Developer Portal's page Bot with `gatehouse secrets set NAME` and write secret://NAME here")
	}
	s.BaseURL = f.URL("base_url", s.BaseURL, defaults().BaseURL)
	if r, _ := utf8.DecodeRuneInString(s.AckReaction); s.AckReaction != "" && (r < 0x80 && !strings.Contains(s.AckReaction, ":") || len(s.AckReaction) > 64) {
		f.Add("ack_reaction", "must be an emoji such as 👀, or name:id of one of the server's own, or empty")
	}
}
