package codec

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// The Bot API's limits on what is sent.
const (
	MaxText       = 4096 // UTF-16 code units after entity parsing
	MaxCaption    = 1024 // the same
	MaxFile       = 50 << 20
	MaxFetch      = 20 << 20
	MaxPhoto      = 10 << 20 // a larger picture goes as a document
	MaxAlbum      = 10
	MaxButtons    = 100
	MaxButtonData = 64 // bytes
)

// Errors of a part that the platform cannot take in any form.
var (
	ErrAddress    = errors.New("the conversation is not a Telegram chat id")
	ErrMessage    = errors.New("the message is not a Telegram message id")
	ErrEmpty      = errors.New("neither text nor files")
	ErrTooLong    = errors.New("the text is longer than the platform takes")
	ErrAlbum      = errors.New("more files than an album holds")
	ErrEditFiles  = errors.New("a message can be changed to hold one file, not several")
	ErrButtons    = errors.New("a button has no label or no data, or has too much, or there are too many")
	ErrAlbumPress = errors.New("an album cannot carry buttons")
	ErrTooBig     = errors.New("a file is larger than the platform takes")
)

// Call is one request to the Bot API.
type Call struct {
	Method string
	Params []byte   // a JSON object
	Files  []Upload // not empty: the request is multipart, with Params as its fields
	// Repeatable: doing it twice is the same as once, so that a lost answer is
	// no reason to fear a duplicate.
	Repeatable bool
}

// Upload is a file of a multipart request.
type Upload struct {
	Field string
	File  channels.File
}

// Options change how a part is written after the platform refused it.
type Options struct {
	Chat       channels.ConversationID // in the place of the part's own: the chat has moved
	NoThread   bool
	NoReply    bool
	AsDocument bool // whatever the file's kind
	Caption    bool // Replaces names a message that carries a file
}

type params struct {
	Chat      int64         `json:"chat_id"`
	Thread    int64         `json:"message_thread_id,omitempty"`
	Message   int64         `json:"message_id,omitempty"`
	Text      string        `json:"text,omitempty"`
	Caption   string        `json:"caption,omitempty"`
	ParseMode string        `json:"parse_mode,omitempty"`
	Preview   *previewOff   `json:"link_preview_options,omitempty"`
	Media     any           `json:"media,omitempty"`
	Silent    bool          `json:"disable_notification,omitempty"`
	Reply     *replyTo      `json:"reply_parameters,omitempty"`
	Keyboard  *keyboard     `json:"reply_markup,omitempty"`
	Action    string        `json:"action,omitempty"`
	Reaction  *[]emojiParam `json:"reaction,omitempty"`
}

// previewOff stops Telegram's servers from fetching a link in a reply: a link
// that somebody else put there could carry out what the reply knows.
type previewOff struct {
	Disabled bool `json:"is_disabled"`
}

type replyTo struct {
	Message int64 `json:"message_id"`
	Anyway  bool  `json:"allow_sending_without_reply"`
}

type emojiParam struct {
	Type  string `json:"type"`
	Emoji string `json:"emoji"`
}

type media struct {
	Type      string `json:"type"`
	Media     string `json:"media"`
	Caption   string `json:"caption,omitempty"`
	ParseMode string `json:"parse_mode,omitempty"`
}

// Encode writes a part as one call. The error is one of this package's: a part
// that the platform cannot take.
func Encode(p channels.Part, o Options) (Call, error) {
	q, err := place(p, o)
	if err != nil {
		return Call{}, err
	}
	if q.Keyboard, err = buttons(p.Buttons); err != nil {
		return Call{}, err
	}
	text, err := body(p)
	if err != nil {
		return Call{}, err
	}
	if !p.Plain {
		q.ParseMode = "HTML"
	}
	switch {
	case len(p.Files) > 0:
		return files(p, o, q, text)
	case text == "":
		return Call{}, ErrEmpty
	case p.Replaces != "" && o.Caption:
		if markup.TelegramHTML.Measure(p.Body) > MaxCaption {
			return Call{}, ErrTooLong
		}
		q.Caption = text
		return q.call("editMessageCaption", true)
	}
	q.Text, q.Preview = text, &previewOff{Disabled: true}
	if p.Replaces != "" {
		return q.call("editMessageText", true)
	}
	return q.call("sendMessage", false)
}

// place says where a part goes. What is for one reader only goes to their
// direct chat, whose id is theirs, because a group has no private messages.
func place(p channels.Part, o Options) (params, error) {
	to, apart := p.To.Conversation, false
	if o.Chat != "" {
		to = o.Chat
	}
	if only := channels.ConversationID(p.Audience.Only); only != "" && only != to {
		to, apart = only, true
	}
	chatID, err := strconv.ParseInt(string(to), 10, 64)
	if err != nil || chatID == 0 {
		return params{}, ErrAddress
	}
	q := params{Chat: chatID, Silent: p.Silent}
	if p.Replaces != "" {
		q.Silent = false
		q.Message, err = number(p.Replaces)
		return q, err
	}
	if p.To.Thread != "" && !apart && !o.NoThread {
		if q.Thread, err = strconv.ParseInt(string(p.To.Thread), 10, 64); err != nil {
			return params{}, ErrAddress
		}
	}
	if p.ReplyTo != "" && !apart && !o.NoReply {
		n, err := number(p.ReplyTo)
		if err != nil {
			return params{}, err
		}
		q.Reply = &replyTo{Message: n, Anyway: true}
	}
	return q, nil
}

func number(m channels.MessageID) (int64, error) {
	n, err := strconv.ParseInt(string(m), 10, 64)
	if err != nil || n <= 0 {
		return 0, ErrMessage
	}
	return n, nil
}

// body renders and measures the text of a part.
func body(p channels.Part) (string, error) {
	limit := MaxText
	if len(p.Files) > 0 {
		limit = MaxCaption
	}
	if p.Plain {
		text := markup.PlainText.Render(p.Body)
		if markup.UTF16.Len(text) > limit {
			return "", ErrTooLong
		}
		return text, nil
	}
	text := markup.TelegramHTML.Render(p.Body)
	// Markup only adds bytes, and a byte is at least one unit: what is short
	// enough with its markup need not be measured without.
	if len(text) > limit && markup.TelegramHTML.Measure(p.Body) > limit {
		return "", ErrTooLong
	}
	return text, nil
}

func files(p channels.Part, o Options, q params, text string) (Call, error) {
	if len(p.Files) > MaxAlbum {
		return Call{}, ErrAlbum
	}
	for i := range p.Files {
		if p.Files[i].Size > MaxFile {
			return Call{}, ErrTooBig
		}
	}
	switch {
	case p.Replaces != "":
		return editFile(p, o, q, text)
	case len(p.Files) > 1:
		return album(p, o, q, text)
	}
	f := p.Files[0]
	kind := sentAs(f, o)
	q.Caption = text
	if kind == channels.Sticker {
		if text != "" { // a sticker has no caption
			kind = channels.Document
		}
	}
	if text == "" {
		q.ParseMode = ""
	}
	m := methods[kind]
	c, err := q.call(m.name, false)
	c.Files = []Upload{{Field: m.field, File: f}}
	return c, err
}

var methods = map[channels.FileKind]struct{ name, field string }{
	channels.Photo:    {"sendPhoto", "photo"},
	channels.Voice:    {"sendVoice", "voice"},
	channels.Audio:    {"sendAudio", "audio"},
	channels.Video:    {"sendVideo", "video"},
	channels.Sticker:  {"sendSticker", "sticker"},
	channels.Document: {"sendDocument", "document"},
}

// sentAs is the kind that the platform will take a file as.
func sentAs(f channels.File, o Options) channels.FileKind {
	if o.AsDocument || (f.Kind == channels.Photo && f.Size > MaxPhoto) {
		return channels.Document
	}
	if _, ok := methods[f.Kind]; ok {
		return f.Kind
	}
	return channels.Document
}

func editFile(p channels.Part, o Options, q params, text string) (Call, error) {
	if len(p.Files) > 1 {
		return Call{}, ErrEditFiles
	}
	m := media{Type: albumKind(p.Files, o), Media: "attach://file0", Caption: text, ParseMode: q.ParseMode}
	q.ParseMode, q.Media = "", m
	c, err := q.call("editMessageMedia", true)
	c.Files = []Upload{{Field: "file0", File: p.Files[0]}}
	return c, err
}

// album sends several files as one message. Its caption stands on the first.
func album(p channels.Part, o Options, q params, text string) (Call, error) {
	if len(p.Buttons) > 0 {
		return Call{}, ErrAlbumPress
	}
	kind := albumKind(p.Files, o)
	list := make([]media, len(p.Files))
	uploads := make([]Upload, len(p.Files))
	for i, f := range p.Files {
		field := "file" + strconv.Itoa(i)
		list[i] = media{Type: kind, Media: "attach://" + field}
		if kind == "visual" {
			list[i].Type = string(f.Kind)
		}
		uploads[i] = Upload{Field: field, File: f}
	}
	if text != "" {
		list[0].Caption, list[0].ParseMode = text, q.ParseMode
	}
	q.ParseMode, q.Media = "", list
	c, err := q.call("sendMediaGroup", false)
	c.Files = uploads
	return c, err
}

// albumKind is the one type that all files of an album can have: pictures and
// videos mix ("visual"), music stands alone, everything else goes as documents.
func albumKind(files []channels.File, o Options) string {
	all := func(kinds ...channels.FileKind) bool {
		return !slices.ContainsFunc(files, func(f channels.File) bool { return !slices.Contains(kinds, sentAs(f, o)) })
	}
	switch {
	case len(files) == 1 && all(channels.Photo, channels.Video, channels.Audio):
		return string(files[0].Kind)
	case all(channels.Photo, channels.Video):
		return "visual"
	case all(channels.Audio):
		return "audio"
	}
	return "document"
}

// call finishes a request.
func (q params) call(method string, repeatable bool) (Call, error) {
	b, err := json.Marshal(q)
	if err != nil {
		return Call{}, fmt.Errorf("encode %s: %w", method, err)
	}
	return Call{Method: method, Params: b, Repeatable: repeatable}, nil
}

// Typing writes the call that shows that the bot is at work.
func Typing(at channels.Address) (Call, error) {
	q, err := place(channels.Part{To: at}, Options{})
	if err != nil {
		return Call{}, err
	}
	q.Action = "typing"
	return q.call("sendChatAction", true)
}

// React writes the call that sets the bot's reaction; "" takes it away.
func React(at channels.Address, m channels.MessageID, emoji string) (Call, error) {
	q, err := place(channels.Part{To: at, Replaces: m}, Options{})
	if err != nil {
		return Call{}, err
	}
	list := []emojiParam{}
	if emoji != "" {
		list = append(list, emojiParam{Type: "emoji", Emoji: bare(emoji)})
	}
	q.Reaction = &list
	return q.call("setMessageReaction", true)
}

// Delete writes the call that removes a message.
func Delete(at channels.Address, m channels.MessageID) (Call, error) {
	q, err := place(channels.Part{To: at, Replaces: m}, Options{})
	if err != nil {
		return Call{}, err
	}
	return q.call("deleteMessage", true)
}
