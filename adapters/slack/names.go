package slack

import (
	"context"
	"encoding/json"
	"net/url"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/slack/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
)

// names are what people and rooms are called, which events do not say. They are
// for show: when the platform does not tell soon, the event goes without.
type names struct {
	mu    sync.Mutex
	known map[string]string
	off   time.Time // until when nobody is asked, because an answer was late
}

const (
	namesKnown  = 8192
	namesWithin = 400 * time.Millisecond // for all names of an event; Slack wants an answer in 3 s
	namesPause  = time.Minute
)

func (n *names) get(key string) (name string, known, off bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	name, known = n.known[key]
	return name, known, time.Now().Before(n.off)
}

func (n *names) put(key, name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known == nil || len(n.known) >= namesKnown {
		n.known = map[string]string{}
	}
	n.known[key] = name
}

func (n *names) rest() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.off = time.Now().Add(namesPause)
}

// name puts names to events that have none.
func (c *Channel) name(ctx context.Context, t *team, events []channels.Event) {
	ctx, cancel := context.WithTimeout(ctx, namesWithin)
	defer cancel()
	for i := range events {
		e := &events[i]
		switch {
		case e.Who.Self:
			e.Who.Handle = t.handle
		case e.Who.Name == "" && !e.Who.Bot:
			e.Who.Name = c.called(ctx, t, "users.info", "user", e.Who.ID)
		}
		if !e.Room.Direct && e.Room.Title == "" {
			e.Room.Title = c.called(ctx, t, "conversations.info", "channel", string(e.Where.Conversation))
		}
	}
}

// called asks for a name, once.
func (c *Channel) called(ctx context.Context, t *team, method, arg, id string) string {
	key := t.Team + "/" + id
	name, known, off := c.names.get(key)
	if known || off {
		return name
	}
	var out json.RawMessage
	_, err := c.api.ask(ctx, t.ref, method, url.Values{arg: {id}}, &out)
	switch kind := channels.KindOf(err); {
	case err == nil:
		name = codec.Name(out)
	case kind == channels.Rejected || kind == channels.Gone: // it will not be told later either
	default:
		c.names.rest()
		return ""
	}
	c.names.put(key, name)
	return name
}
