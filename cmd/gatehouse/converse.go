package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"github.com/gatehouse-chat/gatehouse/adapters/console/consoleclient"
	"github.com/gatehouse-chat/gatehouse/adapters/console/wire"
)

// entry is what a person did at the keyboard.
type entry struct {
	text string
	what entryKind
}

type entryKind int

const (
	entered     entryKind = iota // a line, in text
	interrupted                  // Ctrl-C
	ended                        // Ctrl-D
)

// errLeave ends a conversation in good order.
var errLeave = errors.New("leave")

// earlier is how many messages of before are shown at the start.
const earlier = 6

// converse talks until the person leaves.
func converse(ctx context.Context, c *consoleclient.Client, in io.Reader, f *face, stops <-chan os.Signal) error {
	entries := make(chan entry)
	restore, err := readEntries(ctx, in, f, entries)
	if err != nil {
		return err
	}
	defer restore()
	defer f.end()
	page, err := c.Latest(ctx, earlier)
	if err != nil {
		return fmt.Errorf("read the chat: %w", err)
	}
	v := &conversation{c: c, face: f, mine: map[string]bool{}, seen: map[string]string{}, outgoing: make(chan outgoing, 64)}
	v.greet(page)
	if names, err := c.Commands(ctx); err == nil {
		f.suggest(names)
	}
	events := make(chan consoleclient.Event)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		follow(ctx, c, page.Rev, func(e consoleclient.Event) {
			select {
			case events <- e:
			case <-ctx.Done():
			}
		})
		return nil
	})
	group.Go(func() error { return v.deliver(ctx) })
	group.Go(func() error { return v.run(ctx, entries, events, stops) })
	if err := group.Wait(); !errors.Is(err, errLeave) {
		return err
	}
	return nil
}

// readEntries reads lines, or keys where the face can be painted on, and puts
// the terminal back in order when the returned function is called.
func readEntries(ctx context.Context, in io.Reader, f *face, entries chan<- entry) (restore func(), err error) {
	emit := func(e entry) {
		select {
		case entries <- e:
		case <-ctx.Done():
		}
	}
	file, ok := in.(*os.File)
	if !ok || !f.rich || !isTerminal(in) {
		go func() {
			lines := bufio.NewScanner(in)
			lines.Buffer(nil, 2*wire.MaxText)
			for lines.Scan() {
				emit(entry{text: lines.Text()})
			}
			emit(entry{what: ended})
		}()
		return func() {}, nil
	}
	before, err := term.MakeRaw(int(file.Fd()))
	if err != nil {
		return nil, fmt.Errorf("prepare the terminal: %w", err)
	}
	t := newTyping(f, emit)
	f.open(t)
	go t.read(file)
	return func() {
		f.close()
		_ = term.Restore(int(file.Fd()), before) // the program ends
	}, nil
}

// outgoing is a message, or the press of a button, on its way to the gateway.
type outgoing struct {
	key, text string
	file      string // the path of one to send
	press     *wire.Press
}

// conversation is what is going on between the person and the agent.
type conversation struct {
	c    *consoleclient.Client
	face *face

	outgoing chan outgoing
	mine     map[string]bool   // keys of what was typed here
	seen     map[string]string // id of a message -> the text that was shown
	files    []wire.File       // those that were shown; their numbers begin at 1
	buttons  wire.Message      // the latest message with buttons
	busy     bool              // an answer is awaited
	warned   bool              // Ctrl-C was pressed once
	away     bool              // the gateway cannot be reached
	typing   *time.Timer
}

func (v *conversation) greet(p wire.Page) {
	v.face.print(v.face.dim("Ctrl-C stops an answer, Ctrl-D leaves, /help lists the commands, /file PATH sends a file.") + "\n")
	for _, m := range p.Messages {
		v.message(m)
	}
}

// deliver sends what is outgoing, in order.
func (v *conversation) deliver(ctx context.Context) error {
	waiting := func() { v.face.print(v.face.dim("(not delivered yet; trying again)")) }
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case o := <-v.outgoing:
			switch {
			case o.press != nil:
				err = press(ctx, v.c, *o.press, waiting)
			case o.file != "":
				err = v.deliverFile(ctx, o, waiting)
			default:
				_, err = deliver(ctx, v.c, o.key, o.text, waiting)
			}
		}
		if err != nil && ctx.Err() == nil {
			v.face.print("(not sent: " + err.Error() + ")")
		}
	}
}

func (v *conversation) run(ctx context.Context, entries <-chan entry, events <-chan consoleclient.Event, stops <-chan os.Signal) error {
	v.typing = time.NewTimer(time.Hour)
	defer v.typing.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-v.typing.C:
			v.face.grow("")
		case <-stops:
			err = v.entry(ctx, entry{what: interrupted})
		case e := <-entries:
			err = v.entry(ctx, e)
		case e := <-events:
			v.event(e)
		}
		if err != nil {
			return err
		}
	}
}

func (v *conversation) entry(ctx context.Context, e entry) error {
	switch e.what {
	case ended:
		return errLeave
	case interrupted:
		return v.interrupt(ctx)
	}
	v.warned = false
	text := strings.TrimSpace(e.text)
	switch {
	case text == "":
		return nil
	case text == "/exit" || text == "/quit":
		return errLeave
	case len(text) > wire.MaxText:
		v.face.print(fmt.Sprintf("(too long: a message may have %d KB)", wire.MaxText>>10))
		return nil
	}
	if word, rest, _ := strings.Cut(text, " "); word == "/file" || word == "/save" {
		return v.transfer(ctx, word, strings.TrimSpace(rest))
	}
	if b, ok := v.chosen(text); ok {
		return v.press(ctx, b)
	}
	v.busy = true
	return v.say(ctx, text)
}

func (v *conversation) say(ctx context.Context, text string) error {
	o := outgoing{key: consoleclient.NewKey(), text: text}
	v.mine[o.key] = true
	return v.hand(ctx, o)
}

// hand gives something to deliver, which does not take long unless the gateway
// is away for so long that much has been typed.
func (v *conversation) hand(ctx context.Context, o outgoing) error {
	select {
	case v.outgoing <- o:
	case <-ctx.Done():
	default:
		v.face.print("(not sent: the gateway is away; start it with `gatehouse run`)")
	}
	return nil
}

// interrupt stops a running answer; the second time it leaves.
func (v *conversation) interrupt(ctx context.Context) error {
	if v.warned {
		return errLeave
	}
	v.warned = true
	if !v.busy || v.away {
		v.face.print(v.face.dim("(Ctrl-C again, or Ctrl-D, leaves)"))
		return nil
	}
	v.face.print(v.face.dim("(stopping; Ctrl-C again leaves)"))
	return v.say(ctx, "/stop")
}

// chosen is the button whose number was typed.
func (v *conversation) chosen(text string) (wire.Button, bool) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > len(v.buttons.Buttons) {
		return wire.Button{}, false
	}
	return v.buttons.Buttons[n-1], true
}

func (v *conversation) press(ctx context.Context, b wire.Button) error {
	if b.Data == "" {
		v.face.print(printable(b.URL))
		return nil
	}
	v.busy = true
	return v.hand(ctx, outgoing{press: &wire.Press{Key: consoleclient.NewKey(), ID: v.buttons.ID, Data: b.Data}})
}

func (v *conversation) event(e consoleclient.Event) {
	switch e := e.(type) {
	case lost:
		v.face.grow("")
		if !v.away {
			v.face.print(v.face.dim("(the gateway is away; waiting for it)"))
		}
		v.away = true
	case wire.Ready:
		if v.away {
			v.face.print(v.face.dim("(connected again)"))
		}
		v.away = false
	case wire.Typing:
		v.face.growIfNothing(v.face.dim("…"))
		v.typing.Reset(time.Duration(e.For) * time.Millisecond)
	case wire.Draft:
		if strings.TrimSpace(e.Text) != "" {
			v.busy = true
			v.face.grow(v.face.draft(e.Text))
			v.typing.Stop()
		}
	case wire.Pressed:
		v.busy = false
		if e.Text != "" {
			v.face.print(v.face.dim("(" + printable(e.Text) + ")"))
		}
	case wire.Message:
		v.message(e)
	}
}

// message shows a message, new or changed.
func (v *conversation) message(m wire.Message) {
	old, again := v.seen[m.ID]
	switch {
	case m.Deleted || again && old == m.Text:
		return
	case m.From == wire.Member:
		if !v.mine[m.ID] && !again { // typed here, it is on the screen already
			v.face.print(v.face.dim("> " + v.withFiles(m)))
		}
		v.seen[m.ID] = m.Text
		return
	}
	v.seen[m.ID] = m.Text
	v.busy, v.warned = false, false
	v.face.grow("")
	text := v.withFiles(m)
	if again {
		text = v.face.dim("(changed) ") + text
	}
	v.buttons = m
	if len(m.Buttons) > 0 {
		text += "\n" + v.face.dim("(type a number to choose)")
	}
	v.face.print(text + "\n")
}
