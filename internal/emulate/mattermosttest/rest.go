package mattermosttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxText  = 16383 // characters of a post
	maxFiles = 5     // of a post
)

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v4/websocket", s.socket)
	for pattern, f := range map[string]func(http.ResponseWriter, *http.Request){
		"GET /users/me": s.me, "POST /users/ids": s.byIDs, "GET /users/me/channels": s.myChannels, "POST /users/me/typing": s.typing,
		"GET /channels/{id}": s.getChannel, "GET /channels/{id}/posts": s.history,
		"POST /posts": s.create, "PUT /posts/{id}/patch": s.patch, "DELETE /posts/{id}": s.remove,
		"GET /posts/{id}/reactions": s.reactions, "POST /reactions": s.react, "DELETE /users/{user}/posts/{id}/reactions/{name}": s.unreact,
		"POST /files": s.upload, "GET /files/{id}": s.download,
	} {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" /api/v4"+path, func(w http.ResponseWriter, r *http.Request) { s.guard(pattern, w, r, f) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusNotFound, "api.context.404.app_error")
	})
	return mux
}

// guard wants the token, holds to the limit, and makes faults.
func (s *Server) guard(route string, w http.ResponseWriter, r *http.Request, f func(http.ResponseWriter, *http.Request)) {
	s.mu.Lock()
	genuine := r.Header.Get("Authorization") == "Bearer "+s.token
	limited := s.limit == 0
	if s.limit > 0 {
		s.limit--
	}
	left := max(s.limit, 0)
	var due *fault
	if i := slices.IndexFunc(s.faults, func(x fault) bool { return x.route == route }); i >= 0 && genuine {
		x := s.faults[i]
		due, s.faults = &x, slices.Delete(s.faults, i, i+1)
	}
	s.mu.Unlock()
	w.Header().Set("X-Ratelimit-Limit", "101")
	w.Header().Set("X-Ratelimit-Remaining", strconv.Itoa(left))
	w.Header().Set("X-Ratelimit-Reset", "1")
	switch {
	case !genuine:
		refuse(w, http.StatusUnauthorized, "api.context.session_expired.app_error")
	case limited:
		http.Error(w, "limit exceeded", http.StatusTooManyRequests) // of a part of the server that knows no JSON
	case due == nil:
		f(w, r)
	case due.after:
		f(discard{}, r)
		panic(http.ErrAbortHandler)
	default:
		_, _ = io.Copy(io.Discard, r.Body)
		for name, v := range due.header {
			w.Header().Set(name, v)
		}
		refuse(w, due.status, "app.fault.app_error")
	}
}

// discard is an answer that nobody gets.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

func (u *User) json() map[string]any {
	return map[string]any{"id": u.ID, "username": u.Name, "is_bot": u.Bot, "delete_at": 0, "roles": "system_user"}
}

func (s *Server) me(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, s.bot.json()) }

func (s *Server) byIDs(w http.ResponseWriter, r *http.Request) {
	var ids []string
	if json.NewDecoder(r.Body).Decode(&ids) != nil || len(ids) == 0 {
		refuse(w, http.StatusBadRequest, "api.context.invalid_body_param.app_error")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []any{}
	for _, id := range ids {
		if u := s.users[id]; u != nil {
			all = append(all, u.json())
		}
	}
	answer(w, http.StatusOK, all)
}

// lastPost is when somebody last posted. The caller holds the lock.
func (s *Server) lastPost(c *Channel) (at int64) {
	for _, p := range s.posts {
		if p.channel == c {
			at = max(at, p.CreateAt)
		}
	}
	return at
}

func (s *Server) channelJSON(c *Channel) map[string]any {
	return map[string]any{"id": c.ID, "type": c.Type, "name": c.Name, "display_name": c.Name, "last_post_at": s.lastPost(c), "delete_at": 0}
}

func (s *Server) myChannels(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []any{}
	for _, c := range s.channels {
		if slices.Contains(c.members, s.bot) {
			all = append(all, s.channelJSON(c))
		}
	}
	answer(w, http.StatusOK, all)
}

// mine is a channel that the bot is in; nil if there is none, which then was
// answered. The caller holds the lock.
func (s *Server) mine(w http.ResponseWriter, id string) *Channel {
	c := s.channels[id]
	if c == nil || !slices.Contains(c.members, s.bot) {
		refuse(w, http.StatusForbidden, "api.context.permissions.app_error")
		return nil
	}
	return c
}

func (s *Server) getChannel(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.mine(w, r.PathValue("id")); c != nil {
		answer(w, http.StatusOK, s.channelJSON(c))
	}
}

// history is GET /channels/{id}/posts: since a time, or the newest.
func (s *Server) history(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.mine(w, r.PathValue("id"))
	if c == nil {
		return
	}
	since, _ := strconv.ParseInt(r.URL.Query().Get("since"), 10, 64)
	var found []*Post
	for _, p := range s.posts {
		if p.channel == c && p.UpdateAt > since && (since > 0 || p.Deleted == 0) {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, func(a, b *Post) int { return int(b.CreateAt - a.CreateAt) })
	if n, err := strconv.Atoi(r.URL.Query().Get("per_page")); since == 0 {
		if err != nil || n <= 0 {
			n = 60
		}
		found = found[:min(len(found), n, 200)]
	}
	order, posts := []string{}, map[string]any{}
	for _, p := range found {
		order = append(order, p.ID)
		posts[p.ID] = s.postJSON(p)
	}
	answer(w, http.StatusOK, map[string]any{"order": order, "posts": posts, "next_post_id": "", "prev_post_id": ""})
}

func (s *Server) typing(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Channel string `json:"channel_id"`
	}
	_ = json.NewDecoder(r.Body).Decode(&in)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mine(w, in.Channel) != nil {
		s.typed[in.Channel]++
		answer(w, http.StatusOK, map[string]string{"status": "OK"})
	}
}

func (s *Server) upload(w http.ResponseWriter, r *http.Request) {
	form, err := r.MultipartReader()
	if err != nil {
		refuse(w, http.StatusBadRequest, "api.file.upload_file.read_form_value.app_error")
		return
	}
	channel, infos := "", []any{}
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			refuse(w, http.StatusBadRequest, "api.file.upload_file.multiple_channel_ids.app_error")
			return
		}
		body, err := io.ReadAll(part)
		switch {
		case err != nil:
			refuse(w, http.StatusBadRequest, "api.file.upload_file.read_request.app_error")
			return
		case part.FormName() == "channel_id":
			channel = string(body)
			continue
		case part.FormName() != "files":
			continue
		}
		f := &File{ID: newID(), Name: part.FileName(), MIME: part.Header.Get("Content-Type"), Bytes: body, Channel: channel}
		s.mu.Lock()
		s.files[f.ID] = f
		s.mu.Unlock()
		infos = append(infos, f.json())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mine(w, channel) != nil {
		answer(w, http.StatusCreated, map[string]any{"file_infos": infos, "client_ids": []string{}})
	}
}

func (f *File) json() map[string]any {
	extension := f.Name[strings.LastIndexByte(f.Name, '.')+1:]
	return map[string]any{"id": f.ID, "name": f.Name, "extension": extension, "size": len(f.Bytes), "mime_type": f.MIME}
}

func (s *Server) download(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	f := s.files[r.PathValue("id")]
	s.mu.Unlock()
	if f == nil {
		refuse(w, http.StatusNotFound, "app.file_info.get.app_error")
		return
	}
	w.Header().Set("Content-Type", f.MIME)
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment;filename=%q", f.Name))
	_, _ = w.Write(f.Bytes)
}

// fits refuses what Mattermost would not keep. The caller holds the lock.
func (s *Server) fits(w http.ResponseWriter, text string, files []string) bool {
	switch {
	case utf8.RuneCountInString(text) > maxText:
		refuse(w, http.StatusBadRequest, "model.post.is_valid.message_length.app_error")
	case len(files) > maxFiles:
		refuse(w, http.StatusBadRequest, "api.post.create_post.files.app_error")
	default:
		return true
	}
	return false
}
