package slack

import (
	"errors"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// What a person can do about a failure.
const (
	fixReach    = "Check that this machine reaches Slack at base_url."
	fixSecret   = "Store the token under the name that the channel's section refers to."
	fixToken    = "Copy the bot's token from the app's page OAuth & Permissions (api.slack.com/apps), install the app to the team if it is not, and store the token anew."
	fixAppToken = "Make an app-level token with the scope connections:write on the app's page Basic Information, and store it anew."
	fixDisabled = "Switch Socket Mode on again on the app's page Socket Mode."
	fixStore    = "The gateway's own store does not take messages; see its log and the free space on its disk."
	fixSockets  = "Stop other programs that open sockets with this app's token, or lower sockets."
)

// unreachable is the advice for a failure to reach the platform.
func unreachable(err error) string {
	var e *channels.Error
	if errors.As(err, &e) && e.Op == opToken {
		return fixSecret
	}
	return fixReach
}
