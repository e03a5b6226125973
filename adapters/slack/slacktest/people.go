package slacktest

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// SayOption changes what somebody says.
type SayOption func(*said)

type said struct {
	thread string
	files  []*File
}

// InThread puts a message into a thread, named by its first message.
func InThread(ts string) SayOption { return func(x *said) { x.thread = ts } }

// WithFile adds a file.
func WithFile(name, kind string, body []byte) SayOption {
	return func(x *said) {
		x.files = append(x.files, &File{Name: name, Title: name, MIME: kind, Body: body, shares: map[string]string{}})
	}
}

// Mention is the bot's name in a text.
func (t *Team) Mention() string { return "<@" + t.BotUser + ">" }

// Say lets a person say something; text is mrkdwn, in which &, < and > of their
// own are escaped. It returns the message's time stamp.
func (c *Channel) Say(u *User, text string, opts ...SayOption) string {
	var x said
	for _, o := range opts {
		o(&x)
	}
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &message{ts: s.stampLocked(), thread: x.thread, user: u.ID, text: text, files: x.files}
	for _, f := range x.files {
		f.ID, f.team = s.idLocked("F"), c.team
		f.shares[c.id] = m.ts
		s.files[f.ID] = f
	}
	if len(m.files) > 0 {
		m.subtype = "file_share"
	}
	if !slices.Contains(c.members, u.ID) {
		c.members = append(c.members, u.ID)
	}
	c.lines = append(c.lines, m)
	s.queueLocked(c.team, c.id, c.eventLocked(m))
	if c.kind != "im" && strings.Contains(text, c.team.Mention()) {
		e := c.eventLocked(m)
		e["type"] = "app_mention"
		delete(e, "channel_type")
		s.queueLocked(c.team, c.id, e)
	}
	return m.ts
}

// eventLocked is a message as an event.
func (c *Channel) eventLocked(m *message) object {
	e := object{
		"type": "message", "user": m.user, "ts": m.ts, "text": m.text, "team": c.team.ID,
		"channel": c.id, "channel_type": c.kind, "event_ts": m.ts,
	}
	if m.blocks != nil {
		e["blocks"] = m.blocks
	}
	if m.subtype != "" {
		e["subtype"] = m.subtype
	}
	if m.thread != "" {
		e["thread_ts"] = m.thread
		if root := c.lineLocked(m.thread); root != nil {
			e["parent_user_id"] = root.user
		}
	}
	var files []object
	for _, f := range m.files {
		files = append(files, c.s.fileObject(f))
	}
	if files != nil {
		e["files"] = files
	}
	return e
}

// Edit changes a person's message.
func (c *Channel) Edit(ts, text string) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	m := c.lineLocked(ts)
	was := m.text
	m.text, m.edits = text, m.edits+1
	s.queueLocked(c.team, c.id, c.changedLocked(m, was))
}

// Delete removes a person's message.
func (c *Channel) Delete(ts string) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	m := c.lineLocked(ts)
	was := c.eventLocked(m)
	m.deleted = true
	at := s.stampLocked()
	s.queueLocked(c.team, c.id, object{
		"type": "message", "subtype": "message_deleted", "channel": c.id, "channel_type": c.kind, "hidden": true,
		"ts": at, "event_ts": at, "deleted_ts": ts, "previous_message": was,
	})
}

// React adds a person's reaction.
func (c *Channel) React(u *User, ts, name string) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	m := c.lineLocked(ts)
	m.reactions = append(m.reactions, reaction{u.ID, name})
	s.queueLocked(c.team, c.id, object{
		"type": "reaction_added", "user": u.ID, "reaction": name, "item_user": m.user, "event_ts": s.stampLocked(),
		"item": object{"type": "message", "channel": c.id, "ts": ts},
	})
}

// Press lets a person press a button of the bot's.
func (c *Channel) Press(u *User, ts string, b Button) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	m := c.lineLocked(ts)
	o := object{
		"type": "block_actions", "api_app_id": AppID, "token": "xAbCdEfGhIjKlMnOpQrStUvW",
		"team": object{"id": c.team.ID, "domain": "main"}, "user": object{"id": u.ID, "username": strings.ToLower(u.Name), "name": strings.ToLower(u.Name), "team_id": c.team.ID},
		"container":  object{"type": "message", "message_ts": ts, "channel_id": c.id, "is_ephemeral": m.only != ""},
		"trigger_id": strings.ToLower(s.idLocked("trigger")), "channel": object{"id": c.id, "name": c.name},
		"message": object{"ts": ts, "user": m.user, "text": m.text}, "response_url": s.pathLocked(c, u, ts, m.thread),
		"actions": []object{{
			"type": "button", "action_id": b.Action, "block_id": "b1", "value": b.Value, "action_ts": s.stampLocked(),
			"text": object{"type": "plain_text", "text": b.Label},
		}},
	}
	if m.thread != "" {
		o["container"].(object)["thread_ts"] = m.thread
	}
	raw, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	s.pushLocked(&delivery{id: s.idLocked("press"), order: c.id, kind: "interactive", payload: raw})
}

// Slash lets a person use a slash command.
func (c *Channel) Slash(u *User, command, text string) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	raw, err := json.Marshal(object{
		"token": "xAbCdEfGhIjKlMnOpQrStUvW", "team_id": c.team.ID, "team_domain": "main", "channel_id": c.id, "channel_name": c.name,
		"user_id": u.ID, "user_name": strings.ToLower(u.Name), "command": command, "text": text, "api_app_id": AppID,
		"is_enterprise_install": "false", "trigger_id": strings.ToLower(s.idLocked("trigger")), "response_url": s.pathLocked(c, u, "", ""),
	})
	if err != nil {
		panic(err)
	}
	s.pushLocked(&delivery{id: s.idLocked("slash"), order: c.id, kind: "slash_commands", payload: raw})
}

// Uninstall lets the team remove the app.
func (t *Team) Uninstall() {
	s := t.s
	s.mu.Lock()
	defer s.mu.Unlock()
	t.revoked = true
	s.queueLocked(t, t.ID, object{"type": "app_uninstalled"})
}

// ReplyPath makes a response_url for a person, as slash commands have one.
func (c *Channel) ReplyPath(u *User) string {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.s.pathLocked(c, u, "", "")
}

func (s *Server) pathLocked(c *Channel, u *User, of, thread string) string {
	key := strings.ToLower(s.idLocked("r"))
	s.paths[key] = &path{room: c, user: u.ID, of: of, thread: thread, uses: 5, until: time.Now().Add(30 * time.Minute)}
	return s.root + "/respond/" + key
}

// respond takes what goes to a response_url.
func (s *Server) respond(w http.ResponseWriter, r *http.Request, key string) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.calls["respond"]++
	hit := s.faultLocked("respond")
	s.mu.Unlock()
	if hit != nil && !hit.after {
		hit.meet(w, r)
		return
	}
	status, text := s.response(key, body)
	if hit != nil {
		hit.meet(w, r)
		return
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

func (s *Server) response(key string, body []byte) (int, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.paths[key]
	if p == nil || time.Now().After(p.until) {
		return http.StatusNotFound, `{"ok":false,"error":"expired_url"}`
	}
	if p.uses <= 0 {
		return http.StatusNotFound, `{"ok":false,"error":"used_url"}`
	}
	var q struct {
		Text    string          `json:"text"`
		Blocks  json.RawMessage `json:"blocks"`
		Type    string          `json:"response_type"`
		Replace bool            `json:"replace_original"`
		Thread  string          `json:"thread_ts"`
	}
	if json.Unmarshal(body, &q) != nil || q.Text == "" && len(q.Blocks) == 0 {
		return http.StatusBadRequest, "no_text"
	}
	if word := wrongBlocks(q.Blocks); word != "" {
		return http.StatusOK, `{"ok":false,"error":"` + word + `"}`
	}
	p.uses--
	only := p.user
	if q.Type == "in_channel" {
		only = ""
	}
	if m := p.room.lineLocked(p.of); q.Replace && m != nil {
		m.text, m.blocks, m.edits = q.Text, q.Blocks, m.edits+1
		s.noteLocked(Entry{Kind: Edited, Team: p.room.team.ID, Channel: p.room.id, TS: m.ts, Only: m.only, Text: shown(m.text, m.blocks, false)})
		return http.StatusOK, "ok"
	}
	m := &message{ts: s.stampLocked(), user: p.room.team.BotUser, text: q.Text, blocks: q.Blocks, only: only, thread: q.Thread}
	p.room.lines = append(p.room.lines, m)
	s.noteLocked(Entry{Kind: Answered, Team: p.room.team.ID, Channel: p.room.id, Thread: m.thread, TS: m.ts, Only: only, Text: shown(m.text, m.blocks, false)})
	return http.StatusOK, "ok"
}
