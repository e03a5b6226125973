//go:build wasip1

package gatehouse

import (
	"encoding/json"
	"time"
)

// In is what an operation is about. The page on modules has a table.
type In struct {
	Channel string          `json:"channel"`
	Public  string          `json:"public"` // where the platform reaches the channel's webhooks
	Config  json.RawMessage `json:"config"`
	Session json.RawMessage `json:"session"` // what Start returned

	Poll     *Poll     `json:"poll"`     // Poll
	Request  *Request  `json:"request"`  // Request: what the platform asked
	Part     *Part     `json:"part"`     // Send, Edit, Reconcile
	Since    time.Time `json:"since"`    // Reconcile: the part was not sent before that
	At       *Address  `json:"at"`       // Edit, React, Typing, Delete
	ID       string    `json:"id"`       // Edit, React, Delete
	Emoji    string    `json:"emoji"`    // React
	Press    *Press    `json:"press"`    // Answer
	Text     string    `json:"text"`     // Answer
	File     *File     `json:"file"`     // Fetch
	Commands []Command `json:"commands"` // Commands
	Code     string    `json:"code"`     // StartLink
	Socket   *Socket   `json:"socket"`   // Open, Messages, Closed
	Timer    string    `json:"timer"`    // Timer: its name

	Args json.RawMessage `json:"args"` // Execute: as the model wrote them
}

// Out is the answer.
type Out struct {
	Session any      `json:"session,omitempty"` // Start: handed in with every later call
	As      string   `json:"as,omitempty"`      // Start: the account, as people know it
	Webhook bool     `json:"webhook,omitempty"` // Start: the platform's requests are wanted
	Request *Request `json:"request,omitempty"` // Poll: to be made by the gateway, which then calls again with the response
	WaitMS  int64    `json:"wait_ms,omitempty"` // Poll: until the next
	Status  int      `json:"status,omitempty"`  // Request: what the platform is answered
	Receipt *Receipt `json:"receipt,omitempty"` // Send, Reconcile: none says that it was not sent
	// CannotTell is Reconcile's answer about a part of which nobody can know.
	CannotTell bool      `json:"cannot_tell,omitempty"`
	File       string    `json:"file,omitempty"` // Fetch: the handle of a saved response
	Identity   *Identity `json:"identity,omitempty"`
	Link       string    `json:"link,omitempty"`   // StartLink
	Text       string    `json:"text,omitempty"`   // Execute: what the model is told
	Socket     *Connect  `json:"socket,omitempty"` // Open
}

// Socket is what happened to the connection that the host holds.
type Socket struct {
	Failures int       `json:"failures"`
	Response *Response `json:"response"` // to the request of Open, if it has no URL
	Messages []int     `json:"messages"` // their lengths; Call.Said has them
	Code     int       `json:"code"`
	Reason   string    `json:"reason"`
}

// Connect says how to connect.
type Connect struct {
	URL     string            `json:"url,omitempty"` // "": the manifest's first
	Headers map[string]string `json:"headers,omitempty"`
	URLAt   string            `json:"url_at,omitempty"` // where it stands in the response to Out.Request
	Ready   bool              `json:"ready,omitempty"`  // the platform will not speak first
}

// SocketSend says how a message is sent.
type SocketSend struct {
	After      string `json:"after,omitempty"`      // "commit": when what the call keeps is durable
	Credential bool   `json:"credential,omitempty"` // the manifest's secret is put in
}

// Poll is one look for messages.
type Poll struct {
	Quick    bool      `json:"quick"` // do not let the platform hold the answer
	Failures int       `json:"failures"`
	Response *Response `json:"response"` // to the request that the call before answered with; its body is the call's
}

// Request is one that the gateway makes for the channel, or that the platform made.
type Request struct {
	Method     string            `json:"method,omitempty"`
	URL        string            `json:"url,omitempty"` // {name} stands for a secret in the path
	Path       string            `json:"path,omitempty"`
	Query      string            `json:"query,omitempty"`
	Headers    map[string]string `json:"headers,omitempty"`
	Form       []Field           `json:"form,omitempty"`
	File       string            `json:"file,omitempty"` // the handle of a file that is the body
	Save       bool              `json:"save,omitempty"`
	Repeatable bool              `json:"repeatable,omitempty"` // doing it twice is the same as once
	TimeoutMS  int64             `json:"timeout_ms,omitempty"`
}

// Field is one part of a multipart body.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
	File  string `json:"file,omitempty"` // the handle of a part's file
	As    string `json:"as,omitempty"`
	MIME  string `json:"mime,omitempty"`
}

// Response is what a request gave.
type Response struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"` // names in small letters
	File    string            `json:"file"`    // the handle of a saved body
}

// Part is one message to send.
type Part struct {
	Key      string  `json:"key"` // the same for each attempt
	To       Address `json:"to"`
	ReplyTo  string  `json:"reply_to"`
	Replaces string  `json:"replaces"` // edits this message instead of sending a new one
	Text     string  `json:"text"`     // in the dialect of the manifest
	Plain    bool    `json:"plain"`
	// Alternative is the text in the manifest's second dialect, if it names one.
	Alternative string   `json:"alternative"`
	Mentions    []string `json:"mentions"` // ids of those whom the text mentions
	Files       []File   `json:"files"`
	Buttons     []Button `json:"buttons"`
	Silent      bool     `json:"silent"`
}

// Address is where something is said.
type Address struct {
	Channel      string `json:"channel"`
	Account      string `json:"account,omitempty"`
	Conversation string `json:"conversation"`
	Thread       string `json:"thread,omitempty"`
}

// File is an attachment.
type File struct {
	Kind   string `json:"kind"` // photo, voice, audio, video, sticker or document
	Name   string `json:"name,omitempty"`
	MIME   string `json:"mime,omitempty"`
	Size   int64  `json:"size,omitempty"`
	Ref    string `json:"ref,omitempty"`    // incoming: what Fetch needs to find it
	Handle string `json:"handle,omitempty"` // outgoing: for a Field
}

// Button is something to press.
type Button struct {
	Label string `json:"label"`
	Data  string `json:"data"`
	URL   string `json:"url"`
}

// Command is one that the platform can show.
type Command struct {
	Name string `json:"name"`
	Help string `json:"help"`
	Args string `json:"args"`
}

// Receipt is what the platform said of a message.
type Receipt struct {
	ID string    `json:"id"`
	At time.Time `json:"at"`
}

// Identity is who the channel speaks as.
type Identity struct {
	Account string   `json:"account"`
	Name    string   `json:"name"`
	Handle  string   `json:"handle,omitempty"`
	Link    string   `json:"link,omitempty"`
	Notes   []string `json:"notes,omitempty"`
}

// Event is something that happened on the platform.
type Event struct {
	V         int       `json:"v"`    // set by Emit
	Type      string    `json:"type"` // of Content: message, edit, deletion, reaction, press, command, joined, left
	Key       string    `json:"key"`  // from the platform's own id: the same when the same thing comes again
	At        time.Time `json:"at"`
	Account   string    `json:"account,omitempty"`
	Where     Address   `json:"where"`
	Room      Room      `json:"room"`
	Who       Sender    `json:"who"`
	Addressed bool      `json:"addressed"` // in a room: the bot is meant. Always in a direct chat
	Content   any       `json:"content"`
}

// Room describes the conversation.
type Room struct {
	Direct bool   `json:"direct,omitempty"` // only the sender and the bot read it
	Title  string `json:"title,omitempty"`
}

// Sender is who it comes from.
type Sender struct {
	ID     string `json:"id"`
	Name   string `json:"name,omitempty"`
	Handle string `json:"handle,omitempty"`
	Bot    bool   `json:"bot,omitempty"`
}

// Message is the content of type message, and of edit.
type Message struct {
	ID    string `json:"id"`
	Text  string `json:"text"`
	Files []File `json:"files,omitempty"`
}

// Deletion is the content of type deletion.
type Deletion struct {
	IDs []string `json:"ids"`
}

// Reaction is the content of type reaction.
type Reaction struct {
	ID      string   `json:"id"`
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
}

// Members is the content of type joined, and of left.
type Members struct {
	Members []Sender `json:"members"`
}

// Press is the content of type press.
type Press struct {
	ID    string `json:"id"`
	Data  string `json:"data"`
	Query string `json:"query,omitempty"`
}

// Error says what happens next. Code is transient, rate_limited, ambiguous,
// rejected, format, closed, unauthorized, gone or other.
type Error struct {
	Code         string `json:"code"`
	Message      string `json:"message"` // for people; no text of a message and no secret
	RetryAfterMS int64  `json:"retry_after_ms,omitempty"`
}

// Error implements error.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Failed makes an error.
func Failed(code, message string) *Error { return &Error{Code: code, Message: message} }

// Refusal is why the gateway did not do something.
type Refusal int32

// The refusals.
const (
	Denied      Refusal = -1 // the manifest does not list it
	Invalid     Refusal = -2
	Quota       Refusal = -3
	Timeout     Refusal = -4 // of a request: nobody knows whether it was carried out
	Unavailable Refusal = -5 // of a request: it certainly was not
	TooLarge    Refusal = -6
	NotFound    Refusal = -7
	Auth        Refusal = -8
)

// Error implements error.
func (r Refusal) Error() string {
	return map[Refusal]string{
		Denied: "the manifest does not list this", Invalid: "the gateway did not understand", Quota: "the quota is used up",
		Timeout: "no answer came", Unavailable: "nothing could be sent", TooLarge: "it is too large", NotFound: "there is no such thing",
		Auth: "the credential was refused",
	}[r]
}
