package slacktest

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of a message's text, in characters.
const (
	maxPost   = 40_000
	maxUpdate = 4_000
)

// content reads what a message is to say.
func content(q *request, m *message, limit int) *failure {
	m.text, m.blocks = q.args["text"], nil
	if b := q.args["blocks"]; b != "" && b != "[]" && b != "null" {
		if word := wrongBlocks(json.RawMessage(b)); word != "" {
			return fail(word)
		}
		m.blocks = json.RawMessage(b)
	}
	m.literal = q.args["mrkdwn"] == "false"
	switch {
	case m.text == "" && m.blocks == nil:
		return fail("no_text")
	case utf8.RuneCountInString(m.text) > limit:
		return fail("msg_too_long")
	}
	return nil
}

func (s *Server) postMessage(q *request) (object, *failure) {
	c, wrong := q.place()
	if wrong != nil {
		return nil, wrong
	}
	m := &message{user: q.team.BotUser}
	if wrong := content(q, m, maxPost); wrong != nil {
		return nil, wrong
	}
	if wrong := c.threadLocked(q, m); wrong != nil {
		return nil, wrong
	}
	if noted := q.args["metadata"]; noted != "" {
		if !wellNoted(noted) {
			return nil, fail("invalid_metadata_format")
		}
		m.metadata = json.RawMessage(noted)
	}
	return c.addedLocked(m), nil
}

// threadLocked puts a message into the thread that the call names.
func (c *Channel) threadLocked(q *request, m *message) *failure {
	root := q.args["thread_ts"]
	if root == "" {
		return nil
	}
	if !strings.Contains(root, ".") {
		return fail("invalid_thread_ts")
	}
	m.thread = root
	return nil
}

// addedLocked adds a message of the bot and tells the bot of it, as Slack does.
func (c *Channel) addedLocked(m *message) object {
	m.ts = c.s.stampLocked()
	c.lines = append(c.lines, m)
	c.s.noteLocked(Entry{Kind: Sent, Team: c.team.ID, Channel: c.id, Thread: m.thread, TS: m.ts, Text: shown(m.text, m.blocks, m.literal)})
	e := c.eventLocked(m)
	e["bot_id"], e["app_id"] = c.team.BotID, AppID
	c.s.queueLocked(c.team, c.id, e)
	return object{"channel": c.id, "ts": m.ts, "message": object{
		"type": "message", "user": m.user, "bot_id": c.team.BotID, "text": m.text, "ts": m.ts, "thread_ts": m.thread,
	}}
}

func (s *Server) postEphemeral(q *request) (object, *failure) {
	c, wrong := q.place()
	if wrong != nil {
		return nil, wrong
	}
	only := q.args["user"]
	if !slices.Contains(c.members, only) {
		return nil, fail("user_not_in_channel")
	}
	m := &message{user: q.team.BotUser, only: only, ts: s.stampLocked()}
	if wrong := content(q, m, maxPost); wrong != nil {
		return nil, wrong
	}
	if wrong := c.threadLocked(q, m); wrong != nil {
		return nil, wrong
	}
	c.lines = append(c.lines, m)
	s.noteLocked(Entry{Kind: Ephemeral, Team: c.team.ID, Channel: c.id, Thread: m.thread, TS: m.ts, Only: only, Text: shown(m.text, m.blocks, m.literal)})
	return object{"message_ts": m.ts}, nil
}

// own is the bot's message that a call names.
func (q *request) own(c *Channel, ts string) (*message, bool) {
	m := c.lineLocked(ts)
	return m, m != nil && m.user == q.team.BotUser && m.only == ""
}

func (s *Server) update(q *request) (object, *failure) {
	c, wrong := q.place()
	if wrong != nil {
		return nil, wrong
	}
	m, ok := q.own(c, q.args["ts"])
	switch {
	case m == nil:
		return nil, fail("message_not_found")
	case !ok:
		return nil, fail("cant_update_message")
	case m.streaming:
		return nil, fail("streaming_state_conflict")
	}
	was, next := m.text, *m
	if wrong := content(q, &next, maxUpdate); wrong != nil {
		return nil, wrong
	}
	next.edits++
	*m = next
	s.noteLocked(Entry{Kind: Edited, Team: c.team.ID, Channel: c.id, Thread: m.thread, TS: m.ts, Text: shown(m.text, m.blocks, m.literal)})
	s.queueLocked(c.team, c.id, c.changedLocked(m, was))
	return object{"channel": c.id, "ts": m.ts, "text": m.text}, nil
}

// changedLocked is the event of a message that was changed.
func (c *Channel) changedLocked(m *message, was string) object {
	now, before := c.eventLocked(m), c.eventLocked(m)
	before["text"] = was
	delete(before, "blocks")
	now["edited"] = object{"user": m.user, "ts": c.s.stampLocked()}
	for _, k := range []string{"channel", "channel_type", "event_ts"} {
		delete(now, k)
		delete(before, k)
	}
	ts := c.s.stampLocked()
	return object{
		"type": "message", "subtype": "message_changed", "channel": c.id, "channel_type": c.kind, "hidden": true,
		"ts": ts, "event_ts": ts, "message": now, "previous_message": before,
	}
}

func (s *Server) remove(q *request) (object, *failure) {
	c, wrong := q.place()
	if wrong != nil {
		return nil, wrong
	}
	m, ok := q.own(c, q.args["ts"])
	switch {
	case m == nil:
		return nil, fail("message_not_found")
	case !ok:
		return nil, fail("cant_delete_message")
	}
	m.deleted = true
	s.noteLocked(Entry{Kind: Deleted, Team: c.team.ID, Channel: c.id, Thread: m.thread, TS: m.ts})
	return object{"channel": c.id, "ts": m.ts}, nil
}

func (s *Server) setStatus(q *request) (object, *failure) {
	c := q.team.roomLocked(q.args["channel_id"])
	if c == nil {
		return nil, fail("channel_not_found")
	}
	root := q.args["thread_ts"]
	if root == "" {
		return nil, fail("invalid_arguments")
	}
	if q.args["status"] != "" {
		s.noteLocked(Entry{Kind: Typed, Team: c.team.ID, Channel: c.id, Thread: root, Text: q.args["status"]})
	}
	return object{}, nil
}

func (s *Server) startStream(q *request) (object, *failure) {
	c, wrong := q.place()
	if wrong != nil {
		return nil, wrong
	}
	m := &message{user: q.team.BotUser, text: q.args["markdown_text"], streaming: true, thread: q.args["thread_ts"]}
	if m.thread == "" {
		return nil, fail("invalid_thread_ts")
	}
	return c.addedLocked(m), nil
}

func (s *Server) appendStream(q *request) (object, *failure) { return s.stream(q, false) }
func (s *Server) stopStream(q *request) (object, *failure)   { return s.stream(q, true) }

func (s *Server) stream(q *request, stop bool) (object, *failure) {
	c, wrong := q.place()
	if wrong != nil {
		return nil, wrong
	}
	m, ok := q.own(c, q.args["ts"])
	switch {
	case m == nil:
		return nil, fail("message_not_found")
	case !ok || !m.streaming:
		return nil, fail("message_not_in_streaming_state")
	}
	m.text += q.args["markdown_text"]
	m.edits++
	m.streaming = !stop
	if b := q.args["blocks"]; stop && b != "" {
		m.blocks = json.RawMessage(b)
	}
	s.noteLocked(Entry{Kind: Edited, Team: c.team.ID, Channel: c.id, Thread: m.thread, TS: m.ts, Text: shown(m.text, m.blocks, false)})
	return object{"channel": c.id, "ts": m.ts}, nil
}

func (s *Server) addReaction(q *request) (object, *failure) {
	c, m, wrong := q.item()
	if wrong != nil {
		return nil, wrong
	}
	r := reaction{q.team.BotUser, q.args["name"]}
	switch {
	case r.name == "" || strings.ContainsAny(r.name, " :") && !strings.Contains(r.name, "::skin-tone-"):
		return nil, fail("invalid_name")
	case slices.Contains(m.reactions, r):
		return nil, fail("already_reacted")
	}
	m.reactions = append(m.reactions, r)
	s.noteLocked(Entry{Kind: Reacted, Team: c.team.ID, Channel: c.id, TS: m.ts, Name: r.name})
	return object{}, nil
}

func (s *Server) removeReaction(q *request) (object, *failure) {
	c, m, wrong := q.item()
	if wrong != nil {
		return nil, wrong
	}
	i := slices.Index(m.reactions, reaction{q.team.BotUser, q.args["name"]})
	if i < 0 {
		return nil, fail("no_reaction")
	}
	s.noteLocked(Entry{Kind: Unreacted, Team: c.team.ID, Channel: c.id, TS: m.ts, Name: q.args["name"]})
	m.reactions = slices.Delete(m.reactions, i, i+1)
	return object{}, nil
}

func (s *Server) getReactions(q *request) (object, *failure) {
	_, m, wrong := q.item()
	if wrong != nil {
		return nil, wrong
	}
	var list []object
	for _, r := range m.reactions {
		list = append(list, object{"name": r.name, "count": 1, "users": []string{r.user}})
	}
	return object{"type": "message", "message": object{"ts": m.ts, "reactions": list}}, nil
}

// item is the message that a call about reactions names.
func (q *request) item() (*Channel, *message, *failure) {
	c, wrong := q.place()
	if wrong != nil {
		return nil, nil, wrong
	}
	m := c.lineLocked(q.args["timestamp"])
	if m == nil {
		return nil, nil, fail("message_not_found")
	}
	return c, m, nil
}
