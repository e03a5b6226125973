package codec

import (
	"encoding/json"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// Reply is one answer, as a callback carries it and as a request that waits
// gets it.
type Reply struct {
	ID           string `json:"id"` // the same in every repetition
	Channel      string `json:"channel"`
	Conversation string `json:"conversation"`
	Thread       string `json:"thread,omitempty"`
	Text         string `json:"text"`        // CommonMark, unless Format says otherwise
	Format       string `json:"format"`      // markdown or plain
	At           string `json:"at,omitzero"` // RFC 3339; when it was sent
	Files        []File `json:"files,omitempty"`
}

// File is an attachment of a callback.
type File struct {
	Kind string `json:"kind"` // photo, voice, audio, video, sticker, document
	Name string `json:"name,omitempty"`
	MIME string `json:"mime,omitempty"`
	Data []byte `json:"data"` // base64 in the JSON
}

// NewReply makes the form of a part in which programs read it.
func NewReply(p channels.Part, at time.Time) Reply {
	r := Reply{
		ID: p.Key, Channel: string(p.To.Channel), Conversation: string(p.To.Conversation), Thread: string(p.To.Thread),
		Text: markup.CommonMark.Render(p.Body), Format: "markdown",
	}
	if p.Plain {
		r.Text, r.Format = markup.PlainText.Render(p.Body), "plain"
	}
	if !at.IsZero() {
		r.At = at.UTC().Format(time.RFC3339)
	}
	return r
}

// Encode is the body of a callback that carries files, which are those of the
// part, read.
func Encode(p channels.Part, files []File, at time.Time) ([]byte, error) {
	r := NewReply(p, at)
	r.Files = files
	return json.Marshal(struct {
		Type string `json:"type"`
		Reply
	}{"reply", r})
}
