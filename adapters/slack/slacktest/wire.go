package slacktest

import (
	"encoding/json"
	"time"
)

// object is a JSON object that is being written.
type object = map[string]any

// message is a message as the server keeps it.
type message struct {
	ts, thread string
	user       string // author; the bot's user id for its own
	text       string
	blocks     json.RawMessage
	literal    bool // mrkdwn is off
	files      []*File
	edits      int
	deleted    bool
	only       string // who alone sees it
	reactions  []reaction
	subtype    string
	streaming  bool
	metadata   json.RawMessage
}

type reaction struct{ user, name string }

// File is an upload.
type File struct {
	ID, Name, Title, MIME string
	Body                  []byte
	team                  *Team
	shares                map[string]string // channel -> ts
}

// upload is a place to put a file.
type upload struct {
	file *File
	size int64
	done bool
}

// path is a response_url.
type path struct {
	room   *Channel
	user   string
	of     string // the message that a press was on
	thread string
	uses   int
	until  time.Time
}

// Kind says what the bot did.
type Kind string

// What the bot can do.
const (
	Sent      Kind = "sent"
	Edited    Kind = "edited"
	Deleted   Kind = "deleted"
	Ephemeral Kind = "ephemeral" // shown to one person
	Answered  Kind = "answered"  // by a response_url
	Reacted   Kind = "reacted"
	Unreacted Kind = "unreacted"
	Typed     Kind = "typed"
)

// Entry is one thing that the bot did.
type Entry struct {
	Kind    Kind
	Team    string
	Channel string
	Thread  string
	TS      string
	Text    string // as people read it
	Only    string // Ephemeral, Answered: who sees it
	Name    string // of a reaction
	At      time.Time
}

// Log is what the bot did, oldest first.
type Log []Entry

// Of keeps some kinds.
func (l Log) Of(kinds ...Kind) Log {
	var out Log
	for _, e := range l {
		for _, k := range kinds {
			if e.Kind == k {
				out = append(out, e)
			}
		}
	}
	return out
}

// In keeps what was done in a conversation.
func (l Log) In(channel string) Log {
	var out Log
	for _, e := range l {
		if e.Channel == channel {
			out = append(out, e)
		}
	}
	return out
}

// Texts are the texts of the entries.
func (l Log) Texts() []string {
	var out []string
	for _, e := range l {
		out = append(out, e.Text)
	}
	return out
}

// Delivered is everything that the bot did.
func (s *Server) Delivered() Log {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(Log(nil), s.log...)
}

func (s *Server) noteLocked(e Entry) {
	e.At = time.Now()
	s.log = append(s.log, e)
	s.wakeLocked()
}

// Line is a message as people see it.
type Line struct {
	TS, Thread string
	User       string
	Bot        bool   // of ours
	Text       string // as people read it
	Native     string // as it was sent: text and blocks
	Edits      int
	Files      []File
	Buttons    []Button
	Reactions  []string // the bot's
	Only       string
}

// Button is a button under a message.
type Button struct{ Label, Value, Action, URL string }

// Transcript is what stands in the conversation, oldest first.
func (c *Channel) Transcript() []Line {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	var out []Line
	for _, m := range c.lines {
		if m.deleted {
			continue
		}
		l := Line{
			TS: m.ts, Thread: m.thread, User: m.user, Bot: m.user == c.team.BotUser, Text: shown(m.text, m.blocks, m.literal),
			Native: native(m), Edits: m.edits, Buttons: buttonsOf(m.blocks), Only: m.only,
		}
		for _, f := range m.files {
			l.Files = append(l.Files, *f)
		}
		for _, r := range m.reactions {
			if r.user == c.team.BotUser {
				l.Reactions = append(l.Reactions, r.name)
			}
		}
		out = append(out, l)
	}
	return out
}

func native(m *message) string {
	if len(m.blocks) == 0 {
		return m.text
	}
	var blocks []any
	if json.Unmarshal(m.blocks, &blocks) != nil {
		return m.text
	}
	out := m.text + "\n-- blocks --"
	for _, b := range blocks {
		line, _ := json.Marshal(b)
		out += "\n" + string(line)
	}
	return out
}

func (c *Channel) lineLocked(ts string) *message {
	for _, m := range c.lines {
		if m.ts == ts && !m.deleted {
			return m
		}
	}
	return nil
}
