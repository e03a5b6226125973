package codec

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// Limits of the platform.
const (
	MaxText       = 2000 // characters
	MaxFile       = 10 << 20
	MaxAlbum      = 10
	MaxButtons    = 25
	MaxButtonData = 100
	rowButtons    = 5
	maxLabel      = 80
)

// Call is a request to the REST API.
type Call struct {
	Method string
	Path   string // below the API's root
	Route  string // the call's kind and the place that its rate counts for; no ids but that
	Body   []byte // JSON; nil for none
	Files  []channels.File
	// Repeatable: made twice it has the effect of once.
	Repeatable bool
}

// Errors of a part that the platform would refuse.
var (
	ErrButtons = errors.New("the buttons do not fit: at most 25, each with a label and with data of at most 100 bytes or an address")
	ErrFiles   = errors.New("the platform takes at most 10 files with a message")
	ErrEmpty   = errors.New("there is nothing to send")
	ErrPlace   = errors.New("the place or message is no id of the platform")
	ErrEmoji   = errors.New("the reaction is no emoji")
)

// Options change how a part is written.
type Options struct {
	Pings bool // whoever is mentioned, or answered, is notified
}

type outgoing struct {
	Content     string      `json:"content"`
	Nonce       string      `json:"nonce,omitempty"`
	Enforce     bool        `json:"enforce_nonce,omitempty"`
	Mentions    mentions    `json:"allowed_mentions"`
	Reference   *refer      `json:"message_reference,omitempty"`
	Components  []component `json:"components"`
	Attachments []described `json:"attachments,omitempty"`
	Flags       int         `json:"flags,omitempty"`
}

// mentions says who may be notified. An empty list of kinds is nobody.
type mentions struct {
	Parse   []string `json:"parse"`
	Users   []string `json:"users,omitempty"`
	Replied bool     `json:"replied_user"`
}

type refer struct {
	MessageID string `json:"message_id"`
	Strict    bool   `json:"fail_if_not_exists"`
}

type described struct {
	ID       int    `json:"id"`
	Filename string `json:"filename"`
}

type component struct {
	Type       int         `json:"type"`
	Components []component `json:"components,omitempty"`
	Style      int         `json:"style,omitempty"`
	Label      string      `json:"label,omitempty"`
	CustomID   string      `json:"custom_id,omitempty"`
	URL        string      `json:"url,omitempty"`
}

// Flags of a message.
const (
	flagNoEmbeds = 1 << 2
	flagSilent   = 1 << 12
)

// Encode writes a part as a call: a new message, or a change of an earlier one.
// Links get no previews, and nobody is notified by a mention unless the options
// say so. A new message bears a nonce made of the part's key, by which the
// platform knows a repetition for some minutes.
func Encode(p channels.Part, o Options) (Call, error) {
	m, err := content(p, o)
	if err != nil {
		return Call{}, err
	}
	at, err := channelOf(p.To)
	if err != nil {
		return Call{}, err
	}
	if p.Replaces != "" {
		if !digits(string(p.Replaces)) {
			return Call{}, ErrPlace
		}
		return m.call("PATCH", "/channels/"+at+"/messages/"+string(p.Replaces), "PATCH message "+at, p.Files, true)
	}
	m.Nonce, m.Enforce = nonce(p.Key), p.Key != ""
	if p.ReplyTo != "" && digits(string(p.ReplyTo)) {
		m.Reference = &refer{MessageID: string(p.ReplyTo)}
	}
	return m.call("POST", "/channels/"+at+"/messages", "POST messages "+at, p.Files, false)
}

// EncodeReply writes a part as the reply that takes the place of an
// interaction's "… is thinking". It can be repeated.
func EncodeReply(p channels.Part, o Options, app string) (Call, error) {
	m, err := content(p, o)
	if err != nil {
		return Call{}, err
	}
	if p.Via == nil || p.Via.Token.Empty() || !digits(app) {
		return Call{}, ErrPlace
	}
	return m.call("PATCH", "/webhooks/"+app+"/"+url.PathEscape(p.Via.Token.Reveal())+"/messages/@original", "PATCH reply", p.Files, true)
}

// content is what new messages, changes and replies share.
func content(p channels.Part, o Options) (outgoing, error) {
	m := outgoing{Mentions: mentions{Parse: []string{}}, Flags: flagNoEmbeds, Content: render(p)}
	if o.Pings {
		m.Mentions.Users, m.Mentions.Replied = mentioned(p.Body, nil), true
	}
	if p.Silent {
		m.Flags |= flagSilent
	}
	if len(p.Files) > MaxAlbum {
		return m, ErrFiles
	}
	if m.Content == "" && len(p.Files) == 0 {
		return m, ErrEmpty
	}
	for i, f := range p.Files {
		m.Attachments = append(m.Attachments, described{ID: i, Filename: Filename(f)})
	}
	var err error
	m.Components, err = components(p.Buttons)
	return m, err
}

// render writes the body. Discord knows no text without markup: what is meant
// literally is escaped.
func render(p channels.Part) string {
	if !p.Plain {
		return markup.DiscordMarkdown.Render(p.Body)
	}
	return markup.DiscordMarkdown.Render(markup.Plain(markup.PlainText.Render(p.Body)))
}

// mentioned lists the people that a text names.
func mentioned(n markup.Node, ids []string) []string {
	const most = 100
	if n.Kind == markup.Mention && digits(n.URL) && len(ids) < most {
		ids = append(ids, n.URL)
	}
	for i := range n.Children {
		ids = mentioned(n.Children[i], ids)
	}
	return ids
}

// nonce is a key in the 25 characters that the platform allows.
func nonce(key string) string {
	if key == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(key))
	return base64.RawURLEncoding.EncodeToString(sum[:18])
}

func (m *outgoing) call(method, path, route string, files []channels.File, repeatable bool) (Call, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(m); err != nil {
		return Call{}, err
	}
	return Call{Method: method, Path: path, Route: route, Body: bytes.TrimSpace(b.Bytes()), Files: files, Repeatable: repeatable}, nil
}

// channelOf is the platform's channel of a place: the thread, if there is one.
func channelOf(at channels.Address) (string, error) {
	id := string(at.Thread)
	if id == "" {
		id = string(at.Conversation)
	}
	if id == "" || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return "", ErrPlace
	}
	return id, nil
}

// Filename is the name of a file as the platform can show it.
func Filename(f channels.File) string {
	clean := make([]rune, 0, len(f.Name))
	for _, r := range f.Name {
		if r < ' ' || r == 0x7f || r == '/' || r == '\\' {
			r = '_'
		}
		clean = append(clean, r)
	}
	if len(clean) == 0 {
		if f.Kind == "" {
			return "file"
		}
		return string(f.Kind)
	}
	return string(clean)
}

const (
	componentRow = 1
	styleLink    = 5
)

// components lays buttons out in rows. A message without any says so, so that a
// change takes away those that it had.
func components(list []channels.Button) ([]component, error) {
	if len(list) > MaxButtons {
		return nil, ErrButtons
	}
	rows := []component{}
	for i, b := range list {
		if b.Label == "" || (b.Data == "" && b.URL == "") || len(b.Data) > MaxButtonData {
			return nil, ErrButtons
		}
		if i%rowButtons == 0 {
			rows = append(rows, component{Type: componentRow})
		}
		row := &rows[len(rows)-1]
		row.Components = append(row.Components, asButton(b))
	}
	return rows, nil
}

// asButton writes one button. Discord takes exactly one of data and address.
func asButton(b channels.Button) component {
	out := component{Type: componentButton, Label: short(b.Label, maxLabel), CustomID: b.Data, Style: 2}
	switch b.Style {
	case "primary":
		out.Style = 1
	case "success":
		out.Style = 3
	case "danger":
		out.Style = 4
	}
	if b.URL != "" {
		out.URL, out.CustomID, out.Style = b.URL, "", styleLink
	}
	return out
}

func short(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// Delete writes the removal of a message of the bot.
func Delete(at channels.Address, id channels.MessageID) (Call, error) {
	return about(at, id, "DELETE", "")
}

// Message asks for one message.
func Message(at channels.Address, id channels.MessageID) (Call, error) {
	return about(at, id, "GET", "")
}

// React sets a reaction of the bot, or takes it away.
func React(at channels.Address, id channels.MessageID, emoji string, set bool) (Call, error) {
	if emoji == "" || len(emoji) > 100 {
		return Call{}, ErrEmoji
	}
	method := "PUT"
	if !set {
		method = "DELETE"
	}
	return about(at, id, method, "/reactions/"+url.PathEscape(emoji)+"/@me")
}

func about(at channels.Address, id channels.MessageID, method, rest string) (Call, error) {
	ch, err := channelOf(at)
	if err != nil || !digits(string(id)) {
		return Call{}, ErrPlace
	}
	kind := method + " message "
	if rest != "" {
		kind = method + " reaction "
	}
	return Call{Method: method, Path: "/channels/" + ch + "/messages/" + string(id) + rest, Route: kind + ch, Repeatable: true}, nil
}

// Mine lists the bot's own reactions on a message, as [React] takes them.
func Mine(message []byte) []string {
	m, err := parse[struct {
		Reactions []struct {
			Me    bool  `json:"me"`
			Emoji emoji `json:"emoji"`
		} `json:"reactions"`
	}](message)
	if err != nil {
		return nil
	}
	var out []string
	for _, r := range m.Reactions {
		name := r.Emoji.Name
		if r.Emoji.ID != "" {
			name += ":" + r.Emoji.ID
		}
		if r.Me && name != "" {
			out = append(out, name)
		}
	}
	return out
}

// Typing shows that the bot is at work.
func Typing(at channels.Address) (Call, error) {
	ch, err := channelOf(at)
	if err != nil {
		return Call{}, err
	}
	return Call{Method: "POST", Path: "/channels/" + ch + "/typing", Route: "POST typing " + ch, Repeatable: true}, nil
}

// Acknowledge tells a person that their command or press has arrived.
func (d *Defer) Acknowledge() Call {
	return Call{
		Method: "POST", Path: "/interactions/" + url.PathEscape(d.ID) + "/" + url.PathEscape(d.Token.Reveal()) + "/callback",
		Route: "POST callback", Body: d.Body(), Repeatable: true,
	}
}

// Body is the answer itself, for an interaction that came by HTTP.
func (d *Defer) Body() []byte { return []byte(`{"type":` + strconv.Itoa(d.Type) + `}`) }

// Channel asks for a channel.
func Channel(id string) (Call, error) {
	if !digits(id) {
		return Call{}, ErrPlace
	}
	return Call{Method: "GET", Path: "/channels/" + id, Route: "GET channel " + id, Repeatable: true}, nil
}

// historyPage is the most messages that the platform gives at once.
const historyPage = 100

// History asks for the messages of a channel after an id.
func History(channel, after string) (Call, error) {
	if !digits(channel) || !digits(after) {
		return Call{}, ErrPlace
	}
	return Call{
		Method: "GET", Path: "/channels/" + channel + "/messages?limit=" + strconv.Itoa(historyPage) + "&after=" + after,
		Route: "GET messages " + channel, Repeatable: true,
	}, nil
}

// Earlier asks for the last messages of a channel up to an id and with it, which
// is one page of a history: what History leaves out.
func Earlier(channel, upTo string) (Call, error) {
	n, err := strconv.ParseUint(upTo, 10, 63)
	if err != nil {
		return Call{}, ErrPlace
	}
	c, err := History(channel, strconv.FormatUint(n+1, 10))
	c.Path = strings.Replace(c.Path, "&after=", "&before=", 1)
	return c, err
}

// Page reads an answer to History or Earlier, oldest message first. last is the newest id
// of a page that may have another behind it; "" for the last page.
func Page(body []byte) (list []json.RawMessage, last string, err error) {
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, "", errors.New("the history is not a list")
	}
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 { // the platform gives the newest first
		list[i], list[j] = list[j], list[i]
	}
	if len(list) < historyPage {
		return list, "", nil
	}
	m, err := parse[message](list[len(list)-1])
	if err != nil || !digits(m.ID) {
		return list, "", errors.New("a message of the history has no id")
	}
	return list, m.ID, nil
}
