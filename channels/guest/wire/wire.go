// Package wire is what a channel's guest and its host say to each other: the
// headers of gw1's payloads, as JSON. Both sides use it; docs/modules.md
// explains it to authors in other languages.
package wire

import (
	"encoding/json"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// In is the header of every operation of a channel. A guest remembers nothing
// between two calls, so that whatever it needs stands here.
type In struct {
	Channel channels.ID     `json:"channel"`
	Public  string          `json:"public,omitempty"` // where the platform reaches the channel's webhooks
	Config  json.RawMessage `json:"config"`           // the channel's section, with defaults and without secrets
	Session json.RawMessage `json:"session,omitempty"`

	Poll     *Poll              `json:"poll,omitempty"`     // poll
	Request  *Request           `json:"request,omitempty"`  // http_request; the payload's body is the request's
	Replies  *Replies           `json:"replies,omitempty"`  // http_request, once more: what its await was for
	Part     *Part              `json:"part,omitempty"`     // send, edit, reconcile
	Since    time.Time          `json:"since,omitzero"`     // reconcile: the part was not sent before that
	At       *channels.Address  `json:"at,omitempty"`       // edit, react, typing, delete
	ID       channels.MessageID `json:"id,omitempty"`       // edit, react, delete
	Emoji    string             `json:"emoji,omitempty"`    // react
	Press    *channels.Press    `json:"press,omitempty"`    // answer
	Text     string             `json:"text,omitempty"`     // answer
	File     *channels.File     `json:"file,omitempty"`     // fetch
	Commands []Command          `json:"commands,omitempty"` // commands
	Code     string             `json:"code,omitempty"`     // start_link
	Socket   *Socket            `json:"socket,omitempty"`   // socket_open, socket_message, socket_closed
	Timer    string             `json:"timer,omitempty"`    // timer: its name
	Args     json.RawMessage    `json:"args,omitempty"`     // tool_execute: as the model gave them
}

// Out is the header of an operation's answer.
type Out struct {
	Session  json.RawMessage   `json:"session,omitempty"`   // start: handed in with every later call
	As       string            `json:"as,omitempty"`        // start: the account as people know it
	Webhook  bool              `json:"webhook,omitempty"`   // start: requests of the platform are wanted
	Request  *Request          `json:"request,omitempty"`   // poll: to be made by the host, which hands in the response; the payload's body is its body
	WaitMS   int64             `json:"wait_ms,omitempty"`   // poll: until the next one, when there was nothing; socket_closed: until the next connection
	NoSocket bool              `json:"no_socket,omitempty"` // start: no connection is wanted; the channel polls, if its manifest says so
	Socket   *Connect          `json:"socket,omitempty"`    // socket_open
	Status   int               `json:"status,omitempty"`    // http_request: what the platform is answered; 0: 200
	Refused  int               `json:"refused,omitempty"`   // http_request: the status if nothing that was handed in can ever be kept; 0: as if it were kept
	Await    *Await            `json:"await,omitempty"`     // http_request: the platform waits for the answer
	Again    bool              `json:"again,omitempty"`     // socket_message: there is more to do; call once more before other messages come
	Unready  bool              `json:"unready,omitempty"`   // socket_message: it does not show yet that the connection works
	Receipt  *channels.Receipt `json:"receipt,omitempty"`   // send, reconcile
	// CannotTell, of reconcile, says that nobody can know whether this part was
	// sent; without it, no receipt says that it was not.
	CannotTell bool               `json:"cannot_tell,omitempty"`
	File       string             `json:"file,omitempty"` // fetch: the handle of a saved response
	Identity   *channels.Identity `json:"identity,omitempty"`
	Link       string             `json:"link,omitempty"` // start_link
	Text       string             `json:"text,omitempty"` // tool_execute: what the model is told
}

// Await asks the host to wait for what is said to an event that the call hands
// in, and to call http_request once more with the same header, without the body
// and with the Replies. The platform is answered what that call says, which hands
// in nothing.
type Await struct {
	Key    string `json:"key"`     // of the event
	WaitMS int64  `json:"wait_ms"` // at most; the host's limit is 2 minutes
}

// Replies are what was said to an event, in order, without files. While Pending,
// there may be more: nobody waited longer.
type Replies struct {
	Key     string `json:"key"`
	Parts   []Part `json:"parts,omitempty"`
	Pending bool   `json:"pending,omitempty"`
}

// Proof is what a guest is told of a proof that the operator wrote, in its place
// in the configuration: what it needs to know a request again.
type Proof struct {
	Kind    string `json:"kind"`
	Stamp   string `json:"stamp,omitempty"` // the header with the time, which is signed
	Signed  bool   `json:"signed"`          // the proof covers the body
	Stamped bool   `json:"stamped"`         // it holds for a short time only
}

// Poll is one turn of polling. A guest that wants the host to wait for the
// platform answers with a Request, and is called again with the Response; the
// payload's body is then the response's.
type Poll struct {
	Quick    bool      `json:"quick,omitempty"`    // do not let the platform hold the answer: it is to be seen whether polling works
	Failures int       `json:"failures,omitempty"` // in a row; after one, ask for less
	Response *Response `json:"response,omitempty"`
}

// Socket is what happened to the connection that the host holds.
type Socket struct {
	Failures int `json:"failures,omitempty"` // in a row, to connect or to keep the connection
	// Response is the answer to the Request of socket_open, if no URL was found
	// in it. The payload's body is its body.
	Response *Response `json:"response,omitempty"`
	// Messages are the lengths of the messages that came, in order, one after
	// the other in the payload's body: socket_message.
	Messages []int  `json:"messages,omitempty"`
	Again    bool   `json:"again,omitempty"`  // socket_message: the call before asked for another one
	Code     int    `json:"code,omitempty"`   // socket_closed: as the platform closed it; 0: it broke
	Reason   string `json:"reason,omitempty"` // socket_closed: the platform's words
}

// Connect says how to connect.
type Connect struct {
	URL     string            `json:"url,omitempty"` // "": that of the manifest's first socket
	Headers map[string]string `json:"headers,omitempty"`
	// URLAt is where the URL stands in the JSON response to Out.Request, as a
	// pointer such as /url. The host takes it from there, and the guest never
	// sees it.
	URLAt string `json:"url_at,omitempty"`
	// Ready says that the platform will not speak first, so that a connection
	// that stands is a channel that works.
	Ready bool `json:"ready,omitempty"`
}

// SocketSend is the header of socket_send. The payload's body is the message.
type SocketSend struct {
	After      string `json:"after,omitempty"`      // "commit": when what the call put and emitted is durable
	Credential bool   `json:"credential,omitempty"` // put the manifest's secret in
}

// TimerSet is the header of timer_set. A timer of the same name is replaced. It
// counts when the call succeeds, and is forgotten when the connection ends or
// the channel stops.
type TimerSet struct {
	Name    string `json:"name"`
	AfterMS int64  `json:"after_ms,omitempty"` // 0: every_ms; both 0: the timer is removed
	EveryMS int64  `json:"every_ms,omitempty"` // 0: once
}

// AttachmentPut is the header of attachment_put. The payload's body is added to
// the file under the handle, or to a new one. The result is its File.
type AttachmentPut struct {
	Handle string `json:"handle,omitempty"`
}

// AttachmentRead is the header of attachment_read. The result's body is the next
// part of the file; an empty one is its end.
type AttachmentRead struct {
	Handle string `json:"handle"`
	Bytes  int    `json:"bytes,omitempty"` // at most; 0: 1 MiB
}

// AttachmentLink is the header of attachment_link. Name and MIME are those of a
// file that attachment_put made; one that goes out has its own. The result is a
// [channels.Link].
type AttachmentLink struct {
	Handle string `json:"handle"`
	Name   string `json:"name,omitempty"`
	MIME   string `json:"mime,omitempty"`
}

// Attachment is the header of what attachment_put gives.
type Attachment struct {
	File string `json:"file"` // the handle
}

// Request is an HTTP request: one that the guest wants to be made, or one that
// the platform made.
type Request struct {
	Method  string            `json:"method,omitempty"` // "": GET
	URL     string            `json:"url,omitempty"`    // with {name} where a secret goes into the path
	Path    string            `json:"path,omitempty"`   // of a webhook, below the channel's own
	Query   string            `json:"query,omitempty"`  // of a webhook
	Headers map[string]string `json:"headers,omitempty"`
	Form    []Field           `json:"form,omitempty"` // a multipart body instead of the payload's
	File    string            `json:"file,omitempty"` // the handle of a file that is the body
	Inline  []Inline          `json:"inline,omitempty"`
	Save    bool              `json:"save,omitempty"` // keep the body of a good answer, and give its handle
	// Repeatable says that making it twice is the same as once.
	Repeatable bool  `json:"repeatable,omitempty"`
	TimeoutMS  int64 `json:"timeout_ms,omitempty"` // 0: 30 seconds
	// WaitMS is a pause before the request, at most 5 seconds: a guest cannot
	// wait itself.
	WaitMS int64 `json:"wait_ms,omitempty"`
	// After is "commit" for a request that is made when what the call put and
	// emitted is durable, beside what comes next. The guest does not learn what
	// became of it. One that may be repeated is, until timeout_ms are over.
	After string `json:"after,omitempty"`
}

// Inline is a file that the host puts into a JSON body, in base64, before it signs
// that: where the text at the pointer is now.
type Inline struct {
	Pointer string `json:"pointer"` // such as /files/0/data
	File    string `json:"file"`    // a handle
}

// Field is one part of a multipart body: a value, or a file that the host streams.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
	File  string `json:"file,omitempty"` // a handle
	As    string `json:"as,omitempty"`   // the file's name
	MIME  string `json:"mime,omitempty"`
}

// Response is the answer to a request. The payload's body is its body.
type Response struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers,omitempty"`
	File    string            `json:"file,omitempty"` // the handle of a saved body
}

// Part is a [channels.Part]. Text is its body in the dialect of the manifest;
// Body is the tree, for guests whose manifest asks for it.
type Part struct {
	Key      string             `json:"key"`
	To       channels.Address   `json:"to"`
	Via      *channels.Via      `json:"via,omitempty"`
	Only     string             `json:"only,omitempty"`
	ReplyTo  channels.MessageID `json:"reply_to,omitempty"`
	Replaces channels.MessageID `json:"replaces,omitempty"`
	Text     string             `json:"text,omitempty"`
	Body     *markup.Node       `json:"body,omitempty"`
	// Alternative is the same text in the manifest's second dialect, for platforms
	// that take a message in two forms.
	Alternative string `json:"alternative,omitempty"`
	// Mentions are the ids of those whom the text mentions, each once.
	Mentions []string          `json:"mentions,omitempty"`
	Plain    bool              `json:"plain,omitempty"`
	Files    []File            `json:"files,omitempty"`
	Buttons  []channels.Button `json:"buttons,omitempty"`
	Silent   bool              `json:"silent,omitempty"`
}

// File is an outgoing file. Its content is the host's, under a handle.
type File struct {
	channels.File
	Handle string `json:"handle"`
}

// Command is a [channels.CommandSpec].
type Command struct {
	Name string `json:"name"`
	Help string `json:"help"`
	Args string `json:"args,omitempty"`
}

// Key is the header of kv_get and kv_put.
type Key struct {
	Key    string `json:"key"`
	Delete bool   `json:"delete,omitempty"`
	// File is the handle of a file to be kept under the key instead of a value.
	// Whenever it is wanted its handle is "kept:" and the key.
	File string `json:"file,omitempty"`
	Now  bool   `json:"now,omitempty"` // kv_put: at once, whatever becomes of the call
}

// KeyList is the header of kv_list: up to Limit keys that begin with Prefix and
// come after After, in byte order. A call's own kv_put is not in it yet.
type KeyList struct {
	Prefix string `json:"prefix,omitempty"`
	After  string `json:"after,omitempty"`
	Limit  int    `json:"limit,omitempty"` // 0, and at most: 1000
}

// Kept is the header of what kv_list gives: keys, and how many bytes of the body
// are each one's value, one after the other. An empty one is the end.
type Kept struct {
	Keys  []string `json:"keys"`
	Bytes []int    `json:"bytes"`
}

// Features are what a manifest says of its platform.
type Features struct {
	Abilities     []string       `json:"abilities,omitempty"`
	Tree          bool           `json:"tree,omitempty"` // Part.Body instead of Part.Text
	Dialect       markup.Dialect `json:"dialect,omitempty"`
	Alternative   markup.Dialect `json:"alternative,omitempty"` // "": Part.Alternative stays empty
	MaxText       int            `json:"max_text,omitempty"`
	MaxCaption    int            `json:"max_caption,omitempty"`
	MaxFile       int64          `json:"max_file,omitempty"`
	MaxAlbum      int            `json:"max_album,omitempty"`
	MaxFetch      int64          `json:"max_fetch,omitempty"`
	MaxButtons    int            `json:"max_buttons,omitempty"`
	MaxButtonData int            `json:"max_button_data,omitempty"`
	Threads       bool           `json:"threads,omitempty"`
	ReplyTo       bool           `json:"reply_to,omitempty"`
	DraftEveryMS  int64          `json:"draft_every_ms,omitempty"` // 0: an answer does not grow by edits
	TypingForMS   int64          `json:"typing_for_ms,omitempty"`
	IdempotentMS  int64          `json:"idempotent_ms,omitempty"` // how long the platform knows a part again by its key; 0: for ever
	// Places are conversations in which something is different.
	Places []Place `json:"places,omitempty"`
	// Sections are configurations with which something is different.
	Sections []Section `json:"sections,omitempty"`
	Rate     Rate      `json:"rate"`
}

// Place is a kind of conversation that is told by how its ids begin.
type Place struct {
	Conversations string          `json:"conversations"` // what the ids begin with
	Features      json.RawMessage `json:"features"`      // those that differ
}

// Section is a kind of configuration that is told by its keys: all of Keys are
// there, and none of them is false.
type Section struct {
	Keys     []string        `json:"keys"`
	Features json.RawMessage `json:"features"` // those that differ
}

// Rate is how fast the platform lets the channel send.
type Rate struct {
	Token   PerSecond `json:"token"`
	Direct  PerSecond `json:"direct"`
	Room    PerSecond `json:"room"`
	Reserve int       `json:"reserve,omitempty"`
}

// PerSecond is an average with a burst.
type PerSecond struct {
	N     float64 `json:"n"`
	Burst int     `json:"burst"`
}
