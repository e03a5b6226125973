package slack

import "github.com/gatehouse-chat/gatehouse/channels"

var _ channels.Guided = Driver{}

// Guide implements channels.Guided.
func (Driver) Guide() channels.Guide {
	return channels.Guide{
		Title: "Slack",
		Steps: []string{
			"Open https://api.slack.com/apps, choose `Create New App`, then `From a manifest`, and choose your team.",
			"Paste the manifest below in the place of what stands there, and create the app.",
			"On the app's page `Install App`, install it to the team and copy the `Bot User OAuth Token`.",
			"On the page `Basic Information`, under `App-Level Tokens`, make a token with the scope `connections:write`.",
		},
		PasteTitle: "The app's manifest", Paste: Manifest,
		Asks: []channels.Ask{
			{
				Key: "mode", Label: "How messages come in", Choices: []string{modeSocket, modeEvents},
				Help: "socket works everywhere; events needs a public URL that Slack can call.",
			},
			{
				Key: "token", Label: "Bot User OAuth Token", Secret: true, Example: "xoxb-…",
				Help: "It goes to the vault, encrypted, and is never shown again.",
			},
			{
				Key: "app_token", Label: "App-level token", Secret: true, Example: "xapp-…", Only: "mode=" + modeSocket,
				Help: "From Basic Information, App-Level Tokens, with the scope connections:write.",
			},
			{
				Key: "signing_secret", Label: "Signing secret", Secret: true, Only: "mode=" + modeEvents,
				Help: "From Basic Information, App Credentials; with it Slack proves that it is Slack.",
			},
		},
	}
}

// Manifest describes the app to Slack: what it may do and what it is told of.
// For mode events the request URLs have to be put in.
const Manifest = `{
  "display_information": {
    "name": "Gatehouse",
    "description": "An assistant that your team talks to"
  },
  "features": {
    "app_home": {"home_tab_enabled": false, "messages_tab_enabled": true, "messages_tab_read_only_enabled": false},
    "bot_user": {"display_name": "gatehouse", "always_online": true},
    "slash_commands": [
      {"command": "/gatehouse", "description": "Commands of the assistant", "usage_hint": "help | new | stop | status", "should_escape": true}
    ]
  },
  "oauth_config": {
    "scopes": {
      "bot": [
        "app_mentions:read", "assistant:write", "channels:history", "channels:read", "chat:write", "commands",
        "files:read", "files:write", "groups:history", "groups:read", "im:history", "im:read", "im:write",
        "mpim:history", "mpim:read", "reactions:read", "reactions:write", "users:read"
      ]
    }
  },
  "settings": {
    "event_subscriptions": {
      "bot_events": [
        "app_mention", "app_uninstalled", "member_joined_channel", "member_left_channel", "message.channels",
        "message.groups", "message.im", "message.mpim", "reaction_added", "reaction_removed", "tokens_revoked"
      ]
    },
    "interactivity": {"is_enabled": true},
    "org_deploy_enabled": false,
    "socket_mode_enabled": true,
    "token_rotation_enabled": false
  }
}
`
