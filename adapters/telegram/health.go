package telegram

import (
	"errors"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// What a person can do about a failure.
const (
	fixReach   = "Check that this machine reaches the Bot API at base_url."
	fixSecret  = "Store the bot's token under the name that the channel's token key refers to."
	fixToken   = "Get the token from @BotFather (/mybots, API Token), store it anew and check that base_url is right."
	fixPoller  = "Stop the other program that uses this bot's token, or make a new token with @BotFather (/revoke)."
	fixWebhook = "Stop the other program that sets a webhook for this bot, or make a new token with @BotFather (/revoke)."
	fixStore   = "The gateway's own store does not take messages; see its log and the free space on its disk."
	fixPublic  = "Check public_url: https, port 443, 80, 88 or 8443, a valid certificate, and reachable from the internet."
)

// unreachable is the advice for a failure to reach the platform.
func unreachable(err error) string {
	var e *channels.Error
	if errors.As(err, &e) && e.Op == opToken {
		return fixSecret
	}
	return fixReach
}
