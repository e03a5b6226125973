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

// Encode is the body of a callback.
func Encode(p channels.Part, at time.Time) ([]byte, error) {
	return json.Marshal(struct {
		Type string `json:"type"`
		Reply
	}{"reply", NewReply(p, at)})
}
