package telegramtest

import (
	"context"
	"slices"
	"time"
)

// Kind says what a Delivery did.
type Kind string

// The kinds of things that a bot does where people see it.
const (
	Sent     Kind = "sent"
	Edited   Kind = "edited"
	Deleted  Kind = "deleted"
	Reacted  Kind = "reacted"
	Acted    Kind = "acted"    // a chat action, such as typing
	Answered Kind = "answered" // a callback query
	Drafted  Kind = "drafted"  // a streamed draft, shown until the message comes
	Left     Kind = "left"     // the chat
)

// Delivery is one thing the bot did that took effect. Deliveries are values
// that do not change; slices in them must not be written to.
type Delivery struct {
	Seq       int       `json:"seq"` // 1 for the first
	At        time.Time `json:"at"`
	Kind      Kind      `json:"kind"`
	Method    string    `json:"method"` // as the bot wrote it
	Chat      int64     `json:"chat"`
	Thread    int64     `json:"thread,omitempty"` // forum topic, 0 for none and for General
	Message   int64     `json:"message,omitempty"`
	ReplyTo   int64     `json:"reply_to,omitempty"`
	Text      string    `json:"text,omitempty"` // plain text or caption
	Entities  []Entity  `json:"entities,omitempty"`
	Files     []File    `json:"files,omitempty"`
	Album     string    `json:"album,omitempty"`     // shared by the messages of one album
	Buttons   []Button  `json:"buttons,omitempty"`   // inline keyboard, row after row
	Reactions []string  `json:"reactions,omitempty"` // emoji, empty when taken back
	Action    string    `json:"action,omitempty"`
	Callback  string    `json:"callback,omitempty"` // id of the query that was answered
	Alert     bool      `json:"alert,omitempty"`
	Silent    bool      `json:"silent,omitempty"` // disable_notification
	NoPreview bool      `json:"no_preview,omitempty"`
	Lost      bool      `json:"lost,omitempty"` // a fault kept the answer from the bot
}

// Marked lists the parts of the text that are marked with a kind of entity, such
// as bold. Pieces that touch are joined: the platform cuts a style in two where
// another entity begins.
func (d Delivery) Marked(kind string) []string {
	var out []string
	end := -1
	for _, e := range d.Entities {
		if e.Type != kind {
			continue
		}
		start := byteOffset(d.Text, e.Offset)
		run := d.Text[start : start+byteOffset(d.Text[start:], e.Length)]
		if e.Offset == end && isStyle(kind) {
			out[len(out)-1] += run
		} else {
			out = append(out, run)
		}
		end = e.end()
	}
	return out
}

// Log is a run of deliveries in the order in which they took effect.
type Log []Delivery

// In keeps what happened in one chat.
func (l Log) In(chat int64) Log {
	return l.keep(func(d Delivery) bool { return d.Chat == chat })
}

// Of keeps the given kinds.
func (l Log) Of(kinds ...Kind) Log {
	return l.keep(func(d Delivery) bool { return slices.Contains(kinds, d.Kind) })
}

// Texts lists the text of each delivery.
func (l Log) Texts() []string {
	out := make([]string, 0, len(l))
	for _, d := range l {
		out = append(out, d.Text)
	}
	return out
}

func (l Log) keep(want func(Delivery) bool) Log {
	var out Log
	for _, d := range l {
		if want(d) {
			out = append(out, d)
		}
	}
	return out
}

// record appends to the log and wakes those who wait. s.mu is held.
func (s *Server) record(q *query, d Delivery) {
	d.Seq = len(s.log) + 1
	d.At = s.now()
	d.Method = q.name
	d.Lost = q.lost
	s.log = append(s.log, d)
	if s.logged != nil {
		close(s.logged)
		s.logged = nil
	}
}

// Delivered is everything the bot did so far. It costs nothing to call: the
// result shares memory with the server and must not be written to.
func (s *Server) Delivered() Log {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log[:len(s.log):len(s.log)]
}

// behind is what follows the first n deliveries, or a channel that is closed
// once there is more.
func (s *Server) behind(n int) (Log, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n < len(s.log) {
		return s.log[max(n, 0):len(s.log):len(s.log)], nil
	}
	if s.logged == nil {
		s.logged = make(chan struct{})
	}
	return nil, s.logged
}

// After waits until there is something behind the first n deliveries and
// returns that, or nothing with the error of ctx.
func (s *Server) After(ctx context.Context, n int) (Log, error) {
	for {
		found, logged := s.behind(n)
		if len(found) > 0 {
			return found, nil
		}
		select {
		case <-logged:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Wait blocks until done says that the log is as wanted, asking again at each
// delivery. It returns the error of ctx when that ends first. A run of many
// thousand deliveries is better followed with After, which does not look at the
// whole log each time.
func (s *Server) Wait(ctx context.Context, done func(Log) bool) error {
	for {
		log := s.Delivered()
		if done(log) {
			return nil
		}
		if _, err := s.After(ctx, len(log)); err != nil {
			return err
		}
	}
}
