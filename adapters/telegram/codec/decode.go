// Package codec turns the Bot API's JSON into events, and parts into its calls.
//
// It is pure: bytes in, values out. It does no I/O, reads no clock, holds no
// secret and imports no SDK, so that the same source can run natively and in a
// guest, and the same goldens judge both.
//
// # Keys
//
// Event.Key comes from the platform's own ids of what happened, never from
// where or how often an update was delivered, so that a redelivery, or a change
// from webhook to polling, meets the same key. Messages use the chat's and the
// message's id and not the update's: an update id may begin again at a random
// number after a week of silence, and one message can reach a bot in two
// updates. An edit, a reaction or a vote has no id of its own; there the update
// id tells two of them apart, joined to the ids of what was changed, so that a
// restarted numbering cannot meet an old key by chance.
package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// Self is the bot that an update was sent to.
type Self struct {
	Channel  channels.ID
	ID       int64
	Username string // without @
}

// Account is the bot's id as an account.
func (s Self) Account() channels.AccountID {
	if s.ID == 0 {
		return ""
	}
	return channels.AccountID(id(s.ID))
}

// Update is what one update says.
type Update struct {
	ID     int64
	Events []channels.Event
	// Ignored says why there are no events; empty when there are some. It is one
	// of a closed set of texts and carries nothing from the update.
	Ignored string
}

// The reasons for which an update gives no event.
const (
	IgnoredMalformed   = "the update does not have the shape of an update"
	IgnoredUnknown     = "this kind of update is not known"
	IgnoredChannelPost = "a post in a broadcast channel"
	IgnoredBusiness    = "business connections are not supported"
	IgnoredInline      = "inline mode is not supported"
	IgnoredJoinRequest = "requests to join are left to the group's administrators"
	IgnoredCounts      = "anonymous counts say nothing of who reacted"
	IgnoredPoll        = "a poll's state, without a vote"
	IgnoredOtherBot    = "a command for another bot"
	IgnoredService     = "a service message without content"
	IgnoredAutoForward = "a channel's post, forwarded by the platform itself"
	IgnoredMembership  = "rights changed, membership did not"
	IgnoredSelfService = "the bot's own membership is reported apart"
	IgnoredNoData      = "a press without data"
	IgnoredNoPlace     = "a press on a message that is not in a chat"
	IgnoredNobody      = "nobody can be named as its sender"
	IgnoredNoChange    = "nothing that an event can carry has changed"
	IgnoredLive        = "a live location moved"
	IgnoredTooBig      = "the update is larger than any the platform sends"
)

// MaxUpdate is the size, in bytes, above which an update is not looked at.
const MaxUpdate = 1 << 20

// ErrNotUpdate says that the bytes are not a JSON object with an update id.
// Only then is there no id to go on from.
var ErrNotUpdate = errors.New("not an update: no JSON object with an update_id")

// ignored ends the decoding of an update with a reason.
type ignored string

// Error implements error.
func (i ignored) Error() string { return string(i) }

// Decode reads one update. What cannot be used is no error: Update.Ignored says
// why, so that a strange update never holds up those behind it. The error is
// ErrNotUpdate and nothing else. The result does not alias b, except that Raw
// may.
func Decode(b []byte, self Self) (Update, error) {
	if len(b) > MaxUpdate {
		n, err := updateID(b)
		return Update{ID: n, Ignored: IgnoredTooBig}, err
	}
	var u update
	if err := json.Unmarshal(b, &u); err != nil {
		n, err := updateID(b)
		return Update{ID: n, Ignored: IgnoredMalformed}, err
	}
	if u.ID == 0 {
		return Update{}, ErrNotUpdate
	}
	d := decoder{self: self, update: u.ID, raw: b}
	events, err := d.events(&u)
	if err != nil {
		return Update{ID: u.ID, Ignored: err.Error()}, nil
	}
	return Update{ID: u.ID, Events: events}, nil
}

// updateID finds the id of an update whose other fields have a wrong shape.
func updateID(b []byte) (int64, error) {
	var u struct {
		ID int64 `json:"update_id"`
	}
	if err := json.Unmarshal(b, &u); err != nil || u.ID == 0 {
		return 0, ErrNotUpdate
	}
	return u.ID, nil
}

type decoder struct {
	self   Self
	update int64
	raw    []byte
}

func (d *decoder) events(u *update) ([]channels.Event, error) {
	switch {
	case u.Message != nil:
		return d.message(u.Message)
	case u.EditedMessage != nil:
		return d.edit(u.EditedMessage)
	case u.Callback != nil:
		return d.press(u.Callback)
	case u.Reaction != nil:
		return d.reaction(u.Reaction)
	case u.PollAnswer != nil:
		return d.vote(u.PollAnswer)
	case u.MyChatMember != nil:
		return d.shift(u.MyChatMember)
	case u.ChatMember != nil:
		return d.shift(u.ChatMember)
	}
	return nil, unused(u)
}

// unused names the reason for an update that holds nothing we take.
func unused(u *update) error {
	switch {
	case bool(u.ChannelPost), bool(u.EditedChannelPost):
		return ignored(IgnoredChannelPost)
	case bool(u.BusinessMessage), bool(u.EditedBusiness), bool(u.DeletedBusiness):
		return ignored(IgnoredBusiness)
	case bool(u.InlineQuery):
		return ignored(IgnoredInline)
	case bool(u.JoinRequest):
		return ignored(IgnoredJoinRequest)
	case bool(u.ReactionCount):
		return ignored(IgnoredCounts)
	case bool(u.Poll):
		return ignored(IgnoredPoll)
	}
	return ignored(IgnoredUnknown)
}

// event fills in what every event of a chat has.
func (d *decoder) event(c chat, key string, date int64) channels.Event {
	return channels.Event{
		Key: key, At: moment(date), Account: d.self.Account(),
		Where: d.at(c.ID), Room: c.room(),
		Addressed: c.direct(),
	}
}

// at is a chat as an address, without a thread.
func (d *decoder) at(chatID int64) channels.Address {
	return channels.Address{
		Channel: d.self.Channel, Account: d.self.Account(),
		Conversation: channels.ConversationID(id(chatID)),
	}
}

// kept is the update's own JSON, for events that carry only a part of it.
// White space is taken out; what is still too large to be worth a row is not
// kept at all.
func (d *decoder) kept() json.RawMessage {
	const limit = 16 << 10
	var b bytes.Buffer
	if err := json.Compact(&b, d.raw); err != nil || b.Len() > limit {
		return nil
	}
	return b.Bytes()
}

func (c chat) direct() bool { return c.Type == "private" }

func (c chat) room() channels.Room {
	if c.direct() {
		return channels.Room{Direct: true}
	}
	return channels.Room{Title: c.Title}
}

// sender is the person behind an update. Somebody who speaks as a chat, an
// anonymous administrator or a linked channel, is that chat: its id cannot be
// chosen by the writer, and the account that Telegram puts in From is shared
// by everybody who does so.
func (d *decoder) sender(u *user, as *chat) (channels.Sender, error) {
	if as != nil && as.ID != 0 {
		return as.sender(), nil
	}
	if u == nil || u.ID == 0 {
		return channels.Sender{}, ignored(IgnoredNobody)
	}
	return d.account(u), nil
}

func (d *decoder) account(u *user) channels.Sender {
	return channels.Sender{
		ID: id(u.ID), Name: joined(u.FirstName, u.LastName), Handle: u.Username,
		Lang: u.Lang, Bot: u.IsBot, Self: d.mine(u),
	}
}

func (d *decoder) mine(u *user) bool { return u != nil && u.ID != 0 && u.ID == d.self.ID }

func (c *chat) sender() channels.Sender {
	return channels.Sender{ID: id(c.ID), Name: c.name(), Handle: c.Username}
}

func (c *chat) name() string {
	if c.Title != "" {
		return c.Title
	}
	return joined(c.FirstName, c.LastName)
}

func joined(first, last string) string {
	switch {
	case last == "":
		return first
	case first == "":
		return last
	}
	return first + " " + last
}

func id(n int64) string { return strconv.FormatInt(n, 10) }

func messageID(n int64) channels.MessageID { return channels.MessageID(id(n)) }

// key joins the parts of an event's key.
func key(kind string, parts ...int64) string {
	b := make([]byte, 0, 48)
	b = append(b, kind...)
	for _, p := range parts {
		b = append(b, '/')
		b = strconv.AppendInt(b, p, 10)
	}
	return string(b)
}

// moment is a Unix time in seconds; none, or one that no clock can mean, is the
// zero time, and the channel puts its own there.
func moment(seconds int64) time.Time {
	const latest = 253402300799 // the end of the year 9999, the last that JSON can carry
	if seconds <= 0 || seconds > latest {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}
