package slacktest

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// wellNoted reports whether an app may note this on a message.
func wellNoted(text string) bool {
	var m struct {
		Type    string                     `json:"event_type"`
		Payload map[string]json.RawMessage `json:"event_payload"`
	}
	return json.Unmarshal([]byte(text), &m) == nil && m.Type != "" && m.Payload != nil
}

// historyScope is what reading a conversation needs, by its kind.
func historyScope(id string) string {
	switch {
	case strings.HasPrefix(id, "D"):
		return "im:history"
	case strings.HasPrefix(id, "G"):
		return "groups:history"
	}
	return "channels:history"
}

// history is conversations.history, the newest first and without what stands in
// threads, and conversations.replies, a thread from its root on. What one person
// alone saw is in neither.
func (s *Server) history(q *request) (object, *failure) {
	c, wrong := q.place()
	if wrong != nil {
		return nil, wrong
	}
	if scope := historyScope(c.id); !s.grantedLocked(scope) {
		return nil, &failure{"missing_scope", object{"needed": scope, "provided": strings.Join(s.opts.scopes, ",")}}
	}
	root := q.args["ts"]
	if q.method == "conversations.replies" && root == "" {
		return nil, fail("invalid_arguments")
	}
	var all []*message
	for _, m := range c.lines {
		switch {
		case m.deleted || m.only != "" || m.ts <= q.args["oldest"]:
		case root != "" && (m.ts == root || m.thread == root), root == "" && (m.thread == "" || m.thread == m.ts):
			all = append(all, m)
		}
	}
	if root == "" {
		slices.Reverse(all)
	}
	return c.pageLocked(q, all), nil
}

// pageLocked is one page of messages. The cursor says how many were before it.
func (c *Channel) pageLocked(q *request, all []*message) object {
	begin, _ := strconv.Atoi(q.args["cursor"])
	limit, err := strconv.Atoi(q.args["limit"])
	if err != nil || limit <= 0 {
		limit = 100
	}
	begin = min(max(begin, 0), len(all))
	end := min(begin+limit, len(all))
	messages := []object{}
	for _, m := range all[begin:end] {
		o := c.eventLocked(m)
		delete(o, "channel")
		delete(o, "channel_type")
		if m.metadata != nil && slices.Contains([]string{"1", "true"}, q.args["include_all_metadata"]) {
			o["metadata"] = m.metadata
		}
		messages = append(messages, o)
	}
	out := object{"messages": messages, "has_more": end < len(all)}
	if end < len(all) {
		out["response_metadata"] = object{"next_cursor": strconv.Itoa(end)}
	}
	return out
}
