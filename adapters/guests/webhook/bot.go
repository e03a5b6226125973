//go:build wasip1

package webhook

import (
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/webhook/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
)

// account names the one installation of a channel, as that of the native adapter.
const account channels.AccountID = "webhook"

// Bot is the adapter.
func Bot() guest.Bot {
	return guest.Bot{Start: start, Request: request, Send: send, Probe: probe}
}

// settings are the channel's section without its secrets. The host writes in
// verify what it says of the proof.
type settings struct {
	codec.Keys

	Verify      codec.Proof `json:"verify"`
	CallbackURL string      `json:"callback_url"`
}

// config reads the section, with what is wrong with its templates.
func config(c *guest.Call) (settings, codec.Mapping, error) {
	s, err := guest.Settings[settings](c)
	if err != nil {
		return s, codec.Mapping{}, err
	}
	var faults []string
	m := s.Mapping(func(path, text string) { faults = append(faults, path+": "+text) })
	if len(faults) > 0 {
		return s, m, guest.Errorf(channels.Rejected, "the section: "+strings.Join(faults, "; "))
	}
	return s, m, nil
}

// start looks whether requests can be mapped.
func start(c *guest.Call) (wire.Out, error) {
	if _, _, err := config(c); err != nil {
		return wire.Out{}, err
	}
	return wire.Out{As: c.Public, Webhook: true}, nil
}

// request maps a request that the host has found proved.
func request(c *guest.Call) (wire.Out, error) {
	r := c.In.Request
	query, err := url.ParseQuery(r.Query)
	switch {
	case err != nil:
		return say(c, codec.Refuse(codec.StatusBadRequest, "the query cannot be read"))
	case c.In.Replies != nil:
		return answer(c)
	case r.Method == "GET":
		return check(c, query)
	}
	wait, err := codec.Patience(query)
	if err != nil {
		return say(c, codec.Refuse(codec.StatusBadRequest, err.Error()))
	}
	s, m, err := config(c)
	if err != nil {
		return wire.Out{}, err
	}
	header := func(name string) string { return r.Headers[strings.ToLower(name)] }
	out, err := m.Read(codec.Raw{Header: header, Query: query, Body: c.Body}, s.Verify, codec.At{
		Channel: c.Channel, Account: account, Key: rand.Text(),
	})
	switch {
	case err != nil:
		return say(c, codec.Refuse(codec.StatusBadRequest, err.Error()))
	case out.Challenge != "":
		c.Reply([]byte(out.Challenge))
		return wire.Out{}, nil
	case out.Ignored != "":
		c.Log(slog.LevelDebug, "update ignored: "+out.Ignored)
		return say(c, codec.Ignore(out.Ignored))
	}
	return take(c, out.Event, wait)
}

// maxText bounds a message as it is handed in, in bytes of JSON: more of them,
// once they stand in the buffers that they go through, do not fit into a guest.
const maxText = 2 << 20

// take hands in an event. Who waits for the answer is answered later.
func take(c *guest.Call, e channels.Event, wait time.Duration) (wire.Out, error) {
	if m, ok := e.Content.(channels.Message); ok && written(m.Text) > maxText {
		return say(c, codec.Refuse(codec.StatusTooLarge, "the message is longer than 2 MiB as JSON"))
	}
	if err := c.Emit(e); err != nil {
		return wire.Out{}, err
	}
	out, err := say(c, codec.Take(e.Key))
	out.Refused = codec.StatusUnprocessable
	if wait > 0 {
		out.Await = &wire.Await{Key: e.Key, WaitMS: wait.Milliseconds()}
	}
	return out, err
}

// written is the length of a text as JSON, in bytes.
func written(text string) (n int) {
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"', c == '\\', c == '\n', c == '\r', c == '\t':
			n += len(`\n`)
		case c < ' ', c == '<', c == '>', c == '&':
			n += len(`\u003c`)
		default:
			n++
		}
	}
	return n
}

// check answers Meta's question whether the address is ours: the host has
// compared the token.
func check(c *guest.Call, query url.Values) (wire.Out, error) {
	if query.Get("hub.mode") != "subscribe" {
		return say(c, codec.Refuse(codec.StatusBadRequest, "it is no check of a subscription"))
	}
	c.Reply([]byte(query.Get("hub.challenge")))
	return wire.Out{}, nil
}

// answer is what was said to the event of a request.
func answer(c *guest.Call) (wire.Out, error) {
	var replies []codec.Reply
	for _, p := range c.In.Replies.Parts {
		replies = append(replies, codec.NewReply(guest.PartOf(&p), time.Time{}))
	}
	return say(c, codec.Answered(c.In.Replies.Key, replies, !c.In.Replies.Pending))
}

// say answers the sender of a request.
func say(c *guest.Call, a codec.Answer) (wire.Out, error) {
	b, err := json.Marshal(a)
	c.Reply(append(b, '\n'))
	return wire.Out{Status: a.Code}, err
}

func probe(c *guest.Call) (wire.Out, error) {
	s, err := guest.Settings[settings](c)
	if err != nil {
		return wire.Out{}, err
	}
	setup := codec.Setup{Channel: c.Channel, Public: c.Public, Callback: s.CallbackURL, Proof: s.Verify}
	return wire.Out{Identity: &channels.Identity{
		Account: account, Name: "Webhook " + string(c.Channel), Link: c.Public, Notes: setup.Notes(),
	}}, nil
}
