package slacktest

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// request is one call of the Web API.
type request struct {
	method string
	token  string
	args   map[string]string // objects and lists as JSON
	team   *Team             // of the token
	r      *http.Request
}

// failure is an error word, perhaps with more beside it.
type failure struct {
	word string
	more object
}

func fail(word string) *failure { return &failure{word: word} }

// method is one method of the Web API. It runs under the server's lock.
type method struct {
	scope string // that a bot's token needs; "": none
	open  bool   // no bot's token is needed
	run   func(s *Server, q *request) (object, *failure)
}

var methods = map[string]method{
	"api.test":                     {open: true, run: func(*Server, *request) (object, *failure) { return object{}, nil }},
	"auth.test":                    {run: (*Server).authTest},
	"apps.connections.open":        {open: true, run: (*Server).openSocket},
	"assistant.threads.setStatus":  {scope: "assistant:write", run: (*Server).setStatus},
	"chat.postMessage":             {scope: "chat:write", run: (*Server).postMessage},
	"chat.postEphemeral":           {scope: "chat:write", run: (*Server).postEphemeral},
	"chat.update":                  {scope: "chat:write", run: (*Server).update},
	"chat.delete":                  {scope: "chat:write", run: (*Server).remove},
	"chat.startStream":             {scope: "chat:write", run: (*Server).startStream},
	"chat.appendStream":            {scope: "chat:write", run: (*Server).appendStream},
	"chat.stopStream":              {scope: "chat:write", run: (*Server).stopStream},
	"conversations.info":           {scope: "channels:read", run: (*Server).roomInfo},
	"conversations.history":        {run: (*Server).history},
	"conversations.replies":        {run: (*Server).history},
	"conversations.open":           {scope: "im:write", run: (*Server).openDirect},
	"files.getUploadURLExternal":   {scope: "files:write", run: (*Server).uploadURL},
	"files.completeUploadExternal": {scope: "files:write", run: (*Server).completeUpload},
	"files.info":                   {scope: "files:read", run: (*Server).fileInfo},
	"files.delete":                 {scope: "files:write", run: (*Server).fileDelete},
	"oauth.v2.access":              {open: true, run: (*Server).access},
	"reactions.add":                {scope: "reactions:write", run: (*Server).addReaction},
	"reactions.remove":             {scope: "reactions:write", run: (*Server).removeReaction},
	"reactions.get":                {scope: "reactions:read", run: (*Server).getReactions},
	"users.info":                   {scope: "users:read", run: (*Server).userInfo},
}

// api serves the Web API.
func (s *Server) api(w http.ResponseWriter, r *http.Request, name string) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err != nil {
		return
	}
	s.mu.Lock()
	s.calls[name]++
	hit, lag := s.faultLocked(name), s.latency[name]
	s.mu.Unlock()
	if lag > 0 {
		sleep(r.Context(), lag)
	}
	if hit != nil && !hit.after {
		hit.meet(w, r)
		return
	}
	m, ok := methods[name]
	if !ok {
		answer(w, object{"ok": false, "error": "unknown_method"})
		return
	}
	q := &request{method: name, args: arguments(r, body), r: r}
	q.token = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if t := q.args["token"]; t != "" && q.token == "" {
		q.token = t
	}
	out, wrong := s.call(w, m, q)
	if hit != nil {
		hit.meet(w, r)
		return
	}
	if wrong != nil {
		out = object{"ok": false, "error": wrong.word}
		for k, v := range wrong.more {
			out[k] = v
		}
	} else {
		out["ok"] = true
	}
	answer(w, out)
}

func (s *Server) call(w http.ResponseWriter, m method, q *request) (object, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !m.open {
		if q.token == "" {
			return nil, fail("not_authed")
		}
		team, word := s.byLocked(q.token)
		if word != "" {
			return nil, fail(word)
		}
		q.team = team
		w.Header().Set("X-OAuth-Scopes", strings.Join(s.opts.scopes, ","))
		if m.scope != "" && !s.grantedLocked(m.scope) {
			return nil, &failure{"missing_scope", object{"needed": m.scope, "provided": strings.Join(s.opts.scopes, ",")}}
		}
	}
	out, wrong := m.run(s, q)
	s.wakeLocked()
	return out, wrong
}

func (s *Server) grantedLocked(scope string) bool {
	for _, g := range s.opts.scopes {
		if g == scope {
			return true
		}
	}
	return false
}

func answer(w http.ResponseWriter, out object) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(out)
}

// arguments reads a call's arguments, which come in three ways.
func arguments(r *http.Request, body []byte) map[string]string {
	args := map[string]string{}
	add := func(v url.Values) {
		for k := range v {
			args[k] = v.Get(k)
		}
	}
	add(r.URL.Query())
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch kind {
	case "application/json":
		var fields map[string]json.RawMessage
		if json.Unmarshal(body, &fields) == nil {
			for k, v := range fields {
				var text string
				if json.Unmarshal(v, &text) == nil {
					args[k] = text
				} else {
					args[k] = string(v)
				}
			}
		}
	default:
		if v, err := url.ParseQuery(string(body)); err == nil {
			add(v)
		}
	}
	if user, pass, ok := r.BasicAuth(); ok {
		args["client_id"], args["client_secret"] = user, pass
	}
	return args
}

func (s *Server) authTest(q *request) (object, *failure) {
	t := q.team
	return object{
		"url": s.root + "/", "team": t.Name, "user": t.Handle, "team_id": t.ID, "user_id": t.BotUser,
		"bot_id": t.BotID, "is_enterprise_install": false, "app_id": AppID,
	}, nil
}

// AppID is the app's id.
const AppID = "A0APP0000"

func (s *Server) userInfo(q *request) (object, *failure) {
	u := q.team.userLocked(q.args["user"])
	if u == nil {
		return nil, fail("user_not_found")
	}
	return object{"user": object{
		"id": u.ID, "team_id": q.team.ID, "name": strings.ToLower(u.Name), "real_name": u.Name, "is_bot": u.Bot, "tz": "Europe/Berlin", "locale": "en-GB",
		"profile": object{"real_name": u.Name, "display_name": u.Name},
	}}, nil
}

func (s *Server) roomInfo(q *request) (object, *failure) {
	c := q.team.roomLocked(q.args["channel"])
	if c == nil {
		return nil, fail("channel_not_found")
	}
	return object{"channel": object{"id": c.id, "name": c.name, "is_im": c.kind == "im", "is_channel": c.kind == "channel", "is_archived": c.archive}}, nil
}

func (s *Server) openDirect(q *request) (object, *failure) {
	if q.team.userLocked(q.args["users"]) == nil {
		return nil, fail("user_not_found")
	}
	c := q.team.directLocked(q.args["users"])
	return object{"channel": object{"id": c.id}}, nil
}

// atLocked is the conversation and message that a call names.
func (q *request) place() (*Channel, *failure) {
	c := q.team.roomLocked(q.args["channel"])
	switch {
	case c == nil:
		return nil, fail("channel_not_found")
	case c.archive:
		return nil, fail("is_archived")
	}
	for _, id := range c.members {
		if id == q.team.BotUser {
			return c, nil
		}
	}
	return nil, fail("not_in_channel")
}

func sleep(ctx interface{ Done() <-chan struct{} }, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
