package codec

import (
	"encoding/json"
	"errors"
	"strings"
	"unicode"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// outgoing is a call of /messages.
type outgoing struct {
	Product     string       `json:"messaging_product"`
	Recipient   string       `json:"recipient_type,omitempty"`
	To          string       `json:"to,omitempty"`
	Scoped      string       `json:"recipient,omitempty"` // in the place of To
	Type        string       `json:"type,omitempty"`
	Context     *quoted      `json:"context,omitempty"`
	Text        *text        `json:"text,omitempty"`
	Image       *attachment  `json:"image,omitempty"`
	Video       *attachment  `json:"video,omitempty"`
	Audio       *attachment  `json:"audio,omitempty"`
	Document    *attachment  `json:"document,omitempty"`
	Sticker     *attachment  `json:"sticker,omitempty"`
	Reaction    *reaction    `json:"reaction,omitempty"`
	Interactive *interactive `json:"interactive,omitempty"`
	Template    *template    `json:"template,omitempty"`
	Status      string       `json:"status,omitempty"`
	MessageID   string       `json:"message_id,omitempty"`
	Typing      *typing      `json:"typing_indicator,omitempty"`
}

type (
	quoted struct {
		ID string `json:"message_id"`
	}
	text struct {
		Preview bool   `json:"preview_url"`
		Body    string `json:"body"`
	}
	attachment struct {
		ID       string `json:"id"`
		Caption  string `json:"caption,omitempty"`
		Filename string `json:"filename,omitempty"`
	}
	reaction struct {
		ID    string `json:"message_id"`
		Emoji string `json:"emoji"`
	}
	typing struct {
		Type string `json:"type"`
	}
	interactive struct {
		Type   string  `json:"type"`
		Header *header `json:"header,omitempty"`
		Body   body    `json:"body"`
		Action action  `json:"action"`
	}
	header struct {
		Type     string      `json:"type"`
		Image    *attachment `json:"image,omitempty"`
		Video    *attachment `json:"video,omitempty"`
		Document *attachment `json:"document,omitempty"`
	}
	body struct {
		Text string `json:"text"`
	}
	action struct {
		Buttons    []replyButton `json:"buttons,omitempty"`
		Button     string        `json:"button,omitempty"`
		Sections   []section     `json:"sections,omitempty"`
		Name       string        `json:"name,omitempty"`
		Parameters *link         `json:"parameters,omitempty"`
	}
	replyButton struct {
		Type  string `json:"type"`
		Reply choice `json:"reply"`
	}
	section struct {
		Rows []choice `json:"rows"`
	}
	link struct {
		Text string `json:"display_text"`
		URL  string `json:"url"`
	}
	template struct {
		Name       string      `json:"name"`
		Language   language    `json:"language"`
		Components []component `json:"components,omitempty"`
	}
	language struct {
		Code string `json:"code"`
	}
	component struct {
		Type       string      `json:"type"`
		Parameters []parameter `json:"parameters"`
	}
	parameter struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
)

var (
	errEmpty   = errors.New("there is nothing to send")
	errNoPlace = errors.New("there is nobody to send it to")
)

// Encode makes the call that sends a part; media is the id of its uploaded
// file, if it has one.
func Encode(p channels.Part, media string) ([]byte, error) {
	if p.To.Conversation == "" {
		return nil, errNoPlace
	}
	o := outgoing{Product: "whatsapp"}
	o.to(p.To.Conversation)
	if p.ReplyTo != "" {
		o.Context = &quoted{string(p.ReplyTo)}
	}
	words := Text(p)
	switch {
	case len(p.Files) > 0 && len(p.Buttons) > 0:
		if err := o.chooseBeside(p, media, words); err != nil {
			return nil, err
		}
	case len(p.Files) > 0:
		o.attach(p.Files[0], media, words)
	case words == "":
		return nil, errEmpty
	case len(p.Buttons) > 0:
		o.choose(p.Buttons, words)
	default:
		o.Type, o.Text = "text", &text{Body: words}
	}
	return json.Marshal(o)
}

// Text is a part's body as WhatsApp takes it.
func Text(p channels.Part) string {
	if p.Plain {
		return markup.PlainText.Render(p.Body)
	}
	return markup.WhatsApp.Render(p.Body)
}

// kindOf is how WhatsApp shows a file: as what it is, if the platform takes that
// format and size so, with the text beside it, and as a document otherwise.
func kindOf(f channels.File, beside string) string {
	mime, _, _ := strings.Cut(strings.ToLower(f.MIME), ";")
	switch {
	case f.Kind == channels.Photo && (mime == "image/jpeg" || mime == "image/png") && f.Size <= maxImage:
		return "image"
	case f.Kind == channels.Video && (mime == "video/mp4" || mime == "video/3gpp") && f.Size <= maxMedia:
		return "video"
	case (f.Kind == channels.Audio || f.Kind == channels.Voice) && f.Size <= maxMedia && beside == "":
		switch mime {
		case "audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg":
			return "audio"
		}
	}
	return "document"
}

func (o *outgoing) attach(f channels.File, media, caption string) {
	a := &attachment{ID: media, Caption: caption}
	o.Type = kindOf(f, caption)
	switch o.Type {
	case "image":
		o.Image = a
	case "video":
		o.Video = a
	case "audio":
		o.Audio = a
	default:
		a.Filename = f.Name
		o.Document = a
	}
}

var errBeside = errors.New("beside a file there is room for a short text and three buttons")

// chooseBeside makes buttons under a file.
func (o *outgoing) chooseBeside(p channels.Part, media, words string) error {
	o.choose(p.Buttons, words)
	if o.Interactive == nil || o.Interactive.Type != "button" || words == "" {
		return errBeside
	}
	h := &header{Type: kindOf(p.Files[0], words)}
	a := &attachment{ID: media}
	switch h.Type {
	case "image":
		h.Image = a
	case "video":
		h.Video = a
	default:
		a.Filename = p.Files[0].Name
		h.Document = a
	}
	o.Interactive.Header = h
	return nil
}

// choose makes buttons of up to three, and a list of more. One page is a button
// that opens it; several stand in the text.
func (o *outgoing) choose(buttons []channels.Button, words string) {
	o.Type = "interactive"
	if len(buttons) == 1 && buttons[0].URL != "" {
		o.Interactive = &interactive{Type: "cta_url", Body: body{words}, Action: action{
			Name: "cta_url", Parameters: &link{cut(buttons[0].Label, maxTitle), buttons[0].URL},
		}}
		return
	}
	var choices []choice
	for _, b := range buttons {
		if b.URL != "" {
			words += "\n" + b.Label + ": " + b.URL
			continue
		}
		choices = append(choices, choice{ID: b.Data, Title: b.Label})
	}
	switch {
	case len(choices) == 0:
		o.Type, o.Text = "text", &text{Body: words}
	case len(choices) <= maxReplies && markup.UTF16.Len(words) <= maxButtonBody:
		i := &interactive{Type: "button", Body: body{words}}
		for _, c := range titled(choices, maxTitle) {
			i.Action.Buttons = append(i.Action.Buttons, replyButton{"reply", c})
		}
		o.Interactive = i
	default:
		o.Interactive = &interactive{Type: "list", Body: body{words}, Action: action{
			Button: "Choose", Sections: []section{{Rows: titled(choices, maxRow)}},
		}}
	}
}

// titled cuts titles to what fits, and keeps them apart: WhatsApp refuses two
// that are the same.
func titled(choices []choice, most int) []choice {
	seen := map[string]bool{}
	for i := range choices {
		t := cut(choices[i].Title, most)
		for n := 2; t == "" || seen[t]; n++ {
			mark := " " + string(rune('0'+n%10))
			t = cut(choices[i].Title, most-len(mark)) + mark
			if n > 20 {
				break
			}
		}
		seen[t] = true
		choices[i].Title = t
	}
	return choices
}

// cut shortens a text to a number of UTF-16 units, which is never more than
// what the platform counts.
func cut(s string, most int) string {
	s = strings.TrimSpace(s)
	if markup.UTF16.Len(s) <= most {
		return s
	}
	n := 1 // for the ellipsis
	for i, r := range s {
		if n += markup.UTF16.Len(string(r)); n > most {
			return s[:i] + "…"
		}
	}
	return s
}

// React makes the call that sets a reaction; an empty emoji removes it.
func React(at channels.Address, id channels.MessageID, emoji string) ([]byte, error) {
	o := outgoing{Product: "whatsapp", Type: "reaction", Reaction: &reaction{string(id), emoji}}
	o.to(at.Conversation)
	return json.Marshal(o)
}

// Typing makes the call that marks a message as read and shows that an answer
// is being written.
func Typing(id channels.MessageID) ([]byte, error) {
	return json.Marshal(outgoing{Product: "whatsapp", Status: "read", MessageID: string(id), Typing: &typing{"text"}})
}

// Template makes the call that sends an approved template; words are its one
// parameter, and "" when it has none.
func Template(at channels.Address, name, lang, words string) ([]byte, error) {
	t := &template{Name: name, Language: language{lang}}
	if words != "" {
		t.Components = []component{{"body", []parameter{{"text", flat(words)}}}}
	}
	o := outgoing{Product: "whatsapp", Type: "template", Template: t}
	o.to(at.Conversation)
	return json.Marshal(o)
}

// flat makes a text fit for a template's parameter, which takes no line breaks
// and no four spaces in a row.
func flat(s string) string {
	return cut(strings.Join(strings.FieldsFunc(s, unicode.IsSpace), " "), MaxCaption)
}
