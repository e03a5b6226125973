package channeltest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// loopPlatform is the platform that Loop's channel talks to.
type loopPlatform struct {
	srv *httptest.Server

	board    *board // guards everything below
	token    string
	closed   bool
	down     bool
	drops    int // grows with each Drop
	polls    int // that are open
	updates  []loopUpdate
	acked    int64 // updates below are acknowledged
	messages []*loopMessageRow
	files    map[string][]byte
	reacted  map[string]string
	typed    map[string]int
	answered int
	commands []loopCommand
	fault    Fault
	wait     time.Duration
	stall    *loopStall
}

// loopMessageRow is a message of anybody.
type loopMessageRow struct {
	id           string
	chat, thread string
	from         string // "" for the bot
	key          string
	native, text string
	replyTo      string
	edits        int
	files        []loopFile
	buttons      []loopButton
	gone         bool
}

type loopStall struct{ released bool }

func newLoopPlatform() *loopPlatform {
	p := &loopPlatform{
		board: newBoard(), token: "7:loop-" + rand.Text(), files: map[string][]byte{},
		reacted: map[string]string{}, typed: map[string]int{},
	}
	p.srv = httptest.NewServer(p)
	return p
}

func (p *loopPlatform) close() {
	p.board.change(func() { p.closed = true })
	p.srv.Close()
}

// refusal is an answer with a status of its own.
type refusal struct {
	status int
	answer loopAnswer
}

func refuse(status int, why string) *refusal { return &refusal{status, loopAnswer{Error: why}} }

// ServeHTTP implements http.Handler.
func (p *loopPlatform) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	token, method, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/bot"), "/")
	if r := p.admit(token); r != nil {
		p.write(w, r.status, r.answer)
		return
	}
	if id, ok := strings.CutPrefix(method, "file/"); ok {
		var b []byte
		p.board.read(func() { b = p.files[id] })
		_, _ = w.Write(b)
		return
	}
	body, err := io.ReadAll(io.LimitReader(req.Body, loopMaxFile+1))
	if err != nil {
		return
	}
	var answer loopAnswer
	var r *refusal
	if method == "upload" {
		p.board.change(func() { answer.File = p.store(body) })
	} else {
		var call loopCall
		if json.Unmarshal(body, &call) != nil {
			r = refuse(http.StatusUnprocessableEntity, "no JSON")
		} else {
			answer, r = p.dispatch(req.Context(), method, call)
		}
	}
	if r != nil {
		p.write(w, r.status, r.answer)
		return
	}
	p.write(w, http.StatusOK, answer)
}

func (p *loopPlatform) admit(token string) (r *refusal) {
	p.board.read(func() {
		switch {
		case p.down:
			r = refuse(http.StatusServiceUnavailable, "down")
		case token != p.token:
			r = refuse(http.StatusUnauthorized, "who are you")
		}
	})
	return r
}

func (p *loopPlatform) write(w http.ResponseWriter, status int, a loopAnswer) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(a)
}

func (p *loopPlatform) dispatch(ctx context.Context, method string, c loopCall) (a loopAnswer, r *refusal) {
	switch method {
	case "poll":
		return p.poll(ctx, c)
	case "send", "edit":
		return p.deliver(ctx, method, c)
	}
	p.board.change(func() {
		switch method {
		case "me":
			a.Name = "Loop"
		case "delete":
			if m := p.find(c.Message); m != nil {
				m.gone = true
			}
		case "react":
			p.reacted[c.Message] = c.Emoji
		case "type":
			p.typed[c.Chat+"/"+c.Thread]++
		case "answer":
			p.answered++
		case "commands":
			p.commands = c.Commands
		case "sent":
			for _, m := range p.messages {
				if c.Key != "" && m.key == c.Key {
					a.Message = m.id
				}
			}
		default:
			r = refuse(http.StatusUnprocessableEntity, "no such method")
		}
	})
	return a, r
}

// poll waits for updates from the offset on, and acknowledges those before it.
func (p *loopPlatform) poll(ctx context.Context, c loopCall) (a loopAnswer, r *refusal) {
	var drops int
	p.board.change(func() {
		p.acked, drops = max(p.acked, c.Offset), p.drops
		p.polls++
	})
	defer p.board.change(func() { p.polls-- })
	ctx, cancel := context.WithTimeout(ctx, time.Duration(c.Wait)*time.Second)
	defer cancel()
	dropped := false
	_ = p.board.until(ctx, func() bool {
		for _, u := range p.updates {
			if u.ID >= p.acked && len(a.Updates) < 10 {
				a.Updates = append(a.Updates, u)
			}
		}
		dropped = p.drops != drops || p.down
		return len(a.Updates) > 0 || dropped || p.closed
	})
	if dropped {
		panic(http.ErrAbortHandler) // the connection ends in the middle of the wait
	}
	return a, nil
}

// drop cuts the poll that is open, or the next one.
func (p *loopPlatform) drop() {
	ctx, cancel := context.WithTimeout(context.Background(), Deadline)
	defer cancel()
	_ = p.board.until(ctx, func() bool { return p.polls > 0 })
	p.board.change(func() { p.drops++ })
}

// deliver takes a message or an edit, and plays the fault that was ordered.
func (p *loopPlatform) deliver(ctx context.Context, method string, c loopCall) (a loopAnswer, r *refusal) {
	var fault Fault
	var stall *loopStall
	p.board.change(func() {
		fault, p.fault = p.fault, ""
		if r = p.faulty(fault); r != nil {
			return
		}
		if n := utf8.RuneCountInString(c.Text); n > loopMaxText || n == 0 && len(c.Files) == 0 {
			r = refuse(http.StatusRequestEntityTooLarge, "too long, or empty")
			return
		}
		var m *loopMessageRow
		if m, r = p.row(method, c); r != nil {
			return
		}
		p.fill(m, c)
		a.Message = m.id
		stall, p.stall = p.stall, nil
	})
	if r != nil {
		return a, r
	}
	if stall != nil {
		_ = p.board.until(ctx, func() bool { return stall.released || p.closed })
	}
	if fault == LostAnswer {
		panic(http.ErrAbortHandler)
	}
	return a, nil
}

func (p *loopPlatform) faulty(f Fault) *refusal {
	switch f {
	case Throttled:
		r := refuse(http.StatusTooManyRequests, "slower")
		r.answer.Wait = int(p.wait / time.Second)
		return r
	case Unavailable:
		return refuse(http.StatusServiceUnavailable, "later")
	case BadFormat:
		return refuse(http.StatusBadRequest, "bad format")
	case ShutOut:
		return refuse(http.StatusGone, "you are blocked")
	case Refused:
		return refuse(http.StatusUnprocessableEntity, "not this")
	}
	return nil
}

func (p *loopPlatform) row(method string, c loopCall) (*loopMessageRow, *refusal) {
	if method == "edit" {
		m := p.find(c.Message)
		if m == nil || m.from != "" {
			return nil, refuse(http.StatusGone, "no such message")
		}
		m.edits++
		return m, nil
	}
	m := &loopMessageRow{id: p.nextID(), chat: c.Chat, thread: c.Thread, key: c.Key}
	p.messages = append(p.messages, m)
	return m, nil
}

func (p *loopPlatform) fill(m *loopMessageRow, c loopCall) {
	m.native, m.text, m.replyTo = c.Text, c.Text, c.ReplyTo
	m.files, m.buttons = c.Files, c.Buttons
	if !c.Plain {
		m.text = markup.PlainText.Render(markup.Parse(c.Text))
	}
}

func (p *loopPlatform) find(id string) *loopMessageRow {
	i := slices.IndexFunc(p.messages, func(m *loopMessageRow) bool { return m.id == id && !m.gone })
	if i < 0 {
		return nil
	}
	return p.messages[i]
}

func (p *loopPlatform) nextID() string { return fmt.Sprintf("m%d", len(p.messages)+1) }

func (p *loopPlatform) store(b []byte) string {
	id := fmt.Sprintf("f%d", len(p.files)+1)
	p.files[id] = b
	return id
}

func (p *loopPlatform) shown(at channels.Address) []Shown {
	var out []Shown
	p.board.read(func() {
		for _, m := range p.messages {
			if m.from != "" || m.gone || m.chat != string(at.Conversation) || m.thread != string(at.Thread) {
				continue
			}
			s := Shown{ID: channels.MessageID(m.id), Native: m.native, Text: m.text, ReplyTo: channels.MessageID(m.replyTo), Edits: m.edits}
			for _, f := range m.files {
				s.Files = append(s.Files, Upload{Kind: channels.FileKind(f.Kind), Name: f.Name, MIME: f.MIME, Body: p.files[f.ID]})
			}
			for _, b := range m.buttons {
				s.Buttons = append(s.Buttons, channels.Button{Label: b.Label, Data: b.Data})
			}
			out = append(out, s)
		}
	})
	return out
}
