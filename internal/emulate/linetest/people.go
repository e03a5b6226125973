package linetest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

type object = map[string]any

// Person makes somebody who has added the bot.
func (s *Server) Person(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := fmt.Sprintf("U%032x", len(s.people)+1)
	s.people[id] = name
	return id
}

// Group makes a group in which the bot is.
func (s *Server) Group(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := fmt.Sprintf("C%032x", len(s.groups)+1)
	s.groups[id] = name
	return id
}

// event is one of a chat, with a reply token. The caller holds the lock.
func (s *Server) event(kind, chat, who string, more object) object {
	source := object{"type": "user", "userId": who}
	if chat != who {
		source = object{"type": "group", "groupId": chat, "userId": who}
	}
	s.n++
	replies := fmt.Sprintf("reply%d", s.n)
	s.tokens[replies] = token{to: chat, at: time.Now()}
	e := object{
		"type": kind, "mode": "active", "timestamp": time.Now().UnixMilli(), "source": source, "webhookEventId": fmt.Sprintf("01HEVENT%018d", s.n),
		"deliveryContext": object{"isRedelivery": false}, "replyToken": replies,
	}
	for k, v := range more {
		e[k] = v
	}
	return e
}

// says delivers a message. What the bot does not take is kept, see Redeliver.
func (s *Server) says(chat, who string, m object) {
	s.mu.Lock()
	m["id"] = s.id()
	e := s.event("message", chat, who, object{"message": m})
	s.mu.Unlock()
	s.deliver(e)
}

// Say writes a text to a chat: a person's own, or a group's.
func (s *Server) Say(chat, who, text string) {
	s.says(chat, who, object{"type": "text", "text": text, "quoteToken": "q"})
}

// Mention writes a text to a group, with a mention of the bot in front.
func (s *Server) Mention(chat, who, text string) {
	s.says(chat, who, object{"type": "text", "text": "@Bot " + text, "quoteToken": "q", "mention": object{
		"mentionees": []object{{"index": 0, "length": 4, "type": "user", "userId": Bot, "isSelf": true}},
	}})
}

// Attach sends a file.
func (s *Server) Attach(who, name string, content []byte) {
	s.mu.Lock()
	id := s.id()
	s.contents[id] = content
	e := s.event("message", who, who, object{"message": object{"type": "file", "id": id, "fileName": name, "fileSize": len(content)}})
	s.mu.Unlock()
	s.deliver(e)
}

// Open fetches what a message shows, as the platform and people's apps do: with
// HEAD, then in two pieces. The header is the first answer's.
func (s *Server) Open(link string) (content []byte, header http.Header, err error) {
	_, header, err = fetch(http.MethodHead, link, "")
	for _, bytes := range []string{"bytes=0-99", "bytes=100-"} {
		if err != nil {
			return nil, nil, err
		}
		var part []byte
		part, _, err = fetch(http.MethodGet, link, bytes)
		content = append(content, part...)
	}
	return content, header, err
}

func fetch(method, link, bytes string) (content []byte, header http.Header, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, link, nil)
	if err != nil {
		return nil, nil, err
	}
	if bytes != "" {
		req.Header.Set("Range", bytes)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, nil, err
	}
	content, err = io.ReadAll(resp.Body)
	err = errors.Join(err, resp.Body.Close())
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s", method, bytes, resp.Status) //nolint:err113 // for the test
	}
	return content, resp.Header, err
}

// Press presses a button.
func (s *Server) Press(who, data string) {
	s.mu.Lock()
	e := s.event("postback", who, who, object{"postback": object{"data": data}})
	s.mu.Unlock()
	s.deliver(e)
}

// EndTokens ends all reply tokens, as a minute does.
func (s *Server) EndTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// deliver calls the webhook, and keeps what it does not take.
func (s *Server) deliver(e object) {
	if !s.call(e) {
		s.mu.Lock()
		s.undue = append(s.undue, e)
		s.mu.Unlock()
	}
}

// Verify calls the webhook without an event, as the button in the console does,
// and reports whether it is taken.
func (s *Server) Verify() bool { return s.call() }

func (s *Server) call(events ...object) bool {
	if events == nil {
		events = []object{}
	}
	body, _ := json.Marshal(object{"destination": Bot, "events": events}) // it is JSON
	mac := hmac.New(sha256.New, []byte(Secret))
	mac.Write(body)
	status, err := s.Post(body, base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return err == nil && status == http.StatusOK
}

// Redeliver sends again what was not taken, and reports how much that was. The
// platform does it by itself, after a time that it does not tell.
func (s *Server) Redeliver() int {
	s.mu.Lock()
	all := s.undue
	s.undue = nil
	s.mu.Unlock()
	for _, e := range all {
		e["deliveryContext"] = object{"isRedelivery": true}
		s.deliver(e)
	}
	return len(all)
}

// Post calls the webhook with a signature.
func (s *Server) Post(body []byte, signature string) (status int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Endpoint(), bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("X-Line-Signature", signature)
	req.Header.Set("User-Agent", "LineBotWebhook/2.0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}
