package channels

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Event is something that happened on a platform, in the form that every
// channel shares.
type Event struct {
	Key     string    // deduplicates within (channel, account); derived from the platform's own id
	At      time.Time // when it happened, by the platform's clock
	Account AccountID
	Where   Address
	Room    Room
	Who     Sender
	// Addressed: in a room, whether the bot is meant: mentioned, replied to,
	// or spoken to in a thread it takes part in. Always true in direct chats.
	Addressed bool
	Via       *Via
	Content   Content
	Raw       json.RawMessage // what the platform sent, Via's token stripped; nil where there is none
}

// Room describes the conversation at the time of the event.
type Room struct {
	Direct bool   `json:"direct,omitempty"` // only the sender and the bot read it
	Title  string `json:"title,omitempty"`
}

// Sender is a platform account. ID is immutable; the names are for show and
// never decide anything.
type Sender struct {
	ID     string `json:"id"`
	Name   string `json:"name,omitempty"`
	Handle string `json:"handle,omitempty"`
	Lang   string `json:"lang,omitempty"` // BCP 47, as the platform says
	Bot    bool   `json:"bot,omitempty"`
	Self   bool   `json:"self,omitempty"` // the account that the channel itself speaks as
	// Owner: the person whose own account the channel speaks as, on another
	// device of theirs. Only channels that are linked to a person's account have one.
	Owner bool `json:"owner,omitempty"`
}

// Via is a single reply path that came with an event, such as a Slack
// response_url or a Discord interaction token. An adapter puts the token here
// and nowhere else: not into Raw, not into a key or an id. The gateway seals it
// before it keeps the event, opens it for the Send that uses it, and shows it to
// nobody in between, the agent included.
type Via struct {
	Token   Secret    `json:"token,omitzero"`
	Sealed  []byte    `json:"sealed,omitempty"` // the token at rest; only the gateway writes and reads it
	Expires time.Time `json:"expires"`
	Uses    int       `json:"uses,omitempty"` // how often it may be used; 0: without limit
}

// Content is what happened. The set is closed.
//
//sumtype:decl
type Content interface{ content() }

// Message is a new message.
type Message struct {
	ID        MessageID `json:"id"`
	Text      string    `json:"text,omitempty"` // CommonMark where the platform had formatting
	Files     []File    `json:"files,omitempty"`
	ReplyTo   *Quote    `json:"reply_to,omitempty"`
	Group     string    `json:"group,omitempty"`     // pieces of one album share it
	Forwarded string    `json:"forwarded,omitempty"` // from whom, for show; non-empty marks a forward
}

// Edit replaces the text of an earlier message.
type Edit struct {
	ID    MessageID `json:"id"`
	Text  string    `json:"text,omitempty"`
	Files []File    `json:"files,omitempty"`
}

// Deletion says that messages were removed.
type Deletion struct {
	IDs []MessageID `json:"ids"`
}

// Reaction says that the sender's reactions to a message changed.
type Reaction struct {
	ID      MessageID `json:"id"`
	Added   []string  `json:"added,omitempty"` // emoji, or the platform's name for one
	Removed []string  `json:"removed,omitempty"`
}

// Press is a button that was pressed.
type Press struct {
	ID    MessageID `json:"id"`              // the message that carries the button
	Data  string    `json:"data"`            // what the button was made with
	Query string    `json:"query,omitempty"` // the platform's id of the press, to answer it
}

// Command is a command of the platform, or a text that begins with "/".
type Command struct {
	ID   MessageID `json:"id,omitempty"`
	Name string    `json:"name"` // lower case, without the slash and without the bot's name
	Args string    `json:"args,omitempty"`
}

// PollAnswer is a vote.
type PollAnswer struct {
	Poll    string `json:"poll"`
	Options []int  `json:"options"`
}

// Joined says that somebody, or the bot (Who.Self), came into the conversation.
type Joined struct {
	Members []Sender `json:"members,omitempty"`
}

// Left says that somebody, or the bot, left it or was removed or blocked.
type Left struct {
	Members []Sender `json:"members,omitempty"`
}

// Moved says that the conversation has a new id.
type Moved struct {
	To ConversationID `json:"to"`
}

// Installed says that an account was added to the channel.
type Installed struct {
	Name string `json:"name,omitempty"`
}

// Status is a late receipt: what became of a message that was sent. One of a
// failure becomes a dead letter, which tells the operator.
type Status struct {
	ID    MessageID `json:"id"`
	State string    `json:"state"` // delivered, read, or StatusFailed
	Why   string    `json:"why,omitempty"`
}

// StatusFailed is the state of a message that the platform had taken, and could
// not deliver.
const StatusFailed = "failed"

func (Message) content()    {}
func (Edit) content()       {}
func (Deletion) content()   {}
func (Reaction) content()   {}
func (Press) content()      {}
func (Command) content()    {}
func (PollAnswer) content() {}
func (Joined) content()     {}
func (Left) content()       {}
func (Moved) content()      {}
func (Installed) content()  {}
func (Status) content()     {}

// Quote is the message that a message replies to.
type Quote struct {
	ID   MessageID `json:"id"`
	Who  Sender    `json:"who"`
	Text string    `json:"text,omitempty"`
}

// contentVersion is the version that [Event] is written with. A reader accepts
// this version and older ones.
const contentVersion = 1

var errContent = errors.New("unknown content")

type envelope struct {
	V         int             `json:"v"`
	Type      string          `json:"type"`
	Key       string          `json:"key"`
	At        time.Time       `json:"at"`
	Account   AccountID       `json:"account,omitempty"`
	Where     Address         `json:"where"`
	Room      Room            `json:"room"`
	Who       Sender          `json:"who"`
	Addressed bool            `json:"addressed,omitempty"`
	Via       *Via            `json:"via,omitempty"`
	Content   json.RawMessage `json:"content"`
	Raw       json.RawMessage `json:"raw,omitempty"`
}

// MarshalJSON writes the versioned form in which events are kept.
func (e Event) MarshalJSON() ([]byte, error) {
	name := ContentType(e.Content)
	if name == "" {
		return nil, fmt.Errorf("event %q: %w %T", e.Key, errContent, e.Content)
	}
	body, err := json.Marshal(e.Content)
	if err != nil {
		return nil, fmt.Errorf("event %q: %w", e.Key, err)
	}
	return json.Marshal(envelope{
		V: contentVersion, Type: name, Key: e.Key, At: e.At, Account: e.Account, Where: e.Where,
		Room: e.Room, Who: e.Who, Addressed: e.Addressed, Via: e.Via, Content: body, Raw: e.Raw,
	})
}

// UnmarshalJSON reads what MarshalJSON wrote, in this version or an older one.
func (e *Event) UnmarshalJSON(b []byte) error {
	var n envelope
	if err := json.Unmarshal(b, &n); err != nil {
		return fmt.Errorf("event: %w", err)
	}
	if n.V < 1 || n.V > contentVersion {
		return fmt.Errorf("event %q: version %d is not known here", n.Key, n.V)
	}
	c, err := decodeContent(n.Type, n.Content)
	if err != nil {
		return fmt.Errorf("event %q: %w", n.Key, err)
	}
	*e = Event{
		Key: n.Key, At: n.At, Account: n.Account, Where: n.Where, Room: n.Room, Who: n.Who,
		Addressed: n.Addressed, Via: n.Via, Content: c, Raw: n.Raw,
	}
	return nil
}

// ContentType is the name under which a content is kept, or "" for nil.
func ContentType(c Content) string {
	switch c.(type) {
	case Message:
		return "message"
	case Edit:
		return "edit"
	case Deletion:
		return "deletion"
	case Reaction:
		return "reaction"
	case Press:
		return "press"
	case Command:
		return "command"
	case PollAnswer:
		return "poll_answer"
	case Joined:
		return "joined"
	case Left:
		return "left"
	case Moved:
		return "moved"
	case Installed:
		return "installed"
	case Status:
		return "status"
	}
	return ""
}

func decodeContent(name string, b []byte) (Content, error) {
	switch name {
	case "message":
		return decodeAs[Message](b)
	case "edit":
		return decodeAs[Edit](b)
	case "deletion":
		return decodeAs[Deletion](b)
	case "reaction":
		return decodeAs[Reaction](b)
	case "press":
		return decodeAs[Press](b)
	case "command":
		return decodeAs[Command](b)
	case "poll_answer":
		return decodeAs[PollAnswer](b)
	case "joined":
		return decodeAs[Joined](b)
	case "left":
		return decodeAs[Left](b)
	case "moved":
		return decodeAs[Moved](b)
	case "installed":
		return decodeAs[Installed](b)
	case "status":
		return decodeAs[Status](b)
	}
	return nil, fmt.Errorf("%w %q", errContent, name)
}

func decodeAs[T Content](b []byte) (Content, error) {
	var c T
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, err
	}
	return c, nil
}
