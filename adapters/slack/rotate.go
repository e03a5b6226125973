package slack

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// opRenew is the Op of a failure to renew a token.
const opRenew = "renew a token"

// fixRefresh is what helps when no token can be made any more.
const fixRefresh = "Make a new refresh token on the app's page OAuth & Permissions and store it under the name in refresh_token; look that client_id and client_secret are the app's."

var errRefresh = errors.New("neither the kept token nor the one in refresh_token is taken by Slack any more")

// rotating is the one team of a channel whose token ends, with a token that
// stands. The first one is made with the refresh token of the configuration; all
// others with what Slack gave with the one before. When that is refused, a
// person may have stored another refresh token.
func (c *Channel) rotating(ctx context.Context) (*team, error) {
	t, err := c.rotated(ctx)
	if t != nil || err != nil && !hopeless(err) {
		return t, err
	}
	bad := c.seed(ctx)
	if t, err = c.rotated(ctx); t != nil { // another gateway may have been first
		return t, nil
	}
	switch {
	case hopeless(bad):
		return nil, c.api.fail(opRenew, channels.Unauthorized, errRefresh)
	case bad != nil:
		return nil, bad
	case err == nil:
		err = c.api.fail(opRenew, channels.Transient, errors.New("the new token is not there yet"))
	}
	return nil, err
}

// hopeless reports whether asking again in the same way is of no use.
func hopeless(err error) bool {
	kind := channels.KindOf(err)
	return err != nil && (kind == channels.Unauthorized || kind == channels.Rejected)
}

// rotated is the team whose tokens are kept; nil when none are.
func (c *Channel) rotated(ctx context.Context) (*team, error) {
	rows, err := c.host.State().List(ctx, teamPrefix, "", 1)
	if err != nil {
		return nil, c.api.fail(opRenew, channels.Other, err)
	}
	if len(rows) == 0 {
		return nil, nil //nolint:nilnil // none is no failure
	}
	return c.recall(ctx, strings.TrimPrefix(rows[0].Key, teamPrefix))
}

// seed makes the first tokens. It goes on when ctx ends, as [Channel.renewed]
// does, for the same reason.
func (c *Channel) seed(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewFor)
	defer cancel()
	c.renew.Lock()
	defer c.renew.Unlock()
	out, err := c.access(ctx, url.Values{"grant_type": {"refresh_token"}}, c.cfg.RefreshToken)
	if err != nil {
		return err
	}
	_, err = c.renewal(ctx, out.Team.ID, out, c.cfg.RefreshToken)
	return err
}
