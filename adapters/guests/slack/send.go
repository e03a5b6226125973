//go:build wasip1

package slack

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/slack/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
)

func send(c *guest.Call) (wire.Out, error) {
	p := guest.PartOf(c.Part)
	if path, ok := codec.ReplyPath(p.Via); ok && len(p.Files) == 0 {
		return respond(c, p, path)
	}
	if _, err := at(c, p.To.Account); err != nil {
		return wire.Out{}, err
	}
	if len(p.Files) > 0 {
		return share(c, p)
	}
	k, err := codec.Encode(p)
	if err != nil {
		return wire.Out{}, guest.Errorf(channels.Rejected, err.Error())
	}
	if p.Audience.Only == "" {
		joins(c, p.To)
	}
	a, err := call(c, k)
	if err == nil && !a.OK {
		err = refused(a)
	}
	if err != nil {
		return wire.Out{}, err
	}
	return guest.Sent(codec.Sent(p, a.Result, time.Now())), nil
}

// maxSearch is how many pages of a conversation are read for one message.
const maxSearch = 10

// sent looks in the history for a message that bears the key of a part.
func sent(c *guest.Call) (wire.Out, error) {
	p, nobody := guest.PartOf(c.Part), wire.Out{CannotTell: true}
	if !codec.Traced(p) {
		return nobody, nil
	}
	b, err := at(c, p.To.Account)
	if err != nil {
		return wire.Out{}, err
	}
	cursor := ""
	for range maxSearch {
		method, in, err := codec.Search(p.To, c.Since, cursor)
		if err != nil {
			return wire.Out{}, guest.Errorf(channels.Rejected, err.Error())
		}
		_, page, err := ask(c, method, in)
		if kind := guest.KindOf(err); err != nil && (kind == channels.Rejected || kind == channels.Gone) {
			return nobody, nil // the app may not read there
		} else if err != nil {
			return wire.Out{}, err
		}
		r, found, next := codec.Find(page, b.User, p)
		if found {
			return guest.Sent(r), nil
		}
		if next == "" {
			return wire.Out{}, nil
		}
		cursor = next
	}
	return nobody, nil
}

// joins notes that the bot speaks in a thread: at once, because whoever reads
// its message may answer before the call has ended.
func joins(c *guest.Call, to channels.Address) {
	w, thread := codec.Joins(to, time.Now())
	if !thread {
		return
	}
	if v, err := c.Get(w.Key); err == nil && v != nil {
		return
	}
	_ = c.PutNow(w.Key, w.Value) // else who answers there has to name the bot
}

// respond answers by a response_url.
func respond(c *guest.Call, p channels.Part, path codec.Reply) (wire.Out, error) {
	s, err := config(c)
	if err != nil {
		return wire.Out{}, err
	}
	if !codec.Ours(path.URL, s.BaseURL) {
		return wire.Out{}, guest.Errorf(channels.Rejected, "the reply path does not lead to the platform")
	}
	body, err := codec.EncodeReply(p, path)
	if err != nil {
		return wire.Out{}, guest.Errorf(channels.Rejected, err.Error())
	}
	resp, answer, err := c.Do(wire.Request{
		Method: "POST", URL: path.URL, Headers: map[string]string{"Content-Type": "application/json; charset=utf-8"},
	}, body)
	if err != nil {
		return wire.Out{}, guest.Lost(err)
	}
	if a := codec.ClassifyReply(resp.Status, resp.Headers["retry-after"], answer); !a.OK {
		return wire.Out{}, refused(a)
	}
	return guest.Sent(codec.Replied(p, time.Now())), nil
}

// share uploads files and then shows them all in one message. Nothing is to be
// seen before that call, so that only it can be ambiguous.
func share(c *guest.Call, p channels.Part) (wire.Out, error) {
	if _, err := codec.EncodeFiles(p, make([]string, len(p.Files))); err != nil {
		return wire.Out{}, guest.Errorf(channels.Rejected, err.Error())
	}
	var ids []string
	for _, f := range p.Files {
		id, err := upload(c, f)
		if err != nil {
			return wire.Out{}, err
		}
		ids = append(ids, id)
	}
	k, err := codec.EncodeFiles(p, ids)
	if err != nil {
		return wire.Out{}, guest.Errorf(channels.Rejected, err.Error())
	}
	joins(c, p.To)
	a, err := call(c, k)
	if err == nil && !a.OK {
		err = refused(a)
	}
	if err != nil {
		return wire.Out{}, err
	}
	return guest.Sent(channels.Receipt{ID: shown(c, p.To, ids[0]), At: time.Now()}), nil
}

// upload puts one file where Slack wants it, and returns its id.
func upload(c *guest.Call, f channels.File) (string, error) {
	size, err := size(c, f)
	if err != nil {
		return "", err
	}
	s, err := config(c)
	if err != nil {
		return "", err
	}
	in := url.Values{"filename": {codec.FileName(f)}, "length": {strconv.FormatInt(size, 10)}}
	_, body, err := ask(c, "files.getUploadURLExternal", in)
	if err != nil {
		return "", err
	}
	id, to := codec.Place(body)
	if id == "" || !codec.Ours(to, s.BaseURL) {
		return "", guest.Errorf(channels.Transient, "the platform does not say where the file goes")
	}
	const within = 5 * 60 * 1000
	resp, answer, err := c.Do(wire.Request{
		Method: "POST", URL: to, File: f.Blob, Repeatable: true, TimeoutMS: within,
		Headers: map[string]string{"Content-Type": "application/octet-stream"},
	}, nil)
	switch {
	case err != nil:
		return "", guest.Lost(err)
	case resp.Status/100 != 2:
		return "", refused(codec.Classify(resp.Status, resp.Headers["retry-after"], answer, true))
	}
	return id, nil
}

// size is a file's size, which Slack wants to know first. One that is not known
// is read once to find out.
func size(c *guest.Call, f channels.File) (int64, error) {
	n := f.Size
	if n <= 0 {
		var err error
		if n, err = counted(c, f); err != nil {
			return 0, err
		}
	}
	if n > codec.MaxFile {
		return 0, guest.Errorf(channels.Rejected, "a file is larger than the platform takes")
	}
	return n, nil
}

func counted(c *guest.Call, f channels.File) (n int64, err error) {
	const part = 2 << 20
	for n <= codec.MaxFile {
		b, err := c.ReadFile(f.Blob, part)
		if err != nil {
			return 0, guest.Errorf(channels.Other, "a file cannot be read")
		}
		if len(b) == 0 {
			break
		}
		n += int64(len(b))
	}
	if n == 0 {
		return 0, guest.Errorf(channels.Rejected, "the file is empty")
	}
	return n, nil
}

// shown finds the message that shows a file, which Slack makes a moment after it
// has answered.
func shown(c *guest.Call, to channels.Address, file string) channels.MessageID {
	for _, wait := range []int64{0, 200, 500, 1000} {
		_, body, err := patient(c, "files.info", url.Values{"file": {file}}, wire.Request{WaitMS: wait})
		if err != nil {
			break
		}
		if id := codec.Shown(body, to.Conversation); id != "" {
			return id
		}
	}
	return channels.MessageID(codec.FileMessage + file)
}

// remove deletes a message. One with a file that has no id of its own yet goes
// with its file.
func remove(c *guest.Call) (wire.Out, error) {
	if _, err := at(c, c.At.Account); err != nil {
		return wire.Out{}, err
	}
	if file, ok := strings.CutPrefix(string(c.ID), codec.FileMessage); ok {
		_, _, err := ask(c, "files.delete", url.Values{"file": {file}})
		return wire.Out{}, err
	}
	k, err := codec.Delete(*c.At, c.ID)
	return small(c, k, err)
}

// react gives the bot one reaction to a message; Slack lets it have several.
func react(c *guest.Call) (wire.Out, error) {
	b, err := at(c, c.At.Account)
	if err != nil {
		return wire.Out{}, err
	}
	name := ""
	if c.Emoji != "" {
		var ok bool
		if name, ok = codec.EmojiName(c.Emoji); !ok {
			return wire.Out{}, guest.Errorf(channels.Rejected, codec.ErrEmoji.Error())
		}
	}
	in := url.Values{"channel": {string(c.At.Conversation)}, "timestamp": {string(c.ID)}, "full": {"true"}}
	_, body, err := ask(c, "reactions.get", in)
	if err != nil && (name == "" || guest.KindOf(err) != channels.Rejected) {
		return wire.Out{}, err
	}
	for _, was := range codec.Mine(body, b.User) {
		if was == name {
			return wire.Out{}, nil
		}
		k, err := codec.React(*c.At, c.ID, was, false)
		if _, err := small(c, k, err); err != nil {
			return wire.Out{}, err
		}
	}
	if name == "" {
		return wire.Out{}, nil
	}
	k, err := codec.React(*c.At, c.ID, name, true)
	return small(c, k, err)
}
