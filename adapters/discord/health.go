package discord

import (
	"errors"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// What a person can do about a failure.
const (
	fixReach  = "Check that this machine reaches Discord's API at base_url and its gateway."
	fixSecret = "Store the bot's token under the name that the channel's token key refers to."
	fixStore  = "The gateway's own store does not take messages; see its log and the free space on its disk."
	fixWait   = "Nothing: the platform asked for a pause."
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
