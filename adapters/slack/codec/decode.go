// Package codec turns what Slack sends into events, and parts into what its Web
// API takes.
//
// It is pure: bytes in, values out. It does no I/O, reads no clock, holds no
// secret and imports no SDK, so that the same source can run natively and in a
// guest, and the same goldens judge both.
//
// # Keys
//
// Event.Key comes from the platform's own ids of what happened. A message has
// the ids of its channel and its time stamp, because one message can come in
// two events, as "message" and as "app_mention", each with an event_id of its
// own. What has no id of its own, a reaction or somebody who came in, has the
// time of the event in its key. A redelivery is the same event, so it meets the
// same key whatever X-Slack-Retry-Num says.
package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// Self is the app as one team has it installed.
type Self struct {
	Channel channels.ID
	Team    string // the account
	User    string // of the bot
	Bot     string // bot_id; messages of apps bear it
	App     string
	// Command is the slash command whose first word is the command's name:
	// "/gatehouse help" is help. Every other slash command is its own name.
	Command string
}

// Account is the team as an account.
func (s Self) Account() channels.AccountID { return channels.AccountID(s.Team) }

// The kinds of payloads.
const (
	KindVerification = "url_verification"
	KindEvent        = "event_callback"
	KindInteraction  = "interaction"
	KindCommand      = "slash_command"
	KindLimited      = "app_rate_limited"
	KindOther        = "other"
)

// Payload is what was sent, before it is known for whom.
type Payload struct {
	Kind      string
	Team      string // whose installation it is for; "" when it does not say
	App       string
	Event     string // KindEvent: the kind of event
	ID        string // KindEvent: event_id
	Challenge string // KindVerification

	o   outer
	raw []byte
}

// Result is what a payload says.
type Result struct {
	Events []channels.Event
	// Ignored says why there are no events; empty when there are some. It is one
	// of a closed set of texts and carries nothing from the payload.
	Ignored string
	// Uninstalled: the team has removed the app, or revoked its tokens.
	Uninstalled bool
}

// The reasons for which a payload gives no event.
const (
	IgnoredMalformed   = "the payload does not have the shape of its kind"
	IgnoredUnknown     = "this kind of event is not known"
	IgnoredOwn         = "the bot's own message"
	IgnoredService     = "a notice of the platform without content"
	IgnoredNobody      = "nobody can be named as its sender"
	IgnoredNoChange    = "nothing that an event can carry has changed"
	IgnoredNoPlace     = "it is not in a conversation"
	IgnoredNoData      = "a press without data"
	IgnoredView        = "forms and pages of the app are not used"
	IgnoredItem        = "a reaction to something that is no message"
	IgnoredHome        = "the app's home page was opened"
	IgnoredAssistant   = "the assistant's pane was opened or moved"
	IgnoredUninstalled = "the app was removed"
	IgnoredOther       = "a team's or a person's profile changed"
	IgnoredLimited     = "the platform has held back events, because there were too many"
	IgnoredEmpty       = "a command or message without content"
)

// MaxPayload is the size, in bytes, above which a payload is not looked at.
const MaxPayload = 2 << 20

// ErrNotPayload says that the bytes are no JSON object and no form with one.
var ErrNotPayload = errors.New("not a payload of Slack")

// ignored ends the decoding of a payload with a reason.
type ignored string

// Error implements error.
func (i ignored) Error() string { return string(i) }

// Parse reads a JSON payload: the body of an event, or the payload of an
// envelope of Socket Mode.
func Parse(b []byte) (Payload, error) {
	if len(b) > MaxPayload {
		return Payload{}, ErrNotPayload
	}
	p := Payload{raw: b}
	if trimmed := bytes.TrimSpace(b); len(trimmed) == 0 || trimmed[0] != '{' {
		return Payload{}, ErrNotPayload
	}
	if err := json.Unmarshal(b, &p.o); err != nil {
		return Payload{}, ErrNotPayload
	}
	p.head()
	return p, nil
}

// ParseForm reads the body of an interaction or a slash command over HTTP.
func ParseForm(b []byte) (Payload, error) {
	if len(b) > MaxPayload {
		return Payload{}, ErrNotPayload
	}
	form, err := url.ParseQuery(string(b))
	if err != nil {
		return Payload{}, ErrNotPayload
	}
	if text := form.Get("payload"); text != "" {
		return Parse([]byte(text))
	}
	if form.Get("command") == "" {
		return Payload{}, ErrNotPayload
	}
	// In Socket Mode the same fields come as a JSON object.
	fields := make(map[string]string, len(form))
	for name := range form {
		fields[name] = strings.ToValidUTF8(form.Get(name), "\uFFFD")
	}
	text, err := json.Marshal(fields)
	if err != nil {
		return Payload{}, ErrNotPayload
	}
	return Parse(text)
}

// head finds out what the payload is and for whom.
func (p *Payload) head() {
	o := &p.o
	p.Team, p.App = o.TeamID, o.AppID
	switch {
	case o.Type == KindVerification:
		p.Kind, p.Challenge = KindVerification, o.Challenge
	case o.Type == KindEvent:
		p.Kind, p.ID = KindEvent, o.EventID
		var e struct {
			Type string `json:"type"`
		}
		if json.Unmarshal(o.Event, &e) == nil {
			p.Event = e.Type
		}
		p.authorized()
	case o.Type == KindLimited:
		p.Kind = KindLimited
	case o.Type != "" && o.Command == "":
		p.Kind = KindInteraction
		if o.Team != nil && o.Team.ID != "" {
			p.Team = o.Team.ID
		}
	case o.Command != "":
		p.Kind = KindCommand
	default:
		p.Kind = KindOther
	}
}

// authorized takes over which installation an event is for: in a channel that
// two teams share, team_id may be the other's.
func (p *Payload) authorized() {
	if len(p.o.Authorizations) > 0 && p.o.Authorizations[0].TeamID != "" {
		p.Team = p.o.Authorizations[0].TeamID
	}
}

// Decode says what the payload means to self. What cannot be used is no error:
// Result.Ignored says why.
func (p Payload) Decode(self Self) Result {
	d := decoder{self: self, p: &p}
	events, err := d.events()
	if err != nil {
		return Result{Ignored: err.Error(), Uninstalled: errors.Is(err, ignored(IgnoredUninstalled))}
	}
	return Result{Events: events}
}

type decoder struct {
	self Self
	p    *Payload
}

func (d *decoder) events() ([]channels.Event, error) {
	switch d.p.Kind {
	case KindEvent:
		return d.callback()
	case KindInteraction:
		return d.presses()
	case KindCommand:
		return d.slash()
	case KindLimited:
		return nil, ignored(IgnoredLimited)
	}
	return nil, ignored(IgnoredUnknown)
}

func (d *decoder) callback() ([]channels.Event, error) {
	switch d.p.Event {
	case "message", "app_mention":
		var m message
		if json.Unmarshal(d.p.o.Event, &m) != nil {
			return nil, ignored(IgnoredMalformed)
		}
		return d.message(&m)
	case "reaction_added", "reaction_removed":
		return d.reaction()
	case "member_joined_channel", "member_left_channel":
		return d.member()
	case "app_uninstalled", "tokens_revoked":
		return nil, ignored(IgnoredUninstalled)
	case "app_home_opened":
		return nil, ignored(IgnoredHome)
	case "assistant_thread_started", "assistant_thread_context_changed":
		return nil, ignored(IgnoredAssistant)
	case "user_change", "team_join", "channel_rename", "group_rename", "team_rename", "channel_created":
		return nil, ignored(IgnoredOther)
	case "":
		return nil, ignored(IgnoredMalformed)
	}
	return nil, ignored(IgnoredUnknown)
}

// event fills in what every event of a conversation has.
func (d *decoder) event(channel, kind, key string) channels.Event {
	direct := direct(channel, kind)
	return channels.Event{
		Key: key, Account: d.self.Account(), Where: d.at(channel),
		Room: channels.Room{Direct: direct}, Addressed: direct,
	}
}

func (d *decoder) at(channel string) channels.Address {
	return channels.Address{
		Channel: d.self.Channel, Account: d.self.Account(), Conversation: channels.ConversationID(channel),
	}
}

// direct reports whether only the sender and the bot read a conversation. The
// first letter of its id says so where its kind is not given.
func direct(channel, kind string) bool {
	return kind == "im" || kind == "" && strings.HasPrefix(channel, "D")
}

func messageID(ts string) channels.MessageID { return channels.MessageID(ts) }

// wellFormed reports whether each of the ids can be one: letters, digits, and
// for times a point. Slack gives no others, and a key is made of them.
func wellFormed(ids ...string) bool {
	for _, id := range ids {
		if id == "" || len(id) > 64 {
			return false
		}
		for i := range len(id) {
			c := id[i]
			if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '.' && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

// Moment is the time that a time stamp names, such as "1767224888.280449"; the
// zero time for one that no clock can mean.
func Moment(ts string) time.Time {
	const latest = 253402300799 // the end of the year 9999, the last that JSON can carry
	whole, part, _ := strings.Cut(ts, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || seconds <= 0 || seconds > latest {
		return time.Time{}
	}
	part = (part + "000000")[:6]
	micros, err := strconv.ParseUint(part, 10, 32)
	if err != nil {
		micros = 0
	}
	return time.Unix(seconds, int64(micros)*1000).UTC()
}
