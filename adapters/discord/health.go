package discord

import (
	"errors"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// What a person can do about a failure.
const (
	fixReach   = "Check that this machine reaches Discord's API at base_url and its gateway."
	fixSecret  = "Store the bot's token under the name that the channel's token key refers to."
	fixToken   = "Make a new token in the Developer Portal (https://discord.com/developers/applications, page Bot, Reset Token) and store it."
	fixContent = "Switch on Message Content Intent in the Developer Portal (https://discord.com/developers/applications, page Bot), or set message_content: false."
	fixShards  = "The bot is in more servers than one connection may serve; take it out of some, or use a bot of its own for them."
	fixVersion = "Upgrade Gatehouse: the platform no longer speaks the version of the gateway that it knows."
	fixStore   = "The gateway's own store does not take messages; see its log and the free space on its disk."
	fixWait    = "Nothing: the platform asked for a pause."
)

// unreachable is the advice for a failure to reach the platform.
func unreachable(err error) string {
	var e *channels.Error
	switch {
	case errors.As(err, &e) && e.Op == opToken:
		return fixSecret
	case channels.KindOf(err) == channels.RateLimited:
		return fixWait
	}
	return fixReach
}

// closing is what a close code of the gateway means.
type closing struct {
	text  string
	fix   string        // of one after which connecting again is of no use
	kind  channels.Kind // the same
	fresh bool          // the session is over
}

// closings are the codes that say more than that the connection is over. After
// every other one the session is resumed.
var closings = map[int]closing{
	4004: {text: "the gateway does not take the token", fix: fixToken, kind: channels.Unauthorized},
	4007: {text: "the gateway does not know the place in the session", fresh: true},
	4009: {text: "the session has timed out", fresh: true},
	4010: {text: "the gateway does not take the shard", fix: fixShards, kind: channels.Rejected},
	4011: {text: "the bot is in too many servers for one connection", fix: fixShards, kind: channels.Rejected},
	4012: {text: "the gateway no longer speaks this version", fix: fixVersion, kind: channels.Rejected},
	4013: {text: "the gateway does not know an intent", fix: fixVersion, kind: channels.Rejected},
	4014: {text: "the application may not use the Message Content intent", fix: fixContent, kind: channels.Rejected},
}
