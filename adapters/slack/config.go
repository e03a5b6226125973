package slack

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-chat/gatehouse/adapters/slack/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/section"
)

// The ways to receive.
const (
	modeSocket = "socket"
	modeEvents = "events"
)

// settings are the adapter's own keys of a channel's section.
type settings struct {
	BaseURL       string `json:"base_url"`
	Token         string `json:"token"`
	AppToken      string `json:"app_token"`
	SigningSecret string `json:"signing_secret"`
	Mode          string `json:"mode"`
	Sockets       int    `json:"sockets"`
	Command       string `json:"command"`
	AckReaction   string `json:"ack_reaction"`

	// For an app that is installed into several teams.
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	Teams        string `json:"teams"`

	// With ClientID and ClientSecret, for one team whose tokens end.
	RefreshToken string `json:"refresh_token"`
}

// many reports whether teams install the app themselves.
func (s settings) many() bool { return s.ClientID != "" && s.RefreshToken == "" }

// renews reports whether tokens are kept in the vault, and renewed.
func (s settings) renews() bool { return s.ClientID != "" }

// admits reports whether a team may install the app.
func (s settings) admits(team string) bool {
	return team != "" && slices.Contains(strings.Fields(strings.ReplaceAll(s.Teams, ",", " ")), team)
}

const maxSockets = 10 // that Slack lets an app have

func defaults() settings {
	return settings{BaseURL: "https://slack.com/api", Mode: modeSocket, Sockets: 1, Command: "/gatehouse"}
}

const schema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "token": {
      "type": "string",
      "description": "The bot's token (xoxb-...) from the app's page OAuth & Permissions, as a reference such as secret://slack."
    },
    "mode": {
      "enum": ["socket", "events"],
      "default": "socket",
      "description": "socket opens connections to Slack and works everywhere; events lets Slack call a public URL."
    },
    "app_token": {
      "type": "string",
      "description": "mode socket: the app-level token (xapp-...) with the scope connections:write, as a reference."
    },
    "signing_secret": {
      "type": "string",
      "description": "mode events: the signing secret from the app's page Basic Information, as a reference."
    },
    "sockets": {
      "type": "integer", "minimum": 1, "maximum": 10, "default": 1,
      "description": "mode socket: how many connections are kept open at a time."
    },
    "command": {
      "type": "string",
      "default": "/gatehouse",
      "description": "The slash command whose first word is the bot's command: /gatehouse help."
    },
    "ack_reaction": {
      "type": "string",
      "description": "An emoji, such as eyes, that the bot puts on a message when it begins to work on it. Empty: none."
    },
    "client_id": {
      "type": "string",
      "description": "For an app that several teams install: the client id from the app's page Basic Information. Then token is left out."
    },
    "client_secret": {
      "type": "string",
      "description": "The client secret that goes with client_id, as a reference."
    },
    "teams": {
      "type": "string",
      "description": "The ids of the teams that may install the app, such as T0123456789, with spaces between them. Without any, none may."
    },
    "refresh_token": {
      "type": "string",
      "description": "For an app with token rotation in one team: the refresh token (xoxe-1-...) from the page OAuth & Permissions, as a reference. client_id and client_secret go with it; token is left out."
    },
    "base_url": {
      "type": "string",
      "format": "uri",
      "default": "https://slack.com/api",
      "description": "The Web API: Slack's own, or GovSlack's."
    }
  }
}
`

// Reaches lists where Slack has an app go, besides the Web API: to download
// files and upload them, to answer by a response_url, and for sockets.
func (Driver) Reaches() []string {
	var list []string
	for _, d := range codec.Domains() {
		list = append(list, "https://"+d, "https://files."+d, "https://*."+d, "wss://*."+d)
	}
	return list
}

// parse reads a section and lists everything that is wrong with it.
func parse(cfg json.RawMessage) (settings, []channels.Fault) {
	s := defaults()
	f, ok := section.Read(cfg, "slack", map[string]any{
		"base_url": &s.BaseURL, "token": &s.Token, "app_token": &s.AppToken, "signing_secret": &s.SigningSecret, "mode": &s.Mode,
		"sockets": &s.Sockets, "command": &s.Command, "ack_reaction": &s.AckReaction,
		"client_id": &s.ClientID, "client_secret": &s.ClientSecret, "teams": &s.Teams,
		"refresh_token": &s.RefreshToken,
	})
	if ok {
		s.check(f)
	}
	return s, f.List()
}

// check notes the values that mean nothing.
func (s *settings) check(f *section.Faults) {
	switch {
	case s.many() && s.Token != "":
		f.Add("token", "is the token of one team; leave it out where client_id lets several install the app")
	case s.RefreshToken != "" && s.ClientID == "":
		f.Add("client_id", "is missing: a token is renewed with client_id and client_secret, from the app's page Basic Information")
	case s.RefreshToken != "" && (s.Token != "" || s.Teams != ""):
		f.Add("refresh_token", "is for one team and makes its tokens; leave token and teams out beside it")
	case s.renews() && strings.TrimSpace(s.ClientSecret) == "":
		f.Add("client_secret", "is missing: it goes with client_id, on the app's page Basic Information")
	case !s.renews() && (s.ClientSecret != "" || s.Teams != ""):
		f.Add("client_id", "is missing: client_secret and teams go with it")
	case !s.renews() && strings.TrimSpace(s.Token) == "":
		f.Add("token", "is missing: store the bot's token (xoxb-...) with `gatehouse secrets set NAME` and write secret://NAME here")
	}
	switch s.Mode {
	case modeSocket:
		if strings.TrimSpace(s.AppToken) == "" {
			f.Add("app_token", "is missing: mode socket needs the app-level token (xapp-...) with the scope connections:write")
		}
	case modeEvents:
		if strings.TrimSpace(s.SigningSecret) == "" {
			f.Add("signing_secret", "is missing: mode events needs the signing secret from the app's page Basic Information")
		}
	default:
		f.Add("mode", "must be socket or events")
	}
	s.BaseURL = f.URL("base_url", s.BaseURL, defaults().BaseURL)
	if s.Sockets < 1 || s.Sockets > maxSockets {
		f.Add("sockets", fmt.Sprintf("must be 1 to %d", maxSockets))
	}
	if len(s.Command) < 2 || s.Command[0] != '/' || strings.ContainsAny(s.Command, " \t\n") {
		f.Add("command", "must be a slash command, such as /gatehouse")
	}
	if s.AckReaction != "" {
		if _, ok := codec.EmojiName(s.AckReaction); !ok {
			f.Add("ack_reaction", "must be the name of an emoji, such as eyes, or a common emoji, or empty")
		}
	}
}
