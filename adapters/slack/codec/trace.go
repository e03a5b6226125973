package codec

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strconv"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// traceType names what the bot notes on its messages, which people do not see.
const traceType = "gatehouse_part"

// trace is what Slack keeps with a message: by the key of its part it is found
// again when nobody knows whether it was sent. The key stands there as a digest,
// for other apps in the team can read it.
type trace struct {
	Type    string       `json:"event_type"`
	Payload tracePayload `json:"event_payload"`
}

type tracePayload struct {
	Key string `json:"key"`
}

func traceOf(key string) *trace {
	if key == "" {
		return nil
	}
	sum := sha256.Sum256([]byte(key))
	return &trace{traceType, tracePayload{base64.RawURLEncoding.EncodeToString(sum[:18])}}
}

// Traced reports whether a part leaves a trace by which it can be found: files,
// messages for one person and replies by a response_url leave none.
func Traced(p channels.Part) bool {
	_, path := ReplyPath(p.Via)
	return p.Key != "" && !path && len(p.Files) == 0 && p.Audience.Only == ""
}

const (
	searchPage = 200
	clocks     = 5 * time.Minute // by which ours and Slack's may differ: as much as for its signatures
)

// Search is the call that lists the messages of a conversation or thread since a
// time, with what was noted on them. cursor is of the page before, or "".
func Search(at channels.Address, since time.Time, cursor string) (method string, in url.Values, err error) {
	if !wellFormed(string(at.Conversation)) {
		return "", nil, ErrAddress
	}
	root, err := threadOf(at)
	if err != nil {
		return "", nil, err
	}
	in = url.Values{
		"channel": {string(at.Conversation)}, "include_all_metadata": {"true"}, "limit": {strconv.Itoa(searchPage)},
		"oldest": {strconv.FormatInt(since.Add(-clocks).Unix(), 10) + ".000000"},
	}
	if cursor != "" {
		in.Set("cursor", cursor)
	}
	if root == "" {
		return "conversations.history", in, nil
	}
	in.Set("ts", root)
	return "conversations.replies", in, nil
}

// Find looks in an answer to Search for a message of this user that bears the
// trace of a part. next is the cursor of the page after it, or "".
func Find(answer json.RawMessage, user string, p channels.Part) (r channels.Receipt, found bool, next string) {
	var page struct {
		Messages []struct {
			TS       string `json:"ts"`
			User     string `json:"user"`
			Metadata trace  `json:"metadata"`
		} `json:"messages"`
		Next struct {
			Cursor string `json:"next_cursor"`
		} `json:"response_metadata"`
	}
	want := traceOf(p.Key)
	if json.Unmarshal(answer, &page) != nil || want == nil {
		return r, false, ""
	}
	for _, m := range page.Messages {
		r := channels.Receipt{ID: messageID(m.TS), At: Moment(m.TS)}
		if m.User == user && m.Metadata == *want && r.ID != "" && !r.At.IsZero() {
			return r, true, ""
		}
	}
	return r, false, page.Next.Cursor
}
