//go:build wasip1

package slack

import (
	"cmp"
	"encoding/json"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/slack/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
)

const (
	watch    = time.Minute // between two looks at the token in mode events
	disabled = time.Minute // between tries when Socket Mode is switched off
)

func start(c *guest.Call) (wire.Out, error) {
	s, err := config(c)
	if err != nil {
		return wire.Out{}, err
	}
	if s.Mode == events && c.Public == "" {
		return wire.Out{}, guest.Errorf(channels.Rejected, "mode events needs a public_url under which Slack can reach the gateway")
	}
	b, _, err := test(c)
	if err != nil {
		return wire.Out{}, err
	}
	if err := forget(c); err != nil {
		return wire.Out{}, err
	}
	out, err := guest.Began(b, b.As())
	out.Webhook, out.NoSocket = s.Mode == events, s.Mode == events
	return out, err
}

// look finds out whether the token still counts, while Slack calls.
func look(c *guest.Call) (wire.Out, error) {
	_, _, err := test(c)
	return wire.Out{WaitMS: watch.Milliseconds()}, err
}

// open has the host ask for the address of a socket, which holds a ticket. It is
// asked again with the answer where that has none.
func open(c *guest.Call) (wire.Out, error) {
	if r := c.In.Socket.Response; r != nil {
		a := codec.Classify(r.Status, r.Headers["retry-after"], c.Body, true)
		switch {
		case a.OK:
			a = codec.Answer{Kind: channels.Transient, Reason: "the answer has no address of a socket"}
		case a.Code == codec.ReasonDisabled:
			return wire.Out{}, off()
		case a.Code == codec.ReasonTooMany:
			a.Reason = "other programs have opened all sockets that the app may have"
		}
		return wire.Out{}, refused(a)
	}
	s, err := config(c)
	return wire.Out{
		Request: &wire.Request{
			Method: "POST", URL: s.BaseURL + "/apps.connections.open",
			Headers: map[string]string{"Content-Type": "application/x-www-form-urlencoded"},
		},
		Socket: &wire.Connect{URLAt: "/url"},
	}, err
}

// off is why nothing comes when the app's Socket Mode is switched off.
func off() error {
	return guest.Refused(channels.Transient, "the app has Socket Mode switched off; switch it on again on its page Socket Mode", disabled)
}

// messages reads what came over the socket. What is to be acknowledged is when
// the events are durable.
func messages(c *guest.Call) (wire.Out, error) {
	for _, m := range c.SocketMessages() {
		e, err := codec.ReadEnvelope(m)
		if err != nil {
			c.Log(slog.LevelWarn, err.Error())
			continue
		}
		switch {
		case e.Type == codec.TypeDisconnect && e.Reason == codec.ReasonDisabled:
			return wire.Out{}, off()
		case e.Type == codec.TypeDisconnect:
			err = c.HangUp()
		case e.Type != codec.TypeHello && e.ID != "":
			err = envelope(c, e)
		}
		if err != nil {
			return wire.Out{}, err
		}
	}
	return wire.Out{}, nil
}

func envelope(c *guest.Call, e codec.Envelope) error {
	p, err := codec.Parse(e.Payload)
	if err != nil {
		c.Log(slog.LevelWarn, "an envelope holds no payload")
	} else if err := take(c, p); err != nil {
		return err
	}
	return c.Say(wire.SocketSend{After: "commit"}, e.Acknowledge())
}

// closed has the host connect again.
func closed(*guest.Call) (wire.Out, error) { return wire.Out{}, nil }

// request reads what Slack posts: an event, an interaction or a slash command.
func request(c *guest.Call) (wire.Out, error) {
	parse := codec.Parse
	if strings.HasPrefix(c.In.Request.Headers["content-type"], "application/x-www-form-urlencoded") {
		parse = codec.ParseForm
	}
	p, err := parse(c.Body)
	if err != nil {
		return wire.Out{}, guest.Errorf(channels.Rejected, err.Error())
	}
	if p.Kind == codec.KindVerification {
		c.Reply([]byte(p.Challenge))
		return wire.Out{}, nil
	}
	return wire.Out{}, take(c, p)
}

// take hands in what a payload says.
func take(c *guest.Call, p codec.Payload) error {
	b, self, err := team(c)
	if err != nil {
		return err
	}
	if p.Team != "" && p.Team != b.Team {
		c.Log(slog.LevelWarn, "an event is of a team in which the app is not installed")
		return nil
	}
	r := p.Decode(self)
	if r.Ignored != "" {
		c.Log(slog.LevelDebug, "event "+cmp.Or(p.ID, p.Kind)+" ignored: "+r.Ignored)
	}
	if r.Uninstalled { // of some token, which need not be ours
		if _, _, err := test(c); guest.KindOf(err) == channels.Unauthorized {
			return err
		}
	}
	for _, e := range r.Events {
		codec.Complete(&e, time.Now())
		codec.OfTeam(b.Team, e.Content)
		if err := join(c, &e); err != nil {
			return err
		}
		name(c, b, &e)
		if err := c.Emit(e); err != nil {
			return err
		}
		if err := await(c, &e); err != nil {
			return err
		}
	}
	return nil
}

// join finds out whether the bot takes part in the thread of an event.
func join(c *guest.Call, e *channels.Event) error {
	if e.Addressed {
		return nil
	}
	w, thread := codec.Joins(e.Where, time.Now())
	if !thread {
		return nil
	}
	v, err := c.Get(w.Key)
	e.Addressed = v != nil
	return err
}

// forget removes threads in which the bot has not spoken for long, and names
// that may have changed.
func forget(c *guest.Call) error {
	const most = 500
	for _, prefix := range []string{codec.KeepThreads, keepNames, keepPlaces} {
		for after := ""; ; {
			kept, err := c.List(prefix, after, most)
			if err != nil || len(kept) == 0 {
				if err != nil {
					return err
				}
				break
			}
			for _, w := range kept {
				after = w.Key
				if old(prefix, w.Value) {
					if err := c.Put(w.Key, nil); err != nil {
						return nil // the rest goes at the next start
					}
				}
			}
		}
	}
	return nil
}

func old(prefix string, value []byte) bool {
	if prefix == codec.KeepThreads {
		return codec.Forgotten(value, time.Now())
	}
	const lasts = 30 * 24 * time.Hour
	var x struct {
		At time.Time `json:"at"`
	}
	return json.Unmarshal(value, &x) != nil || time.Since(x.At) > lasts
}

// keepNames begins the keys of what people and rooms are called.
const keepNames = "name/"

// title is a name that was asked for.
type title struct {
	Name string    `json:"name"`
	At   time.Time `json:"at"`
}

// name puts names to an event that has none. They are for show: when the
// platform does not tell soon, the event goes without.
func name(c *guest.Call, b codec.Bot, e *channels.Event) {
	switch {
	case e.Who.Self:
		e.Who.Handle = b.Handle
	case e.Who.Name == "" && !e.Who.Bot:
		e.Who.Name = called(c, "users.info", "user", e.Who.ID)
	}
	if !e.Room.Direct && e.Room.Title == "" {
		e.Room.Title = called(c, "conversations.info", "channel", string(e.Where.Conversation))
	}
}

// called asks for a name, and remembers it.
func called(c *guest.Call, method, arg, id string) string {
	const within = 300 // milliseconds
	var known title
	key := keepNames + id
	if v, err := c.Get(key); err != nil || v != nil && json.Unmarshal(v, &known) == nil {
		return known.Name
	}
	_, body, err := patient(c, method, url.Values{arg: {id}}, wire.Request{TimeoutMS: within})
	switch kind := guest.KindOf(err); {
	case err == nil:
		known.Name = codec.Name(body)
	case kind != channels.Rejected && kind != channels.Gone: // it may be told later
		return ""
	}
	known.At = time.Now().UTC()
	if v, err := json.Marshal(known); err == nil {
		_ = c.Put(key, v) // it is asked for again
	}
	return known.Name
}

// keepPlaces begins the keys of the newest message of each place that means the
// bot, which is marked, and below which a status is shown, when work on it begins.
const keepPlaces = "newest/"

type newest struct {
	ID     channels.MessageID `json:"id"`
	Marked bool               `json:"marked,omitempty"`
	At     time.Time          `json:"at"`
}

func placeKey(at channels.Address) string {
	return keepPlaces + string(at.Conversation) + "/" + string(at.Thread)
}

func await(c *guest.Call, e *channels.Event) error {
	m, ok := e.Content.(channels.Message)
	if !ok || !e.Addressed || e.Who.Bot || e.Who.Self {
		return nil
	}
	return place(c, e.Where, newest{ID: m.ID})
}

func place(c *guest.Call, at channels.Address, n newest) error {
	n.At = time.Now().UTC()
	v, err := json.Marshal(n)
	if err == nil {
		err = c.Put(placeKey(at), v)
	}
	return err
}
