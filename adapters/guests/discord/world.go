//go:build wasip1

package discord

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/gatehouse-chat/gatehouse/adapters/discord/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
)

func number(n int64) string { return strconv.FormatInt(n, 10) }

// world is what is known of the places that one dispatch is about.
type world struct {
	*codec.World
	a     account
	guild string
	was   []byte // what was kept of the guild's places
}

// open1 is the world of one frame.
func open1(c *guest.Call, a account, f codec.Frame) (*world, error) {
	guild, channel := f.Concerns()
	return worldOf(c, a, guild, channel)
}

func worldOf(c *guest.Call, a account, guild, channel string) (*world, error) {
	w := &world{World: codec.NewWorld(), a: a, guild: guild}
	var keys []string
	if guild != "" {
		kept, err := c.Get(a.key(codec.KeepPlaces + guild))
		if err != nil {
			return nil, err
		}
		w.Restore(guild, kept)
		w.was = w.Places(guild)
		keys = append(keys, codec.KeepRoles+guild, codec.KeepThreads+channel)
	} else {
		keys = append(keys, codec.KeepDirect+channel)
	}
	for _, key := range keys {
		v, err := c.Get(a.key(key))
		if err != nil {
			return nil, err
		}
		if v != nil {
			w.Recall([]channels.Write{{Key: key, Value: v}})
		}
	}
	return w, nil
}

// keep keeps what is known of the guild's places, if that has changed.
func (w *world) keep(c *guest.Call) (changed bool, err error) {
	if w.guild == "" {
		return false, nil
	}
	now := w.Places(w.guild)
	if bytes.Equal(now, w.was) {
		return false, nil
	}
	w.was = now
	return true, c.Put(w.a.key(codec.KeepPlaces+w.guild), now)
}

// decode decodes, and looks up the channels that are not known. When only a name
// is at stake it is tried once, for a short time.
func (w *world) decode(c *guest.Call, f func() codec.Result) (codec.Result, error) {
	const tries, short = 3, 2000
	r := f()
	for n := 0; r.Missing != "" && n < tries; n++ {
		k, err := codec.Channel(r.Missing)
		if err != nil {
			w.Assume(r.Missing)
			r = f()
			continue
		}
		q := wire.Request{}
		if r.Guess {
			q.TimeoutMS = short
		}
		a, err := call(c, k, q)
		if err == nil && !a.OK {
			err = refused(a)
		}
		kind := guest.KindOf(err)
		var refusal guest.Refusal
		switch {
		case err == nil && w.Learn(a.Result):
		case r.Guess, kind == channels.Gone, kind == channels.Rejected, kind == channels.Unauthorized, errors.As(err, &refusal):
			w.Assume(r.Missing)
		case err != nil:
			return r, err // it comes again
		default:
			w.Assume(r.Missing)
		}
		r = f()
	}
	return r, nil
}
