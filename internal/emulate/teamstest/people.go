package teamstest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// User is somebody in the organisation.
type User struct{ ID, Name string }

// User makes somebody.
func (s *Server) User(name string) *User { return &User{ID: "29:" + rand.Text(), Name: name} }

// Chat is a personal chat with the bot, or a channel of a team.
type Chat struct {
	ID, Name string
	Direct   bool
	s        *Server
}

// Direct is somebody's personal chat with the bot.
func (s *Server) Direct(u *User) *Chat { return s.chat("a:"+u.ID[3:], "", true) }

// Channel is one of a team.
func (s *Server) Channel(name string) *Chat {
	return s.chat("19:"+strings.ToLower(rand.Text())+"@thread.tacv2", name, false)
}

func (s *Server) chat(id, name string, direct bool) *Chat {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.rooms[id]; c != nil {
		return c
	}
	c := &Chat{ID: id, Name: name, Direct: direct, s: s}
	s.rooms[id] = c
	return c
}

// Forged changes what the Bot Framework signs, for requests that are not its own.
type Forged struct{ Issuer, Audience, Service string }

// Sign makes a token of the Bot Framework; what is "" in f is as it should be.
func (s *Server) Sign(f Forged) string {
	or := func(a, b string) string {
		if a != "" {
			return a
		}
		return b
	}
	now := time.Now()
	claims, _ := json.Marshal(map[string]any{
		"iss": or(f.Issuer, "https://api.botframework.com"), "aud": or(f.Audience, App), "serviceurl": or(f.Service, s.Service()),
		"nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(time.Hour).Unix(),
	})
	e := base64.RawURLEncoding
	text := e.EncodeToString([]byte(`{"alg":"RS256","kid":"emulated","typ":"JWT"}`)) + "." + e.EncodeToString(claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err) // the key is ours
	}
	return text + "." + e.EncodeToString(signature)
}

// Post calls the bot with a token, and returns what it answers.
func (s *Server) Post(ctx context.Context, token string, activity map[string]any) (status int, body []byte, err error) {
	b, err := json.Marshal(activity)
	if err != nil {
		return 0, nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint, bytes.NewReader(b))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

// Activity is one of a chat, as the Bot Connector writes it. thread is the message
// that a thread of a channel begins with; "" begins one.
func (c *Chat) Activity(by *User, kind, thread string, more map[string]any) map[string]any {
	c.s.mu.Lock()
	id := c.s.next()
	c.s.mu.Unlock()
	conversation := map[string]any{"id": c.ID, "tenantId": Tenant, "conversationType": "personal"}
	if !c.Direct {
		root := thread
		if root == "" {
			root = id
		}
		conversation["id"], conversation["conversationType"] = c.ID+";messageid="+root, "channel"
		conversation["isGroup"], conversation["name"] = true, c.Name
	}
	a := map[string]any{
		"type": kind, "id": id, "timestamp": time.Now().UTC().Format(time.RFC3339Nano), "channelId": "msteams", "serviceUrl": c.s.Service(),
		"from": map[string]any{"id": by.ID, "name": by.Name}, "recipient": map[string]any{"id": "28:" + App, "name": "Helper"},
		"conversation": conversation, "channelData": map[string]any{"tenant": map[string]any{"id": Tenant}},
	}
	for k, v := range more {
		a[k] = v
	}
	return a
}

var errStatus = errors.New("the bot did not take it")

func (c *Chat) deliver(ctx context.Context, a map[string]any) ([]byte, error) {
	status, body, err := c.s.Post(ctx, c.s.Sign(Forged{}), a)
	if err == nil && status/100 != 2 {
		err = fmt.Errorf("%w: status %d", errStatus, status)
	}
	return body, err
}

// Say has somebody write, in a channel to the bot by its name, and returns the
// message's id. Teams does not come again when it is refused.
func (c *Chat) Say(ctx context.Context, by *User, text, thread string) (id string, err error) {
	more := map[string]any{"text": text, "textFormat": "plain"}
	if !c.Direct {
		more["text"] = "<at>Helper</at> " + text
		more["entities"] = []any{map[string]any{
			"type": "mention", "text": "<at>Helper</at>", "mentioned": map[string]any{"id": "28:" + App, "name": "Helper"},
		}}
	}
	a := c.Activity(by, "message", thread, more)
	_, err = c.deliver(ctx, a)
	return a["id"].(string), err //nolint:forcetypeassert // ours
}

// Attach has somebody write with a file, which lies in their OneDrive.
func (c *Chat) Attach(ctx context.Context, by *User, text, name string, content []byte) error {
	id := rand.Text()
	c.s.mu.Lock()
	c.s.content[id] = content
	c.s.mu.Unlock()
	_, err := c.deliver(ctx, c.Activity(by, "message", "", map[string]any{"text": text, "attachments": []any{map[string]any{
		"contentType": "application/vnd.microsoft.teams.file.download.info", "contentUrl": c.s.files.URL + "/personal/" + name, "name": name,
		"content": map[string]any{"downloadUrl": c.s.files.URL + "/download/" + id + "?tempauth=" + id, "uniqueId": id, "fileType": "bin"},
	}}}))
	return err
}

var errCard = errors.New("the message has no such card")

// Press has somebody press a button of a card.
func (c *Chat) Press(ctx context.Context, by *User, m Message, title string) error {
	for _, a := range m.Attachments {
		for _, b := range a.Content.Actions {
			if b.Type != "Action.Execute" || b.Title != title {
				continue
			}
			got, err := c.deliver(ctx, c.Activity(by, "invoke", m.Thread, map[string]any{
				"name": "adaptiveCard/action", "replyToId": m.ID,
				"value": map[string]any{"action": map[string]any{"type": b.Type, "verb": b.Verb, "data": b.Data}, "trigger": "manual"},
			}))
			var said struct {
				StatusCode int `json:"statusCode"`
			}
			if err == nil && (json.Unmarshal(got, &said) != nil || said.StatusCode != http.StatusOK) {
				err = fmt.Errorf("%w: %q", errStatus, got)
			}
			return err
		}
	}
	return errCard
}

// Consent has somebody say whether they want a file that was offered.
func (c *Chat) Consent(ctx context.Context, by *User, m Message, accept bool) error {
	i := slices.IndexFunc(m.Attachments, func(a Attachment) bool { return a.Type == consentCard })
	if i < 0 {
		return errCard
	}
	a, id := m.Attachments[i], rand.Text()
	value := map[string]any{"type": "fileUpload", "action": "decline", "context": a.Content.Decline}
	if accept {
		value = map[string]any{"type": "fileUpload", "action": "accept", "context": a.Content.Accept, "uploadInfo": map[string]any{
			"contentUrl": c.s.files.URL + "/personal/" + id, "name": a.Name, "uploadUrl": c.s.files.URL + "/upload/" + id,
			"uniqueId": id, "fileType": "bin",
		}}
	}
	_, err := c.deliver(ctx, c.Activity(by, "invoke", "", map[string]any{"name": "fileConsent/invoke", "replyToId": m.ID, "value": value}))
	return err
}
