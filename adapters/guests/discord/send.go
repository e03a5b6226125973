//go:build wasip1

package discord

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/discord/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
)

func options(c *guest.Call) (codec.Options, error) {
	s, err := config(c)
	return codec.Options{Pings: s.Pings}, err
}

// send bears a nonce, so that the same part sent again within some minutes is
// not shown twice.
func send(c *guest.Call) (wire.Out, error) {
	p := guest.PartOf(c.Part)
	o, err := options(c)
	if err != nil {
		return wire.Out{}, err
	}
	if p.Via != nil && !p.Via.Token.Empty() && p.Replaces == "" {
		if out, done, err := reply(c, p, o); done {
			return out, err
		}
	}
	k, err := codec.Encode(p, o)
	if err != nil {
		return wire.Out{}, guest.Errorf(channels.Rejected, err.Error())
	}
	b, err := invoke(c, k)
	if err != nil {
		return wire.Out{}, err
	}
	return guest.Sent(codec.Sent(p, b, time.Now())), nil
}

// reply answers a command where its person waits for it. done is false when the
// part goes the ordinary way: another one has taken the place, or it is gone.
func reply(c *guest.Call, p channels.Part, o codec.Options) (out wire.Out, done bool, err error) {
	a, err := known(c)
	if err != nil {
		return out, true, err
	}
	ours, err := claim(c, codec.KeepClaims+codec.Short(p.Via.Token.Reveal()), p.Key)
	if err != nil {
		return out, true, guest.Errorf(channels.Transient, "what was answered already is not known")
	}
	if !ours {
		return out, false, nil
	}
	k, err := codec.EncodeReply(p, o, a.App.ID)
	if err != nil {
		return out, true, guest.Errorf(channels.Rejected, err.Error())
	}
	n, err := call(c, k, wire.Request{})
	if err == nil && !n.OK && n.Kind == channels.Gone { // it may have overtaken the acknowledgement
		const moment = 500 // milliseconds
		n, err = call(c, k, wire.Request{WaitMS: moment})
	}
	switch {
	case err != nil:
		return out, true, err
	case n.OK:
		return guest.Sent(codec.Sent(p, n.Result, time.Now())), true, nil
	case n.Kind == channels.Gone:
		return out, false, nil
	}
	return out, true, refused(n)
}

// claim takes the place of an interaction for a part, before the part is sent,
// or says that another part has it.
func claim(c *guest.Call, key, part string) (ours bool, err error) {
	b, err := c.Get(key)
	if err != nil {
		return false, err
	}
	var old codec.Claim
	if b != nil && json.Unmarshal(b, &old) == nil {
		return old.Key == part, nil
	}
	b, err = json.Marshal(codec.Claim{Key: part, At: time.Now().UTC()})
	if err == nil {
		err = c.PutNow(key, b)
	}
	return true, err
}

func remove(c *guest.Call) (wire.Out, error) {
	k, err := codec.Delete(*c.At, c.ID)
	return small(c, k, err)
}

// react gives the bot one reaction; the platform lets it set several.
func react(c *guest.Call) (wire.Out, error) {
	k, err := codec.Message(*c.At, c.ID)
	if err != nil {
		return wire.Out{}, guest.Errorf(channels.Rejected, err.Error())
	}
	b, err := invoke(c, k)
	if err != nil {
		return wire.Out{}, err
	}
	has := false
	for _, e := range codec.Mine(b) {
		if e == c.Emoji {
			has = true
			continue
		}
		k, err := codec.React(*c.At, c.ID, e, false)
		if _, err := small(c, k, err); err != nil {
			return wire.Out{}, err
		}
	}
	if has || c.Emoji == "" {
		return wire.Out{}, nil
	}
	k, err = codec.React(*c.At, c.ID, c.Emoji, true)
	return small(c, k, err)
}

// keepNewest begins the keys of the newest message of each place that means the
// bot, until it is marked.
const keepNewest = "newest/"

func newestKey(a account, at channels.Address) string {
	return a.key(keepNewest + string(at.Conversation) + "/" + string(at.Thread))
}

// await notes a message that is marked when work on it begins.
func await(c *guest.Call, a account, e *channels.Event) error {
	s, err := config(c)
	m, ok := e.Content.(channels.Message)
	if err != nil || s.AckReaction == "" || !ok || !e.Addressed || e.Who.Bot {
		return err
	}
	return c.Put(newestKey(a, e.Where), []byte(m.ID))
}

// typing also sets, the first time for a message, the reaction that the
// configuration asks for: by then the gateway has let the sender in and works on
// the message.
func typing(c *guest.Call) (wire.Out, error) {
	s, err := config(c)
	if err != nil {
		return wire.Out{}, err
	}
	if s.AckReaction != "" {
		if err := mark(c, s.AckReaction); err != nil {
			return wire.Out{}, err
		}
	}
	k, err := codec.Typing(*c.At)
	return small(c, k, err)
}

func mark(c *guest.Call, emoji string) error {
	a, err := known(c)
	if err != nil {
		return err
	}
	key := newestKey(a, *c.At)
	id, err := c.Get(key)
	if err != nil || id == nil {
		return err
	}
	k, err := codec.React(*c.At, channels.MessageID(id), emoji, true)
	if _, err := small(c, k, err); err != nil {
		c.Log(slog.LevelDebug, "the reaction was refused: "+err.Error())
	}
	return c.Put(key, nil)
}

// fetch asks for the file's address, which is good for a day, and has the host
// open it.
func fetch(c *guest.Call) (wire.Out, error) {
	ref := strings.Split(c.File.Ref, "/")
	if len(ref) != 3 {
		return wire.Out{}, guest.Errorf(channels.Rejected, "the file has no reference")
	}
	if c.File.Size > codec.MaxFetch {
		return wire.Out{}, guest.Errorf(channels.Rejected, codec.ErrTooBigToFetch.Error())
	}
	k, err := codec.Message(channels.Address{Conversation: channels.ConversationID(ref[0])}, channels.MessageID(ref[1]))
	if err != nil {
		return wire.Out{}, guest.Errorf(channels.Rejected, err.Error())
	}
	message, err := invoke(c, k)
	if err != nil {
		return wire.Out{}, err
	}
	at := codec.Located(message, ref[2])
	if at == "" {
		return wire.Out{}, guest.Errorf(channels.Gone, "the message no longer has the file")
	}
	resp, _, err := c.Do(wire.Request{URL: at, Save: true, Repeatable: true}, nil)
	switch {
	case err != nil:
		return wire.Out{}, guest.Lost(err)
	case resp.File != "":
		return wire.Out{File: resp.File}, nil
	}
	return wire.Out{}, refused(codec.ClassifyDownload(resp.Status))
}

func probe(c *guest.Call) (wire.Out, error) {
	s, err := config(c)
	if err != nil {
		return wire.Out{}, err
	}
	a, err := who(c)
	if err != nil {
		return wire.Out{}, err
	}
	var guilds []struct{}
	if err := get(c, "/users/@me/guilds?limit=1", &guilds); err != nil {
		return wire.Out{}, err
	}
	var gate codec.Gate
	if err := get(c, "/gateway/bot", &gate); err != nil {
		return wire.Out{}, err
	}
	return wire.Out{Identity: &channels.Identity{
		Account: channels.AccountID(a.ID), Name: a.Name, Handle: a.Name, Link: codec.Invitation(a.App.ID),
		Notes: append(a.App.Notes(len(guilds), s.MessageContent), gate.Notes()...),
	}}, nil
}

// commands asks the platform only when the list has changed since it was last
// set for this bot.
func commands(c *guest.Call) (wire.Out, error) {
	a, err := known(c)
	if err != nil {
		return wire.Out{}, err
	}
	var list []codec.Offer
	for _, s := range c.In.Commands {
		list = append(list, codec.Offer{Name: s.Name, Help: s.Help, Args: s.Args})
	}
	k, err := codec.Commands(a.App.ID, list)
	if err != nil {
		return wire.Out{}, guest.Errorf(channels.Rejected, err.Error())
	}
	sum := sha256.Sum256(k.Body)
	key, hash := "commands/"+a.ID, hex.EncodeToString(sum[:])
	if old, err := c.Get(key); err == nil && string(old) == hash {
		return wire.Out{}, nil
	}
	if _, err := invoke(c, k); err != nil {
		return wire.Out{}, err
	}
	return wire.Out{}, c.Put(key, []byte(hash))
}

// request takes an interaction by HTTP, which the host has found to bear the
// application's signature. What is answered says that it is durable.
func request(c *guest.Call) (wire.Out, error) {
	a, err := known(c)
	if err != nil {
		return wire.Out{}, err
	}
	guild, channel := codec.Frame{Data: c.Body}.Concerns()
	w, err := worldOf(c, a, guild, channel)
	if err != nil {
		return wire.Out{}, err
	}
	var ping bool
	r, err := w.decode(c, func() (r codec.Result) {
		r, ping = w.Interaction(a.self(c), c.Body)
		return r
	})
	switch {
	case err != nil:
		return wire.Out{}, err
	case ping:
		c.Reply(codec.Pong())
		return wire.Out{}, nil
	case r.Defer == nil || len(r.Events) == 0:
		return wire.Out{}, guest.Errorf(channels.Rejected, "no interaction that the bot has offered")
	}
	sign := r.Defer.Body()
	r.Defer = nil
	if _, err := hand(c, a, &place{}, r); err != nil {
		return wire.Out{}, err
	}
	c.Reply(sign)
	return wire.Out{}, nil
}
