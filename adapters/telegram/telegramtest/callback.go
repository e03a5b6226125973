package telegramtest

import (
	"hash/fnv"
	"strconv"
)

// Pressed names the press of a button.
type Pressed struct {
	Query  string // id of the callback query
	Update int64
}

// Press presses the button of a message that carries data. The message may have
// lost the button, or be deleted: apps show old keyboards for a while.
func (c *Chat) Press(u *User, message int64, data string) Pressed {
	s := c.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	h := fnv.New64a()
	_, _ = h.Write(strconv.AppendInt(nil, c.id, 10))
	instance := int64(h.Sum64()) //nolint:gosec // any number will do
	id := strconv.FormatInt(u.ID<<20+int64(len(s.callbacks))+1, 10)
	s.callbacks[id] = s.now()
	press := wireCallback{
		ID: id, From: u.profile(), Data: data, ChatInstance: strconv.FormatInt(instance, 10),
		Message: wireGone{Chat: c.wire(), ID: message},
	}
	if m, ok := c.messages[message]; ok {
		press.Message = m.wireMessage
	}
	return Pressed{Query: id, Update: s.push("callback_query", press, u.ID+queueCallback, callbackLife)}
}

func (s *Server) answerCallbackQuery(q *query) (any, error) {
	id := q.str("callback_query_id")
	at, ok := s.callbacks[id]
	if !ok || s.now().Sub(at) > callbackLife {
		return nil, badRequest("query is too old and response timeout expired or query ID is invalid")
	}
	if utf16Len(q.str("text")) > 200 {
		return nil, badRequest("MESSAGE_TOO_LONG")
	}
	s.record(q, Delivery{Kind: Answered, Callback: id, Text: q.str("text"), Alert: q.flag("show_alert")})
	return true, nil
}
