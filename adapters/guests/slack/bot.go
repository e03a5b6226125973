//go:build wasip1

package slack

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/gatehouse-chat/gatehouse/adapters/slack/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
)

// Bot is the adapter.
func Bot() guest.Bot {
	return guest.Bot{
		Start: start, Poll: look, Request: request, Open: open, Messages: messages, Closed: closed,
		Send: send, Edit: send, React: react, Typing: typing, Delete: remove, Reconcile: sent, Fetch: fetch, Probe: probe,
	}
}

// settings are the channel's section without its secrets.
type settings struct {
	BaseURL     string `json:"base_url"`
	Mode        string `json:"mode"`
	Command     string `json:"command"`
	AckReaction string `json:"ack_reaction"`
}

const events = "events"

func config(c *guest.Call) (settings, error) {
	s, err := guest.Settings[settings](c)
	s.BaseURL = strings.TrimRight(s.BaseURL, "/")
	return s, err
}

// team is the installation that the session knows, or that the platform names.
func team(c *guest.Call) (codec.Bot, codec.Self, error) {
	s, err := config(c)
	if err != nil {
		return codec.Bot{}, codec.Self{}, err
	}
	b, known := guest.Known[codec.Bot](c)
	if !known || b.Team == "" {
		if b, _, err = test(c); err != nil {
			return codec.Bot{}, codec.Self{}, err
		}
	}
	return b, codec.Self{Channel: c.Channel, Team: b.Team, User: b.User, Bot: b.ID, Command: s.Command}, nil
}

// at is the installation that an address is in.
func at(c *guest.Call, a channels.AccountID) (codec.Bot, error) {
	b, self, err := team(c)
	if err == nil && a != "" && a != self.Account() {
		err = guest.Errorf(channels.Gone, "the app is not installed in that team")
	}
	return b, err
}

// test asks whose token it is, and what it was granted.
func test(c *guest.Call) (b codec.Bot, scopes []string, err error) {
	resp, body, err := ask(c, "auth.test", url.Values{})
	switch {
	case err != nil:
		return b, nil, err
	case json.Unmarshal(body, &b) != nil || b.Team == "" || b.User == "":
		return b, nil, guest.Errorf(channels.Transient, "the answer names no bot")
	case b.ID == "":
		return b, nil, guest.Errorf(channels.Unauthorized, codec.ErrPerson.Error())
	}
	return b, codec.Scopes(resp.Headers["x-oauth-scopes"]), nil
}

// call makes one call of the Web API. Its error is that of the way there and
// back.
func call(c *guest.Call, k codec.Call) (codec.Answer, error) {
	s, err := config(c)
	if err != nil {
		return codec.Answer{}, err
	}
	resp, body, err := c.Do(wire.Request{
		Method: "POST", URL: s.BaseURL + "/" + k.Method, Repeatable: k.Repeatable,
		Headers: map[string]string{"Content-Type": "application/json; charset=utf-8"},
	}, k.Params)
	if err != nil {
		return codec.Answer{}, guest.Lost(err)
	}
	return codec.Classify(resp.Status, resp.Headers["retry-after"], body, k.Repeatable), nil
}

// ask makes a call that may be repeated, with its arguments as a form, which
// every method takes. The body is that of a good answer.
func ask(c *guest.Call, method string, in url.Values) (wire.Response, json.RawMessage, error) {
	return patient(c, method, in, wire.Request{})
}

// patient is ask with the times of r.
func patient(c *guest.Call, method string, in url.Values, r wire.Request) (wire.Response, json.RawMessage, error) {
	s, err := config(c)
	if err != nil {
		return wire.Response{}, nil, err
	}
	r.Method, r.URL, r.Repeatable = "POST", s.BaseURL+"/"+method, true
	r.Headers = map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	resp, body, err := c.Do(r, []byte(in.Encode()))
	if err != nil {
		return resp, nil, guest.Lost(err)
	}
	a := codec.Classify(resp.Status, resp.Headers["retry-after"], body, true)
	if !a.OK {
		return resp, nil, refused(a)
	}
	return resp, a.Result, nil
}

func refused(a codec.Answer) error {
	reason := a.Reason
	if a.Code != "" {
		reason += " (" + a.Code + ")"
	}
	return guest.Refused(a.Kind, reason, a.RetryAfter)
}

// small makes a call that was written with err.
func small(c *guest.Call, k codec.Call, err error) (wire.Out, error) {
	if err != nil {
		return wire.Out{}, guest.Errorf(channels.Rejected, err.Error())
	}
	a, err := call(c, k)
	if err == nil && !a.OK {
		err = refused(a)
	}
	return wire.Out{}, err
}
