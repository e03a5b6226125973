package telegramtest

import (
	"encoding/json"
	"slices"
	"time"
)

// deletable is how long after a message the bot may delete it.
const deletable = 48 * time.Hour

const notModified = "message is not modified: specified new message content and reply markup are exactly the same " +
	"as a current content and reply markup of the message"

// ownMessage finds the message a call edits.
func (s *Server) ownMessage(q *query) (*Chat, *stored, error) {
	if q.str("chat_id") == "" && q.int("message_id") == 0 {
		return nil, nil, badRequest("message identifier is not specified")
	}
	c, err := s.chatOf(q, write)
	if err != nil {
		return nil, nil, err
	}
	m, ok := c.messages[q.int("message_id")]
	switch {
	case !ok:
		return nil, nil, badRequest("message to edit not found")
	case !m.outgoing:
		return nil, nil, badRequest("message can't be edited")
	}
	return c, m, nil
}

func (s *Server) editMessageText(q *query) (any, error) {
	if q.str("text") == "" {
		return nil, badRequest("message text is empty")
	}
	f, err := formattedOf(q, "text", "entities")
	if err != nil {
		return nil, err
	}
	if f.text == "" {
		return nil, badRequest("text must be non-empty")
	}
	board, err := keyboardOf(q)
	if err != nil {
		return nil, err
	}
	c, m, err := s.ownMessage(q)
	if err != nil {
		return nil, err
	}
	f.entities = s.known(f.entities)
	switch {
	case len(m.files) > 0:
		return nil, badRequest("there is no text in the message to edit")
	case utf16Len(f.text) > maxText:
		return nil, badRequest("message is too long")
	case f.text == m.Text && sameEntities(f.entities, m.Entities) && sameKeyboard(board, m.ReplyMarkup):
		return nil, badRequest(notModified)
	}
	if err := checkButtons(board); err != nil {
		return nil, err
	}
	return s.edit(q, c, m, func(w *wireMessage) {
		w.Text, w.Entities, w.ReplyMarkup = f.text, f.entities, board
	}), nil
}

func (s *Server) editMessageReplyMarkup(q *query) (any, error) {
	board, err := keyboardOf(q)
	if err != nil {
		return nil, err
	}
	c, m, err := s.ownMessage(q)
	if err != nil {
		return nil, err
	}
	if sameKeyboard(board, m.ReplyMarkup) {
		return nil, badRequest(notModified)
	}
	if err := checkButtons(board); err != nil {
		return nil, err
	}
	return s.edit(q, c, m, func(w *wireMessage) { w.ReplyMarkup = board }), nil
}

// edit replaces a message by a changed copy and logs that.
func (s *Server) edit(q *query, c *Chat, m *stored, change func(*wireMessage)) *wireMessage {
	w := *m.wireMessage
	change(&w)
	w.EditDate = s.now().Unix()
	m.wireMessage = &w
	d := m.delivery(Edited)
	d.NoPreview = noPreview(q)
	s.record(q, d)
	return &w
}

func sameEntities(a, b []Entity) bool {
	return slices.EqualFunc(a, b, func(x, y Entity) bool {
		left, _ := json.Marshal(x)
		right, _ := json.Marshal(y)
		return string(left) == string(right)
	})
}

func (s *Server) deleteMessage(q *query) (any, error) {
	if q.str("chat_id") == "" {
		return nil, badRequest("chat identifier is not specified")
	}
	id := q.int("message_id")
	if id == 0 {
		return nil, badRequest("message identifier is not specified")
	}
	c, err := s.chatOf(q, write)
	if err != nil {
		return nil, err
	}
	m, ok := c.messages[id]
	if !ok {
		return nil, badRequest("message to delete not found")
	}
	if !c.mayDelete(m) {
		return nil, badRequest("message can't be deleted")
	}
	s.forget(q, c, m)
	return true, nil
}

// deleteMessages deletes those it can and passes over the others.
func (s *Server) deleteMessages(q *query) (any, error) {
	var ids []int64
	if json.Unmarshal([]byte(q.str("message_ids")), &ids) != nil {
		return nil, badRequest("can't parse message identifiers JSON object")
	}
	switch {
	case len(ids) == 0:
		return nil, badRequest("message identifiers are not specified")
	case len(ids) > 100:
		return nil, badRequest("too many message identifiers specified")
	}
	c, err := s.chatOf(q, write)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if m, ok := c.messages[id]; ok && c.mayDelete(m) {
			s.forget(q, c, m)
		}
	}
	return true, nil
}

// mayDelete follows the rules of deleteMessage: own messages, anything in a
// private chat, anything as an administrator; not after 48 hours.
func (c *Chat) mayDelete(m *stored) bool {
	if c.botState == "administrator" {
		return true
	}
	if c.srv.now().Sub(time.Unix(m.Date, 0)) > deletable {
		return false
	}
	return m.outgoing || c.kind == kindPrivate
}

func (s *Server) forget(q *query, c *Chat, m *stored) {
	c.drop(m.ID)
	s.record(q, Delivery{Kind: Deleted, Chat: c.id, Thread: m.ThreadID, Message: m.ID})
}
