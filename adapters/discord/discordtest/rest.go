package discordtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var version = regexp.MustCompile(`^/api/v\d+`)

// failure is an error of the REST API.
type failure struct {
	status int
	code   int
	text   string
}

func fail(status, code int, text string) *failure { return &failure{status, code, text} }

var (
	errAuth    = fail(http.StatusUnauthorized, 0, "401: Unauthorized")
	errPath    = fail(http.StatusNotFound, 0, "404: Not Found")
	errChannel = fail(http.StatusNotFound, 10003, "Unknown Channel")
	errMessage = fail(http.StatusNotFound, 10008, "Unknown Message")
	errWebhook = fail(http.StatusNotFound, 10015, "Unknown Webhook")
	errForm    = fail(http.StatusBadRequest, 50035, "Invalid Form Body")
)

// request is one call of the REST API.
type request struct {
	s     *Server
	r     *http.Request
	path  []string // below the version, in segments
	body  []byte   // JSON, of the form's payload too
	files []File
}

// route answers one request, or hands it to the gateway or the file server.
func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/api/v10/attachments/"):
		s.file(w, r)
		return
	case websocketAsked(r):
		if !s.upset(w, r, "gateway") {
			s.gateway(w, r)
		}
		return
	}
	q := &request{s: s, r: r, path: segments(r.URL)}
	kind := q.kind()
	s.mu.Lock()
	s.calls[kind]++
	s.mu.Unlock()
	if s.upset(w, r, kind) {
		return
	}
	out, bad := q.answer(kind)
	if after := s.after(kind); after {
		panic(http.ErrAbortHandler)
	}
	s.stall(kind, r)
	s.tell(w, q)
	reply(w, out, bad)
}

func websocketAsked(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

func segments(u *url.URL) []string {
	var out []string
	for _, p := range strings.Split(strings.Trim(version.ReplaceAllString(u.EscapedPath(), ""), "/"), "/") {
		s, err := url.PathUnescape(p)
		if err != nil {
			s = p
		}
		out = append(out, s)
	}
	return out
}

// kind names a call by its method and the last segment that is no id.
func (q *request) kind() string {
	last := q.path[0]
	for i, p := range q.path {
		if i > 0 && strings.Trim(p, "0123456789") != "" && p != "@me" {
			last = p
		}
	}
	switch {
	case q.path[0] == "webhooks" && q.r.Method == http.MethodPost:
		last = "followup"
	case q.path[0] == "webhooks":
		last = "reply"
	case q.path[0] == "interactions":
		last = "callback"
	case len(q.path) == 4 && q.path[2] == "messages":
		last = "message"
	case slices.Contains(q.path, "reactions"):
		last = "reaction"
	}
	return q.r.Method + " " + last
}

func reply(w http.ResponseWriter, out any, bad *failure) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case bad != nil:
		if bad.status == http.StatusTooManyRequests {
			wait, _ := strconv.ParseFloat(bad.text, 64)
			w.Header().Set("Retry-After", strconv.Itoa(int(wait+0.999)))
			w.WriteHeader(bad.status)
			_, _ = fmt.Fprintf(w, `{"message":"You are being rate limited.","retry_after":%s,"global":%v}`, bad.text, bad.code == 1)
			return
		}
		w.WriteHeader(bad.status)
		_ = json.NewEncoder(w).Encode(map[string]any{"message": bad.text, "code": bad.code})
	case out == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		_ = json.NewEncoder(w).Encode(out)
	}
}

// answer does what is asked for.
func (q *request) answer(kind string) (any, *failure) {
	if bad := q.read(); bad != nil {
		return nil, bad
	}
	s := q.s
	s.mu.Lock()
	defer s.mu.Unlock()
	open := q.path[0] == "webhooks" || q.path[0] == "interactions" || kind == "GET gateway"
	if scheme, token, _ := strings.Cut(q.r.Header.Get("Authorization"), " "); !open && (scheme != "Bot" || !s.valid(token)) {
		return nil, errAuth
	}
	if bad := s.limited(q); bad != nil {
		return nil, bad
	}
	switch q.path[0] {
	case "gateway":
		return q.entry()
	case "users":
		return q.user()
	case "oauth2", "applications":
		return q.application()
	case "channels":
		return q.channel()
	case "interactions":
		return q.callback()
	case "webhooks":
		return q.webhook()
	}
	return nil, errPath
}

// read takes in the body: JSON, or a form with files.
func (q *request) read() *failure {
	if !strings.HasPrefix(q.r.Header.Get("Content-Type"), "multipart/") {
		b, err := io.ReadAll(io.LimitReader(q.r.Body, 1<<20))
		if err != nil {
			return fail(http.StatusBadRequest, 0, "the body broke off")
		}
		q.body = b
		return nil
	}
	form, err := q.r.MultipartReader()
	if err != nil {
		return errForm
	}
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fail(http.StatusBadRequest, 0, "the body broke off")
		}
		b, err := io.ReadAll(part)
		switch {
		case err != nil:
			return fail(http.StatusBadRequest, 0, "the body broke off")
		case part.FormName() == "payload_json":
			q.body = b
		case strings.HasPrefix(part.FormName(), "files["):
			if len(b) > 10<<20 {
				return fail(http.StatusRequestEntityTooLarge, 40005, "Request entity too large")
			}
			q.files = append(q.files, File{Name: part.FileName(), MIME: part.Header.Get("Content-Type"), Body: b})
		default:
			return errForm
		}
	}
}

func (q *request) json(v any) *failure {
	if len(bytes.TrimSpace(q.body)) == 0 {
		return nil
	}
	if json.Unmarshal(q.body, v) != nil {
		return fail(http.StatusBadRequest, 50109, "The request body contains invalid JSON.")
	}
	return nil
}

func (q *request) entry() (any, *failure) {
	d := map[string]any{"url": "ws://" + q.s.web.Addr() + "/api/v10/socket"}
	if len(q.path) > 1 {
		d["shards"] = q.s.shards
		d["session_start_limit"] = map[string]any{"total": 1000, "remaining": q.s.starts, "reset_after": 14400000, "max_concurrency": 1}
	}
	return d, nil
}

func (q *request) user() (any, *failure) {
	if len(q.path) == 3 && q.path[2] == "guilds" {
		list := []any{}
		for _, g := range q.s.guilds {
			list = append(list, map[string]any{"id": g.ID, "name": g.Name, "owner": false, "permissions": "0", "features": []string{}})
		}
		return list, nil
	}
	if len(q.path) == 2 && q.path[1] == "@me" {
		d := q.s.bot.json()
		d["verified"], d["mfa_enabled"] = true, true
		return d, nil
	}
	return nil, errPath
}

// Command is a command of the application.
type Command struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Type        int    `json:"type"`
	Contexts    []int  `json:"contexts"`
	Options     []struct {
		Type        int    `json:"type"`
		Name        string `json:"name"`
		Description string `json:"description"`
		Required    bool   `json:"required"`
	} `json:"options"`
}

var commandName = regexp.MustCompile(`^[-_\p{L}\p{N}]{1,32}$`)

func (q *request) application() (any, *failure) {
	switch {
	case q.path[len(q.path)-1] == "@me":
		return map[string]any{
			"id": q.s.app, "name": q.s.bot.Name, "description": "", "bot_public": true, "bot_require_code_grant": false,
			"verify_key": q.s.PublicKey(), "flags": q.s.flags, "bot": q.s.bot.json(),
		}, nil
	case len(q.path) == 3 && q.path[1] == q.s.app && q.path[2] == "commands":
		if q.r.Method == http.MethodGet {
			return q.s.commands, nil
		}
		var list []Command
		if bad := q.json(&list); bad != nil {
			return nil, bad
		}
		for _, c := range list {
			n := len([]rune(c.Description))
			if !commandName.MatchString(c.Name) || c.Name != strings.ToLower(c.Name) || n < 1 || n > 100 {
				return nil, errForm
			}
			for _, o := range c.Options {
				if n := len([]rune(o.Description)); !commandName.MatchString(o.Name) || n < 1 || n > 100 || o.Type < 1 || o.Type > 11 {
					return nil, errForm
				}
			}
		}
		q.s.commands = list
		return list, nil
	}
	return nil, errPath
}

// Commands are the registered commands.
func (s *Server) Commands() []Command {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.commands)
}

// limited holds a call to the platform's limits. The caller holds the lock.
func (s *Server) limited(q *request) *failure {
	if !s.rates {
		return nil
	}
	if wait := s.window("", 50, time.Second); wait > 0 {
		return fail(http.StatusTooManyRequests, 1, strconv.FormatFloat(wait.Seconds(), 'f', 3, 64))
	}
	if q.path[0] == "channels" && len(q.path) > 2 && q.path[2] == "messages" && (q.r.Method == http.MethodPost || q.r.Method == http.MethodPatch) {
		if wait := s.window(q.r.Method+q.path[1], 5, 5*time.Second); wait > 0 {
			return fail(http.StatusTooManyRequests, 0, strconv.FormatFloat(wait.Seconds(), 'f', 3, 64))
		}
	}
	return nil
}

// tell says in the headers of an answer what is left of a limit.
func (s *Server) tell(w http.ResponseWriter, q *request) {
	if !s.rates || len(q.path) != 3 || q.path[2] != "messages" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.windows[q.r.Method+q.path[1]]
	if len(list) == 0 {
		return
	}
	w.Header().Set("X-RateLimit-Bucket", "80c17d2f203122d936070c88c8d10f33")
	w.Header().Set("X-RateLimit-Limit", "5")
	w.Header().Set("X-RateLimit-Remaining", strconv.Itoa(max(0, 5-len(list))))
	w.Header().Set("X-RateLimit-Reset-After", strconv.FormatFloat((5*time.Second-time.Since(list[0])).Seconds(), 'f', 3, 64))
}

// window takes one of n calls in a time, or says how long to wait.
func (s *Server) window(key string, n int, per time.Duration) time.Duration {
	now := time.Now()
	list := slices.DeleteFunc(s.windows[key], func(t time.Time) bool { return now.Sub(t) >= per })
	if len(list) >= n {
		s.windows[key] = list
		return per - now.Sub(list[0])
	}
	s.windows[key] = append(list, now)
	return 0
}

// file serves an attachment.
func (s *Server) file(w http.ResponseWriter, r *http.Request) {
	p := strings.Split(strings.TrimPrefix(r.URL.Path, "/api/v10/"), "/")
	if r.Header.Get("Authorization") != "" || len(p) < 4 {
		http.Error(w, "this is not the API", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	var body []byte
	found := false
	if c := s.channels[p[1]]; c != nil {
		for _, m := range c.messages {
			for _, f := range m.Files {
				if f.ID == p[2] {
					body, found = f.Body, true
				}
			}
		}
	}
	s.mu.Unlock()
	if !found {
		http.Error(w, "This content is no longer available.", http.StatusNotFound)
		return
	}
	_, _ = w.Write(body)
}
