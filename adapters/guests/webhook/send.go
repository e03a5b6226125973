//go:build wasip1

package webhook

import (
	"strconv"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/webhook/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
)

// send is a POST to the callback, which the host signs. Without a callback the
// answer waits in the outbox for whoever asks for it.
func send(c *guest.Call) (wire.Out, error) {
	s, err := guest.Settings[settings](c)
	if err != nil {
		return wire.Out{}, err
	}
	p, now := guest.PartOf(c.Part), time.Now()
	sent := guest.Sent(channels.Receipt{ID: channels.MessageID(p.Key), At: now})
	if s.CallbackURL == "" {
		return sent, nil
	}
	var files []codec.File
	var contents []wire.Inline
	for i, f := range c.Part.Files { // the host puts their contents in
		files = append(files, codec.File{Kind: string(f.Kind), Name: f.Name, MIME: f.MIME})
		contents = append(contents, wire.Inline{Pointer: "/files/" + strconv.Itoa(i) + "/data", File: f.Handle})
	}
	body, err := codec.Encode(p, files, now)
	if err != nil {
		return wire.Out{}, guest.Errorf(channels.Rejected, err.Error())
	}
	resp, _, err := c.Do(wire.Request{Method: "POST", URL: s.CallbackURL, Inline: contents, Headers: map[string]string{
		"Content-Type": "application/json", "Webhook-Id": p.Key,
	}}, body)
	if err != nil {
		return wire.Out{}, guest.Lost(err)
	}
	if kind, wait, is := codec.Refusal(resp.Status, resp.Headers["retry-after"]); is {
		return wire.Out{}, guest.Refused(kind, "the callback answers "+strconv.Itoa(resp.Status), wait)
	}
	return sent, nil
}
