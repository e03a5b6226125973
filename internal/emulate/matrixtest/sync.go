package matrixtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// filter is as much of one as is honoured.
type filter struct {
	Room struct {
		State    struct{ Types []string } `json:"state"`
		Timeline struct {
			Limit int      `json:"limit"`
			Types []string `json:"types"`
		} `json:"timeline"`
	} `json:"room"`
}

func position(token, prefix string) (int, bool) {
	n, err := strconv.Atoi(strings.TrimPrefix(token, prefix))
	return n, err == nil && strings.HasPrefix(token, prefix)
}

// sync answers /sync, and waits for something to happen if it is asked to.
func (s *Server) sync(_ http.ResponseWriter, r *http.Request) (any, *failure) {
	q := r.URL.Query()
	var f filter
	if v := q.Get("filter"); v != "" && json.Unmarshal([]byte(v), &f) != nil {
		s.problem("sync: the filter is no JSON")
		return nil, &failure{400, "M_NOT_JSON", "filter", 0}
	}
	since := -1
	if v := q.Get("since"); v != "" {
		n, ok := position(v, "s")
		if !ok {
			s.problem("sync: the position %q is none of ours", v)
			return nil, &failure{400, "M_INVALID_PARAM", "Invalid stream token", 0}
		}
		since = n
	}
	timeout, _ := strconv.Atoi(q.Get("timeout"))
	end := time.After(time.Duration(timeout) * time.Millisecond)
	for {
		s.mu.Lock()
		answer, some := s.since(since, f)
		changed := s.changed
		s.mu.Unlock()
		if some || timeout == 0 || since < 0 {
			return answer, nil
		}
		select {
		case <-changed:
		case <-end:
			timeout = 0
		case <-r.Context().Done():
			return answer, nil
		case <-s.ended:
			return answer, nil
		}
	}
}

// since is what happened after a position; -1 is before everything. The caller
// holds the lock.
func (s *Server) since(from int, f filter) (answer object, some bool) {
	join, invite, leave := object{}, object{}, object{}
	for _, id := range s.roomIDs() {
		room := s.rooms[id]
		own := room.own()
		switch {
		case own == nil:
		case room.members[Bot] == "invite" && own.seq > from:
			invite[id] = object{"invite_state": object{"events": []object{own.json()}}}
		case room.members[Bot] == "leave" && own.seq > from && from >= 0:
			leave[id] = object{"timeline": object{"events": []object{own.json()}, "limited": false}}
		case room.members[Bot] == "join":
			if section := room.section(from, f); section != nil {
				join[id] = section
			}
		}
	}
	return object{
		"next_batch": fmt.Sprintf("s%d", s.stream), "rooms": object{"join": join, "invite": invite, "leave": leave},
	}, len(join)+len(invite)+len(leave) > 0
}

// own is the bot's last membership.
func (r *Room) own() *event {
	for _, e := range slices.Backward(r.events) {
		if e.Type == "m.room.member" && *e.StateKey == Bot {
			return e
		}
	}
	return nil
}

// section is what happened in a room that the bot is in; nil: nothing. Who has
// just come in is shown what was said before.
func (r *Room) section(from int, f filter) object {
	if r.own().seq > from {
		from = -1
	}
	var events []*event
	membership := false
	for _, e := range r.events {
		if e.seq <= from {
			continue
		}
		membership = membership || e.Type == "m.room.member"
		if f.Room.Timeline.Types == nil || slices.Contains(f.Room.Timeline.Types, e.Type) {
			events = append(events, e)
		}
	}
	if len(events) == 0 {
		return nil
	}
	limit := f.Room.Timeline.Limit
	if limit == 0 {
		limit = 10
	}
	limited := len(events) > limit
	timeline := events[max(0, len(events)-limit):]
	section := object{
		"timeline": object{"events": list(timeline), "limited": limited, "prev_batch": fmt.Sprintf("p%d", timeline[0].seq)},
		"state":    object{"events": r.speakers(timeline, f)},
	}
	if membership {
		section["summary"] = object{"m.joined_member_count": r.count("join"), "m.invited_member_count": r.count("invite")}
	}
	return section
}

func (r *Room) count(membership string) (n int) {
	for _, m := range r.members {
		if m == membership {
			n++
		}
	}
	return n
}

// speakers are the members who speak in a part of the timeline: the others are
// not loaded.
func (r *Room) speakers(timeline []*event, f filter) []object {
	all := []object{}
	for _, e := range r.events {
		speaks := e.Type == "m.room.member" && slices.ContainsFunc(timeline, func(x *event) bool { return x.Sender == *e.StateKey })
		if e.seq < timeline[0].seq && (speaks || e.Type == "m.room.name") && slices.Contains(f.Room.State.Types, e.Type) {
			all = append(all, e.json())
		}
	}
	return all
}

func list(events []*event) []object {
	all := []object{}
	for _, e := range events {
		all = append(all, e.json())
	}
	return all
}

// messages answers with what was said before a position, the latest first.
func (s *Server) messages(_ http.ResponseWriter, r *http.Request) (any, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	room, failed := s.place(r)
	if failed != nil {
		return nil, failed
	}
	q := r.URL.Query()
	from, ok := position(q.Get("from"), "p")
	if !ok || q.Get("dir") != "b" {
		return nil, &failure{400, "M_INVALID_PARAM", "only backwards, and from a place in the timeline", 0}
	}
	to, _ := position(q.Get("to"), "s")
	limit, _ := strconv.Atoi(q.Get("limit"))
	chunk, answer := []object{}, object{}
	for _, e := range slices.Backward(room.events) {
		if e.seq >= from || e.seq <= to {
			continue
		}
		if len(chunk) == max(limit, 1) {
			answer["end"] = fmt.Sprintf("p%d", e.seq+1)
			break
		}
		chunk = append(chunk, e.json())
	}
	answer["chunk"], answer["start"] = chunk, q.Get("from")
	return answer, nil
}
