//go:build wasip1

package telegram

import (
	"encoding/json"
	"strings"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
)

// Bot is the adapter.
func Bot() guest.Bot {
	return guest.Bot{
		Start: start, Poll: poll, Request: update, Send: send, Edit: send, React: react, Typing: typing, Delete: remove,
		Fetch: fetch, Probe: probe, Commands: commands, Answer: answer, StartLink: startLink,
	}
}

// settings are the channel's section; the token stays with the host, which puts
// it where {token} stands.
type settings struct {
	BaseURL string `json:"base_url"`
	Mode    string `json:"mode"`
}

// user is the bot, as getMe describes it and as the session keeps it.
type user struct {
	ID        int64  `json:"id"`
	Username  string `json:"username"`
	FirstName string `json:"first_name,omitempty"`
	LastName  string `json:"last_name,omitempty"`
	Groups    bool   `json:"can_join_groups,omitempty"`
	ReadsAll  bool   `json:"can_read_all_group_messages,omitempty"`
}

func config(c *guest.Call) (s settings, err error) {
	s, err = guest.Settings[settings](c)
	s.BaseURL = strings.TrimRight(s.BaseURL, "/")
	return s, err
}

// self is the bot that the session knows, or that the platform names.
func self(c *guest.Call) (codec.Self, error) {
	u, known := guest.Known[user](c)
	if !known || u.ID == 0 {
		var err error
		if u, err = getMe(c); err != nil {
			return codec.Self{}, err
		}
	}
	return codec.Self{Channel: c.Channel, ID: u.ID, Username: u.Username}, nil
}

func getMe(c *guest.Call) (u user, err error) {
	if err = invoke(c, "getMe", struct{}{}, &u); err == nil && (u.ID == 0 || u.Username == "") {
		err = guest.Errorf(channels.Transient, "the answer names no bot")
	}
	return u, err
}

// call makes one call of the Bot API.
func call(c *guest.Call, k codec.Call) (codec.Answer, error) {
	s, err := config(c)
	if err != nil {
		return codec.Answer{}, err
	}
	r := wire.Request{Method: "POST", URL: s.BaseURL + "/bot{token}/" + k.Method, Repeatable: k.Repeatable}
	body := k.Params
	if len(k.Files) > 0 {
		const uploadMS = 5 * 60 * 1000
		r.TimeoutMS, body = uploadMS, nil
		if r.Form, err = form(k); err != nil {
			return codec.Answer{}, err
		}
	} else {
		r.Headers = map[string]string{"Content-Type": "application/json"}
	}
	resp, content, err := c.Do(r, body)
	if err != nil {
		return codec.Answer{}, guest.Lost(err)
	}
	return codec.Classify(resp.Status, content, k.Repeatable), nil
}

// form writes the top level of a call's object as fields: texts as they are,
// everything else as JSON; and its files.
func form(k codec.Call) ([]wire.Field, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(k.Params, &fields); err != nil {
		return nil, err
	}
	var all []wire.Field
	for name, value := range fields {
		text := string(value)
		if strings.HasPrefix(text, `"`) {
			if err := json.Unmarshal(value, &text); err != nil {
				return nil, err
			}
		}
		all = append(all, wire.Field{Name: name, Value: text})
	}
	for _, f := range k.Files {
		name := f.File.Name
		if name == "" {
			name = string(f.File.Kind)
		}
		all = append(all, wire.Field{Name: f.Field, File: f.File.Blob, As: name, MIME: f.File.MIME})
	}
	return all, nil
}

func refused(a codec.Answer) error {
	return guest.Refused(a.Kind, a.Reason, a.RetryAfter)
}

// invoke makes a call that may be repeated and reads its result into out, which
// may be nil.
func invoke(c *guest.Call, method string, in, out any) error {
	params, err := json.Marshal(in)
	if err != nil {
		return err
	}
	a, err := call(c, codec.Call{Method: method, Params: params, Repeatable: true})
	switch {
	case err != nil:
		return err
	case !a.OK:
		return refused(a)
	case out == nil || a.Unchanged:
		return nil
	}
	if json.Unmarshal(a.Result, out) != nil {
		return guest.Errorf(channels.Transient, "the result has an unexpected form")
	}
	return nil
}
