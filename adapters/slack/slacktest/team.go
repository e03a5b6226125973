package slacktest

import (
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// Team is a workspace of Slack in which the app is installed.
type Team struct {
	s        *Server
	ID, Name string
	BotUser  string // the bot's user id
	BotID    string
	Handle   string

	tokens    map[string]time.Time // and when each ends; zero: never
	refresh   string
	spent     []string // refresh tokens that were used and still count
	revoked   bool
	users     []*User
	rooms     []*Channel
	expiresAt time.Time
}

// User is a person.
type User struct {
	team *Team
	ID   string
	Name string // as people see it
	Bot  bool
}

// Channel is a conversation.
type Channel struct {
	s       *Server
	team    *Team
	id      string
	name    string
	kind    string // im, channel, group, mpim
	members []string
	archive bool
	lines   []*message
}

// Team makes a team in which the app is installed, or returns it.
func (s *Server) Team(id, name string) *Team {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.teamLocked(id, name)
}

func (s *Server) teamLocked(id, name string) *Team {
	for _, t := range s.teams {
		if t.ID == id {
			return t
		}
	}
	t := &Team{s: s, ID: id, Name: name, Handle: "gatehouse", tokens: map[string]time.Time{}}
	t.BotUser, t.BotID = s.idLocked("U"), s.idLocked("B")
	t.issueLocked()
	s.teams = append(s.teams, t)
	return t
}

// Install makes a team in which the app has the bot user of that id: payloads
// that were recorded elsewhere name it.
func (s *Server) Install(id, name, botUser string) *Team {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.teamLocked(id, name)
	t.BotUser = botUser
	return t
}

// issueLocked gives the team a new token. With rotation the one before stands
// until it ends.
func (t *Team) issueLocked() string {
	// As with real tokens, the team's id is not within: whoever hides pieces of
	// secrets in what the platform answers would hide it, too.
	team := hex.EncodeToString([]byte(t.ID))
	token := "xoxb-" + team + "-" + strings.ToLower(t.s.idLocked("")) + strings.Repeat("f", 16)
	var end time.Time
	if life := t.s.opts.rotate; life > 0 {
		token = "xoxe." + token
		end = time.Now().Add(life)
		t.refresh = "xoxe-1-" + team + "-" + strings.ToLower(t.s.idLocked("")) + strings.Repeat("e", 16)
	}
	t.tokens[token], t.expiresAt = end, end
	return token
}

// Token is the newest token of the bot.
func (t *Team) Token() string {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	newest, at := "", time.Time{}
	for token, end := range t.tokens {
		if newest == "" || end.After(at) || end.Equal(at) && token > newest {
			newest, at = token, end
		}
	}
	return newest
}

// Refresh is the token with which the next one is fetched.
func (t *Team) Refresh() string {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	return t.refresh
}

// EndGrace lets the refresh tokens that were used count no more.
func (t *Team) EndGrace() { t.s.change(func() { t.spent = nil }) }

// Revoke makes every token of the team invalid.
func (t *Team) Revoke() { t.s.change(func() { t.revoked = true }) }

// User makes a person, or returns the one with that id.
func (t *Team) User(id, name string) *User {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	for _, u := range t.users {
		if u.ID == id {
			return u
		}
	}
	u := &User{team: t, ID: id, Name: name}
	t.users = append(t.users, u)
	return u
}

// Direct is the chat of a person with the bot.
func (t *Team) Direct(u *User) *Channel {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	return t.directLocked(u.ID)
}

// Chat is a direct chat of that id, with whoever writes there.
func (t *Team) Chat(id string) *Channel {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	if c := t.roomLocked(id); c != nil {
		return c
	}
	return t.addLocked(id, "directmessage", "im", t.BotUser)
}

func (t *Team) directLocked(user string) *Channel {
	id := "D" + strings.TrimLeft(user, "UW")
	if c := t.roomLocked(id); c != nil {
		return c
	}
	return t.addLocked(id, "directmessage", "im", user, t.BotUser)
}

// Channel makes a public channel with the bot and these people in it, or
// returns the one with that id.
func (t *Team) Channel(id, name string, members ...*User) *Channel {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	if c := t.roomLocked(id); c != nil {
		return c
	}
	ids := []string{t.BotUser}
	for _, u := range members {
		ids = append(ids, u.ID)
	}
	return t.addLocked(id, name, "channel", ids...)
}

func (t *Team) addLocked(id, name, kind string, members ...string) *Channel {
	c := &Channel{s: t.s, team: t, id: id, name: name, kind: kind, members: members}
	t.rooms = append(t.rooms, c)
	return c
}

func (t *Team) roomLocked(id string) *Channel {
	i := slices.IndexFunc(t.rooms, func(c *Channel) bool { return c.id == id })
	if i < 0 {
		return nil
	}
	return t.rooms[i]
}

func (t *Team) userLocked(id string) *User {
	i := slices.IndexFunc(t.users, func(u *User) bool { return u.ID == id })
	if i < 0 {
		return nil
	}
	return t.users[i]
}

// Room is a conversation by its id in whichever team; nil when there is none.
func (s *Server) Room(id string) *Channel {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.teams {
		if c := t.roomLocked(id); c != nil {
			return c
		}
	}
	return nil
}

// ID is the conversation's id.
func (c *Channel) ID() string { return c.id }

// Leave takes the bot out of the channel, without telling it.
func (c *Channel) Leave() {
	c.s.change(func() {
		c.members = slices.DeleteFunc(c.members, func(id string) bool { return id == c.team.BotUser })
	})
}

// Archive archives the channel.
func (c *Channel) Archive() { c.s.change(func() { c.archive = true }) }

// by is the team of a token, and whether it still counts.
func (s *Server) byLocked(token string) (*Team, string) {
	for _, t := range s.teams {
		end, ok := t.tokens[token]
		switch {
		case !ok:
			continue
		case t.revoked:
			return nil, "token_revoked"
		case !end.IsZero() && time.Now().After(end):
			return nil, "token_expired"
		}
		return t, ""
	}
	return nil, "invalid_auth"
}
