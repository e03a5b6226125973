package console

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/console/wire"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// Send implements channels.Channel. The message's id is the part's key, and a
// part that comes again replaces itself.
func (c *Channel) Send(ctx context.Context, p channels.Part) (channels.Receipt, error) {
	var err error
	if p.Files, err = c.keepAll(ctx, p.Files); err != nil {
		return channels.Receipt{}, err
	}
	ch := c.chat(p.To.Conversation)
	if err := ch.enter(ctx); err != nil {
		return channels.Receipt{}, c.fail("send", channels.Transient, err)
	}
	defer ch.leave()
	if err := ch.load(ctx, c.log); err != nil {
		return channels.Receipt{}, c.fail("send", channels.Transient, err)
	}
	e, isNew, err := c.place(ctx, ch, p)
	if err != nil {
		return channels.Receipt{}, c.fail("send", channels.Transient, err)
	}
	if e, err = c.write(ctx, ch, e, p, isNew); err != nil {
		return channels.Receipt{}, c.fail("send", channels.Transient, err)
	}
	return channels.Receipt{ID: channels.MessageID(e.id()), At: time.UnixMicro(e.Rev)}, nil
}

// place finds the entry that a part belongs into, or makes one. What replaces a
// message that has left the transcript stands as a new one: better late than
// lost.
func (c *Channel) place(ctx context.Context, ch *chat, p channels.Part) (e entry, isNew bool, err error) {
	for _, key := range []string{p.Key, string(p.Replaces)} {
		if key == "" {
			continue
		}
		e, ok, err := c.log.find(ctx, ch.id, key)
		if err != nil || ok && e.From == wire.Bot { // what the member wrote is not the bot's to change
			return e, false, err
		}
	}
	return entry{Keys: []string{p.Key}, From: wire.Bot}, true, nil
}

// write fills an entry with a part, keeps it and shows it. An entry that says
// the same already is left alone.
func (c *Channel) write(ctx context.Context, ch *chat, e entry, p channels.Part, isNew bool) (entry, error) {
	next := e
	next.fill(p)
	if !isNew && same(next, e) {
		return e, nil
	}
	next.Rev = ch.next()
	var w []channels.Write
	var err error
	if isNew {
		next.Seq = next.Rev
		w, err = ch.add(ctx, c.log, next)
	} else {
		next.Edited = next.Edited || next.Text != e.Text
		w, err = c.log.put(ch.id, next)
	}
	if err != nil {
		return e, err
	}
	if err := c.log.state.Put(ctx, w...); err != nil {
		return e, err
	}
	if isNew {
		ch.added()
	}
	ch.publish(next)
	return next, nil
}

// fill takes a part's content over.
func (e *entry) fill(p channels.Part) {
	if !slices.Contains(e.Keys, p.Key) && p.Key != "" {
		e.Keys = append(slices.Clip(e.Keys), p.Key)
	}
	e.Plain, e.Deleted = p.Plain, false
	e.Text = markup.CommonMark.Render(p.Body)
	if p.Plain {
		e.Text = markup.PlainText.Render(p.Body)
	}
	e.Buttons, e.Files = nil, p.Files
	for _, b := range p.Buttons {
		e.Buttons = append(e.Buttons, wire.Button{Label: b.Label, Data: b.Data, URL: b.URL})
	}
}

func same(a, b entry) bool {
	return a.Text == b.Text && a.Plain == b.Plain && a.Deleted == b.Deleted &&
		slices.Equal(a.Buttons, b.Buttons) && slices.Equal(a.Keys, b.Keys) && slices.EqualFunc(a.Files, b.Files, sameFile)
}

// Edit implements channels.Editor.
func (c *Channel) Edit(ctx context.Context, at channels.Address, id channels.MessageID, p channels.Part) error {
	p.To, p.Replaces, p.Key = at, id, string(id)
	_, err := c.Send(ctx, p)
	return err
}

// Delete implements channels.Deleter. A mark stays in the transcript, so that
// pages that were away learn of it.
func (c *Channel) Delete(ctx context.Context, at channels.Address, id channels.MessageID) error {
	ch := c.chat(at.Conversation)
	if err := ch.enter(ctx); err != nil {
		return c.fail("delete", channels.Transient, err)
	}
	defer ch.leave()
	if err := ch.load(ctx, c.log); err != nil {
		return c.fail("delete", channels.Transient, err)
	}
	e, ok, err := c.log.find(ctx, ch.id, string(id))
	switch {
	case err != nil:
		return c.fail("delete", channels.Transient, err)
	case !ok || e.From != wire.Bot:
		return c.fail("delete", channels.Gone, errGone)
	case e.Deleted:
		return nil
	}
	e.Text, e.Buttons, e.Files, e.Deleted, e.Rev = "", nil, nil, true, ch.next()
	w, err := c.log.put(ch.id, e)
	if err == nil {
		err = c.log.state.Put(ctx, w...)
	}
	if err != nil {
		return c.fail("delete", channels.Transient, err)
	}
	ch.publish(e)
	return nil
}

var errGone = errors.New("there is no such message")

// Sent implements channels.Reconciler.
func (c *Channel) Sent(ctx context.Context, p channels.Part, _ time.Time) (channels.Receipt, bool, error) {
	e, ok, err := c.log.find(ctx, p.To.Conversation, p.Key)
	if err != nil {
		return channels.Receipt{}, false, c.fail("reconcile", channels.Transient, err)
	}
	if !ok || e.From != wire.Bot {
		return channels.Receipt{}, false, nil
	}
	return channels.Receipt{ID: channels.MessageID(e.id()), At: time.UnixMicro(e.Rev)}, true, nil
}

// Draft implements channels.Drafter. It reaches the pages that are connected.
func (c *Channel) Draft(_ context.Context, p channels.Part) {
	d := wire.Draft{Key: p.Key, Text: markup.CommonMark.Render(p.Body)}
	c.chat(p.To.Conversation).setDraft(d)
}

// Type implements channels.Typer.
func (c *Channel) Type(_ context.Context, at channels.Address) error {
	c.chat(at.Conversation).show(jsonPush(wire.EventTyping, wire.Typing{For: int(typingFor.Milliseconds())}))
	return nil
}

// Answer implements channels.Answerer. A press names its chat in its query.
func (c *Channel) Answer(_ context.Context, p channels.Press, text string) error {
	id, key, ok := splitQuery(p.Query)
	if !ok {
		return c.fail("answer", channels.Rejected, errors.New("the press was not made here"))
	}
	c.chat(id).show(jsonPush(wire.EventPressed, wire.Pressed{Key: key, Text: text}))
	return nil
}

// fail makes the error that the contract asks for. A write to the state either
// happened or did not, and a part that is sent again replaces itself: nothing
// here is ambiguous.
func (c *Channel) fail(op string, k channels.Kind, err error) error {
	return &channels.Error{Op: op, Channel: c.host.ID(), Kind: k, Err: err}
}
