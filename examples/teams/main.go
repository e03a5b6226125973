//go:build wasip1

// A channel for Microsoft Teams. Activities come to a webhook, proved by tokens of
// the Bot Framework; everything else goes to the Bot Connector at the service URL
// that a proved activity named.
package main

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"teams/gatehouse"
)

//go:wasmexport gw1_handle
func handle(op, n uint32) int32 { return gatehouse.Handle(op, n, bot) }

var bot = gatehouse.Bot{
	Start: start, Request: request, Send: send, Edit: send, Delete: remove, Typing: typing, Fetch: fetch, Probe: probe, Timer: upload,
}

func main() {}

type settings struct {
	App     string `json:"app_id"`
	Service string `json:"service_url"`
	Tenant  string `json:"tenant"`
}

func (s settings) self() string { return "28:" + s.App } // as Teams writes an application's id

func read(c *gatehouse.Call) (s settings, err error) {
	err = c.Settings(&s)
	return s, err
}

// start goes on with the uploads that were agreed on when the gateway stopped.
func start(c *gatehouse.Call) (gatehouse.Out, error) {
	s, err := read(c)
	if err != nil {
		return gatehouse.Out{}, err
	}
	all, err := agreed(c)
	if err != nil {
		return gatehouse.Out{}, err
	}
	for name := range all {
		if err := c.SetTimer(name, time.Second); err != nil {
			return gatehouse.Out{}, err
		}
	}
	return gatehouse.Out{As: s.App, Webhook: true}, nil
}

// probe asks for the application's own conversations, which every token may.
func probe(c *gatehouse.Call) (gatehouse.Out, error) {
	s, err := read(c)
	if err != nil {
		return gatehouse.Out{}, err
	}
	var notes []string
	if c.Public == "" {
		notes = append(notes, "There is no public_url, so that Teams cannot reach the channel; set it to where "+
			"the gateway's listener is reached by https, and write it with /messages behind it as the bot's messaging endpoint.")
	}
	r := gatehouse.Request{URL: strings.TrimRight(s.Service, "/") + "/v3/conversations", Repeatable: true}
	if err := do(c, r, nil, nil); err != nil {
		return gatehouse.Out{}, err
	}
	return gatehouse.Out{Identity: &gatehouse.Identity{Account: s.self(), Name: s.App, Notes: notes}}, nil
}

// do makes a request of the Bot Connector.
func do(c *gatehouse.Call, r gatehouse.Request, body, into any) error {
	var content []byte
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return err
		}
		r.Headers = map[string]string{"content-type": "application/json"}
	}
	resp, answer, err := c.Do(r, content)
	switch err {
	case nil:
		return check(resp, answer, into)
	case gatehouse.Timeout:
		return gatehouse.Failed("ambiguous", "no answer came")
	case gatehouse.Unavailable:
		return gatehouse.Failed("transient", "nothing could be sent")
	case gatehouse.Auth:
		return gatehouse.Failed("unauthorized", "no token is to be had for the application's password")
	case gatehouse.Denied:
		return gatehouse.Failed("rejected", "the address is not one that the manifest lists")
	}
	return err
}

// check says what a status means for what happens next. Of an error Teams says
// {"error": {"code", "message"}}; the message may hold what was sent.
func check(r gatehouse.Response, answer []byte, into any) error {
	if r.Status/100 == 2 {
		if into == nil || len(answer) == 0 {
			return nil
		}
		if json.Unmarshal(answer, into) != nil {
			return gatehouse.Failed("ambiguous", "the answer cannot be read")
		}
		return nil
	}
	var said struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	_ = json.Unmarshal(answer, &said) // it need not be there
	code := "ambiguous"
	switch r.Status {
	case 400, 405, 413, 422:
		code = "rejected"
	case 401:
		code = "unauthorized"
	case 403, 404, 410:
		code = "gone"
	case 412, 503: // Teams asks for these to be tried again
		code = "transient"
	case 429:
		code = "rate_limited"
	}
	wait, _ := strconv.ParseInt(r.Headers["retry-after"], 10, 64)
	return &gatehouse.Error{Code: code, Message: "status " + strconv.Itoa(r.Status) + " " + word(said.Error.Code), RetryAfterMS: wait * 1000}
}

// word is a code as far as it is one.
func word(s string) string {
	keep := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}
	s = strings.Map(keep, s)
	return s[:min(len(s), 60)]
}
