package telegramtest

import "strings"

// User is a person, or another bot, who has an account on the platform.
type User struct {
	Profile
	srv *Server

	blocked     bool
	deactivated bool
}

// UserOption changes a user as it is made.
type UserOption func(*User)

// WithUsername gives the user a public name, without the @.
func WithUsername(name string) UserOption { return func(u *User) { u.Username = name } }

// WithLanguage sets the language of the user's app, as an IETF tag.
func WithLanguage(tag string) UserOption { return func(u *User) { u.LanguageCode = tag } }

// AsBot makes the user another bot, whose messages the bot under test does not see.
func AsBot() UserOption { return func(u *User) { u.IsBot = true } }

// User is the account with that id, made at the first call. The name is split
// into first and last name at its first space.
func (s *Server) User(id int64, name string, opts ...UserOption) *User {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u, ok := s.users[id]; ok {
		return u
	}
	first, last, _ := strings.Cut(name, " ")
	u := &User{Profile: Profile{ID: id, FirstName: first, LastName: last, LanguageCode: "en"}, srv: s}
	for _, set := range opts {
		set(u)
	}
	s.users[id] = u
	return u
}

// profile is a copy for messages.
func (u *User) profile() *Profile {
	p := u.Profile
	return &p
}

// Block makes the bot's messages to the user fail, and tells the bot.
func (u *User) Block() { u.setBlocked(true) }

// Unblock ends Block.
func (u *User) Unblock() { u.setBlocked(false) }

func (u *User) setBlocked(blocked bool) {
	chat := u.srv.Private(u)
	s := u.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	if u.blocked == blocked {
		return
	}
	u.blocked = blocked
	chat.announceBot(u, blockedStatus(!blocked), blockedStatus(blocked))
}

func blockedStatus(blocked bool) string {
	if blocked {
		return "kicked"
	}
	return "member"
}

// Deactivate deletes the account: nobody can write to it any more.
func (u *User) Deactivate() {
	u.srv.mu.Lock()
	defer u.srv.mu.Unlock()
	u.deactivated = true
}
