//go:build wasip1

package discord

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/gatehouse-chat/gatehouse/adapters/discord/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
)

// Bot is the adapter.
func Bot() guest.Bot {
	return guest.Bot{
		Start: start, Request: request, Open: open, Messages: messages, Closed: closed, Timer: timer,
		Send: send, Edit: send, React: react, Typing: typing, Delete: remove, Fetch: fetch, Probe: probe, Commands: commands,
	}
}

// settings are the channel's section without its secrets.
type settings struct {
	BaseURL        string `json:"base_url"`
	MessageContent bool   `json:"message_content"`
	Pings          bool   `json:"pings"`
	AckReaction    string `json:"ack_reaction"`
}

func config(c *guest.Call) (settings, error) {
	s, err := guest.Settings[settings](c)
	s.BaseURL = strings.TrimRight(s.BaseURL, "/")
	return s, err
}

// account is who the bot is, as the session keeps it.
type account struct {
	ID   string            `json:"id"`
	Name string            `json:"name"`
	App  codec.Application `json:"app"`
}

func (a account) self(c *guest.Call) codec.Self {
	return codec.Self{Channel: c.Channel, ID: a.ID, App: a.App.ID, Name: a.Name}
}

// key is that of something kept for this bot: another one's token may take the
// place of its token.
func (a account) key(name string) string { return "bot/" + a.ID + "/" + name }

// known is the bot that the session knows, or that the platform names.
func known(c *guest.Call) (account, error) {
	if a, ok := guest.Known[account](c); ok && a.ID != "" {
		return a, nil
	}
	return who(c)
}

func who(c *guest.Call) (a account, err error) {
	var u struct {
		ID   string `json:"id"`
		Name string `json:"username"`
	}
	if err := get(c, "/users/@me", &u); err != nil {
		return a, err
	}
	if err := get(c, "/applications/@me", &a.App); err != nil {
		return a, err
	}
	if a.ID, a.Name = u.ID, u.Name; a.ID == "" || a.App.ID == "" {
		err = guest.Errorf(channels.Transient, "the answer names no bot")
	}
	return a, err
}

// invoke makes a call and makes an error of a refusal.
func invoke(c *guest.Call, k codec.Call) (json.RawMessage, error) {
	a, err := call(c, k, wire.Request{})
	if err == nil && !a.OK {
		err = refused(a)
	}
	return a.Result, err
}

// call makes one call of the REST API, with the times of r. Its error is that of
// the way there and back.
func call(c *guest.Call, k codec.Call, r wire.Request) (codec.Answer, error) {
	r, err := written(c, k, r)
	if err != nil {
		return codec.Answer{}, err
	}
	body := k.Body
	if len(r.Form) > 0 {
		body = nil
	}
	resp, answer, err := c.Do(r, body)
	if err != nil {
		return codec.Answer{}, guest.Lost(err)
	}
	return codec.Classify(resp.Status, answer, k.Repeatable).Limited(resp.Headers["retry-after"], resp.Headers["x-ratelimit-global"]), nil
}

func written(c *guest.Call, k codec.Call, r wire.Request) (wire.Request, error) {
	s, err := config(c)
	r.Method, r.URL, r.Repeatable = k.Method, s.BaseURL+k.Path, k.Repeatable
	r.Headers = map[string]string{"User-Agent": "DiscordBot (https://github.com/gatehouse-chat/gatehouse, 1)"}
	switch {
	case len(k.Files) > 0:
		const upload = 5 * 60 * 1000
		r.TimeoutMS = upload
		r.Form = []wire.Field{{Name: "payload_json", MIME: "application/json", Value: string(k.Body)}}
		for i, f := range k.Files {
			r.Form = append(r.Form, wire.Field{Name: "files[" + strconv.Itoa(i) + "]", MIME: f.MIME, As: codec.Filename(f), File: f.Blob})
		}
	case k.Body != nil:
		r.Headers["Content-Type"] = "application/json"
	}
	return r, err
}

func refused(a codec.Answer) error { return guest.Refused(a.Kind, a.Reason, a.RetryAfter) }

// get reads what is at a path.
func get(c *guest.Call, path string, out any) error {
	b, err := invoke(c, codec.Call{Method: "GET", Path: path, Route: "GET " + path[1:], Repeatable: true})
	if err == nil && json.Unmarshal(b, out) != nil {
		err = guest.Errorf(channels.Transient, "the result has an unexpected form")
	}
	return err
}

// small makes a call that was written with err.
func small(c *guest.Call, k codec.Call, err error) (wire.Out, error) {
	if err != nil {
		return wire.Out{}, guest.Errorf(channels.Rejected, err.Error())
	}
	_, err = invoke(c, k)
	return wire.Out{}, err
}
