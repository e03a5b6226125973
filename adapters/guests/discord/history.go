//go:build wasip1

package discord

import (
	"log/slog"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/discord/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
)

// history is a channel whose messages are to be read, after an id.
type history struct {
	Channel string `json:"channel"`
	Guild   string `json:"guild,omitempty"`
	After   string `json:"after"`
	Pages   int    `json:"pages,omitempty"` // that were read
}

// ready begins a session. When there was one before, what it missed is read
// from histories: the direct chats now, a guild's channels when the gateway has
// told of the guild.
func ready(c *guest.Call, a account, p *place, f codec.Frame) (wire.Out, error) {
	r, err := f.Ready()
	if err != nil {
		return wire.Out{}, guest.Errorf(channels.Transient, err.Error())
	}
	p.Position, p.Silent = p.Begun(r, f.Seq, time.Now()), 0
	if err := c.SetTimer(wire.TimerSet{Name: overdue}); err != nil {
		return wire.Out{}, err
	}
	if p.Gap == "" {
		return wire.Out{}, p.keep(c, a)
	}
	c.Log(slog.LevelInfo, "a new session has begun; reading what was said before it")
	p.Waiting = map[string]bool{}
	for _, id := range r.Guilds {
		p.Waiting[id] = true
	}
	const most = 1000 // direct chats, the one used last first
	w := codec.NewWorld()
	kept, err := c.List(a.key(codec.KeepDirect), "", most)
	if err != nil {
		return wire.Out{}, err
	}
	for i := range kept {
		kept[i].Key = kept[i].Key[len(a.key("")):]
	}
	w.Recall(kept)
	for _, id := range w.Direct(most) {
		p.Todo = append(p.Todo, history{Channel: id, After: p.Gap})
	}
	p.close()
	return wire.Out{Again: len(p.Todo) > 0}, p.keep(c, a)
}

// told notes which histories of a guild are to be read, now that its channels
// are known.
func told(p *place, w *world, f codec.Frame) wire.Out {
	if p.Gap == "" || f.Type != "GUILD_CREATE" && f.Type != "GUILD_DELETE" {
		return wire.Out{}
	}
	id, away := f.Guild()
	if away {
		return wire.Out{} // it will be told of when it is back
	}
	if f.Type == "GUILD_CREATE" {
		for _, channel := range w.Behind(p.Gap) {
			p.Todo = append(p.Todo, history{Channel: channel, Guild: id, After: p.Gap})
		}
	}
	delete(p.Waiting, id)
	p.close()
	return wire.Out{Again: len(p.Todo) > 0}
}

// close notes that everything was read, once it was.
func (p *place) close() {
	if len(p.Todo) == 0 && len(p.Waiting) == 0 {
		p.Gap = ""
	}
}

// catchUp reads histories: pages as far as a call goes, but only one with
// messages, since a call hands in a hundred events at most.
func catchUp(c *guest.Call, a account, p place) (wire.Out, error) {
	const pages = 16
	for range pages {
		if len(p.Todo) == 0 {
			break
		}
		n, err := page(c, a, &p)
		if err != nil {
			return wire.Out{}, err
		}
		if n > 0 {
			break
		}
	}
	p.close()
	return wire.Out{Again: len(p.Todo) > 0}, p.keep(c, a)
}

// page reads one page of the first history.
func page(c *guest.Call, a account, p *place) (n int, err error) {
	const most = 50 // of a channel
	h := &p.Todo[0]
	list, last, err := read(c, h.Channel, h.After)
	if err != nil {
		return 0, err
	}
	w, err := worldOf(c, a, h.Guild, h.Channel)
	if err != nil {
		return 0, err
	}
	for _, raw := range list {
		r, err := w.decode(c, func() codec.Result { return w.Message(a.self(c), h.Guild, raw) })
		if err != nil {
			return n, err
		}
		kept, err := hand(c, a, p, r)
		if err != nil {
			return n, err
		}
		n += kept
	}
	if _, err := w.keep(c); err != nil {
		return n, err
	}
	h.Pages++
	if last == "" || h.Pages >= most {
		if last != "" {
			c.Log(slog.LevelWarn, "more was said in a channel than is read after a pause; the rest is left out")
		}
		p.Todo = p.Todo[1:]
		return n, nil
	}
	h.After = last
	return n, nil
}

// read asks for a page, some times. What can never be read is empty.
func read(c *guest.Call, channel, after string) (list [][]byte, last string, err error) {
	k, err := codec.History(channel, after)
	if err != nil {
		return nil, "", nil // what is no channel has no history
	}
	const tries = 3
	wait := int64(0)
	for n := 1; ; n++ {
		a, err := call(c, k, wire.Request{WaitMS: wait})
		if err == nil && a.OK {
			pages, end, bad := codec.Page(a.Result)
			if bad == nil {
				for _, raw := range pages {
					list = append(list, raw)
				}
				return list, end, nil
			}
			err = guest.Errorf(channels.Other, bad.Error())
		} else if err == nil {
			err = refused(a)
		}
		switch kind := guest.KindOf(err); {
		case kind == channels.Gone, kind == channels.Rejected, kind == channels.Other && n >= tries:
			c.Log(slog.LevelDebug, "a channel's history cannot be read: "+err.Error())
			return nil, "", nil
		case kind == channels.Unauthorized, n >= tries:
			return nil, "", err
		}
		wait = max(500, a.RetryAfter.Milliseconds())
	}
}
