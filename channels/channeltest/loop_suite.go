package channeltest

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// LoopSuite is the suite of [Loop], filled in completely.
func LoopSuite() Suite {
	return Suite{Driver: Loop{}, New: newLoopHarness}
}

func newLoopHarness(testing.TB, string) *Harness {
	p := newLoopPlatform()
	cfg, _ := json.Marshal(map[string]string{"base_url": p.srv.URL, "token": "secret://loop"})
	return &Harness{
		Config: cfg,
		Host:   []HostOption{WithSecret("secret://loop", p.token, p.srv.Listener.Addr().String())},
		Rooms:  true, Threads: true, Joins: true,
		Say: p.say, Acked: p.isAcked, Shown: p.shown,
		Again:  p.again,
		Edit:   func(id channels.MessageID, text string) { p.about(id, loopUpdate{Kind: "edit", Text: text}) },
		Delete: func(id channels.MessageID) { p.about(id, loopUpdate{Kind: "delete"}) },
		React:  func(id channels.MessageID, emoji string) { p.about(id, loopUpdate{Kind: "react", Emoji: emoji}) },
		Press:  p.press,
		Drop:   p.drop,
		Down: func() func() {
			p.board.change(func() { p.down = true })
			return func() { p.board.change(func() { p.down = false }) }
		},
		Revoke: func() { p.board.change(func() { p.token, p.drops = "none", p.drops+1 }) },
		Fail:   func(f Fault, wait time.Duration) { p.board.change(func() { p.fault, p.wait = f, wait }) },
		Faults: []Fault{Throttled, Unavailable, LostAnswer, BadFormat, ShutOut, Refused},
		Stall: func() func() {
			s := &loopStall{}
			p.board.change(func() { p.stall = s })
			return func() { p.board.change(func() { s.released = true }) }
		},
		Answered: func() (n int) { p.board.read(func() { n = p.answered }); return n },
		Reacted: func(_ channels.Address, id channels.MessageID) (emoji string) {
			p.board.read(func() { emoji = p.reacted[string(id)] })
			return emoji
		},
		Typed: func(at channels.Address) (n int) {
			p.board.read(func() { n = p.typed[string(at.Conversation)+"/"+string(at.Thread)] })
			return n
		},
		Commands: p.menu,
		Close:    p.close,
	}
}

func (p *loopPlatform) menu() (out []channels.CommandSpec) {
	p.board.read(func() {
		for _, c := range p.commands {
			out = append(out, channels.CommandSpec(c))
		}
	})
	return out
}

// publish appends an update; the caller holds the lock.
func (p *loopPlatform) publish(u loopUpdate) {
	u.ID, u.At = int64(len(p.updates)+1), time.Now().UTC()
	p.updates = append(p.updates, u)
}

func (p *loopPlatform) say(s Said) (id channels.MessageID) {
	if s.By == "" {
		s.By = Alice
	}
	m := &loopMessageRow{from: s.By, text: s.Text, replyTo: string(s.ReplyTo), chat: "room"}
	switch s.In {
	case Thread:
		m.thread = "thread"
	case "", Direct:
		m.chat = "direct-" + s.By
	}
	p.board.change(func() {
		m.id = p.nextID()
		id = channels.MessageID(m.id)
		for _, f := range s.Files {
			m.files = append(m.files, loopFile{ID: p.store(f.Body), Kind: string(f.Kind), Name: f.Name, MIME: f.MIME, Size: int64(len(f.Body))})
		}
		p.messages = append(p.messages, m)
		u := p.update(m, "message", s.By)
		u.Mention = s.Mention
		p.publish(u)
	})
	return id
}

// update is an update about a message, by a person.
func (p *loopPlatform) update(m *loopMessageRow, kind, by string) loopUpdate {
	quoted := p.find(m.replyTo)
	return loopUpdate{
		Kind: kind, From: loopPerson{ID: "u-" + by, Name: by}, Chat: m.chat, Thread: m.thread,
		Direct: m.chat != "room", Message: m.id, Text: m.text, Files: m.files,
		ReplyTo: m.replyTo, ToBot: quoted != nil && quoted.from == "",
		Spoken: m.thread != "" && slices.ContainsFunc(p.messages, func(o *loopMessageRow) bool {
			return o.from == "" && o.thread == m.thread
		}),
	}
}

// about publishes something that happens to a message, by its author, or by
// Alice when it is the bot's.
func (p *loopPlatform) about(id channels.MessageID, is loopUpdate) {
	p.board.change(func() {
		m := p.find(string(id))
		by := m.from
		if by == "" {
			by = Alice
		}
		u := p.update(m, is.Kind, by)
		u.Text, u.Emoji, u.Data, u.Query = is.Text, is.Emoji, is.Data, is.Query
		p.publish(u)
	})
}

func (p *loopPlatform) press(id channels.MessageID, label string) {
	data := ""
	p.board.read(func() {
		for _, b := range p.find(string(id)).buttons {
			if b.Label == label {
				data = b.Data
			}
		}
	})
	p.about(id, loopUpdate{Kind: "press", Data: data, Query: "q-" + string(id)})
}

// again repeats a message under a new number.
func (p *loopPlatform) again(id channels.MessageID) {
	p.board.change(func() {
		for _, u := range p.updates {
			if u.Kind == "message" && u.Message == string(id) {
				at := u.At
				p.publish(u)
				p.updates[len(p.updates)-1].At = at
				return
			}
		}
	})
}

func (p *loopPlatform) isAcked(id channels.MessageID) (acked bool) {
	p.board.read(func() {
		for _, u := range p.updates {
			if u.Kind == "message" && u.Message == string(id) && u.ID < p.acked {
				acked = true
			}
		}
	})
	return acked
}
