package telegramtest

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

// feed holds the updates the bot has not confirmed yet.
type feed struct {
	last    int64 // id of the newest update ever
	pending []*update
	allowed []string // nil: the platform's default
	poll    *poll    // the getUpdates call that waits

	lastOffset     int64
	lastAsked      time.Time
	nextConflictAt time.Time
}

type update struct {
	id      int64
	body    []byte // JSON with the update id
	queue   int64  // webhooks keep order within a queue
	forced  bool   // injected with an id of its own: shown once, whatever is confirmed
	expires time.Time
}

// The time that the platform keeps an update.
const (
	updateLife   = 24 * time.Hour
	callbackLife = 150 * time.Second
)

// Queues of updates that are not messages lie beyond the ids of chats.
const (
	queueCallback = 3 << 33
	queueMyMember = 5 << 33
	queueMember   = 6 << 33
	queueReaction = 8 << 33
)

// firstUpdate is an arbitrary id, as the platform's are.
const firstUpdate = 728_194_000

func newFeed() feed {
	return feed{last: firstUpdate, lastOffset: -1}
}

// offByDefault are the kinds of update that a bot must ask for.
var offByDefault = []string{"chat_member", "message_reaction", "message_reaction_count"}

// knownUpdates are the names that allowed_updates understands.
var knownUpdates = []string{
	"message", "edited_message", "channel_post", "edited_channel_post", "inline_query", "chosen_inline_result",
	"callback_query", "shipping_query", "pre_checkout_query", "poll", "poll_answer", "my_chat_member", "chat_member",
	"chat_join_request", "chat_boost", "removed_chat_boost", "message_reaction", "message_reaction_count",
	"business_connection", "business_message", "edited_business_message", "deleted_business_messages",
	"purchased_paid_media",
}

func (f *feed) wants(kind string) bool {
	if f.allowed == nil {
		return !slices.Contains(offByDefault, kind)
	}
	return slices.Contains(f.allowed, kind)
}

// allow applies the allowed_updates of a call: missing or unreadable changes
// nothing, an empty list brings back the default.
func (f *feed) allow(raw string) {
	var names []string
	if raw == "" || json.Unmarshal([]byte(raw), &names) != nil {
		return
	}
	f.allowed = nil
	for _, name := range names {
		if slices.Contains(knownUpdates, name) && !slices.Contains(f.allowed, name) {
			f.allowed = append(f.allowed, name)
		}
	}
}

// push makes an update of payload, unless the bot has not asked for its kind,
// and returns its id or 0. s.mu is held.
func (s *Server) push(kind string, payload any, queue int64, life time.Duration) int64 {
	if !s.feed.wants(kind) {
		return 0
	}
	body, err := json.Marshal(payload)
	if err != nil {
		panic("telegramtest: an update that is no JSON: " + err.Error())
	}
	s.feed.last++
	head := `{"update_id":` + strconv.FormatInt(s.feed.last, 10) + `,"` + kind + `":`
	s.enqueue(&update{
		id:      s.feed.last,
		body:    slices.Concat([]byte(head), body, []byte("}")),
		queue:   queue,
		expires: s.now().Add(life),
	})
	return s.feed.last
}

// enqueue hands u to the webhook or to the next poll. s.mu is held.
func (s *Server) enqueue(u *update) {
	s.feed.pending = append(s.feed.pending, u)
	if s.hook.active() {
		s.dispatch(u)
		return
	}
	s.feed.poll.rouse()
}

// confirm forgets the updates below id.
func (f *feed) confirm(id int64) {
	for len(f.pending) > 0 && f.pending[0].id < id && !f.pending[0].forced {
		f.pending[0] = nil
		f.pending = f.pending[1:]
	}
	below := func(u *update) bool { return u.id < id && !u.forced }
	if slices.ContainsFunc(f.pending, below) { // only injected ids are out of order
		f.pending = slices.DeleteFunc(f.pending, below)
	}
	if len(f.pending) == 0 {
		f.pending = nil
	}
}

// keepLast forgets all updates but the newest n.
func (f *feed) keepLast(n int) {
	f.pending = f.pending[max(0, len(f.pending)-n):]
}

func (f *feed) expire(now time.Time) {
	old := func(u *update) bool { return now.After(u.expires) }
	if slices.ContainsFunc(f.pending, old) {
		f.pending = slices.DeleteFunc(f.pending, old)
	}
}

// remove forgets one update.
func (f *feed) remove(u *update) {
	if i := slices.Index(f.pending, u); i == 0 {
		f.pending = f.pending[1:]
	} else if i > 0 {
		f.pending = slices.Delete(f.pending, i, i+1)
	}
}

// Inject hands the bot an update as it stands: a JSON object without
// update_id, such as {"message": {...}}. With an update_id the object is sent
// with that id, whatever came before. The kinds the bot asked for do not matter.
// It returns the id.
func (s *Server) Inject(raw []byte) (int64, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.feed.last + 1
	given, forced := fields["update_id"]
	if forced {
		if err := json.Unmarshal(given, &id); err != nil {
			return 0, err
		}
	}
	fields["update_id"] = json.RawMessage(strconv.FormatInt(id, 10))
	body, err := json.Marshal(fields)
	if err != nil {
		return 0, err
	}
	s.feed.last = max(s.feed.last, id)
	s.enqueue(&update{id: id, body: body, queue: id, forced: forced, expires: s.now().Add(updateLife)})
	return id, nil
}

// Pending counts the updates that the bot has not confirmed.
func (s *Server) Pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.feed.expire(s.now())
	return len(s.feed.pending)
}
