package telegram

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/internal/nearest"
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
	keys := map[string]json.RawMessage{}
	if len(bytes.TrimSpace(cfg)) > 0 {
		if err := json.Unmarshal(cfg, &keys); err != nil {
			return s, []channels.Fault{{Text: "the section must be a mapping of keys to values"}}
		}
	}
	fields := map[string]*string{
		"base_url": &s.BaseURL, "token": &s.Token, "mode": &s.Mode, "ack_reaction": &s.AckReaction,
	}
	var faults []channels.Fault
	for name, value := range keys {
		field, ok := fields[name]
		switch {
		case !ok:
			faults = append(faults, channels.Fault{Path: name, Text: unknownKey(name, fields)})
		case json.Unmarshal(value, field) != nil:
			faults = append(faults, channels.Fault{Path: name, Text: "must be a text"})
		}
	}
	for _, f := range s.faults() {
		if !slices.ContainsFunc(faults, func(known channels.Fault) bool { return known.Path == f.Path }) {
			faults = append(faults, f)
		}
	}
	slices.SortFunc(faults, func(a, b channels.Fault) int { return strings.Compare(a.Path, b.Path) })
	s.BaseURL = strings.TrimRight(s.BaseURL, "/")
	return s, faults
}

func (s settings) faults() []channels.Fault {
	var faults []channels.Fault
	fault := func(path, text string) { faults = append(faults, channels.Fault{Path: path, Text: text}) }
	if strings.TrimSpace(s.Token) == "" {
		fault("token", "is missing: store the token that @BotFather gave you with `gatehouse secrets set NAME` and write secret://NAME here")
	}
	if u, err := url.Parse(s.BaseURL); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		fault("base_url", "must be an http or https URL, such as https://api.telegram.org")
	} else if u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		fault("base_url", "must not have a user, a query or a fragment")
	}
	if s.Mode != modePoll && s.Mode != modeWebhook {
		fault("mode", "must be poll or webhook")
	}
	if s.AckReaction != "" && !codec.Reactable(s.AckReaction) {
		fault("ack_reaction", "must be one of the emoji that Telegram offers as a reaction, such as 👀, or empty")
	}
	return faults
}

// unknownKey names the key that was probably meant.
func unknownKey(name string, known map[string]*string) string {
	best := nearest.Of(name, slices.Collect(maps.Keys(known)), 2)
	if best == "" {
		return "is not a key of a telegram channel"
	}
	return fmt.Sprintf("is not a key of a telegram channel; did you mean %s?", best)
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
