// Package codec turns Discord's JSON into events, and parts into calls of its
// REST API.
//
// It is pure: bytes in, values out. It does no I/O, reads no clock, holds no
// secret and imports no SDK, so that the same source can run natively and in a
// guest, and the same goldens judge both.
//
// # Places
//
// A thread, and a post in a forum, is a channel of its own on Discord. Here it
// is a thread of the channel that it belongs to, so that what a configuration
// says about a channel holds for its threads as well. A message does not say
// where its thread belongs; [World] remembers it from what the gateway tells.
//
// # Keys
//
// Event.Key comes from the platform's ids: of the message, the interaction, the
// time of an edit. A reaction has none; there the place of the dispatch in its
// session stands in, which a resumed session repeats and no other session has.
package codec

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// Self is the bot.
type Self struct {
	Channel channels.ID
	ID      string // the bot's user id, which is the account
	App     string // the application's id
	Name    string
}

// Result is what a dispatch says.
type Result struct {
	Events []channels.Event
	// State is to be kept in the same commit as the events.
	State []channels.Write
	// Ignored says why there are no events; empty when there are some. It is one
	// of a closed set of texts and carries nothing from the dispatch.
	Ignored string
	// Missing is a channel that the world does not know. Teach it with
	// [World.Learn] and decode again; there are no events before. With Guess the
	// place is certain all the same, and only a name is missing.
	Missing string
	Guess   bool
	// Defer is the interaction whose person waits for a sign; nil for none.
	Defer *Defer
	// Newest is the id of the newest message in it; "" for none.
	Newest string
}

// Defer says how to tell a person that their command or press has arrived.
type Defer struct {
	ID    string
	Token channels.Secret
	Type  int // of the answer
}

// The types of answers to an interaction.
const (
	AnswerThinks  = 5 // "… is thinking", until the first reply takes its place
	AnswerPressed = 6 // ends a button's spinner
)

// The reasons for which a dispatch gives no event.
const (
	IgnoredMalformed = "the dispatch does not have the shape of its type"
	IgnoredUnknown   = "this kind of dispatch carries nothing for people"
	IgnoredService   = "a message of the platform itself"
	IgnoredOwn       = "the bot's own message or reaction"
	IgnoredNobody    = "nobody can be named as its sender"
	IgnoredEmpty     = "a message without content: the bot may not have the Message Content intent"
	IgnoredNoChange  = "the platform added a preview, or nothing that an event can carry has changed"
	IgnoredForeign   = "an interaction in a chat that the bot is not in"
	IgnoredKind      = "an interaction of a kind that the bot has not offered"
	IgnoredTooBig    = "the dispatch is larger than any that carries what people write"
)

// MaxDispatch is the size, in bytes, above which a dispatch with a message is
// not looked at.
const MaxDispatch = 1 << 20

type ignored string

// Error implements error.
func (i ignored) Error() string { return string(i) }

// missing asks for a channel.
type missing struct {
	id    string
	guess bool
}

// Error implements error.
func (missing) Error() string { return "a channel is not known" }

// Decode reads one dispatch of the gateway. mark names its place in its session
// and is part of the keys of what has no id of its own. The world learns from
// it. What cannot be used is no error: Result.Ignored says why.
func (w *World) Decode(self Self, kind string, data []byte, mark string) Result {
	d := decoder{self: self, world: w, at: mark}
	if known, state := w.told(self, kind, data); known {
		return Result{State: state, Ignored: IgnoredUnknown}
	}
	if len(data) > MaxDispatch {
		return Result{Ignored: IgnoredTooBig}
	}
	events, err := d.events(kind, data)
	return d.result(events, err)
}

// Message decodes a message that was read from a channel's history. The guild
// is not in it.
func (w *World) Message(self Self, guild string, data []byte) Result {
	d := decoder{self: self, world: w}
	m, err := parse[message](data)
	if err != nil {
		return Result{Ignored: IgnoredMalformed}
	}
	m.GuildID = guild
	events, err := d.message(&m)
	return d.result(events, err)
}

// Edited decodes a message of a history for an edit that no session has told of:
// the message was there before the gap, and was changed in it.
func (w *World) Edited(self Self, guild, gap string, data []byte) Result {
	d := decoder{self: self, world: w}
	m, err := parse[message](data)
	if err != nil {
		return Result{Ignored: IgnoredMalformed}
	}
	began := Moment(gap)
	if m.Edited == "" || when(m.Edited, m.ID).Before(began) || Moment(m.ID).After(began.Add(overlap)) {
		return Result{Ignored: IgnoredNoChange}
	}
	m.GuildID = guild
	events, err := d.edit(&m)
	return d.result(events, err)
}

type decoder struct {
	self   Self
	world  *World
	at     string // the place in the session
	state  []channels.Write
	defers *Defer
	newest string
}

func (d *decoder) result(events []channels.Event, err error) Result {
	r := Result{Events: events, State: d.state, Defer: d.defers, Newest: d.newest}
	switch err := err.(type) { //nolint:errorlint // both are made here and never wrapped
	case nil:
	case missing:
		return Result{Missing: err.id, Guess: err.guess}
	default:
		r.Ignored = err.Error()
	}
	return r
}

func (d *decoder) events(kind string, data []byte) ([]channels.Event, error) {
	switch kind {
	case "MESSAGE_CREATE":
		return decodeBy(data, d.message)
	case "MESSAGE_UPDATE":
		return decodeBy(data, d.edit)
	case "MESSAGE_DELETE", "MESSAGE_DELETE_BULK":
		return decodeBy(data, d.deleted)
	case "MESSAGE_REACTION_ADD":
		return decodeBy(data, func(r *reaction) ([]channels.Event, error) { return d.reacted(r, true) })
	case "MESSAGE_REACTION_REMOVE":
		return decodeBy(data, func(r *reaction) ([]channels.Event, error) { return d.reacted(r, false) })
	case "INTERACTION_CREATE":
		return decodeBy(data, d.interaction)
	}
	return nil, ignored(IgnoredUnknown)
}

func parse[T any](data []byte) (v T, err error) {
	err = json.Unmarshal(data, &v)
	return v, err
}

func decodeBy[T any](data []byte, f func(*T) ([]channels.Event, error)) ([]channels.Event, error) {
	v, err := parse[T](data)
	if err != nil {
		return nil, ignored(IgnoredMalformed)
	}
	return f(&v)
}

// event fills in what every event has. kind is the channel's type, if the
// dispatch says it.
func (d *decoder) event(key, channelID, guildID string, kind *int) (channels.Event, error) {
	e := channels.Event{Key: key, Account: channels.AccountID(d.self.ID)}
	e.Where = channels.Address{Channel: d.self.Channel, Account: e.Account, Conversation: channels.ConversationID(channelID)}
	if guildID == "" {
		e.Room.Direct, e.Addressed = true, true
		return e, nil
	}
	p, ok := d.world.places[channelID]
	switch {
	case !ok:
		return e, missing{id: channelID, guess: kind != nil && !isThread(*kind)}
	case isThread(p.kind) && p.parent != "":
		e.Where.Conversation, e.Where.Thread = channels.ConversationID(p.parent), channels.ThreadID(channelID)
		e.Room.Title = d.world.places[p.parent].name
		e.Addressed = d.world.mine[channelID]
	}
	if e.Room.Title == "" {
		e.Room.Title = p.name
	}
	return e, nil
}

// account is somebody as the platform names them.
func (d *decoder) account(u *user, m *member) channels.Sender {
	s := channels.Sender{ID: u.ID, Handle: u.Username, Bot: u.Bot || u.System, Self: u.ID == d.self.ID}
	switch {
	case m != nil && m.Nick != "":
		s.Name = m.Nick
	case u.GlobalName != "":
		s.Name = u.GlobalName
	default:
		s.Name = u.Username
	}
	return s
}

// epoch is where Discord's ids begin to count milliseconds: the start of 2015.
const epoch = 1420070400000

// Moment is when an id was made; the zero time for what is no id.
func Moment(id string) time.Time {
	n, err := strconv.ParseUint(id, 10, 63)
	if err != nil || n == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(n>>22) + epoch).UTC()
}

// Before is the first id of a moment: every id made then or later is greater.
func Before(t time.Time) string {
	ms := t.UnixMilli() - epoch
	if ms <= 0 {
		return "0"
	}
	return strconv.FormatInt(ms<<22, 10)
}

// Newer reports whether an id was made after another; both are numbers without
// leading zeros. What is no id is not newer than anything.
func Newer(a, b string) bool {
	if len(a) != len(b) {
		return len(a) > len(b)
	}
	return a > b
}

// when reads a time of the platform, or takes the id's.
func when(stamp, id string) time.Time {
	if t, err := time.Parse(time.RFC3339, stamp); err == nil && t.Year() > 0 && t.Year() < 10000 {
		return t.UTC()
	}
	return Moment(id)
}
