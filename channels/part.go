package channels

import (
	"context"
	"io"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// Part is one message as a platform takes it: already split, so that Body
// fits Features.MaxText.
type Part struct {
	Key      string // stable across retries; platforms with a nonce use it
	To       Address
	Via      *Via
	Audience Audience
	ReplyTo  MessageID // quotes this message where the platform can
	Replaces MessageID // edits this earlier message of the bot instead of sending a new one
	Body     markup.Node
	Plain    bool // no markup: the platform refused the formatted form, or the text is literal
	Files    []File
	Buttons  []Button
	Silent   bool // no notification, where the platform can
}

// Audience says who sees a part. The zero Audience is everybody in the place.
type Audience struct {
	Only string `json:"only,omitempty"` // a sender's id: an ephemeral message
}

// Button is something to press under a part.
type Button struct {
	Label string `json:"label"`
	Data  string `json:"data,omitempty"` // at most Features.MaxButtonData bytes
	URL   string `json:"url,omitempty"`  // opens a page instead
	Style string `json:"style,omitempty"`
}

// File is an attachment, incoming or outgoing. Incoming files are fetched
// later with [Fetcher], never before the acknowledgement.
type File struct {
	Kind FileKind `json:"kind"`
	Name string   `json:"name,omitempty"`
	MIME string   `json:"mime,omitempty"`
	Size int64    `json:"size,omitempty"` // bytes; 0 when unknown
	Ref  string   `json:"ref,omitempty"`  // incoming: what the adapter needs to fetch it
	// Blob is where the gateway keeps the content. Only the gateway sets it; what
	// an adapter puts there is removed.
	Blob string `json:"blob,omitempty"`

	// Open reads an outgoing file from the start; it may be called again for a
	// retry. It is not kept.
	Open func(context.Context) (io.ReadCloser, error) `json:"-"`
}

// FileKind is how a platform shows a file.
type FileKind string

// The kinds of files.
const (
	Photo    FileKind = "photo"
	Voice    FileKind = "voice"
	Audio    FileKind = "audio"
	Video    FileKind = "video"
	Sticker  FileKind = "sticker"
	Document FileKind = "document"
)

// Receipt is what the platform said of a part.
type Receipt struct {
	ID MessageID `json:"id"`
	At time.Time `json:"at"` // by the platform's clock, else by ours
}

// Features are the limits of a place, as data. A zero number means "not at all",
// except MaxText, where it means that there is no limit.
type Features struct {
	Dialect       markup.Dialect
	MaxText       int           // in the dialect's unit
	MaxCaption    int           // text beside a file
	MaxFile       int64         // bytes, outgoing
	MaxAlbum      int           // files of a part; 0 counts as 1
	MaxFetch      int64         // bytes, incoming
	MaxButtons    int           // a part
	MaxButtonData int           // bytes
	Commands      bool          // the platform shows registered commands
	Threads       bool          // Address.Thread is honoured
	ReplyTo       bool          // Part.ReplyTo is honoured
	Drafts        bool          // an answer may be shown while it grows, by editing
	DraftEvery    time.Duration // the shortest time between edits of one draft
	TypingFor     time.Duration // how long one typing indication lasts; 0: the platform has none
	Rate          Rate
}

// Rate is how fast a platform lets a token send. A zero rate is no limit.
type Rate struct {
	Token   PerSecond // all conversations together
	Direct  PerSecond // one direct chat
	Room    PerSecond // one room
	Reserve int       // sends kept free for finals when drafts compete
}

// PerSecond is an average with a burst.
type PerSecond struct {
	N     float64
	Burst int
}
