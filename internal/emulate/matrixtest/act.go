package matrixtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
)

// content reads a request's body.
func (s *Server) content(r *http.Request) (object, *failure) {
	b, err := io.ReadAll(io.LimitReader(r.Body, maxEvent+1))
	if err != nil || len(b) > maxEvent {
		return nil, &failure{413, "M_TOO_LARGE", "event too large", 0}
	}
	var o object
	if json.Unmarshal(b, &o) != nil || o == nil {
		s.problem("%s: the body is no object", r.URL.Path)
		return nil, &failure{400, "M_NOT_JSON", "Content not JSON.", 0}
	}
	return o, nil
}

// send adds an event, once for each transaction.
func (s *Server) send(_ http.ResponseWriter, r *http.Request) (any, *failure) {
	content, failed := s.content(r)
	if failed != nil {
		return nil, failed
	}
	kind := r.PathValue("type")
	if why := unfit(kind, content); why != "" {
		s.problem("%s: %s", kind, why)
		return nil, &failure{400, "M_BAD_JSON", why, 0}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	room, failed := s.place(r)
	if failed != nil {
		return nil, failed
	}
	if id := s.txns[r.URL.Path]; id != "" {
		return object{"event_id": id}, nil
	}
	if kind == "m.reaction" && room.reacted(content) {
		return nil, &failure{400, "M_DUPLICATE_ANNOTATION", "Can't send same reaction twice", 0}
	}
	e := room.add(kind, Bot, nil, content)
	s.txns[r.URL.Path] = e.ID
	return object{"event_id": e.ID}, nil
}

// unfit says what is wrong with a content; "": nothing.
func unfit(kind string, c object) string {
	relation, _ := c["m.relates_to"].(object)
	switch kind {
	case "m.room.message":
		for _, key := range []string{"msgtype", "body"} {
			if v, ok := c[key].(string); !ok || v == "" && key == "msgtype" {
				return "a message wants a " + key
			}
		}
		if relation["rel_type"] == "m.replace" && c["m.new_content"] == nil {
			return "a replacement wants the new content"
		}
	case "m.reaction":
		if relation["rel_type"] != "m.annotation" || relation["key"] == nil || relation["event_id"] == nil {
			return "a reaction wants what it is about, and a key"
		}
	}
	return ""
}

func (r *Room) reacted(content object) bool {
	relation, _ := content["m.relates_to"].(object)
	return slices.ContainsFunc(r.events, func(e *event) bool {
		kind, id := e.relates()
		other, _ := e.Content["m.relates_to"].(object)
		return e.Sender == Bot && kind == "m.annotation" && id == relation["event_id"] && other["key"] == relation["key"]
	})
}

// redact empties an event.
func (s *Server) redact(_ http.ResponseWriter, r *http.Request) (any, *failure) {
	if _, failed := s.content(r); failed != nil {
		return nil, failed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	room, failed := s.place(r)
	if failed != nil {
		return nil, failed
	}
	if id := s.txns[r.URL.Path]; id != "" {
		return object{"event_id": id}, nil
	}
	target := room.find(r.PathValue("event"))
	if target == nil {
		return nil, &failure{404, "M_NOT_FOUND", "Could not find event", 0}
	}
	if target.Sender != Bot {
		return nil, &failure{403, "M_FORBIDDEN", "You don't have permission to redact events", 0}
	}
	target.Content = object{}
	e := room.add("m.room.redaction", Bot, nil, object{})
	e.Redacts = target.ID
	s.txns[r.URL.Path] = e.ID
	return object{"event_id": e.ID}, nil
}

func (s *Server) join(_ http.ResponseWriter, r *http.Request) (any, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	room := s.rooms[r.PathValue("room")]
	if room == nil || room.members[Bot] != "invite" && room.members[Bot] != "join" {
		return nil, &failure{403, "M_FORBIDDEN", "You are not invited to this room.", 0}
	}
	if room.members[Bot] == "invite" {
		room.member(Bot, Bot, "join")
	}
	return object{"room_id": room.ID}, nil
}

func (s *Server) joinedMembers(_ http.ResponseWriter, r *http.Request) (any, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	room, failed := s.place(r)
	if failed != nil {
		return nil, failed
	}
	joined := object{}
	for who, m := range room.members {
		if m == "join" {
			joined[who] = object{"display_name": room.names[who]}
		}
	}
	return object{"joined": joined}, nil
}

func (s *Server) state(_ http.ResponseWriter, r *http.Request) (any, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	room, failed := s.place(r)
	if failed != nil {
		return nil, failed
	}
	for _, e := range slices.Backward(room.events) {
		if e.Type == r.PathValue("type") && e.StateKey != nil && *e.StateKey == r.PathValue("key") {
			return e.Content, nil
		}
	}
	return nil, &failure{404, "M_NOT_FOUND", "Event not found.", 0}
}

func (s *Server) event(_ http.ResponseWriter, r *http.Request) (any, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	room, failed := s.place(r)
	if failed != nil {
		return nil, failed
	}
	if e := room.find(r.PathValue("event")); e != nil {
		return e.json(), nil
	}
	return nil, &failure{404, "M_NOT_FOUND", "Event not found.", 0}
}

func (s *Server) typing(_ http.ResponseWriter, r *http.Request) (any, *failure) {
	if _, failed := s.content(r); failed != nil {
		return nil, failed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	room, failed := s.place(r)
	switch {
	case failed != nil:
		return nil, failed
	case r.PathValue("user") != Bot:
		return nil, &failure{403, "M_FORBIDDEN", "Cannot set another user's typing state", 0}
	}
	room.typed++
	s.happened()
	return object{}, nil
}

func (s *Server) receipt(_ http.ResponseWriter, r *http.Request) (any, *failure) {
	if _, failed := s.content(r); failed != nil {
		return nil, failed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	room, failed := s.place(r)
	if failed != nil {
		return nil, failed
	}
	room.read = r.PathValue("event")
	return object{}, nil
}

func (s *Server) upload(_ http.ResponseWriter, r *http.Request) (any, *failure) {
	b, err := io.ReadAll(io.LimitReader(r.Body, maxUpload+1))
	if err != nil {
		return nil, &failure{400, "M_UNKNOWN", "the body broke off", 0}
	}
	if len(b) > maxUpload {
		return nil, &failure{413, "M_TOO_LARGE", "Upload request body is too large", 0}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id := fmt.Sprintf("upload%d", len(s.media)+1)
	s.media["example.org/"+id] = File{Name: r.URL.Query().Get("filename"), MIME: r.Header.Get("Content-Type"), Bytes: b}
	return object{"content_uri": "mxc://example.org/" + id}, nil
}

func (s *Server) download(w http.ResponseWriter, r *http.Request) (any, *failure) {
	s.mu.Lock()
	f, ok := s.media[r.PathValue("server")+"/"+r.PathValue("media")]
	s.mu.Unlock()
	if !ok {
		return nil, &failure{404, "M_NOT_FOUND", "Not found", 0}
	}
	w.Header().Set("Content-Type", f.MIME)
	_, _ = w.Write(f.Bytes) //nolint:gosec // a file of the test
	return nil, nil
}
