package matrixtest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// object is JSON.
type object = map[string]any

// event is one of a room's.
type event struct {
	seq      int // its place in the stream
	ID       string
	Type     string
	Sender   string
	StateKey *string
	At       time.Time
	Content  object
	Redacts  string
	before   string // of a membership: the one before
}

func (e *event) json() object {
	o := object{"event_id": e.ID, "type": e.Type, "sender": e.Sender, "origin_server_ts": e.At.UnixMilli(), "content": e.Content}
	if e.StateKey != nil {
		o["state_key"] = *e.StateKey
	}
	if e.before != "" {
		o["unsigned"] = object{"prev_content": object{"membership": e.before}}
	}
	if e.Redacts != "" {
		o["redacts"] = e.Redacts
	}
	return o
}

// relates is what an event relates to, and how.
func (e *event) relates() (kind, id string) {
	r, _ := e.Content["m.relates_to"].(object)
	kind, _ = r["rel_type"].(string)
	id, _ = r["event_id"].(string)
	return kind, id
}

// Room is a room of the homeserver.
type Room struct {
	s       *Server
	ID      string
	events  []*event
	members map[string]string // membership by user
	names   map[string]string
	typed   int
	read    string
}

// Direct makes a room of a person who has invited the bot.
func (s *Server) Direct(who, name string) *Room { return s.Room("", map[string]string{who: name}) }

// Room makes a room with a title, in which people are, who have invited the bot.
func (s *Server) Room(title string, people map[string]string) *Room {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &Room{s: s, ID: fmt.Sprintf("!room%d:example.org", len(s.rooms)+1), members: map[string]string{}, names: people}
	s.rooms[r.ID] = r
	first := ""
	for who := range people {
		r.member(who, who, "join")
		first = who
	}
	if title != "" {
		r.add("m.room.name", first, ptr(""), object{"name": title})
	}
	r.member(first, Bot, "invite")
	return r
}

func ptr(s string) *string { return &s }

// member changes somebody's membership. The caller holds the server's lock.
func (r *Room) member(by, who, membership string) {
	e := r.add("m.room.member", by, ptr(who), object{"membership": membership, "displayname": r.names[who]})
	e.before = r.members[who]
	r.members[who] = membership
}

// add makes an event. The caller holds the server's lock.
func (r *Room) add(kind, sender string, key *string, content object) *event {
	r.s.stream++
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(r.s.stream)) //nolint:gosec // positive
	sum := sha256.Sum256(n[:])
	e := &event{
		seq: r.s.stream, ID: "$" + base64.RawURLEncoding.EncodeToString(sum[:]), Type: kind, Sender: sender, StateKey: key,
		At: time.Now(), Content: content,
	}
	r.events = append(r.events, e)
	r.s.happened()
	return e
}

func (r *Room) find(id string) *event {
	i := slices.IndexFunc(r.events, func(e *event) bool { return e.ID == id })
	if i < 0 {
		return nil
	}
	return r.events[i]
}

// say adds an event of a person, and returns its id.
func (r *Room) say(kind, who string, content object) string {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.add(kind, who, nil, content).ID
}

// Say writes a text.
func (r *Room) Say(who, text string) string {
	return r.say("m.room.message", who, object{"msgtype": "m.text", "body": text, "m.mentions": object{}})
}

// Mention writes a text that mentions the bot; thread is the event in whose thread
// that is, or "".
func (r *Room) Mention(who, text, thread string) string {
	c := object{"msgtype": "m.text", "body": "bot: " + text, "m.mentions": object{"user_ids": []string{Bot}}}
	if thread != "" {
		c["m.relates_to"] = object{"rel_type": "m.thread", "event_id": thread, "is_falling_back": true, "m.in_reply_to": object{"event_id": thread}}
	}
	return r.say("m.room.message", who, c)
}

// Attach sends a file with a caption.
func (r *Room) Attach(who, caption string, f File) string {
	r.s.mu.Lock()
	id := fmt.Sprintf("media%d", len(r.s.media)+1)
	r.s.media["example.org/"+id] = f
	r.s.mu.Unlock()
	return r.say("m.room.message", who, object{
		"msgtype": "m.file", "body": caption, "filename": f.Name, "url": "mxc://example.org/" + id,
		"info": object{"size": len(f.Bytes), "mimetype": f.MIME},
	})
}

// Encrypted sends something that only who has its key can read.
func (r *Room) Encrypted(who string) string {
	return r.say("m.room.encrypted", who, object{"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "AwgAEnA", "session_id": "x"})
}

// Shown is a message of the bot, as it stands now.
type Shown struct {
	ID      string
	Text    string // as clients without markup show it
	HTML    string
	ReplyTo string
	Thread  string
	Edits   int
	File    *File
	Notice  bool
}

// Shown are the bot's messages, as people see them.
func (r *Room) Shown() []Shown {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	var all []Shown
	for _, e := range r.events {
		if e.Sender != Bot || e.Type != "m.room.message" || e.Content["msgtype"] == nil {
			continue
		}
		kind, target := e.relates()
		if kind == "m.replace" {
			if i := slices.IndexFunc(all, func(m Shown) bool { return m.ID == target }); i >= 0 {
				changed, _ := e.Content["m.new_content"].(object)
				all[i].read(r.s, changed)
				all[i].Edits++
			}
			continue
		}
		m := Shown{ID: e.ID, Notice: e.Content["msgtype"] == "m.notice"}
		m.read(r.s, e.Content)
		relation, _ := e.Content["m.relates_to"].(object)
		answered, _ := relation["m.in_reply_to"].(object)
		m.ReplyTo, _ = answered["event_id"].(string)
		if kind == "m.thread" {
			m.Thread = target
		}
		all = append(all, m)
	}
	return all
}

func (m *Shown) read(s *Server, content object) {
	m.Text, _ = content["body"].(string)
	m.HTML, _ = content["formatted_body"].(string)
	if url, _ := content["url"].(string); len(url) > len("mxc://") {
		f := s.media[url[len("mxc://"):]]
		f.Name, _ = content["filename"].(string)
		m.File = &f
	}
}

// Typed is how often the bot showed that it is at work, and Read the last event
// that it has read.
func (r *Room) Typed() (times int, read string) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.typed, r.read
}
