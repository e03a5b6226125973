//go:build wasip1

package discord

import (
	"encoding/json"
	"log/slog"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/discord/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
)

// The timers.
const (
	beat    = "beat"
	overdue = "overdue" // the gateway has not answered
	answer  = 20 * time.Second
)

// place is where reception stands, with what is still to be read.
type place struct {
	codec.Position
	Todo    []history       `json:"todo,omitempty"`
	Waiting map[string]bool `json:"waiting,omitempty"` // guilds that the gateway has yet to tell of, while there is a gap
	Silent  int             `json:"silent,omitempty"`  // resumptions in a row without an answer
	Settle  bool            `json:"settle,omitempty"`  // the session was declared invalid: a pause comes before the next
}

func load(c *guest.Call, a account) (p place, err error) {
	b, err := c.Get(a.key("session"))
	if err == nil && b != nil && json.Unmarshal(b, &p) != nil {
		return place{}, nil // histories tell what was missed
	}
	return p, err
}

func (p place) keep(c *guest.Call, a account) error {
	b, err := json.Marshal(p)
	if err == nil {
		err = c.Put(a.key("session"), b)
	}
	return err
}

func start(c *guest.Call) (wire.Out, error) {
	a, err := who(c)
	if err != nil {
		return wire.Out{}, err
	}
	if err := forget(c); err != nil {
		return wire.Out{}, err
	}
	out, err := guest.Began(a, a.Name)
	out.Webhook = true
	return out, err
}

// forget removes claims of interactions that have ended.
func forget(c *guest.Call) error {
	const most = 40 // the rest goes the next time
	kept, err := c.List(codec.KeepClaims, "", most)
	if err != nil {
		return err
	}
	for _, w := range kept {
		if codec.Ended(w.Value, time.Now()) {
			if err := c.Put(w.Key, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// open says where to connect: where the session is to be resumed, or what the
// platform says. A resumption that was left without an answer twice is given up.
func open(c *guest.Call) (wire.Out, error) {
	a, err := known(c)
	if err != nil {
		return wire.Out{}, err
	}
	p, err := load(c, a)
	if err != nil {
		return wire.Out{}, err
	}
	if p.Silent >= 2 || p.Gap != "" { // only a new session tells of all guilds again
		p.Session, p.Silent, p.Todo, p.Waiting = "", 0, nil, nil
	}
	p.Settle = false
	to := p.Resume
	if p.Session == "" || to == "" || c.In.Socket.Failures > 1 {
		var g codec.Gate
		if err := get(c, "/gateway/bot", &g); err != nil {
			return wire.Out{}, err
		}
		if wait := g.Wait(); p.Session == "" && wait > 0 {
			return wire.Out{}, guest.Refused(channels.RateLimited, codec.ErrUsedUp.Error(), wait)
		}
		to = g.URL
	}
	at, err := codec.Dial(to)
	if err != nil {
		return wire.Out{}, guest.Errorf(channels.Transient, err.Error())
	}
	if err := p.keep(c, a); err != nil {
		return wire.Out{}, err
	}
	return wire.Out{Socket: &wire.Connect{URL: at}}, c.SetTimer(wire.TimerSet{Name: overdue, AfterMS: answer.Milliseconds()})
}

// messages reads a frame; the manifest has the host hand them in one by one.
func messages(c *guest.Call) (wire.Out, error) {
	a, err := known(c)
	if err != nil {
		return wire.Out{}, err
	}
	p, err := load(c, a)
	if err != nil {
		return wire.Out{}, err
	}
	if c.In.Socket.Again {
		return catchUp(c, a, p)
	}
	out := wire.Out{Unready: true}
	for _, m := range c.SocketMessages() {
		f, err := codec.ReadFrame(m)
		if err != nil {
			return wire.Out{}, guest.Errorf(channels.Transient, err.Error())
		}
		if f.Op == codec.OpDispatch {
			if out, err = dispatch(c, a, &p, f); err != nil {
				return wire.Out{}, err
			}
		} else if err := control(c, a, &p, f); err != nil {
			return wire.Out{}, err
		}
	}
	return out, nil
}

// control deals with what is about the connection.
func control(c *guest.Call, a account, p *place, f codec.Frame) error {
	switch f.Op {
	case codec.OpHello:
		return hello(c, a, p, f)
	case codec.OpHeartbeat:
		return c.Say(wire.SocketSend{}, codec.Heartbeat(p.Seq))
	case codec.OpHeartbeatAck:
		return c.Put(a.key(beat), nil)
	case codec.OpReconnect:
		return c.HangUp()
	case codec.OpInvalid:
		if !f.Resumable() {
			p.Session, p.Settle = "", true
			if err := p.keep(c, a); err != nil {
				return err
			}
		}
		return c.HangUp()
	}
	return nil
}

// hello begins a session or goes on with one. The host puts the token in.
func hello(c *guest.Call, a account, p *place, f codec.Frame) error {
	s, err := config(c)
	if err != nil {
		return err
	}
	every := f.Interval()
	if every == 0 {
		return guest.Errorf(channels.Transient, "the gateway did not say hello")
	}
	hello := codec.Identify("", codec.Intents(s.MessageContent))
	if p.Session != "" {
		hello = codec.Resume("", p.Session, p.Seq)
		p.Silent++ // until it is answered
		if err := p.keep(c, a); err != nil {
			return err
		}
	}
	if err := c.Put(a.key(beat), nil); err != nil {
		return err
	}
	first := time.Duration(time.Now().UnixNano()/int64(time.Millisecond)%every.Milliseconds()+1) * time.Millisecond // spreads load
	err = c.SetTimer(wire.TimerSet{Name: beat, AfterMS: first.Milliseconds(), EveryMS: every.Milliseconds()})
	if err == nil {
		err = c.SetTimer(wire.TimerSet{Name: overdue, AfterMS: answer.Milliseconds()})
	}
	if err == nil {
		err = c.Say(wire.SocketSend{Credential: true}, hello)
	}
	return err
}

// timer beats, and ends a connection that does not answer.
func timer(c *guest.Call) (wire.Out, error) {
	if c.In.Timer != beat {
		c.Log(slog.LevelWarn, "the gateway does not answer any more")
		return wire.Out{}, c.HangUp()
	}
	a, err := known(c)
	if err != nil {
		return wire.Out{}, err
	}
	unanswered, err := c.Get(a.key(beat))
	if err != nil {
		return wire.Out{}, err
	}
	const most = 2 // while an acceptance is slow, nobody hears the answers
	if len(unanswered) >= most {
		c.Log(slog.LevelWarn, "the gateway does not answer any more")
		return wire.Out{}, c.HangUp()
	}
	p, err := load(c, a)
	if err == nil {
		err = c.Say(wire.SocketSend{}, codec.Heartbeat(p.Seq))
	}
	if err == nil {
		err = c.Put(a.key(beat), append(unanswered, '.'))
	}
	return wire.Out{}, err
}

// closed deals with the end of a connection.
func closed(c *guest.Call) (wire.Out, error) {
	a, err := known(c)
	if err != nil {
		return wire.Out{}, err
	}
	p, err := load(c, a)
	if err != nil {
		return wire.Out{}, err
	}
	x := codec.Closed(c.In.Socket.Code)
	switch {
	case x.Kind != "":
		return wire.Out{}, guest.Errorf(x.Kind, x.Text+". "+x.Fix)
	case x.Fresh:
		p.Session = ""
		return wire.Out{}, p.keep(c, a)
	case p.Settle: // the platform asks for 1 to 5 seconds
		return wire.Out{WaitMS: 1000 + time.Now().UnixMilli()%4000}, nil
	}
	return wire.Out{}, nil
}

// maxLag is how many dispatches without an event may go by before the position
// is kept all the same.
const maxLag = 100

// dispatch takes in one event of the gateway.
func dispatch(c *guest.Call, a account, p *place, f codec.Frame) (wire.Out, error) {
	switch f.Type {
	case "READY":
		return ready(c, a, p, f)
	case "RESUMED":
		p.Silent = 0
		if err := p.keep(c, a); err != nil {
			return wire.Out{}, err
		}
		return wire.Out{}, c.SetTimer(wire.TimerSet{Name: overdue})
	}
	w, err := open1(c, a, f)
	if err != nil {
		return wire.Out{}, err
	}
	mark := codec.Short(p.Session)[:16] + "/" + number(f.Seq)
	r, err := w.decode(c, func() codec.Result { return w.Decode(a.self(c), f.Type, f.Data, mark) })
	if err != nil {
		return wire.Out{}, err
	}
	if r.Ignored != "" {
		c.Log(slog.LevelDebug, "update "+f.Type+" ignored: "+r.Ignored)
	}
	n, err := hand(c, a, p, r)
	if err != nil {
		return wire.Out{}, err
	}
	changed, err := w.keep(c)
	if err != nil {
		return wire.Out{}, err
	}
	out := told(p, w, f)
	if answered := p.Silent > 0; answered || n > 0 || changed || out.Again || f.Seq-p.Seq >= maxLag {
		if p.Seq = max(p.Seq, f.Seq); answered {
			p.Silent = 0
			if err := c.SetTimer(wire.TimerSet{Name: overdue}); err != nil {
				return wire.Out{}, err
			}
		}
		err = p.keep(c, a)
	}
	return out, err
}

// hand hands in what was decoded, and tells who waits that it has arrived. n
// counts what is to be kept.
func hand(c *guest.Call, a account, p *place, r codec.Result) (n int, err error) {
	for _, e := range r.Events {
		if e.At.IsZero() {
			e.At = time.Now().UTC()
		}
		if err := c.Emit(e); err != nil {
			return n, err
		}
		if err := await(c, a, &e); err != nil {
			return n, err
		}
		n++
	}
	for _, s := range r.State {
		if err := c.Put(a.key(s.Key), s.Value); err != nil {
			return n, err
		}
		n++
	}
	if r.Newest != "" && codec.Newer(r.Newest, p.Newest) {
		p.Newest = r.Newest
	}
	if r.Defer == nil {
		return n, nil
	}
	const patience = 2800 // milliseconds; the platform waits 3 seconds
	k := r.Defer.Acknowledge()
	k.Repeatable = true // one that arrives twice is refused
	q, err := written(c, k, wire.Request{After: "commit", TimeoutMS: patience})
	if err == nil {
		_, _, err = c.Do(q, k.Body)
	}
	return n, err
}
