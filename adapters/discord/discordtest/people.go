package discordtest

import (
	"slices"
	"strings"
	"time"
)

// User is an account of the platform.
type User struct {
	s    *Server
	ID   string
	Name string
	Bot  bool
}

// Guild is what people call a server.
type Guild struct {
	s        *Server
	ID       string
	Name     string
	Role     string // the role that is the bot's own
	channels []*Channel
}

// The kinds of channels.
const (
	Text   = 0
	Direct = 1
	Public = 11
	Board  = 15
)

// Channel is a place for messages: a room, a thread, a post or a direct chat.
type Channel struct {
	s        *Server
	ID       string
	Name     string
	Kind     int
	Parent   *Channel
	Guild    *Guild
	owner    *User
	person   *User // of a direct chat
	messages []*Message
	shut     bool // the bot may not write there
	archived bool
}

// Message is one message. Its fields are read from copies that the server gives out.
type Message struct {
	ID        string
	Channel   *Channel
	Author    *User
	Kind      int
	Content   string
	ReplyTo   string
	Nonce     string
	Flags     int
	Edits     int
	Edited    time.Time
	Files     []File
	Buttons   []Button
	Reactions map[string][]string // users by emoji
	Pinged    []string            // who was notified by it: users, roles, everyone
	Private   bool                // only one person sees it
	loading   bool                // "… is thinking"
	token     string              // of the interaction that it answers
}

// File is an attachment.
type File struct {
	ID    string
	Name  string // as it was on its owner's machine
	MIME  string
	Body  []byte
	Voice bool
}

// Button is a button of a message.
type Button struct {
	Label, ID, URL string
	Style          int
}

// User makes a person.
func (s *Server) User(name string) *User {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addUser("", name)
}

// Known makes a person with an id.
func (s *Server) Known(id, name string) *User {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addUser(id, name)
}

func (s *Server) addUser(id, name string) *User {
	if id == "" {
		id = s.newID()
	}
	u := &User{s: s, ID: id, Name: name}
	s.users[id] = u
	return u
}

// DM is a person's direct chat with the bot.
func (s *Server) DM(u *User) *Channel {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.channels {
		if c.person == u {
			return c
		}
	}
	return s.addDM(s.newID(), u)
}

// KnownDM is a direct chat with an id.
func (s *Server) KnownDM(id string, u *User) *Channel {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addDM(id, u)
}

func (s *Server) addDM(id string, u *User) *Channel {
	c := &Channel{s: s, ID: id, Kind: Direct, person: u}
	s.channels[id] = c
	return c
}

// Channel is a channel by its id; nil for none.
func (s *Server) Channel(id string) *Channel {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.channels[id]
}

// Guild makes a server that the bot is in.
func (s *Server) Guild(name string) *Guild {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addGuild(s.newID(), name, s.newID())
}

// KnownGuild makes a server with an id, and with the id of the bot's role.
func (s *Server) KnownGuild(id, name, role string) *Guild {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addGuild(id, name, role)
}

func (s *Server) addGuild(id, name, role string) *Guild {
	g := &Guild{s: s, ID: id, Name: name, Role: role}
	s.guilds = append(s.guilds, g)
	s.dispatch("GUILD_CREATE", g.full(), where{guild: g, intent: intentGuilds})
	return g
}

// Text makes a text channel.
func (g *Guild) Text(name string) *Channel { return g.add("", name, Text) }

// Board makes a forum.
func (g *Guild) Board(name string) *Channel { return g.add("", name, Board) }

// Known makes a channel with an id.
func (g *Guild) Known(id, name string) *Channel { return g.add(id, name, Text) }

func (g *Guild) add(id, name string, kind int) *Channel {
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	if id == "" {
		id = g.s.newID()
	}
	c := &Channel{s: g.s, ID: id, Name: name, Kind: kind, Guild: g}
	g.s.channels[c.ID] = c
	g.channels = append(g.channels, c)
	g.s.dispatch("CHANNEL_CREATE", c.json(), where{guild: g, intent: intentGuilds})
	return c
}

// Thread begins a thread in a channel, or a post in a forum.
func (c *Channel) Thread(by *User, name string) *Channel { return c.KnownThread(by, "", name) }

// KnownThread begins a thread with an id.
func (c *Channel) KnownThread(by *User, id, name string) *Channel {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if id == "" {
		id = c.s.newID()
	}
	t := &Channel{s: c.s, ID: id, Name: name, Kind: Public, Guild: c.Guild, Parent: c, owner: by}
	c.s.channels[t.ID] = t
	c.Guild.channels = append(c.Guild.channels, t)
	c.s.dispatch("THREAD_CREATE", t.json(), where{guild: c.Guild, intent: intentGuilds})
	return t
}

// Shut takes the right to write from the bot, or blocks it.
func (c *Channel) Shut() {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.shut = true
}

// SayOption changes what is said.
type SayOption func(*Message)

// ReplyTo makes it a reply.
func ReplyTo(id string) SayOption { return func(m *Message) { m.Kind, m.ReplyTo = 19, id } }

// With adds a file.
func With(f File) SayOption { return func(m *Message) { m.Files = append(m.Files, f) } }

// Say lets somebody write. A mention is written as <@id>.
func (c *Channel) Say(u *User, text string, opts ...SayOption) Message {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &Message{ID: s.newID(), Channel: c, Author: u, Content: text, Reactions: map[string][]string{}}
	for _, o := range opts {
		o(m)
	}
	for i := range m.Files {
		m.Files[i].ID = s.newID()
	}
	m.Pinged = pings(m, nil)
	s.post(m)
	return *m
}

// post adds a message and tells of it. The caller holds the lock.
func (s *Server) post(m *Message) {
	m.Channel.messages = append(m.Channel.messages, m)
	s.dispatch("MESSAGE_CREATE", m.json(true), m.where())
}

// Edit lets the author change a message.
func (c *Channel) Edit(id, text string) {
	c.change(id, func(m *Message) {
		m.Content = text
		m.Edits, m.Edited = m.Edits+1, time.Now()
		c.s.dispatch("MESSAGE_UPDATE", m.json(true), m.where())
	})
}

// Preview has the platform add a preview of a link, which comes as a change.
func (c *Channel) Preview(id string) {
	c.change(id, func(m *Message) { c.s.dispatch("MESSAGE_UPDATE", m.json(true), m.where()) })
}

// Delete lets the author remove a message.
func (c *Channel) Delete(id string) {
	c.change(id, func(m *Message) { c.s.remove(m) })
}

func (s *Server) remove(m *Message) {
	c := m.Channel
	c.messages = slices.DeleteFunc(c.messages, func(x *Message) bool { return x == m })
	d := map[string]any{"id": m.ID, "channel_id": c.ID}
	if c.Guild != nil {
		d["guild_id"] = c.Guild.ID
	}
	s.dispatch("MESSAGE_DELETE", d, m.where())
}

// React lets somebody react to a message.
func (c *Channel) React(u *User, id, emoji string) {
	c.change(id, func(m *Message) { c.s.react(u, m, emoji, true) })
}

// Unreact lets somebody take a reaction away.
func (c *Channel) Unreact(u *User, id, emoji string) {
	c.change(id, func(m *Message) { c.s.react(u, m, emoji, false) })
}

func (s *Server) react(u *User, m *Message, emoji string, set bool) {
	has := slices.Contains(m.Reactions[emoji], u.ID)
	kind := "MESSAGE_REACTION_ADD"
	switch {
	case has == set:
		return
	case set:
		m.Reactions[emoji] = append(m.Reactions[emoji], u.ID)
	default:
		kind = "MESSAGE_REACTION_REMOVE"
		m.Reactions[emoji] = slices.DeleteFunc(m.Reactions[emoji], func(id string) bool { return id == u.ID })
	}
	name, id, _ := strings.Cut(emoji, ":")
	e := map[string]any{"name": name, "id": nil}
	if id != "" {
		e["id"] = id
	}
	d := map[string]any{"user_id": u.ID, "message_id": m.ID, "channel_id": m.Channel.ID, "emoji": e, "type": 0, "burst": false}
	at := where{guild: m.Channel.Guild, intent: intentReactions}
	if m.Channel.Guild == nil {
		at.intent = intentDirectReactions
	} else {
		d["guild_id"] = m.Channel.Guild.ID
		if set {
			d["member"] = map[string]any{"user": u.json(), "roles": []string{}}
		}
	}
	s.dispatch(kind, d, at)
}

func (c *Channel) change(id string, f func(*Message)) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if m := c.find(id); m != nil {
		f(m)
	}
}

func (c *Channel) find(id string) *Message {
	for _, m := range c.messages {
		if m.ID == id {
			return m
		}
	}
	return nil
}

// Transcript are the messages of a channel that stand, oldest first. What only
// "is thinking" is not among them.
func (c *Channel) Transcript() []Message {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	var out []Message
	for _, m := range c.messages {
		if !m.loading {
			x := *m
			x.Reactions = map[string][]string{}
			for e, who := range m.Reactions {
				x.Reactions[e] = slices.Clone(who)
			}
			out = append(out, x)
		}
	}
	return out
}

// Said are the texts of the bot in a channel, oldest first.
func (c *Channel) Said() []string {
	var out []string
	for _, m := range c.Transcript() {
		if m.Author == c.s.bot {
			out = append(out, m.Content)
		}
	}
	return out
}

// Typed is how often the bot showed that it types.
func (c *Channel) Typed() int {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.s.typed[c.ID]
}
