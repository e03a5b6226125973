package teamstest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
)

const (
	maxMessage  = 100 << 10 // bytes
	consentCard = "application/vnd.microsoft.teams.card.file.consent"
	infoCard    = "application/vnd.microsoft.teams.card.file.info"
)

// Message is what the bot wrote, as people see it.
type Message struct {
	ID, Thread, Text string
	Attachments      []Attachment
	Edits            int
	File             []byte // that a card shows

	chat    *Chat
	deleted bool
}

// Attachment is a card.
type Attachment struct {
	Type    string `json:"contentType"`
	URL     string `json:"contentUrl"`
	Name    string `json:"name"`
	Content struct {
		Actions []struct {
			Type, Title, Verb string
			Data              json.RawMessage
		} `json:"actions"`
		Size    int64           `json:"sizeInBytes"`
		Accept  json.RawMessage `json:"acceptContext"`
		Decline json.RawMessage `json:"declineContext"`
		ID      string          `json:"uniqueId"`
	} `json:"content"`
}

type activityIn struct {
	Type        string       `json:"type"`
	Text        string       `json:"text"`
	Attachments []Attachment `json:"attachments"`
}

// take reads an activity for a conversation that there is; what is refused is
// answered.
func (s *Server) take(w http.ResponseWriter, r *http.Request) (in activityIn, c *Chat, thread string, ok bool) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxMessage+1))
	id, thread, _ := strings.Cut(r.PathValue("id"), ";messageid=")
	s.mu.Lock()
	c = s.rooms[id]
	limited := s.limit == 0
	if s.limit > 0 {
		s.limit--
	}
	s.mu.Unlock()
	switch {
	case limited:
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusTooManyRequests, "TooManyRequests")
	case err != nil:
		refuse(w, http.StatusBadRequest, "BadSyntax")
	case len(body) > maxMessage:
		refuse(w, http.StatusRequestEntityTooLarge, "MessageSizeTooBig")
	case c == nil:
		refuse(w, http.StatusNotFound, "ConversationNotFound")
	case len(body) > 0 && json.Unmarshal(body, &in) != nil:
		refuse(w, http.StatusBadRequest, "BadSyntax")
	default:
		return in, c, thread, true
	}
	return in, nil, "", false
}

func (s *Server) send(w http.ResponseWriter, r *http.Request) {
	in, c, thread, ok := s.take(w, r)
	if !ok {
		return
	}
	offers := slices.ContainsFunc(in.Attachments, func(a Attachment) bool { return a.Type == consentCard || a.Type == infoCard })
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case in.Type == "typing":
		s.typed++
	case in.Type != "message" || in.Text == "" && len(in.Attachments) == 0:
		refuse(w, http.StatusBadRequest, "BadSyntax")
		return
	case offers && !c.Direct:
		refuse(w, http.StatusForbidden, "BotNotAllowed") // files exist in personal chats alone
		return
	}
	id := "1:" + s.next()
	if in.Type == "message" {
		if root := r.PathValue("activity"); root != "" && !c.Direct {
			thread = root
		}
		m := &Message{ID: id, Thread: thread, chat: c}
		s.show(m, in)
		s.messages = append(s.messages, m)
	}
	answer(w, http.StatusCreated, map[string]string{"id": id})
}

// show puts what the bot wrote there. The caller holds the lock.
func (s *Server) show(m *Message, in activityIn) {
	m.Text, m.Attachments, m.File = in.Text, in.Attachments, nil
	for _, a := range in.Attachments {
		if a.Type == infoCard {
			m.File = s.content[a.Content.ID]
		}
	}
}

// own is a message of the bot; nil if there is none, which then was answered. The
// caller holds the lock.
func (s *Server) own(w http.ResponseWriter, r *http.Request, c *Chat) *Message {
	for _, m := range s.messages {
		if m.chat == c && m.ID == r.PathValue("activity") && !m.deleted {
			return m
		}
	}
	refuse(w, http.StatusNotFound, "ActivityNotFoundInConversation")
	return nil
}

func (s *Server) update(w http.ResponseWriter, r *http.Request) {
	in, c, _, ok := s.take(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.own(w, r, c); m != nil {
		s.show(m, in)
		m.Edits++
		answer(w, http.StatusOK, map[string]string{"id": m.ID})
	}
}

func (s *Server) remove(w http.ResponseWriter, r *http.Request) {
	_, c, _, ok := s.take(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.own(w, r, c); m != nil {
		m.deleted = true
		w.WriteHeader(http.StatusOK)
	}
}

// Messages are copies of what the bot wrote in a chat, the oldest first.
func (c *Chat) Messages() []Message {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	var all []Message
	for _, m := range c.s.messages {
		if m.chat == c && !m.deleted {
			all = append(all, *m)
		}
	}
	return all
}

// download gives a file to whoever has its link. Links and tokens exclude each
// other.
func (s *Server) download(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	content, ok := s.content[r.PathValue("id")]
	s.mu.Unlock()
	switch {
	case r.Header.Get("Authorization") != "":
		refuse(w, http.StatusUnauthorized, "invalidToken")
	case !ok || r.URL.Query().Get("tempauth") != r.PathValue("id"):
		refuse(w, http.StatusNotFound, "itemNotFound")
	default:
		_, _ = io.Copy(w, bytes.NewReader(content))
	}
}

// upload takes a file in one piece.
func (s *Server) upload(w http.ResponseWriter, r *http.Request) {
	content, err := io.ReadAll(r.Body)
	size, whole := sizeOf(r.Header.Get("Content-Range"))
	switch {
	case r.Header.Get("Authorization") != "":
		refuse(w, http.StatusUnauthorized, "invalidToken")
	case r.ContentLength < 0:
		refuse(w, http.StatusLengthRequired, "lengthRequired")
	case err != nil || !whole || size != len(content):
		refuse(w, http.StatusBadRequest, "invalidRange")
	default:
		s.mu.Lock()
		s.content[r.PathValue("id")] = content
		s.mu.Unlock()
		answer(w, http.StatusCreated, map[string]any{"id": r.PathValue("id"), "size": size})
	}
}
