// Package wire is the JSON of the console's chat, as its server and its clients
// share it. The package console says what is sent where.
package wire

import (
	"fmt"
	"time"
)

// The limits of what a client may send.
const (
	MaxText  = 16 << 10 // bytes of one message
	MaxFile  = 50 << 20 // bytes of one file
	MaxFiles = 10       // files of one message
	MaxKey   = 64       // characters of a key
	MaxPage  = 200      // messages in one answer
)

// Message is one message of a chat.
type Message struct {
	ID      string    `json:"id"`
	Seq     int64     `json:"seq"`  // its place in the chat; grows
	Rev     int64     `json:"rev"`  // when it last changed, on the same scale; what "after" counts in
	From    From      `json:"from"` // who wrote it
	Text    string    `json:"text"` // CommonMark, or literal when Plain
	Plain   bool      `json:"plain,omitempty"`
	At      time.Time `json:"at"`
	Edited  bool      `json:"edited,omitempty"`
	Deleted bool      `json:"deleted,omitempty"` // its text is gone
	Buttons []Button  `json:"buttons,omitempty"`
	Files   []File    `json:"files,omitempty"`
	Item    string    `json:"item,omitempty"` // as HTML, for the page
}

// From says who wrote a message. The set is closed.
type From string

// The writers of messages.
const (
	Member From = "member"
	Bot    From = "bot"
)

// Button is something to press under a message.
type Button struct {
	Label string `json:"label"`
	Data  string `json:"data,omitempty"`
	URL   string `json:"url,omitempty"`
}

// File is a file of a message, or one that was uploaded for the next.
type File struct {
	Name    string `json:"name"`
	MIME    string `json:"mime"`
	Size    int64  `json:"size"`
	URL     string `json:"url,omitempty"`     // where its content is, for whom the message is; without a host
	Picture bool   `json:"picture,omitempty"` // a browser may show it
}

// Size is a number of bytes as people read it.
func Size(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d bytes", n)
	case n < 1<<20:
		return fmt.Sprintf("%d KB", (n+1023)>>10)
	}
	return fmt.Sprintf("%.3g MB", float64(n)/(1<<20))
}

// Say is the body of a message that a client sends.
type Say struct {
	Key   string   `json:"key"`             // made by the client; the same for every try
	Text  string   `json:"text"`            // may be empty beside files
	Files []string `json:"files,omitempty"` // the keys under which they were uploaded
}

// Press is the body of a button press.
type Press struct {
	Key  string `json:"key"`
	ID   string `json:"id"`   // the message
	Data string `json:"data"` // the button's
}

// Page is the answer to a request for messages, oldest first.
type Page struct {
	Messages []Message `json:"messages"`
	More     bool      `json:"more"` // there are further ones in the direction that was asked for
	Rev      int64     `json:"rev"`  // the latest change of the whole chat
}

// The names of a stream's events.
const (
	EventMessage = "message" // a Message, new or changed
	EventReady   = "ready"   // a Ready: what was missed has been sent
	EventDraft   = "draft"   // a Draft
	EventTyping  = "typing"  // a Typing
	EventPressed = "pressed" // a Pressed
)

// Ready is sent once everything that a client had missed has been sent.
type Ready struct {
	Rev int64 `json:"rev"`
}

// Draft is an answer while it grows. It is gone with the next message whose id
// begins with its key, and with the connection.
type Draft struct {
	Key  string `json:"key"`
	Text string `json:"text"` // CommonMark
	Item string `json:"item,omitempty"`
}

// Typing says that the bot is at work.
type Typing struct {
	For int `json:"for"` // milliseconds
}

// Pressed ends the wait after a button press.
type Pressed struct {
	Key  string `json:"key"`
	Text string `json:"text,omitempty"` // to show for a moment
}

// Command is one that the bot knows.
type Command struct {
	Name string `json:"name"`
	Help string `json:"help"`
	Args string `json:"args,omitempty"`
}

// Failure is the body of every answer that is not a success.
type Failure struct {
	Error string `json:"error"`
	Again bool   `json:"again,omitempty"` // the same request may succeed later
}
