//go:build wasip1

package slack

import (
	"encoding/json"
	"log/slog"
	"net/url"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/slack/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
)

// quietKey holds until when the bot does not show that it is at work, because the
// app may not or the team has no such thing.
const quietKey = "quiet"

const quietFor = time.Hour

// typing shows a status in a thread; outside of one it is shown in the thread
// that the answered message would begin. The first time for a message the
// reaction that the configuration asks for is set: by then the gateway has let
// the sender in and works on the message.
func typing(c *guest.Call) (wire.Out, error) {
	if _, err := at(c, c.At.Account); err != nil {
		return wire.Out{}, err
	}
	var n newest
	if v, err := c.Get(placeKey(*c.At)); err == nil && v != nil {
		_ = json.Unmarshal(v, &n)
	}
	if n.ID != "" && !n.Marked {
		if err := mark(c, n); err != nil {
			return wire.Out{}, err
		}
	}
	root := channels.MessageID(c.At.Thread)
	if root == "" {
		root = n.ID
	}
	if root == "" || quiet(c) {
		return wire.Out{}, nil
	}
	k, err := codec.Typing(*c.At, root)
	if _, err := small(c, k, err); guest.KindOf(err) != channels.Rejected {
		return wire.Out{}, err
	}
	until, err := time.Now().Add(quietFor).MarshalText()
	if err == nil {
		err = c.Put(quietKey, until)
	}
	return wire.Out{}, err
}

func quiet(c *guest.Call) bool {
	var until time.Time
	v, err := c.Get(quietKey)
	return err == nil && v != nil && until.UnmarshalText(v) == nil && time.Now().Before(until)
}

// mark sets the reaction that says that the bot works on a message.
func mark(c *guest.Call, n newest) error {
	s, err := config(c)
	if err != nil {
		return err
	}
	if name, ok := codec.EmojiName(s.AckReaction); ok && s.AckReaction != "" {
		k, err := codec.React(*c.At, n.ID, name, true)
		if _, err := small(c, k, err); err != nil {
			c.Log(slog.LevelDebug, "the reaction was refused: "+err.Error())
		}
	}
	n.Marked = true
	return place(c, *c.At, n)
}

// fetch has the host open a file.
func fetch(c *guest.Call) (wire.Out, error) {
	s, err := config(c)
	if err != nil {
		return wire.Out{}, err
	}
	account, ref, err := codec.CutTeam(c.File.Ref)
	if err != nil {
		return wire.Out{}, guest.Errorf(channels.Rejected, err.Error())
	}
	if c.File.Size > codec.MaxFetch {
		return wire.Out{}, guest.Errorf(channels.Rejected, codec.ErrTooBigToFetch.Error())
	}
	if _, err := at(c, account); err != nil {
		return wire.Out{}, err
	}
	id, address := codec.FileRef(ref)
	if address == "" {
		_, body, err := ask(c, "files.info", url.Values{"file": {id}})
		if err != nil {
			return wire.Out{}, err
		}
		address = codec.Located(body)
	}
	if !codec.Ours(address, s.BaseURL) {
		return wire.Out{}, guest.Errorf(channels.Rejected, "the file does not lie with the platform")
	}
	resp, _, err := c.Do(wire.Request{URL: address, Save: true, Repeatable: true}, nil)
	switch {
	case err != nil:
		return wire.Out{}, guest.Lost(err)
	case resp.File != "":
		return wire.Out{File: resp.File}, nil
	}
	return wire.Out{}, refused(codec.ClassifyDownload(resp.Status, resp.Headers["retry-after"]))
}

func probe(c *guest.Call) (wire.Out, error) {
	s, err := config(c)
	if err != nil {
		return wire.Out{}, err
	}
	b, scopes, err := test(c)
	if err != nil {
		return wire.Out{}, err
	}
	who := channels.Identity{Account: channels.AccountID(b.Team), Name: b.Name, Handle: b.Handle, Link: b.Link(), Notes: codec.Missing(scopes)}
	if s.Mode == events {
		who.Notes = append(who.Notes, "Events, interactivity and the slash command of the app must have the request URL "+c.Public+".")
	} else if _, _, err := ask(c, "apps.connections.open", url.Values{}); guest.KindOf(err) == channels.Unauthorized {
		return wire.Out{}, err
	} else if err != nil {
		who.Notes = append(who.Notes, "No socket can be opened now: "+err.Error())
	}
	return wire.Out{Identity: &who}, nil
}
