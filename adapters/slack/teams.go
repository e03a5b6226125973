package slack

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/slack/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
)

// team is an installation of the app.
type team struct {
	codec.Self
	name   string // of the team
	handle string // of the bot
	ref    string // of its token
	scopes []string
	ends   time.Time // of its token; zero: never
}

// as is the account as the platform names it.
func (t *team) as() string {
	if t.Team == "" {
		return t.name
	}
	return codec.Bot{Handle: t.handle, Name: t.name}.As()
}

// teams are the installations that are known.
type teams struct {
	mu  sync.Mutex
	all map[channels.AccountID]*team
}

func (t *teams) put(x *team) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = map[channels.AccountID]*team{}
	}
	t.all[x.Account()] = x
}

// get is a team that is known; no I/O.
func (t *teams) get(a channels.AccountID) (*team, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x, ok := t.all[a]
	return x, ok
}

// only is the one team, if there is one and no more.
func (t *teams) only() (*team, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, x := range t.all {
		return x, len(t.all) == 1
	}
	return nil, false
}

func (t *teams) drop(a channels.AccountID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.all, a)
}

func (t *teams) list() []*team {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Values(t.all))
}

// refused stops Run when the token is refused. Where several teams have
// installed the app, one that has not any more stops no other.
func (c *Channel) refused(err error) error {
	if channels.KindOf(err) == channels.Unauthorized && !c.cfg.many() {
		c.refusal.Note(err)
	}
	return err
}

// learn asks the platform who the bot is, and remembers it. Each Run does, since
// the token behind the reference may be another bot's by then.
func (c *Channel) learn(ctx context.Context) (*team, error) {
	t, err := c.test(ctx, c.cfg.Token)
	if err != nil {
		return nil, err
	}
	c.teams.put(t)
	return t, nil
}

// test asks whose token it is.
func (c *Channel) test(ctx context.Context, ref string) (*team, error) {
	var who codec.Bot
	head, err := c.api.ask(ctx, ref, "auth.test", url.Values{}, &who)
	if err != nil {
		return nil, err
	}
	if who.Team == "" || who.User == "" {
		return nil, c.api.fail("auth.test", channels.Transient, errors.New("the answer names no bot"))
	}
	if who.ID == "" {
		return nil, c.api.fail("auth.test", channels.Unauthorized, codec.ErrPerson)
	}
	t := &team{
		Self: codec.Self{Channel: c.host.ID(), Team: who.Team, User: who.User, Bot: who.ID, Command: c.cfg.Command},
		name: who.Name, handle: who.Handle, ref: ref, scopes: codec.Scopes(head.Get("X-Oauth-Scopes")),
	}
	return t, nil
}

// at is the team that an address is in.
func (c *Channel) at(ctx context.Context, a channels.AccountID) (*team, error) {
	if t, ok := c.teams.get(a); ok {
		return t, nil
	}
	if c.cfg.renews() {
		// Another gateway may have installed it.
		t, err := c.recall(ctx, string(a))
		if err == nil && t == nil {
			err = c.api.fail("send", channels.Gone, errors.New("the app is not installed in that team"))
		}
		return t, err
	}
	t, err := c.learn(ctx)
	if err != nil {
		return nil, c.refused(err)
	}
	if a != "" && t.Account() != a {
		return nil, c.api.fail("send", channels.Gone, errors.New("the app is not installed in that team"))
	}
	return t, nil
}
