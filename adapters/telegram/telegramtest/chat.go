package telegramtest

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Chat is a place where people and the bot write: a private chat, a basic
// group, or a supergroup, which may be a forum.
type Chat struct {
	srv *Server

	id       int64
	kind     string // private, group or supergroup
	title    string
	username string
	isForum  bool
	person   *User            // of a private chat
	members  map[int64]string // user id to status
	topics   map[int64]*topic
	botState string // member, administrator, left, kicked
	movedTo  int64  // the supergroup a group became

	messages   map[int64]*stored
	order      []int64 // message ids as they came
	lastID     int64   // of a supergroup; others count together
	lastSender int64
}

type topic struct {
	name   string
	closed bool
}

// stored is a message of a chat with what people do not see of it.
type stored struct {
	*wireMessage
	outgoing  bool // from the bot under test
	files     []File
	reactions map[int64][]wireReaction // by user, 0 for the bot
}

const (
	kindPrivate    = "private"
	kindGroup      = "group"
	kindSupergroup = "supergroup"
)

// generalTopic is the thread id under which clients know the General topic; the
// Bot API refuses it in sends.
const generalTopic = 1

// Private is the chat between the user and the bot. The user counts as having
// pressed Start before: the bot may write to it. No update tells of it.
func (s *Server) Private(u *User) *Chat {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.chats[u.ID]; ok {
		return c
	}
	c := s.newChat(u.ID, kindPrivate, "")
	c.person = u
	c.members[u.ID] = "member"
	return c
}

// Group is a basic group, made at the first call, with the bot as a member. Its
// id is negative; a positive one is negated.
func (s *Server) Group(id int64, title string, members ...*User) *Chat {
	return s.room(-abs(id), kindGroup, title, members)
}

// Supergroup is a group with message ids of its own. An id without the -100 in
// front gets it.
func (s *Server) Supergroup(id int64, title string, members ...*User) *Chat {
	return s.room(supergroupID(id), kindSupergroup, title, members)
}

// Forum is a supergroup with topics.
func (s *Server) Forum(id int64, title string, members ...*User) *Chat {
	c := s.Supergroup(id, title, members...)
	s.mu.Lock()
	defer s.mu.Unlock()
	c.isForum = true
	return c
}

func (s *Server) room(id int64, kind, title string, members []*User) *Chat {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.chats[id]
	if !ok {
		c = s.newChat(id, kind, title)
	}
	for _, u := range members {
		c.members[u.ID] = "member"
	}
	return c
}

func (s *Server) newChat(id int64, kind, title string) *Chat {
	c := &Chat{
		srv:      s,
		id:       id,
		kind:     kind,
		title:    title,
		members:  map[int64]string{},
		topics:   map[int64]*topic{},
		messages: map[int64]*stored{},
		botState: "member",
		lastID:   1, // the message that says that the group was made
	}
	s.chats[id] = c
	return c
}

func abs(n int64) int64 {
	if n < 0 {
		return -n
	}
	return n
}

// supergroupBase is what the Bot API takes the ids of supergroups off from.
const supergroupBase = -1_000_000_000_000

func supergroupID(id int64) int64 {
	if id < supergroupBase {
		return id
	}
	return supergroupBase - abs(id)
}

// ID is the chat's id in the Bot API.
func (c *Chat) ID() int64 { return c.id }

// Chat finds a chat by its id, nil when there is none.
func (s *Server) Chat(id int64) *Chat {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.chats[id]
}

// SetUsername gives a group a public name, without the @.
func (c *Chat) SetUsername(name string) {
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	c.username = name
}

// SetBot sets the standing of the bot in a group: "member", "administrator",
// "left" or "kicked". Nobody is told.
func (c *Chat) SetBot(status string) {
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	c.botState = status
}

// Delivered is what the bot did in this chat.
func (c *Chat) Delivered() Log { return c.srv.Delivered().In(c.id) }

func (c *Chat) wire() wireChat {
	w := wireChat{ID: c.id, Type: c.kind, Title: c.title, Username: c.username, IsForum: c.isForum}
	if c.person != nil {
		w.FirstName, w.LastName, w.Username = c.person.FirstName, c.person.LastName, c.person.Username
	}
	return w
}

// nextID is the id of the next message. s.mu is held.
func (c *Chat) nextID() int64 {
	if c.kind == kindSupergroup {
		c.lastID++
		return c.lastID
	}
	c.srv.lastID++
	return c.srv.lastID
}

// add stores a message under a new id, which it writes into it.
func (c *Chat) add(m *stored) {
	m.ID = c.nextID()
	c.messages[m.ID] = m
	c.order = append(c.order, m.ID)
	if m.From != nil {
		c.lastSender = m.From.ID
	}
}

func (c *Chat) drop(id int64) {
	delete(c.messages, id)
	if i, ok := slices.BinarySearch(c.order, id); ok {
		c.order = slices.Delete(c.order, i, i+1)
	}
}

// quoted is the message as it stands in reply_to_message: without its own.
func (m *stored) quoted() *wireMessage {
	if m.ReplyTo == nil {
		return m.wireMessage
	}
	bare := *m.wireMessage
	bare.ReplyTo = nil
	return &bare
}

// access says how much of a chat a method needs.
type access int

const (
	read access = iota
	write
)

// chatOf finds the chat of a call and checks that the bot may use it.
func (s *Server) chatOf(q *query, need access) (*Chat, error) {
	given := strings.TrimSpace(q.str("chat_id"))
	if given == "" {
		return nil, badRequest("chat_id is empty")
	}
	c := s.findChat(given)
	if c == nil {
		return nil, badRequest("chat not found")
	}
	if err := c.check(need); err != nil {
		return nil, err
	}
	return c, nil
}

func (s *Server) findChat(given string) *Chat {
	if name, ok := strings.CutPrefix(given, "@"); ok {
		for _, c := range s.chats {
			if c.kind == kindSupergroup && strings.EqualFold(c.username, name) {
				return c
			}
		}
		return nil
	}
	id, err := strconv.ParseInt(given, 10, 64)
	if err != nil {
		return nil
	}
	return s.chats[id]
}

func (c *Chat) check(need access) error {
	switch {
	case c.movedTo != 0 && need == write:
		err := badRequest("group chat was upgraded to a supergroup chat")
		err.migrateTo = c.movedTo
		return err
	case c.person != nil && need == write && c.person.deactivated:
		return forbidden("user is deactivated")
	case c.person != nil && need == write && c.person.blocked:
		return forbidden("bot was blocked by the user")
	case c.botState == "kicked" && (need == write || c.kind == kindSupergroup):
		return forbidden("bot was kicked from the " + c.kind + " chat")
	case c.botState == "left" && (need == write || c.kind == kindSupergroup):
		return forbidden("bot is not a member of the " + c.kind + " chat")
	}
	return nil
}

// announceBot tells the bot that its own standing changed.
func (c *Chat) announceBot(by *User, before, after string) {
	bot := c.srv.bot
	c.srv.push("my_chat_member", wireMemberUpdate{
		Chat: c.wire(),
		From: by.profile(),
		Date: c.srv.now().Unix(),
		Old:  wireStanding(&bot, before),
		New:  wireStanding(&bot, after),
	}, c.id+queueMyMember, updateLife)
}

// wireStanding describes a member; who was kicked may not come back before 0,
// which means never.
func wireStanding(who *Profile, status string) wireMember {
	m := wireMember{Status: status, User: who}
	if status == "kicked" {
		m.UntilDate = new(int64)
	}
	return m
}

// Line is a message as it stands in a chat now.
type Line struct {
	ID        int64
	From      Profile
	Bot       bool // sent by the bot under test
	Thread    int64
	ReplyTo   int64
	Text      string // text or caption
	Entities  []Entity
	Files     []File
	Buttons   []Button
	Reactions []string // of the bot under test
	Edited    bool
	At        time.Time // with a precision of seconds
}

// Transcript is the chat as a person sees it when scrolling up: without what was
// deleted, each message in its last form. Service messages are left out.
func (c *Chat) Transcript() []Line {
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	var out []Line
	for _, id := range c.order {
		if m := c.messages[id]; m.Text != "" || m.Caption != "" || len(m.files) > 0 {
			out = append(out, m.line())
		}
	}
	return out
}

func (m *stored) line() Line {
	l := Line{
		ID:       m.ID,
		Bot:      m.outgoing,
		Thread:   m.ThreadID,
		Text:     m.Text + m.Caption,
		Entities: slices.Concat(m.Entities, m.CaptionEntities),
		Files:    m.files,
		Edited:   m.EditDate != 0,
		At:       time.Unix(m.Date, 0),
	}
	if m.From != nil {
		l.From = *m.From
	}
	if m.ReplyTo != nil {
		l.ReplyTo = m.ReplyTo.ID
	}
	l.Buttons = m.buttons()
	for _, r := range m.reactions[0] {
		l.Reactions = append(l.Reactions, r.Emoji)
	}
	return l
}
