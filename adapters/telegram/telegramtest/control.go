package telegramtest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// The messages between Remote and Control.
type (
	controlServer struct {
		URL   string  `json:"url"`
		Token string  `json:"token"`
		Bot   Profile `json:"bot"`
	}
	controlUser struct {
		ID       int64  `json:"id"`
		Name     string `json:"name"`
		Username string `json:"username,omitempty"`
		Language string `json:"language,omitempty"`
		Blocked  *bool  `json:"blocked,omitempty"`
	}
	controlChat struct {
		ID      int64   `json:"id"`
		Kind    string  `json:"kind"` // private, group, supergroup or forum
		Title   string  `json:"title,omitempty"`
		Members []int64 `json:"members,omitempty"`
	}
	controlSay struct {
		Chat    int64        `json:"chat"`
		User    int64        `json:"user"`
		Text    string       `json:"text,omitempty"`
		Thread  int64        `json:"thread,omitempty"`
		ReplyTo int64        `json:"reply_to,omitempty"`
		Message int64        `json:"message,omitempty"` // the one that is edited, pressed or reacted to
		Data    string       `json:"data,omitempty"`
		Emoji   []string     `json:"emoji,omitempty"`
		Files   []Attachment `json:"files,omitempty"`
	}
	controlSaid struct {
		Message int64  `json:"message,omitempty"`
		Update  int64  `json:"update,omitempty"`
		Thread  int64  `json:"thread,omitempty"`
		Chat    int64  `json:"chat,omitempty"`
		Query   string `json:"query,omitempty"`
	}
	controlFault struct {
		Method string `json:"method"`
		Fault  Fault  `json:"fault"`
	}
	controlLatency struct {
		Duration time.Duration `json:"duration"` // nanoseconds
		Methods  []string      `json:"methods,omitempty"`
	}
	faultWire struct {
		Kind        faultKind     `json:"kind"`
		Code        int           `json:"code,omitempty"`
		ContentType string        `json:"content_type,omitempty"`
		Body        []byte        `json:"body,omitempty"`
		RetryAfter  int           `json:"retry_after,omitempty"`
		Wait        time.Duration `json:"wait,omitempty"`
		After       bool          `json:"after,omitempty"`
		Times       int           `json:"times,omitempty"`
		Skip        int           `json:"skip,omitempty"`
		Odds        float64       `json:"odds,omitempty"`
		Chat        int64         `json:"chat,omitempty"`
	}
)

var errUnknown = errors.New("no such user, chat or message")

// MarshalJSON writes a fault for another process. One with Where cannot be
// written.
func (f Fault) MarshalJSON() ([]byte, error) {
	if f.where != nil {
		return nil, errors.New("a fault with Where stays in its process")
	}
	return json.Marshal(faultWire{
		f.kind, f.code, f.contentType, f.body, f.retryAfter, f.wait, f.after, f.times, f.skip, f.odds, f.chat,
	})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (f *Fault) UnmarshalJSON(raw []byte) error {
	var w faultWire
	if err := json.Unmarshal(raw, &w); err != nil {
		return err
	}
	*f = Fault{
		kind: w.Kind, code: w.Code, contentType: w.ContentType, body: w.Body, retryAfter: w.RetryAfter, wait: w.Wait,
		after: w.After, times: w.Times, skip: w.Skip, odds: w.Odds, chat: w.Chat,
	}
	return nil
}

// Control serves the test's side of the emulator to a Remote in another process.
// It has no protection of its own: serve it on loopback.
func (s *Server) Control() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /server", take(func(struct{}) (controlServer, error) {
		return controlServer{s.URL(), s.Token(), s.Bot()}, nil
	}))
	mux.Handle("POST /user", take(s.controlUser))
	mux.Handle("POST /chat", take(s.controlChat))
	mux.Handle("POST /topic", take(s.withPlace(func(c *Chat, u *User, p controlSay) (controlSaid, error) {
		return controlSaid{Thread: c.NewTopic(u, p.Text)}, nil
	})))
	mux.Handle("POST /say", take(s.withPlace(controlWrite)))
	mux.Handle("POST /edit", take(s.withPlace(func(c *Chat, _ *User, p controlSay) (controlSaid, error) {
		return controlSaid{Message: p.Message, Update: c.Edit(Message{ID: p.Message}, p.Text)}, nil
	})))
	mux.Handle("POST /press", take(s.withPlace(func(c *Chat, u *User, p controlSay) (controlSaid, error) {
		press := c.Press(u, p.Message, p.Data)
		return controlSaid{Query: press.Query, Update: press.Update}, nil
	})))
	mux.Handle("POST /react", take(s.withPlace(func(c *Chat, u *User, p controlSay) (controlSaid, error) {
		return controlSaid{Update: c.React(u, p.Message, p.Emoji...)}, nil
	})))
	mux.Handle("POST /migrate", take(s.withPlace(func(c *Chat, u *User, _ controlSay) (controlSaid, error) {
		return controlSaid{Chat: c.Migrate(u).ID()}, nil
	})))
	mux.Handle("POST /inject", take(func(raw json.RawMessage) (controlSaid, error) {
		id, err := s.Inject(raw)
		return controlSaid{Update: id}, err
	}))
	s.controlFaults(mux)
	mux.HandleFunc("GET /log", s.controlLog)
	mux.Handle("POST /pending", take(func(struct{}) (int, error) { return s.Pending(), nil }))
	mux.Handle("POST /calls", take(func(method string) (int, error) { return s.Calls(method), nil }))
	mux.Handle("POST /refused", take(func(struct{}) ([]Refusal, error) { return s.Refused(), nil }))
	mux.Handle("POST /commands", take(func(struct{}) ([]Command, error) { return s.Commands(), nil }))
	return mux
}

func (s *Server) controlFaults(mux *http.ServeMux) {
	mux.Handle("POST /fail", take(func(p controlFault) (struct{}, error) {
		s.Fail(p.Method, p.Fault)
		return struct{}{}, nil
	}))
	mux.Handle("POST /clear", take(func(struct{}) (struct{}, error) {
		s.ClearFaults()
		return struct{}{}, nil
	}))
	mux.Handle("POST /latency", take(func(p controlLatency) (struct{}, error) {
		s.SetLatency(p.Duration, p.Methods...)
		return struct{}{}, nil
	}))
	mux.Handle("POST /limits", take(func(p Limits) (struct{}, error) {
		s.SetLimits(p)
		return struct{}{}, nil
	}))
}

// take serves a function of JSON.
func take[In, Out any](do func(In) (Out, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in In
		body, err := io.ReadAll(io.LimitReader(r.Body, maxControl))
		if err == nil && len(body) > 0 {
			err = json.Unmarshal(body, &in)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		out, err := do(in)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(out) // the caller may be gone
	})
}

func (s *Server) controlUser(p controlUser) (struct{}, error) {
	u := s.User(p.ID, p.Name, WithUsername(p.Username), WithLanguage(p.Language))
	if p.Blocked != nil {
		u.setBlocked(*p.Blocked)
	}
	return struct{}{}, nil
}

func (s *Server) controlChat(p controlChat) (controlSaid, error) {
	s.mu.Lock()
	var members []*User
	for _, id := range p.Members {
		if u := s.users[id]; u != nil {
			members = append(members, u)
		}
	}
	s.mu.Unlock()
	switch {
	case p.Kind == kindPrivate && len(members) == 1:
		return controlSaid{Chat: s.Private(members[0]).id}, nil
	case p.Kind == kindGroup:
		return controlSaid{Chat: s.Group(p.ID, p.Title, members...).id}, nil
	case p.Kind == kindSupergroup:
		return controlSaid{Chat: s.Supergroup(p.ID, p.Title, members...).id}, nil
	case p.Kind == "forum":
		return controlSaid{Chat: s.Forum(p.ID, p.Title, members...).id}, nil
	}
	return controlSaid{}, errUnknown
}

func (s *Server) withPlace(do func(*Chat, *User, controlSay) (controlSaid, error)) func(controlSay) (controlSaid, error) {
	return func(p controlSay) (controlSaid, error) {
		s.mu.Lock()
		c, u := s.chats[p.Chat], s.users[p.User]
		s.mu.Unlock()
		if c == nil || u == nil {
			return controlSaid{}, errUnknown
		}
		return do(c, u, p)
	}
}

func controlWrite(c *Chat, u *User, p controlSay) (controlSaid, error) {
	opts := []SayOption{InTopic(p.Thread), ReplyTo(p.ReplyTo)}
	var m Message
	switch len(p.Files) {
	case 0:
		m = c.Say(u, p.Text, opts...)
	case 1:
		m = c.Send(u, p.Files[0], append(opts, WithCaption(p.Text))...)
	default:
		m = c.Album(u, p.Files, append(opts, WithCaption(p.Text))...)[0]
	}
	return controlSaid{Message: m.ID, Update: m.Update, Thread: m.Thread}, nil
}

// maxControl bounds a message of a Remote, whose files are written in base64.
const maxControl = 2 * maxUpload

// logWait bounds how long a reader of the log is kept waiting.
const logWait = 30 * time.Second

// controlLog answers with what follows the first n deliveries, an empty list
// after half a minute without any.
func (s *Server) controlLog(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.URL.Query().Get("after"))
	if err != nil {
		http.Error(w, "after is no number", http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), logWait)
	defer cancel()
	log, _ := s.After(ctx, n)
	if log == nil {
		log = Log{}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(log) // the caller may be gone
}
