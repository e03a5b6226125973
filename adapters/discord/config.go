package discord

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/internal/nearest"
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
	keys := map[string]json.RawMessage{}
	if err := json.Unmarshal(cfg, &keys); len(bytes.TrimSpace(cfg)) > 0 && err != nil {
		return s, []channels.Fault{{Text: "the section must be a mapping of keys to values"}}
	}
	fields := map[string]any{
		"base_url": &s.BaseURL, "token": &s.Token, "message_content": &s.MessageContent, "pings": &s.Pings, "ack_reaction": &s.AckReaction,
	}
	var faults []channels.Fault
	for name, value := range keys {
		field, ok := fields[name]
		switch {
		case !ok:
			faults = append(faults, channels.Fault{Path: name, Text: unknownKey(name, fields)})
		case bytes.Equal(value, []byte("null")), json.Unmarshal(value, field) != nil:
			faults = append(faults, channels.Fault{Path: name, Text: "must be " + kindOf(field)})
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

func kindOf(field any) string {
	if _, ok := field.(*bool); ok {
		return "true or false"
	}
	return "a text"
}

func (s settings) faults() []channels.Fault {
	var faults []channels.Fault
	fault := func(path, text string) { faults = append(faults, channels.Fault{Path: path, Text: text}) }
	if strings.TrimSpace(s.Token) == "" {
		fault("token", "is missing: store the token of the Developer Portal's page Bot with `gatehouse secrets set NAME` and write secret://NAME here")
	}
	if u, err := url.Parse(s.BaseURL); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		fault("base_url", "must be an http or https URL, such as https://discord.com/api/v10")
	} else if u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		fault("base_url", "must not have a user, a query or a fragment")
	}
	if r, _ := utf8.DecodeRuneInString(s.AckReaction); s.AckReaction != "" && (r < 0x80 && !strings.Contains(s.AckReaction, ":") || len(s.AckReaction) > 64) {
		fault("ack_reaction", "must be an emoji such as 👀, or name:id of one of the server's own, or empty")
	}
	return faults
}

// unknownKey names the key that was probably meant.
func unknownKey(name string, known map[string]any) string {
	best := nearest.Of(name, slices.Collect(maps.Keys(known)), 2)
	if best == "" {
		return "is not a key of a discord channel"
	}
	return fmt.Sprintf("is not a key of a discord channel; did you mean %s?", best)
}
