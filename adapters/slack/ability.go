package slack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/slack/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/link"
)

func sleep(ctx context.Context, d time.Duration) error { return link.Sleep(ctx, d) }

// reactions remembers what the bot has put on a message, so that a change takes
// the old one off. It forgets; then the platform is asked.
type reactions struct {
	mu  sync.Mutex
	set map[string]string
}

const maxMarks = 4096

func (r *reactions) swap(key, name string) (was string, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was, known = r.set[key]
	if r.set == nil || len(r.set) >= maxMarks {
		r.set = map[string]string{}
	}
	r.set[key] = name
	return was, known
}

// React implements channels.Reactor. Slack lets a bot have several reactions on
// a message; this one has one.
func (c *Channel) React(ctx context.Context, at channels.Address, id channels.MessageID, emoji string) error {
	t, err := c.at(ctx, at.Account)
	if err != nil {
		return err
	}
	name := ""
	if emoji != "" {
		var ok bool
		if name, ok = codec.EmojiName(emoji); !ok {
			return c.api.fail("reactions.add", channels.Rejected, codec.ErrEmoji)
		}
	}
	old, err := c.reacted(ctx, t, at, id, name)
	if err != nil {
		return err
	}
	for _, was := range old {
		if was == name {
			continue
		}
		call, err := codec.React(at, id, was, false)
		if err := c.small(ctx, t, call, err); err != nil {
			return err
		}
	}
	if name == "" {
		return nil
	}
	call, err := codec.React(at, id, name, true)
	return c.small(ctx, t, call, err)
}

// reacted are the bot's reactions on a message; what comes next is remembered.
func (c *Channel) reacted(ctx context.Context, t *team, at channels.Address, id channels.MessageID, next string) ([]string, error) {
	key := t.Team + "/" + string(at.Conversation) + "/" + string(id)
	was, known := c.marks.swap(key, next)
	switch {
	case known && was == "":
		return nil, nil
	case known:
		return []string{was}, nil
	case next != "": // most messages have none, and one too many harms nobody
		return nil, nil
	}
	var out json.RawMessage
	in := url.Values{"channel": {string(at.Conversation)}, "timestamp": {string(id)}, "full": {"true"}}
	if _, err := c.api.ask(ctx, t.ref, "reactions.get", in, &out); err != nil {
		return nil, c.refused(err)
	}
	return codec.Mine(out, t.User), nil
}

// quiet remembers the teams in which the bot cannot show that it is at work, so
// that it does not ask each time.
type quiet struct {
	mu    sync.Mutex
	until map[string]time.Time
}

const quietFor = time.Hour

func (q *quiet) is(team string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return time.Now().Before(q.until[team])
}

func (q *quiet) set(team string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.until == nil {
		q.until = map[string]time.Time{}
	}
	q.until[team] = time.Now().Add(quietFor)
}

// Type implements channels.Typer. Slack shows a status in a thread; outside of
// one it is shown in the thread that the answered message would begin. The
// first time for a message the reaction that the configuration asks for is set:
// by then the gateway has let the sender in and works on the message.
func (c *Channel) Type(ctx context.Context, at channels.Address) error {
	id, first := c.unacked.Take(at)
	if emoji := *c.ack.Load(); first && emoji != "" {
		if err := c.React(ctx, at, id, emoji); err != nil {
			c.host.Log().DebugContext(ctx, "the reaction was refused", "err", err)
		}
	}
	t, err := c.at(ctx, at.Account)
	if err != nil {
		return err
	}
	root := channels.MessageID(at.Thread)
	if root == "" {
		root = id
	}
	if root == "" || c.quiet.is(t.Team) {
		return nil
	}
	call, err := codec.Typing(at, root)
	err = c.small(ctx, t, call, err)
	if channels.KindOf(err) == channels.Rejected { // the app may not, or the team has no such thing
		c.quiet.set(t.Team)
		return nil
	}
	return err
}

// Probe implements channels.Prober.
func (c *Channel) Probe(ctx context.Context) (channels.Identity, error) {
	if c.cfg.many() {
		t, err := c.installed(ctx)
		if err != nil {
			return channels.Identity{}, err
		}
		return channels.Identity{Name: t.name, Notes: []string{"Teams install the app at " + c.host.Public() + pathInstall + "; those may that the key teams names."}}, nil
	}
	look := func(ctx context.Context) (*team, error) { return c.test(ctx, c.cfg.Token) }
	if c.cfg.renews() {
		look = c.rotating
	}
	t, err := look(ctx)
	if err != nil {
		return channels.Identity{}, err
	}
	id := channels.Identity{
		Account: t.Account(), Name: t.name, Handle: t.handle,
		Link: codec.Bot{Team: t.Team, User: t.User}.Link(),
	}
	id.Notes = codec.Missing(t.scopes)
	if c.cfg.Mode == modeSocket {
		if _, err := c.api.ask(ctx, c.cfg.AppToken, opOpen, url.Values{}, nil); err != nil {
			if channels.KindOf(err) == channels.Unauthorized {
				return id, err
			}
			id.Notes = append(id.Notes, "No socket can be opened now: "+reason(err)+". "+fixDisabled)
		}
	} else {
		id.Notes = append(id.Notes, "Events, interactivity and the slash command of the app must have the request URL "+c.host.Public()+".")
	}
	return id, nil
}

func reason(err error) string {
	var r *refusal
	if errors.As(err, &r) {
		return r.Error()
	}
	return "the platform cannot be reached"
}

// Reload implements channels.Reloader. Only the reaction changes in place.
func (c *Channel) Reload(_ context.Context, cfg []byte) error {
	s, faults := parse(cfg)
	if len(faults) > 0 {
		return fmt.Errorf("%s %s", faults[0].Path, faults[0].Text)
	}
	was := c.cfg
	was.AckReaction = s.AckReaction
	if was != s {
		return errors.ErrUnsupported
	}
	c.ack.Store(&s.AckReaction)
	return nil
}
