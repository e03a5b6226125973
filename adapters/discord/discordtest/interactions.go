package discordtest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// pending is an interaction that a person waits for.
type pending struct {
	id, token string
	channel   *Channel
	by        *User
	on        *Message // of a press
	began     time.Time
	answer    int      // the type of the first answer; 0: none yet
	original  *Message // what a deferral shows
}

// The time in which an interaction must be answered first, and at all.
const (
	answerWithin = 3 * time.Second
	replyWithin  = 15 * time.Minute
)

// Slash lets somebody use a command with one option, or none.
func (c *Channel) Slash(u *User, name, value string) {
	data := map[string]any{"id": "1", "name": name, "type": 1}
	if value != "" {
		data["options"] = []any{map[string]any{"name": "text", "type": 3, "value": value}}
	}
	c.interact(u, 2, data, nil)
}

// Press lets somebody press the button with this label under a message.
func (c *Channel) Press(u *User, id, label string) {
	c.s.mu.Lock()
	m := c.find(id)
	custom := ""
	if m != nil {
		for _, b := range m.Buttons {
			if b.Label == label {
				custom = b.ID
			}
		}
	}
	c.s.mu.Unlock()
	if m != nil {
		c.interact(u, 3, map[string]any{"component_type": 2, "custom_id": custom, "id": 2}, m)
	}
}

// interact tells of an interaction, by the gateway or by HTTP.
func (c *Channel) interact(u *User, kind int, data map[string]any, on *Message) {
	s := c.s
	s.mu.Lock()
	p := &pending{id: s.newID(), token: "aW50ZXJhY3Rpb24" + rand.Text(), channel: c, by: u, on: on, began: time.Now()}
	s.asked[p.token] = p
	d := map[string]any{
		"id": p.id, "application_id": s.app, "type": kind, "token": p.token, "version": 1, "channel_id": c.ID,
		"channel": c.json(), "data": data, "locale": "en-US", "entitlements": []any{}, "app_permissions": "0",
	}
	if c.Guild != nil {
		d["guild_id"], d["context"] = c.Guild.ID, 0
		d["member"] = map[string]any{"user": u.json(), "roles": []string{}, "permissions": "0", "joined_at": stamp(c.Guild.ID)}
	} else {
		d["user"], d["context"] = u.json(), 1
	}
	if on != nil {
		d["message"] = on.json(false)
	}
	endpoint := s.endpoint
	if endpoint == "" {
		s.dispatch("INTERACTION_CREATE", d, where{})
	}
	s.mu.Unlock()
	if endpoint != "" {
		s.pendingWG.Go(func() { s.push(endpoint, p, d) })
	}
}

// Endpoint has interactions sent to an address, after it has shown that it
// checks signatures, as the platform asks when it is entered.
func (s *Server) Endpoint(url string) error {
	ping := map[string]any{"id": "1", "application_id": s.app, "type": 1, "token": "x", "version": 1}
	if status, _, err := s.signed(url, ping, false); err != nil || status != http.StatusUnauthorized {
		return fmt.Errorf("a wrong signature got status %d, %w", status, err)
	}
	status, body, err := s.signed(url, ping, true)
	var pong struct {
		Type int `json:"type"`
	}
	if err != nil || status != http.StatusOK || json.Unmarshal(body, &pong) != nil || pong.Type != 1 {
		return fmt.Errorf("a ping got status %d, %w", status, errors.Join(err, errors.New("want a pong")))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endpoint = url
	return nil
}

// push sends an interaction by HTTP.
func (s *Server) push(url string, p *pending, d map[string]any) {
	status, body, err := s.signed(url, d, true)
	var a struct {
		Type int `json:"type"`
	}
	if err != nil || status != http.StatusOK || json.Unmarshal(body, &a) != nil {
		return // the person reads that the application did not respond
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.take(p, a.Type)
}

// signed posts a body with a signature.
func (s *Server) signed(url string, d any, right bool) (int, []byte, error) {
	body, err := json.Marshal(d)
	if err != nil {
		return 0, nil, err
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	signature := ed25519.Sign(s.keys, append([]byte(at), body...))
	if !right {
		signature[0] ^= 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("X-Signature-Ed25519", hex.EncodeToString(signature))
	req.Header.Set("X-Signature-Timestamp", at)
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	out, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, out, err
}

// take is the first answer to an interaction. The caller holds the lock.
func (s *Server) take(p *pending, kind int) *failure {
	switch {
	case time.Since(p.began) > answerWithin:
		return fail(http.StatusNotFound, 10062, "Unknown interaction")
	case p.answer != 0:
		return fail(http.StatusBadRequest, 40060, "Interaction has already been acknowledged.")
	case kind != 5 && (kind != 6 || p.on == nil):
		return errForm // the emulator knows deferrals only
	}
	p.answer = kind
	s.answered++
	if kind == 6 {
		p.original = p.on
		return nil
	}
	p.original = &Message{ID: s.newID(), Channel: p.channel, Author: s.bot, Kind: 20, loading: true, token: p.token, Reactions: map[string][]string{}}
	s.post(p.original)
	return nil
}

// callback is the first answer by the REST API.
func (q *request) callback() (any, *failure) {
	if len(q.path) != 4 || q.path[3] != "callback" {
		return nil, errPath
	}
	p := q.s.asked[q.path[2]]
	if p == nil || p.id != q.path[1] {
		return nil, fail(http.StatusNotFound, 10062, "Unknown interaction")
	}
	var d struct {
		Type int `json:"type"`
	}
	if bad := q.json(&d); bad != nil {
		return nil, bad
	}
	return nil, q.s.take(p, d.Type)
}

// webhook is what a token can do after the first answer.
func (q *request) webhook() (any, *failure) {
	if len(q.path) < 3 || q.path[1] != q.s.app {
		return nil, errWebhook
	}
	p := q.s.asked[q.path[2]]
	if p == nil || p.answer == 0 {
		return nil, errWebhook
	}
	if time.Since(p.began) > replyWithin {
		return nil, fail(http.StatusUnauthorized, 50027, "Invalid Webhook Token")
	}
	if len(q.path) != 5 || q.path[4] != "@original" {
		return nil, errPath
	}
	switch q.r.Method {
	case http.MethodGet:
		return p.original.json(false), nil
	case http.MethodPatch:
		return q.edit(p.original)
	case http.MethodDelete:
		q.s.remove(p.original)
		return nil, nil
	}
	return nil, errPath
}

// Answered is how many interactions got their first answer in time.
func (s *Server) Answered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answered
}

// Thinking is how many commands still wait for their reply.
func (s *Server) Thinking() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.asked {
		if p.original != nil && p.original.loading {
			n++
		}
	}
	return n
}
