//go:build wasip1

package cloud

import (
	"encoding/json"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
)

// send sends, outside of the 24 hours, the configured template, or fails with
// Closed.
func send(c *guest.Call) (wire.Out, error) {
	p := guest.PartOf(c.Part)
	b, err := c.Get(codec.WroteKey(p.To.Conversation))
	if err != nil {
		return wire.Out{}, guest.Errorf(channels.Other, "it is not known when the person wrote last")
	}
	if at, ok := codec.ReadWrote(b); ok && codec.Over(at, time.Now()) {
		return late(c, p)
	}
	a, err := parts(c, p)
	if err == nil && !a.OK && a.Kind == channels.Closed {
		return late(c, p)
	}
	return sent(a, err)
}

// parts sends a part, whose file is uploaded first.
func parts(c *guest.Call, p channels.Part) (codec.Answer, error) {
	media := ""
	switch {
	case len(p.Files) > 1:
		return codec.Answer{}, guest.Errorf(channels.Rejected, "a message has one file at most")
	case len(p.Files) == 1:
		var err error
		if media, err = upload(c, p.Files[0]); err != nil {
			return codec.Answer{}, err
		}
	}
	b, err := codec.Encode(p, media)
	return message(c, b, err)
}

// message makes a call of /messages that was written with err.
func message(c *guest.Call, body []byte, err error) (codec.Answer, error) {
	if err != nil {
		return codec.Answer{}, guest.Errorf(channels.Rejected, err.Error())
	}
	s, err := config(c)
	if err != nil {
		return codec.Answer{}, err
	}
	return do(c, s.Number+"/messages", wire.Request{Method: "POST"}, body)
}

func sent(a codec.Answer, err error) (wire.Out, error) {
	if err == nil && !a.OK {
		err = refused(a)
	}
	if err != nil {
		return wire.Out{}, err
	}
	id := codec.Sent(a.Result)
	if id == "" {
		return wire.Out{}, guest.Errorf(channels.Ambiguous, "the answer names no message")
	}
	return guest.Sent(channels.Receipt{ID: id, At: time.Now()}), nil
}

// late sends the template in the place of a part.
func late(c *guest.Call, p channels.Part) (wire.Out, error) {
	s, err := config(c)
	if err != nil {
		return wire.Out{}, err
	}
	if s.Template == "" {
		return wire.Out{}, guest.Errorf(channels.Closed, codec.WindowClosed)
	}
	words := ""
	if s.TemplateText == "yes" {
		p.Plain = true
		words = codec.Text(p)
	}
	b, err := codec.Template(p.To, s.Template, s.TemplateLanguage, words)
	return sent(message(c, b, err))
}

// upload gives a file to the platform, which returns an id for the message. What
// is uploaded and not sent is forgotten after a month.
func upload(c *guest.Call, f channels.File) (string, error) {
	s, err := config(c)
	if err != nil {
		return "", err
	}
	const within = 5 * 60 * 1000
	mime, name := f.MIME, f.Name
	if mime == "" { // the platform judges a file by its type
		mime = "application/octet-stream"
	}
	if name == "" {
		name = string(f.Kind)
	}
	a, err := do(c, s.Number+"/media", wire.Request{Method: "POST", Repeatable: true, TimeoutMS: within, Form: []wire.Field{
		{Name: "messaging_product", Value: "whatsapp"}, {Name: "type", Value: mime}, {Name: "file", File: f.Blob, As: name, MIME: mime},
	}}, nil)
	if err == nil && !a.OK {
		err = refused(a)
	}
	if err != nil {
		return "", err
	}
	id := codec.Uploaded(a.Result)
	if id == "" {
		err = guest.Errorf(channels.Transient, "the answer names no file")
	}
	return id, err
}

// small makes a call whose message nobody needs to know.
func small(c *guest.Call, body []byte, err error) (wire.Out, error) {
	a, err := message(c, body, err)
	if err == nil && !a.OK {
		err = refused(a)
	}
	return wire.Out{}, err
}

func react(c *guest.Call) (wire.Out, error) {
	b, err := codec.React(*c.At, c.ID, c.Emoji)
	return small(c, b, err)
}

// typing marks what the person wrote last as read, and shows that the bot
// writes.
func typing(c *guest.Call) (wire.Out, error) {
	id, err := c.Get(newestKey(c.At.Conversation))
	if err != nil || id == nil {
		return wire.Out{}, err
	}
	b, err := codec.Typing(channels.MessageID(id))
	return small(c, b, err)
}

// fetch asks where the file is, for some minutes, and has the host open it.
func fetch(c *guest.Call) (wire.Out, error) {
	s, err := config(c)
	if err != nil {
		return wire.Out{}, err
	}
	path, err := codec.MediaPath(c.File.Ref, s.Number)
	if err != nil {
		return wire.Out{}, guest.Errorf(channels.Rejected, err.Error())
	}
	b, err := ask(c, "GET", path, nil)
	if err != nil {
		return wire.Out{}, err
	}
	var meta codec.Media
	switch {
	case json.Unmarshal(b, &meta) != nil:
		return wire.Out{}, guest.Errorf(channels.Transient, "the answer has an unexpected form")
	case meta.Size > codec.MaxFetch:
		return wire.Out{}, guest.Errorf(channels.Rejected, codec.ErrTooBigToFetch.Error())
	case !codec.Ours(meta.URL, s.MediaURL, s.BaseURL):
		return wire.Out{}, guest.Errorf(channels.Rejected, "the file is not where media_url says")
	}
	resp, body, err := c.Do(wire.Request{URL: meta.URL, Save: true, Repeatable: true}, nil)
	switch {
	case err != nil:
		return wire.Out{}, guest.Lost(err)
	case resp.File != "":
		return wire.Out{File: resp.File}, nil
	}
	return wire.Out{}, refused(codec.ClassifyDownload(resp.Status, body))
}

func probe(c *guest.Call) (wire.Out, error) {
	n, s, err := number(c)
	if err != nil {
		return wire.Out{}, err
	}
	who := n.Identity(codec.Setup{Public: c.Public, App: s.App, Business: s.Business, Template: s.Template})
	return wire.Out{Identity: &who}, nil
}
