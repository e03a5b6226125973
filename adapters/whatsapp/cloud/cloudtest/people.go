package cloudtest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"
)

// change is one message or status on its way to the webhook.
type change struct {
	id    string
	value map[string]any
}

// Said is something that a person says. The zero At is now.
type Said struct {
	By, Name, Text string
	ReplyTo        string
	File           *File
	Kind           string // of the file: image, video, audio, voice, document, sticker
	At             time.Time
}

// Say lets a person write and returns the message's id.
func (s *Server) Say(x Said) string {
	m := map[string]any{"type": "text", "text": map[string]string{"body": x.Text}}
	if x.File != nil {
		media := s.id("7")
		s.mu.Lock()
		s.files[media] = *x.File
		s.mu.Unlock()
		a := map[string]any{"id": media, "mime_type": x.File.MIME, "sha256": x.File.hash()}
		if x.Text != "" {
			a["caption"] = x.Text
		}
		kind := x.Kind
		switch kind {
		case "voice":
			kind, a["voice"] = "audio", true
		case "document":
			a["filename"] = x.File.Name
		}
		m = map[string]any{"type": kind, kind: a}
	}
	if x.ReplyTo != "" {
		m["context"] = map[string]string{"from": "15550001111", "id": x.ReplyTo}
	}
	return s.Send(x.By, x.Name, m, x.At)
}

// React lets a person react to a message; an empty emoji takes it back.
func (s *Server) React(by, id, emoji string) string {
	r := map[string]string{"message_id": id}
	if emoji != "" {
		r["emoji"] = emoji
	}
	return s.Send(by, "", map[string]any{"type": "reaction", "reaction": r}, time.Time{})
}

// Press lets a person press a button of a message.
func (s *Server) Press(by, id, title string) string {
	for _, m := range s.Shown(by) {
		if m.ID != id {
			continue
		}
		for _, b := range m.Buttons {
			if b.Title == title {
				kind := "button_reply"
				if len(m.Buttons) > 3 {
					kind = "list_reply"
				}
				return s.Send(by, "", map[string]any{
					"type": "interactive", "context": map[string]string{"from": "15550001111", "id": id},
					"interactive": map[string]any{"type": kind, kind: map[string]string{"id": b.ID, "title": b.Title}},
				}, time.Time{})
			}
		}
	}
	panic("there is no button " + title)
}

// Send lets a person send a message of any form.
func (s *Server) Send(by, name string, m map[string]any, at time.Time) string {
	if at.IsZero() {
		at = time.Now()
	}
	id := s.id("wamid.in")
	m["from"], m["from_user_id"], m["id"], m["timestamp"] = by, Scoped(by), id, strconv.FormatInt(at.Unix(), 10)
	s.mu.Lock()
	s.wrote[by], s.said[id] = at, by
	s.mu.Unlock()
	contact := s.contact(by, name)
	if contact["wa_id"] == nil {
		delete(m, "from")
	}
	s.enqueue(by, change{id, map[string]any{"contacts": []any{contact}, "messages": []any{m}}})
	return id
}

// contact is how the platform names a person; "" is a name that it makes up.
func (s *Server) contact(by, name string) map[string]any {
	s.mu.Lock()
	username := s.hidden[by]
	s.mu.Unlock()
	profile := map[string]string{"name": cmp.Or(name, "Person "+by)}
	c := map[string]any{"user_id": Scoped(by), "profile": profile}
	if username == "" {
		c["wa_id"] = by
	} else {
		profile["username"] = username
	}
	return c
}

// scopedPrefix begins the ids that stand for numbers.
const scopedPrefix = "US.9"

// Scoped is the id under which the platform names a person to this business,
// beside the number or in its place.
func Scoped(by string) string { return scopedPrefix + by }

// Hide gives a person a username, in the place of which the number is told no
// more.
func (s *Server) Hide(by, username string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hidden[by] = username
}

// Status tells what became of a message of the bot: sent, delivered, read, or
// failed with a code.
func (s *Server) Status(to, id, status string, code int) {
	x := map[string]any{"id": id, "status": status, "timestamp": strconv.FormatInt(time.Now().Unix(), 10), "recipient_id": to, "recipient_user_id": Scoped(to)}
	contact := s.contact(to, "")
	if contact["wa_id"] == nil {
		delete(x, "recipient_id")
	}
	if code != 0 {
		x["errors"] = []any{map[string]any{
			"code": code, "title": "Re-engagement message", "message": "Re-engagement message",
			"error_data": map[string]string{"details": "Message failed to send because more than 24 hours have passed."},
		}}
	}
	s.enqueue(to, change{id + "/" + status, map[string]any{"contacts": []any{contact}, "statuses": []any{x}}})
}

// Again delivers a message once more.
func (s *Server) Again(by, id, text string) {
	s.enqueue(by, change{id, map[string]any{
		"contacts": []any{map[string]any{"wa_id": by, "profile": map[string]string{"name": "Person"}}},
		"messages": []any{map[string]any{
			"from": by, "id": id, "timestamp": strconv.FormatInt(time.Now().Unix(), 10), "type": "text", "text": map[string]string{"body": text},
		}},
	}})
}

// Wrote opens the window of a person whose message comes by another way.
func (s *Server) Wrote(by string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrote[by] = time.Now()
}

func (s *Server) enqueue(who string, c change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[who]
	if q == nil {
		q = make(chan change, 1024)
		s.queues[who] = q
		s.all.Go(func() { s.work(q) })
	}
	delete(s.taken, c.id)
	q <- c
}

// batch is how many changes one call carries at most.
const batch = 5

// work delivers the changes of one person, several at a time when they have
// piled up, until they are taken.
func (s *Server) work(q <-chan change) {
	for {
		var all []change
		select {
		case c := <-q:
			all = append(all, c)
		case <-s.ctx.Done():
			return
		}
		for more := true; more && len(all) < batch; {
			select {
			case c := <-q:
				all = append(all, c)
			default:
				more = false
			}
		}
		if !s.deliver(all) {
			return
		}
	}
}

func (s *Server) deliver(all []change) bool {
	entries := make([]any, 0, len(all))
	for _, c := range all {
		value := map[string]any{"messaging_product": "whatsapp", "metadata": map[string]string{"display_phone_number": "15550001111", "phone_number_id": Number}}
		for k, v := range c.value {
			value[k] = v
		}
		entries = append(entries, map[string]any{"id": Business, "changes": []any{map[string]any{"field": "messages", "value": value}}})
	}
	body, err := json.Marshal(map[string]any{"object": "whatsapp_business_account", "entry": entries})
	if err != nil {
		return false
	}
	for {
		if status, err := s.Post(s.ctx, body); err == nil && status == http.StatusOK {
			s.mu.Lock()
			for _, c := range all {
				s.taken[c.id] = true
			}
			s.mu.Unlock()
			return true
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-s.ctx.Done():
			return false
		}
	}
}

// Sign is the header that proves a body.
func Sign(body []byte) string {
	m := hmac.New(sha256.New, []byte(AppSecret))
	m.Write(body)
	return "sha256=" + hex.EncodeToString(m.Sum(nil))
}

// Post sends a signed body to the webhook, once.
func (s *Server) Post(ctx context.Context, body []byte) (status int, err error) {
	s.mu.Lock()
	hook := s.hook
	s.mu.Unlock()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, hook, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Hub-Signature-256", Sign(body))
	resp, err := s.client.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// Taken reports whether the platform holds a message to be received.
func (s *Server) Taken(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken[id]
}
