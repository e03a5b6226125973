package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/console/wire"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// shown collects what a face without a terminal prints.
type shown struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *shown) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(b)
}

// lines is what was printed, without empty lines.
func (s *shown) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for l := range strings.Lines(s.buf.String()) {
		if l = strings.TrimSpace(l); l != "" {
			all = append(all, l)
		}
	}
	return all
}

// chatting is a conversation under test: a person at a keyboard, and the
// gateway's side.
type chatting struct {
	t      *testing.T
	server *chatServer
	out    *shown
	keys   *io.PipeWriter
	stops  chan os.Signal
	push   chan func(*streaming)
	done   chan error
}

func chat(t *testing.T, latest ...wire.Message) *chatting {
	c := &chatting{
		t: t, out: &shown{}, stops: make(chan os.Signal, 1), push: make(chan func(*streaming)), done: make(chan error, 1),
		server: &chatServer{latest: wire.Page{Messages: latest, Rev: 5}},
	}
	connection := func(o *streaming) {
		o.send("ready", wire.Ready{Rev: 5})
		for {
			select {
			case f := <-c.push:
				if f == nil {
					return
				}
				f(o)
			case <-o.to.Done():
				return
			}
		}
	}
	c.server.streams = []func(*streaming){connection, connection}
	in, keys := io.Pipe()
	c.keys = keys
	go func() {
		c.done <- converse(t.Context(), c.server.client(), in, &face{out: c.out, dialect: markup.PlainText}, c.stops)
	}()
	synctest.Wait()
	return c
}

func (c *chatting) types(line string) {
	_, _ = io.WriteString(c.keys, line+"\n") // converse reads to the end
	synctest.Wait()
}

func (c *chatting) interrupts() {
	c.stops <- os.Interrupt
	synctest.Wait()
}

func (c *chatting) brings(event string, v any) {
	c.push <- func(o *streaming) { o.send(event, v) }
	synctest.Wait()
}

func (c *chatting) drops() {
	c.push <- nil
	synctest.Wait()
}

// left waits for the end and checks what was printed after the greeting.
func (c *chatting) left(want ...string) {
	c.t.Helper()
	_ = c.keys.Close() // no error to speak of
	if err := <-c.done; err != nil {
		c.t.Errorf("left with %v", err)
	}
	if diff := cmp.Diff(want, c.out.lines()[1:]); diff != "" {
		c.t.Error(diff)
	}
}

func (c *chatting) said(want ...string) {
	c.t.Helper()
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	var got []string
	for _, s := range c.server.says {
		got = append(got, s.Text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		c.t.Error(diff)
	}
}

func TestConverse(t *testing.T) {
	for name, run := range map[string]func(*testing.T){
		"answered": func(t *testing.T) {
			c := chat(t, bot(1, 1, "from before"))
			c.types("hi")
			c.brings("message", wire.Message{ID: c.server.says[0].Key, Seq: 10, Rev: 10, From: wire.Member, Text: "hi"})
			c.brings("typing", wire.Typing{For: 6000})
			c.brings("draft", wire.Draft{Key: "t11", Text: "hel"})
			c.brings("message", bot(11, 11, "**hello**"))
			c.types("/exit")
			c.said("hi")
			c.left("from before", "hello")
		},
		"written elsewhere": func(t *testing.T) {
			c := chat(t)
			c.brings("message", wire.Message{ID: "another-window", Seq: 10, Rev: 10, From: wire.Member, Text: "from the browser"})
			c.brings("message", bot(11, 11, "an answer"))
			c.brings("message", bot(11, 12, "a better answer"))
			c.brings("message", wire.Message{ID: "t11/r000", Seq: 11, Rev: 13, From: wire.Bot, Deleted: true})
			c.left("> from the browser", "an answer", "(changed) a better answer")
		},
		"stopped": func(t *testing.T) {
			c := chat(t)
			c.types("a long story")
			c.interrupts()
			c.said("a long story", "/stop")
			c.brings("message", bot(11, 11, "Stopped."))
			c.interrupts() // nothing runs: the first of two
			c.said("a long story", "/stop")
			c.interrupts()
			c.left("(stopping; Ctrl-C again leaves)", "Stopped.", "(Ctrl-C again, or Ctrl-D, leaves)")
		},
		"a press": func(t *testing.T) {
			c := chat(t)
			m := bot(11, 11, "Which?")
			m.Buttons = []wire.Button{{Label: "one", Data: "d1"}, {Label: "page", URL: "https://example.org"}}
			c.brings("message", m)
			c.types("1")
			c.types("2")
			c.types("3")
			c.said("3")
			if len(c.server.presses) != 1 || c.server.presses[0].ID != "t11/r000" || c.server.presses[0].Data != "d1" {
				t.Errorf("pressed %+v", c.server.presses)
			}
			c.brings("pressed", wire.Pressed{Key: c.server.presses[0].Key, Text: "done"})
			c.left("Which?", "[1] one", "[2] page: https://example.org", "(type a number to choose)", "https://example.org", "(done)")
		},
		"a restart": func(t *testing.T) {
			c := chat(t)
			c.drops()
			c.brings("message", bot(11, 11, "still here"))
			c.left("(the gateway is away; waiting for it)", "(connected again)", "still here")
		},
		"refused": func(t *testing.T) {
			c := chat(t)
			c.server.fail = []int{422}
			c.types("hi")
			c.types(strings.Repeat("x", wire.MaxText+1))
			c.types("  ")
			c.said("hi")
			c.left("(not sent: no)", "(too long: a message may have 16 KB)")
		},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, run) })
	}
}

// TestConverseEnds: a signal to end leaves the terminal in order.
func TestConverseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := &chatServer{streams: []func(*streaming){func(o *streaming) { <-o.to.Done() }}}
		in, keys := io.Pipe()
		defer keys.Close()
		done := make(chan error, 1)
		go func() { done <- converse(ctx, s.client(), in, &face{out: io.Discard, dialect: markup.PlainText}, nil) }()
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("left with %v", err)
		}
	})
}
