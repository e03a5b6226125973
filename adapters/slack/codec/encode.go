package codec

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// The limits on what is sent. Slack takes more text in a new message, but not
// when a message is changed, and folds away what is longer.
const (
	MaxText       = 4000     // UTF-16 code units of mrkdwn
	MaxCaption    = 3000     // the same
	MaxFile       = 50 << 20 // Slack takes more
	MaxFetch      = 50 << 20 // the same
	MaxAlbum      = 10
	MaxButtons    = 25
	MaxButtonData = 2000 // bytes
	maxLabel      = 75   // characters
)

// Errors of a part that the platform cannot take in any form.
var (
	ErrAddress   = errors.New("the conversation is not one of Slack")
	ErrMessage   = errors.New("the message is not one of Slack that can be changed")
	ErrEmpty     = errors.New("neither text nor files")
	ErrTooLong   = errors.New("the text is longer than the platform takes")
	ErrAlbum     = errors.New("more files than fit into a message")
	ErrEditFiles = errors.New("a message cannot be changed to hold files")
	ErrButtons   = errors.New("a button has no label or no data, or has too much, or there are too many")
	ErrAudience  = errors.New("files cannot be shown to one person only")
	ErrEmoji     = errors.New("the platform has no such reaction")
)

// Call is one request to the Web API.
type Call struct {
	Method string
	Params []byte // a JSON object
	// Repeatable: doing it twice is the same as once, so that a lost answer is
	// no reason to fear a duplicate.
	Repeatable bool
}

type params struct {
	Channel   string     `json:"channel,omitempty"`
	User      string     `json:"user,omitempty"`
	ThreadTS  string     `json:"thread_ts,omitempty"`
	TS        string     `json:"ts,omitempty"`
	Timestamp string     `json:"timestamp,omitempty"`
	Name      string     `json:"name,omitempty"`
	Text      string     `json:"text,omitempty"`
	Blocks    []blockOut `json:"blocks,omitempty"`
	Unfurl    *bool      `json:"unfurl_links,omitempty"`
	UnfurlAll *bool      `json:"unfurl_media,omitempty"`
	Mrkdwn    *bool      `json:"mrkdwn,omitempty"`

	// Replies by a response_url.
	Response string `json:"response_type,omitempty"`
	Replace  *bool  `json:"replace_original,omitempty"`

	// Uploads.
	ChannelID string         `json:"channel_id,omitempty"`
	Comment   string         `json:"initial_comment,omitempty"`
	Files     []uploadedFile `json:"files,omitempty"`
	Status    *string        `json:"status,omitempty"`

	Metadata *trace `json:"metadata,omitempty"`
}

type uploadedFile struct {
	ID    string `json:"id"`
	Title string `json:"title,omitempty"`
}

// Encode writes a part without files: a new message, one that only one person
// sees, or the change of one.
func Encode(p channels.Part) (Call, error) {
	q, err := content(p, MaxText)
	if err != nil {
		return Call{}, err
	}
	if !wellFormed(string(p.To.Conversation)) {
		return Call{}, ErrAddress
	}
	q.Channel = string(p.To.Conversation)
	if p.Replaces != "" {
		if !timestamp(string(p.Replaces)) {
			return Call{}, ErrMessage
		}
		q.TS = string(p.Replaces)
		return call("chat.update", true, q)
	}
	if q.ThreadTS, err = threadOf(p.To); err != nil {
		return Call{}, err
	}
	// A link in an answer is not followed by Slack's servers: whoever made the
	// model write it would learn of it, and of what stands in the address.
	q.Unfurl, q.UnfurlAll = new(false), new(false)
	if p.Audience.Only != "" {
		if !wellFormed(p.Audience.Only) {
			return Call{}, ErrAddress
		}
		q.User = p.Audience.Only
		return call("chat.postEphemeral", false, q)
	}
	q.Metadata = traceOf(p.Key)
	return call("chat.postMessage", false, q)
}

// EncodeReply writes a part for a response_url.
func EncodeReply(p channels.Part, r Reply) ([]byte, error) {
	q, err := content(p, MaxText)
	if err != nil {
		return nil, err
	}
	q.Response, q.Replace = "ephemeral", new(false)
	if r.Original && p.Replaces != "" {
		q.Replace = new(true)
	}
	if q.ThreadTS, err = threadOf(p.To); err != nil {
		return nil, err
	}
	return json.Marshal(q)
}

// EncodeFiles writes the call that shows files which were uploaded under these
// ids, in the order of the part's own.
func EncodeFiles(p channels.Part, ids []string) (Call, error) {
	switch {
	case len(ids) != len(p.Files) || len(ids) == 0:
		return Call{}, ErrEmpty
	case len(ids) > MaxAlbum:
		return Call{}, ErrAlbum
	case p.Replaces != "":
		return Call{}, ErrEditFiles
	case p.Audience.Only != "":
		return Call{}, ErrAudience
	case !wellFormed(string(p.To.Conversation)):
		return Call{}, ErrAddress
	}
	q, err := content(p, MaxCaption)
	if err != nil && !errors.Is(err, ErrEmpty) {
		return Call{}, err
	}
	if q.ThreadTS, err = threadOf(p.To); err != nil {
		return Call{}, err
	}
	q.ChannelID, q.Mrkdwn = string(p.To.Conversation), nil
	if len(p.Buttons) == 0 && !tabled(q.Blocks) {
		q.Comment, q.Blocks = q.Text, nil
	}
	q.Text = "" // with blocks there is no comment beside them
	for i, id := range ids {
		q.Files = append(q.Files, uploadedFile{ID: id, Title: p.Files[i].Name})
	}
	return call("files.completeUploadExternal", false, q)
}

func tabled(blocks []blockOut) bool {
	for _, b := range blocks {
		if b.Type == "table" {
			return true
		}
	}
	return false
}

// content writes a part's text and buttons.
func content(p channels.Part, limit int) (params, error) {
	var q params
	if p.Plain {
		text := markup.PlainText.Render(p.Body)
		if markup.UTF16.Len(text) > limit {
			return q, ErrTooLong
		}
		q.Text, q.Mrkdwn = Escape(text), new(false)
	} else {
		q.Text = markup.Mrkdwn.Render(p.Body)
		if len(q.Text) > limit && markup.UTF16.Len(q.Text) > limit {
			return q, ErrTooLong
		}
		q.Blocks = blocksOf(p.Body)
	}
	actions, err := buttons(p.Buttons)
	if err != nil {
		return q, err
	}
	if len(actions) > 0 && p.Plain {
		q.Blocks = literal(markup.PlainText.Render(p.Body))
	}
	if q.Text == "" {
		return q, ErrEmpty
	}
	q.Blocks = append(q.Blocks, actions...)
	return q, nil
}

// literal is a text in blocks that show it as it is.
func literal(text string) []blockOut {
	const most = 3000
	var out []blockOut
	for text != "" {
		n := len(text)
		if n > most {
			for n = most; n > 0 && !utf8.RuneStart(text[n]); n-- {
			}
		}
		out = append(out, blockOut{Type: "section", Text: &textOut{Type: "plain_text", Text: text[:n], Emoji: new(false)}})
		text = text[n:]
	}
	return out
}

type buttonOut struct {
	Type   string  `json:"type"`
	Text   textOut `json:"text"`
	Action string  `json:"action_id"`
	Value  string  `json:"value,omitempty"`
	URL    string  `json:"url,omitempty"`
	Style  string  `json:"style,omitempty"`
}

// The names of our buttons. Slack tells of a press on a link, too.
const (
	buttonAction = "gatehouse-"
	linkAction   = "gatehouse-link-"
)

func buttons(list []channels.Button) ([]blockOut, error) {
	if len(list) == 0 {
		return nil, nil
	}
	if len(list) > MaxButtons {
		return nil, ErrButtons
	}
	b := blockOut{Type: "actions"}
	for i, x := range list {
		if x.Label == "" || x.Data == "" && x.URL == "" || len(x.Data) > MaxButtonData {
			return nil, ErrButtons
		}
		out := buttonOut{
			Type: "button", Text: textOut{Type: "plain_text", Text: cut(x.Label, maxLabel), Emoji: new(true)},
			Action: buttonAction + strconv.Itoa(i), Value: x.Data,
		}
		if x.URL != "" {
			out.Action, out.URL, out.Value = linkAction+strconv.Itoa(i), x.URL, ""
		}
		switch x.Style {
		case "primary", "success":
			out.Style = "primary"
		case "danger":
			out.Style = "danger"
		}
		b.Elements = append(b.Elements, out)
	}
	return []blockOut{b}, nil
}

func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// Escape makes a text stand for itself where Slack reads mrkdwn.
func Escape(s string) string { return escapes.Replace(s) }

var escapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func threadOf(at channels.Address) (string, error) {
	if at.Thread != "" && !timestamp(string(at.Thread)) {
		return "", ErrAddress
	}
	return string(at.Thread), nil
}

// timestamp reports whether an id is that of a message.
func timestamp(s string) bool {
	whole, part, ok := strings.Cut(s, ".")
	return ok && len(s) <= 32 && whole != "" && part != "" && strings.Trim(whole+part, "0123456789") == ""
}

// Delete writes the call that removes a message of the bot.
func Delete(at channels.Address, id channels.MessageID) (Call, error) {
	if !wellFormed(string(at.Conversation)) {
		return Call{}, ErrAddress
	}
	if !timestamp(string(id)) {
		return Call{}, ErrMessage
	}
	return call("chat.delete", true, params{Channel: string(at.Conversation), TS: string(id)})
}

// React writes the call that adds the bot's reaction to a message, or removes it.
func React(at channels.Address, id channels.MessageID, name string, add bool) (Call, error) {
	if !wellFormed(string(at.Conversation)) || !timestamp(string(id)) {
		return Call{}, ErrAddress
	}
	method := "reactions.remove"
	if add {
		method = "reactions.add"
	}
	return call(method, true, params{Channel: string(at.Conversation), Timestamp: string(id), Name: name})
}

// Typing writes the call that shows the bot at work in a thread.
func Typing(at channels.Address, thread channels.MessageID) (Call, error) {
	if !wellFormed(string(at.Conversation)) || !timestamp(string(thread)) {
		return Call{}, ErrAddress
	}
	return call("assistant.threads.setStatus", true, params{ChannelID: string(at.Conversation), ThreadTS: string(thread), Status: new("is thinking…")})
}

func call(method string, repeatable bool, q params) (Call, error) {
	b, err := json.Marshal(q)
	if err != nil {
		return Call{}, err
	}
	return Call{Method: method, Params: b, Repeatable: repeatable}, nil
}
