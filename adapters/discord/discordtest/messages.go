package discordtest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

type sent struct {
	Content   string           `json:"content"`
	Nonce     any              `json:"nonce"`
	Enforce   bool             `json:"enforce_nonce"`
	Flags     int              `json:"flags"`
	Mentions  *allowedMentions `json:"allowed_mentions"`
	Reference *struct {
		MessageID string `json:"message_id"`
		Strict    *bool  `json:"fail_if_not_exists"`
	} `json:"message_reference"`
	Components []struct {
		Type       int `json:"type"`
		Components []struct {
			Type     int    `json:"type"`
			Style    int    `json:"style"`
			Label    string `json:"label"`
			CustomID string `json:"custom_id"`
			URL      string `json:"url"`
		} `json:"components"`
	} `json:"components"`
}

func (q *request) channel() (any, *failure) {
	c := q.s.channels[q.path[1]]
	if c == nil {
		return nil, errChannel
	}
	switch {
	case len(q.path) == 2 && q.r.Method == http.MethodGet:
		return c.json(), nil
	case len(q.path) == 3 && q.path[2] == "typing":
		if c.shut {
			return nil, c.closed()
		}
		q.s.typed[c.ID]++
		return nil, nil
	case len(q.path) == 3 && q.path[2] == "messages" && q.r.Method == http.MethodGet:
		return q.history(c)
	case len(q.path) == 3 && q.path[2] == "messages":
		return q.create(c)
	case len(q.path) >= 4 && q.path[2] == "messages":
		return q.message(c)
	}
	return nil, errPath
}

func (c *Channel) closed() *failure {
	if c.Kind == Direct {
		return fail(http.StatusForbidden, 50007, "Cannot send messages to this user")
	}
	return fail(http.StatusForbidden, 50013, "Missing Permissions")
}

// history gives the newest first, like the platform.
func (q *request) history(c *Channel) (any, *failure) {
	limit, err := strconv.Atoi(q.r.URL.Query().Get("limit"))
	if err != nil {
		limit = 50
	}
	if limit < 1 || limit > 100 {
		return nil, errForm
	}
	after, before := q.r.URL.Query().Get("after"), q.r.URL.Query().Get("before")
	out := []any{}
	for _, m := range c.messages {
		if (after == "" || newer(m.ID, after)) && (before == "" || newer(before, m.ID)) && !m.Private {
			out = append(out, m.json(false))
		}
	}
	if n := len(out); n > limit && after != "" {
		out = out[:limit] // the oldest of those after it
	} else if n > limit {
		out = out[n-limit:]
	}
	slices.Reverse(out)
	return out, nil
}

func newer(a, b string) bool { return len(a) > len(b) || len(a) == len(b) && a > b }

// create is a new message of the bot.
func (q *request) create(c *Channel) (any, *failure) {
	if c.Kind == Board {
		return nil, fail(http.StatusBadRequest, 50008, "Cannot send messages in a non-text channel")
	}
	if c.shut {
		return nil, c.closed()
	}
	m, d, bad := q.compose(c)
	if bad != nil {
		return nil, bad
	}
	if d.Nonce != nil {
		b, _ := json.Marshal(d.Nonce)
		m.Nonce = string(b)
		if s, ok := d.Nonce.(string); ok {
			m.Nonce = s
		}
		if len(m.Nonce) > 25 {
			return nil, errForm
		}
		key := c.ID + "/" + m.Nonce
		if old := q.s.nonces[key]; d.Enforce && old != nil {
			return old.json(true), nil
		}
		q.s.nonces[key] = m
	}
	if r := d.Reference; r != nil {
		if c.find(r.MessageID) != nil {
			m.Kind, m.ReplyTo = 19, r.MessageID
		} else if r.Strict == nil || *r.Strict {
			return nil, errForm
		}
	}
	q.s.finish(m, d)
	q.s.post(m)
	return m.json(true), nil
}

// compose checks what is to be sent.
func (q *request) compose(c *Channel) (*Message, sent, *failure) {
	var d sent
	if bad := q.json(&d); bad != nil {
		return nil, d, bad
	}
	m := &Message{Channel: c, Author: q.s.bot, Content: d.Content, Flags: d.Flags, Files: q.files, Reactions: map[string][]string{}}
	switch {
	case utf8.RuneCountInString(d.Content) > 2000, len(q.files) > 10, len(d.Components) > 5, d.Flags&^(1<<2|1<<12) != 0:
		return nil, d, errForm
	case d.Content == "" && len(q.files) == 0:
		return nil, d, fail(http.StatusBadRequest, 50006, "Cannot send an empty message")
	}
	seen := map[string]bool{}
	for _, row := range d.Components {
		if row.Type != 1 || len(row.Components) == 0 || len(row.Components) > 5 {
			return nil, d, errForm
		}
		for _, b := range row.Components {
			link := b.Style == 5
			if b.Type != 2 || b.Style < 1 || b.Style > 5 || utf8.RuneCountInString(b.Label) > 80 || len(b.CustomID) > 100 ||
				link != (b.URL != "") || link == (b.CustomID != "") || !link && seen[b.CustomID] {
				return nil, d, errForm
			}
			seen[b.CustomID] = true
			m.Buttons = append(m.Buttons, Button{Label: b.Label, ID: b.CustomID, URL: b.URL, Style: b.Style})
		}
	}
	return m, d, nil
}

// finish gives ids to a message that is taken.
func (s *Server) finish(m *Message, d sent) {
	m.ID = s.newID()
	for i := range m.Files {
		m.Files[i].ID = s.newID()
	}
	m.Pinged = pings(m, d.Mentions)
}

// message reads, changes or removes one message.
func (q *request) message(c *Channel) (any, *failure) {
	m := c.find(q.path[3])
	if m == nil || m.Private {
		return nil, errMessage
	}
	if len(q.path) == 7 && q.path[4] == "reactions" && q.path[6] == "@me" {
		return q.reaction(m)
	}
	switch {
	case len(q.path) != 4:
		return nil, errPath
	case q.r.Method == http.MethodGet:
		return m.json(false), nil
	case q.r.Method == http.MethodPatch:
		if m.Author != q.s.bot {
			return nil, fail(http.StatusForbidden, 50005, "Cannot edit a message authored by another user")
		}
		return q.edit(m)
	case q.r.Method == http.MethodDelete:
		if m.Author != q.s.bot {
			return nil, fail(http.StatusForbidden, 50013, "Missing Permissions")
		}
		q.s.remove(m)
		return nil, nil
	}
	return nil, errPath
}

// edit changes a message of the bot.
func (q *request) edit(m *Message) (any, *failure) {
	n, d, bad := q.compose(m.Channel)
	if bad != nil {
		return nil, bad
	}
	m.Content, m.Buttons, m.loading = n.Content, n.Buttons, false
	m.Edits, m.Edited = m.Edits+1, time.Now()
	for i := range n.Files {
		n.Files[i].ID = q.s.newID()
	}
	m.Files = append(m.Files, n.Files...)
	m.Pinged = pings(m, d.Mentions)
	q.s.dispatch("MESSAGE_UPDATE", m.json(true), m.where())
	return m.json(true), nil
}

func (q *request) reaction(m *Message) (any, *failure) {
	if r, _ := utf8.DecodeRuneInString(q.path[5]); r < 0x80 && !customEmoji(q.path[5]) {
		return nil, fail(http.StatusBadRequest, 10014, "Unknown Emoji")
	}
	q.s.react(q.s.bot, m, q.path[5], q.r.Method == http.MethodPut)
	return nil, nil
}

func customEmoji(s string) bool {
	for i := range len(s) {
		if s[i] == ':' {
			return i > 0 && i+1 < len(s)
		}
	}
	return false
}
