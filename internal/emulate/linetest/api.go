package linetest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"time"
	"unicode/utf16"
)

// Limits of messages, from the reference.
const (
	maxMessages = 5
	maxText     = 5000 // UTF-16 code units
	maxButtons  = 13
	maxLabel    = 20
	maxData     = 300
	maxURL      = 2000
	maxAction   = 1000 // of the URL that a button opens
	maxAlt      = 400
	maxTitle    = 160 // of a template with buttons
)

type message struct {
	Type     string
	Text     string
	AltText  string
	Template struct {
		Type, Text string
		Actions    []action
	}
	OriginalContentURL, PreviewImageURL string
	Duration                            int
	QuickReply                          struct {
		Items []struct {
			Type   string
			Action action
		}
	}
}

type action struct{ Type, Label, Data, URI, DisplayText string }

// wrong is what the platform says of a message that it does not take; "": it
// takes it. It wants https, which the loopback of a test does not have.
func (m message) wrong() string {
	fetched := func(text string, most int) bool {
		u, err := url.Parse(text)
		return err == nil && u.Host != "" && (u.Scheme == "https" || u.Hostname() == "127.0.0.1") && len(text) <= most
	}
	switch m.Type {
	case "text":
		if m.Text == "" || units(m.Text) > maxText {
			return "A text of 1 to 5000 characters is wanted"
		}
	case "image", "video":
		if !fetched(m.OriginalContentURL, maxURL) || !fetched(m.PreviewImageURL, maxURL) {
			return "originalContentUrl and previewImageUrl must be https URLs"
		}
	case "audio":
		if !fetched(m.OriginalContentURL, maxURL) || m.Duration <= 0 {
			return "originalContentUrl must be an https URL, and duration more than 0"
		}
	case "template":
		t := m.Template
		if t.Type != "buttons" || t.Text == "" || units(t.Text) > maxTitle || m.AltText == "" || units(m.AltText) > maxAlt || len(t.Actions) != 1 ||
			t.Actions[0].Type != "uri" || units(t.Actions[0].Label) > maxLabel || !fetched(t.Actions[0].URI, maxAction) {
			return "The template is not as it must be"
		}
	default:
		return "A message of an unknown type"
	}
	return ""
}

// outgoing is what reply and push take.
type outgoing struct {
	ReplyToken, To       string
	Messages             []message
	NotificationDisabled bool
}

func units(s string) int { return len(utf16.Encode([]rune(s))) }

// take reads what is to be sent, and refuses what the platform would.
func (s *Server) take(r *http.Request) (outgoing, *refusal) {
	var o outgoing
	if json.NewDecoder(io.LimitReader(r.Body, 2<<20)).Decode(&o) != nil {
		return o, s.bad("The request body could not be parsed as JSON")
	}
	if len(o.Messages) == 0 || len(o.Messages) > maxMessages {
		return o, s.bad("Size must be between 1 and 5 (messages)")
	}
	for _, m := range o.Messages {
		if wrong := m.wrong(); wrong != "" {
			return o, s.bad(wrong)
		}
		if len(m.QuickReply.Items) > maxButtons {
			return o, s.bad("At most 13 quick replies")
		}
		for _, i := range m.QuickReply.Items {
			a := i.Action
			if i.Type != "action" || a.Label == "" || units(a.Label) > maxLabel || units(a.Data) > maxData ||
				a.Type != "postback" && a.Type != "uri" || a.Type == "uri" && a.URI == "" {
				return o, s.bad("A quick reply is not as it must be")
			}
		}
	}
	return o, nil
}

// show puts messages into a chat. The caller holds the lock.
func (s *Server) show(chat string, all []message, replied bool) (ids []string) {
	for _, m := range all {
		x := Shown{ID: s.id(), Type: m.Type, Text: m.Text + m.Template.Text, URL: m.OriginalContentURL, Preview: m.PreviewImageURL, Milliseconds: m.Duration, Replied: replied}
		for _, a := range m.Template.Actions {
			x.URL = a.URI
		}
		for _, i := range m.QuickReply.Items {
			x.Buttons = append(x.Buttons, Button{i.Action.Label, i.Action.Data, i.Action.URI})
		}
		s.shown[chat] = append(s.shown[chat], x)
		ids = append(ids, x.ID)
	}
	return ids
}

func sent(ids []string) []map[string]string {
	var all []map[string]string
	for _, id := range ids {
		all = append(all, map[string]string{"id": id, "quoteToken": "q-" + id})
	}
	return all
}

// reply sends to where a token came from, once.
func (s *Server) reply(_ http.ResponseWriter, r *http.Request) (any, *refusal) {
	o, refused := s.take(r)
	if refused != nil {
		return nil, refused
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tokens[o.ReplyToken]
	if !ok || time.Since(t.at) > replyFor {
		return nil, &refusal{400, "Invalid reply token", nil}
	}
	delete(s.tokens, o.ReplyToken)
	return map[string]any{"sentMessages": sent(s.show(t.to, o.Messages, true))}, nil
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// push sends to anybody who knows the bot, once for a retry key.
func (s *Server) push(_ http.ResponseWriter, r *http.Request) (any, *refusal) {
	o, refused := s.take(r)
	if refused != nil {
		return nil, refused
	}
	key := r.Header.Get("X-Line-Retry-Key")
	if key != "" && !uuid.MatchString(key) {
		return nil, s.bad("Invalid retry key")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.people[o.To] == "" && s.groups[o.To] == "" {
		return nil, &refusal{400, "Failed to send messages", nil}
	}
	if ids := s.accepted[key]; key != "" && ids != nil {
		return nil, &refusal{409, "The retry key is already accepted", ids}
	}
	ids := s.show(o.To, o.Messages, false)
	if key != "" {
		s.accepted[key] = ids
	}
	return map[string]any{"sentMessages": sent(ids)}, nil
}

func (s *Server) getEndpoint(http.ResponseWriter, *http.Request) (any, *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.endpoint == "" {
		return nil, &refusal{404, "Webhook endpoint not found", nil}
	}
	return map[string]any{"endpoint": s.endpoint, "active": true}, nil
}

// setEndpoint takes any URL: the platform wants https, which the loopback of a test
// does not have.
func (s *Server) setEndpoint(_ http.ResponseWriter, r *http.Request) (any, *refusal) {
	var in struct{ Endpoint string }
	err := json.NewDecoder(r.Body).Decode(&in)
	if u, bad := url.Parse(in.Endpoint); err != nil || bad != nil || u.Host == "" || len(in.Endpoint) > 500 {
		return nil, s.bad("Invalid webhook endpoint URL")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endpoint = in.Endpoint
	return map[string]any{}, nil
}

func (s *Server) profile(_ http.ResponseWriter, r *http.Request) (any, *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := s.people[r.PathValue("user")]
	if name == "" {
		return nil, &refusal{404, "Not found", nil}
	}
	return map[string]any{"userId": r.PathValue("user"), "displayName": name}, nil
}

func (s *Server) summary(_ http.ResponseWriter, r *http.Request) (any, *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := s.groups[r.PathValue("group")]
	if name == "" {
		return nil, &refusal{404, "Not found", nil}
	}
	return map[string]any{"groupId": r.PathValue("group"), "groupName": name}, nil
}

func (s *Server) load(w http.ResponseWriter, r *http.Request) (any, *refusal) {
	var in struct {
		ChatID         string
		LoadingSeconds int
	}
	if json.NewDecoder(r.Body).Decode(&in) != nil || in.LoadingSeconds < 5 || in.LoadingSeconds > 60 || in.LoadingSeconds%5 != 0 {
		return nil, s.bad("loadingSeconds is invalid")
	}
	s.mu.Lock()
	known := s.people[in.ChatID] != ""
	s.loading[in.ChatID]++
	s.mu.Unlock()
	if !known {
		return nil, s.bad("chatId is no person")
	}
	reply(w, http.StatusAccepted, map[string]any{})
	return nil, nil
}

func (s *Server) content(w http.ResponseWriter, r *http.Request) (any, *refusal) {
	s.mu.Lock()
	b, ok := s.contents[r.PathValue("id")]
	s.mu.Unlock()
	if !ok {
		return nil, &refusal{404, "Not found", nil}
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(b) //nolint:gosec // a file of the test
	return nil, nil
}

func (s *Server) transcoding(_ http.ResponseWriter, r *http.Request) (any, *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.contents[r.PathValue("id")]; !ok {
		return nil, &refusal{404, "Not found", nil}
	}
	return map[string]any{"status": "succeeded"}, nil
}
