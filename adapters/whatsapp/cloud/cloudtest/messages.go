package cloudtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf16"
)

// incoming is a call of /messages.
type incoming struct {
	Product string `json:"messaging_product"`
	To      string `json:"to"`
	Scoped  string `json:"recipient"` // in the place of To
	Type    string `json:"type"`
	Context struct {
		ID string `json:"message_id"`
	} `json:"context"`
	Text     struct{ Body string } `json:"text"`
	Image    *attached             `json:"image"`
	Video    *attached             `json:"video"`
	Audio    *attached             `json:"audio"`
	Document *attached             `json:"document"`
	Reaction *struct {
		ID    string `json:"message_id"`
		Emoji string `json:"emoji"`
	} `json:"reaction"`
	Interactive *struct {
		Type   string `json:"type"`
		Header *struct {
			Type                   string
			Image, Video, Document *attached
		} `json:"header"`
		Body   struct{ Text string } `json:"body"`
		Action struct {
			Buttons    []struct{ Reply choice }  `json:"buttons"`
			Button     string                    `json:"button"`
			Sections   []struct{ Rows []choice } `json:"sections"`
			Parameters struct {
				Text string `json:"display_text"`
				URL  string `json:"url"`
			} `json:"parameters"`
		} `json:"action"`
	} `json:"interactive"`
	Template *struct {
		Name       string
		Components []struct {
			Parameters []struct{ Text string }
		}
	} `json:"template"`
	Status    string                 `json:"status"`
	MessageID string                 `json:"message_id"`
	Typing    *struct{ Type string } `json:"typing_indicator"`
}

type choice struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

type attached struct{ ID, Caption, Filename string }

func (s *Server) message(w http.ResponseWriter, r *http.Request) {
	var in incoming
	if json.NewDecoder(r.Body).Decode(&in) != nil || in.Product != "whatsapp" {
		s.refuse(w, http.StatusBadRequest, 100, "Invalid parameter")
		return
	}
	if in.Status == "read" {
		s.read(w, in)
		return
	}
	contact := map[string]string{"input": in.To, "wa_id": in.To}
	if in.To == "" && in.Scoped != "" {
		contact = map[string]string{"input": in.Scoped, "user_id": in.Scoped}
		in.To = strings.TrimPrefix(in.Scoped, scopedPrefix)
	}
	f, hold := s.fault()
	if f.Status != 0 {
		s.meet(w, f)
		return
	}
	if code, why := s.wrong(in); why != "" {
		s.refuse(w, http.StatusBadRequest, code, why)
		return
	}
	id := s.keep(in)
	switch {
	case f.Lose:
		panic(http.ErrAbortHandler)
	case f.Garbage:
		_, _ = w.Write([]byte("<html>"))
		return
	case hold != nil:
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	}
	answer(w, http.StatusOK, map[string]any{
		"messaging_product": "whatsapp", "contacts": []any{contact},
		"messages": []any{map[string]string{"id": id}},
	})
}

func (s *Server) fault() (f Fault, hold chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) > 0 {
		f, s.faults = s.faults[0], s.faults[1:]
	}
	if f.Status == 0 {
		hold, s.hold = s.hold, nil
	}
	return f, hold
}

func (s *Server) meet(w http.ResponseWriter, f Fault) {
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(int(f.RetryAfter.Seconds())))
	}
	if f.Code == 0 {
		http.Error(w, "<html>not now</html>", f.Status)
		return
	}
	s.refuse(w, f.Status, f.Code, "a fault of the emulator")
}

// read takes a read receipt, with or without typing.
func (s *Server) read(w http.ResponseWriter, in incoming) {
	s.mu.Lock()
	who, ok := s.said[in.MessageID]
	if ok && in.Typing != nil {
		s.typed[who]++
	}
	s.mu.Unlock()
	if !ok {
		s.refuse(w, http.StatusBadRequest, 100, "there is no such message to read")
		return
	}
	answer(w, http.StatusOK, map[string]bool{"success": true})
}

func units(s string) int { return len(utf16.Encode([]rune(s))) }

// wrong is what the platform has against a message.
func (s *Server) wrong(in incoming) (code int, why string) {
	s.mu.Lock()
	last, ever := s.wrote[in.To]
	_, quoted := s.said[in.Context.ID]
	s.mu.Unlock()
	switch {
	case strings.Trim(in.To, "0123456789") != "" || in.To == "":
		return 100, "to is no phone number"
	case in.Type != "template" && (!ever || time.Since(last) >= 24*time.Hour):
		return 131047, "Re-engagement message"
	case in.Context.ID != "" && !quoted && !s.own(in.Context.ID):
		return 131009, "context.message_id is not known"
	}
	switch in.Type {
	case "text":
		if n := units(in.Text.Body); n == 0 || n > 4096 {
			return 100, fmt.Sprintf("text.body has %d characters", n)
		}
	case "image", "video", "audio", "document":
		return s.wrongFile(in)
	case "interactive":
		return wrongChoice(in)
	case "reaction":
		if in.Reaction == nil || in.Reaction.ID == "" {
			return 100, "reaction.message_id is missing"
		}
	case "template":
		if in.Template == nil || in.Template.Name == "" {
			return 132001, "Template name does not exist in the translation"
		}
		for _, c := range in.Template.Components {
			for _, p := range c.Parameters {
				if strings.ContainsAny(p.Text, "\n\t") || strings.Contains(p.Text, "    ") || units(p.Text) > 1024 {
					return 132018, "the parameter has line breaks, or is too long"
				}
			}
		}
	default:
		return 131051, "Unsupported message type"
	}
	return 0, ""
}

func (s *Server) own(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.sent {
		if m.ID == id {
			return true
		}
	}
	return false
}

func (in incoming) attached() *attached {
	for _, a := range []*attached{in.Image, in.Video, in.Audio, in.Document} {
		if a != nil {
			return a
		}
	}
	if in.Interactive != nil && in.Interactive.Header != nil {
		h := in.Interactive.Header
		for _, a := range []*attached{h.Image, h.Video, h.Document} {
			if a != nil {
				return a
			}
		}
	}
	return nil
}

func (s *Server) wrongFile(in incoming) (code int, why string) {
	a := in.attached()
	if a == nil {
		return 100, "the file is missing"
	}
	f, ok := s.file(a.ID)
	switch {
	case !ok:
		return 131009, "there is no such media"
	case units(a.Caption) > 1024:
		return 100, "the caption is too long"
	case in.Type == "audio" && a.Caption != "":
		return 100, "audio takes no caption"
	case in.Type == "image" && len(f.Body) > 5<<20, in.Type != "document" && len(f.Body) > 16<<20:
		return 131053, "Media upload error: too large"
	}
	return 0, ""
}

func wrongChoice(in incoming) (code int, why string) {
	i := in.Interactive
	if i == nil || i.Body.Text == "" {
		return 131009, "interactive.body.text is missing"
	}
	var all []choice
	most, title, long := 3, 20, 1024
	switch i.Type {
	case "cta_url":
		if i.Action.Parameters.URL == "" || units(i.Action.Parameters.Text) > 20 {
			return 131009, "the page's button is wrong"
		}
		return 0, ""
	case "button":
		for _, b := range i.Action.Buttons {
			all = append(all, b.Reply)
		}
	case "list":
		most, title, long = 10, 24, 4096
		for _, s := range i.Action.Sections {
			all = append(all, s.Rows...)
		}
		if n := units(i.Action.Button); n == 0 || n > 20 || i.Header != nil {
			return 131009, "a list's button has 1 to 20 characters, and its header is a text"
		}
	default:
		return 131009, "interactive.type"
	}
	seen := map[string]bool{}
	for _, c := range all {
		if c.ID == "" || c.Title == "" || len(c.ID) > 256 || i.Type == "list" && len(c.ID) > 200 || units(c.Title) > title || seen[c.Title] || seen["id "+c.ID] {
			return 131009, fmt.Sprintf("the button %q is too long, empty or there twice", c.Title)
		}
		seen[c.Title], seen["id "+c.ID] = true, true
	}
	if len(all) == 0 || len(all) > most || units(i.Body.Text) > long {
		return 131009, fmt.Sprintf("%d buttons under %d characters", len(all), units(i.Body.Text))
	}
	return 0, ""
}

// keep takes a message and returns its id.
func (s *Server) keep(in incoming) string {
	id := s.id("wamid.out")
	m := &Message{ID: id, To: in.To, Type: in.Type, Text: in.Text.Body, ReplyTo: in.Context.ID}
	if a := in.attached(); a != nil {
		f, _ := s.file(a.ID)
		if a.Filename != "" {
			f.Name = a.Filename
		}
		m.Files, m.Text = []File{f}, a.Caption
	}
	if i := in.Interactive; i != nil {
		m.Text = i.Body.Text
		for _, b := range i.Action.Buttons {
			m.Buttons = append(m.Buttons, Button{ID: b.Reply.ID, Title: b.Reply.Title})
		}
		for _, x := range i.Action.Sections {
			for _, row := range x.Rows {
				m.Buttons = append(m.Buttons, Button{ID: row.ID, Title: row.Title})
			}
		}
		if i.Type == "cta_url" {
			m.Buttons = []Button{{Title: i.Action.Parameters.Text, URL: i.Action.Parameters.URL}}
		}
	}
	if t := in.Template; t != nil {
		m.Template = t.Name
		for _, c := range t.Components {
			for _, p := range c.Parameters {
				m.Text += p.Text
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if in.Reaction != nil {
		s.reacted[in.Reaction.ID] = in.Reaction.Emoji
		return id
	}
	s.sent = append(s.sent, m)
	return id
}

// Shown is what the bot has sent to a person, oldest first.
func (s *Server) Shown(to string) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Message
	for _, m := range s.sent {
		if m.To == to {
			out = append(out, *m)
		}
	}
	return out
}

// Reacted is the bot's reaction to a message.
func (s *Server) Reacted(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reacted[id]
}

// Typed counts how often a person saw that the bot writes.
func (s *Server) Typed(who string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.typed[who]
}
