//go:build wasip1

package cloud

import (
	"encoding/json"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
)

// Bot is the adapter.
func Bot() guest.Bot {
	return guest.Bot{Start: start, Poll: look, Request: request, Send: send, React: react, Typing: typing, Fetch: fetch, Probe: probe}
}

// settings are the channel's section without its secrets.
type settings struct {
	BaseURL          string `json:"base_url"`
	MediaURL         string `json:"media_url"`
	Version          string `json:"version"`
	Number           string `json:"phone_number_id"`
	Business         string `json:"business_id"`
	App              string `json:"app_id"`
	Template         string `json:"template"`
	TemplateLanguage string `json:"template_language"`
	TemplateText     string `json:"template_text"`
}

func config(c *guest.Call) (settings, error) {
	s, err := guest.Settings[settings](c)
	s.BaseURL = strings.TrimRight(s.BaseURL, "/")
	return s, err
}

// do makes a call. Its error is that of the way there and back.
func do(c *guest.Call, path string, r wire.Request, body []byte) (codec.Answer, error) {
	s, err := config(c)
	if err != nil {
		return codec.Answer{}, err
	}
	r.URL = s.BaseURL + "/" + s.Version + "/" + path
	if len(body) > 0 {
		r.Headers = map[string]string{"Content-Type": "application/json"}
	}
	resp, answer, err := c.Do(r, body)
	if err != nil {
		return codec.Answer{}, guest.Lost(err)
	}
	return codec.Classify(resp.Status, codec.RetryAfter(resp.Headers["retry-after"]), answer, r.Repeatable), nil
}

// ask makes a call that may be repeated, and makes an error of a refusal.
func ask(c *guest.Call, method, path string, body []byte) (json.RawMessage, error) {
	a, err := do(c, path, wire.Request{Method: method, Repeatable: true}, body)
	if err == nil && !a.OK {
		err = refused(a)
	}
	return a.Result, err
}

func refused(a codec.Answer) error { return guest.Refused(a.Kind, a.Reason, a.RetryAfter) }

func number(c *guest.Call) (n codec.Number, s settings, err error) {
	if s, err = config(c); err != nil {
		return n, s, err
	}
	b, err := ask(c, "GET", codec.NumberPath(s.Number), nil)
	if err == nil && (json.Unmarshal(b, &n) != nil || n.ID != s.Number) {
		err = guest.Errorf(channels.Transient, "the answer names another number")
	}
	return n, s, err
}

func start(c *guest.Call) (wire.Out, error) {
	if c.Public == "" {
		return wire.Out{}, guest.Errorf(channels.Rejected, "it needs a public_url under which Meta can reach the gateway")
	}
	n, _, err := number(c)
	if err != nil {
		return wire.Out{}, err
	}
	out, err := guest.Began(n.Display, n.Display)
	out.Webhook = true
	return out, err
}

// look asks for the number, which needs a valid token. After the start, and after
// each failure, it registers the webhook: by then the host answers Meta, which
// calls it before it answers.
func look(c *guest.Call) (wire.Out, error) {
	const watch = time.Minute
	_, s, err := number(c)
	if err == nil && c.In.Poll.Quick {
		err = register(c, s)
	}
	return wire.Out{WaitMS: watch.Milliseconds()}, err
}

// register subscribes the account to the app, and the app to messages, as far as
// the configuration names them. The host puts in the token that Meta shows.
func register(c *guest.Call, s settings) error {
	if s.Business != "" {
		if _, err := ask(c, "POST", s.Business+"/subscribed_apps", []byte("{}")); err != nil {
			return err
		}
	}
	if s.App == "" {
		return nil
	}
	b, err := json.Marshal(codec.Subscription(c.Public))
	if err == nil {
		_, err = ask(c, "POST", s.App+"/subscriptions", b)
	}
	return err
}

// request reads what Meta posts, or answers its question whether the address is
// ours: the host has compared the token.
func request(c *guest.Call) (wire.Out, error) {
	if c.In.Request.Method == "GET" {
		q, err := url.ParseQuery(c.In.Request.Query)
		if err != nil || q.Get("hub.mode") != "subscribe" {
			return wire.Out{}, guest.Errorf(channels.Rejected, "it is no check of a subscription")
		}
		c.Reply([]byte(q.Get("hub.challenge")))
		return wire.Out{}, nil
	}
	s, err := config(c)
	if err != nil {
		return wire.Out{}, err
	}
	u, err := codec.Decode(c.Body, codec.Self{Channel: c.Channel, Number: s.Number})
	if err != nil {
		return wire.Out{}, guest.Errorf(channels.Rejected, err.Error())
	}
	for _, why := range u.Ignored {
		c.Log(slog.LevelDebug, "update ignored: "+why)
	}
	for _, f := range u.Failed {
		c.Log(slog.LevelWarn, "a message that WhatsApp had taken was not delivered: "+f.Why)
	}
	return wire.Out{}, hand(c, u.Events)
}

// hand hands in events, with when each person wrote last and what.
func hand(c *guest.Call, events []channels.Event) error {
	newest := map[channels.ConversationID]channels.MessageID{}
	for _, e := range events {
		if err := c.Emit(e); err != nil {
			return err
		}
		if m, ok := e.Content.(channels.Message); ok {
			newest[e.Where.Conversation] = m.ID
		}
	}
	for id, at := range codec.Wrote(events) {
		if w := codec.Write(id, at); c.Put(w.Key, w.Value) != nil {
			return guest.Errorf(channels.Transient, "too many people in one call")
		}
	}
	for at, id := range newest {
		if err := c.Put(newestKey(at), []byte(id)); err != nil {
			return err
		}
	}
	return nil
}

// newestKey is the key of the newest message of a conversation, which is marked
// as read when the bot begins to write.
func newestKey(at channels.ConversationID) string { return "newest/" + string(at) }
