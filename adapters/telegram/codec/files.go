package codec

import (
	"fmt"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// files lists what can be fetched. An animation comes with a document of the
// same content, which is left out.
func (a *attachments) files() []channels.File {
	switch {
	case len(a.Photo) > 0:
		return one(channels.Photo, largest(a.Photo), "image/jpeg")
	case a.Animation != nil:
		return one(channels.Video, a.Animation, "video/mp4")
	case a.Document != nil:
		return one(channels.Document, a.Document, "")
	case a.Audio != nil:
		return one(channels.Audio, a.Audio, "")
	case a.Voice != nil:
		return one(channels.Voice, a.Voice, "audio/ogg")
	case a.Video != nil:
		return one(channels.Video, a.Video, "video/mp4")
	case a.VideoNote != nil:
		return one(channels.Video, a.VideoNote, "video/mp4")
	case a.Sticker != nil:
		return one(channels.Sticker, a.Sticker, a.Sticker.stickerMIME())
	}
	return nil
}

func one(kind channels.FileKind, f *file, mime string) []channels.File {
	if f == nil || f.ID == "" {
		return nil
	}
	if f.MIME != "" {
		mime = f.MIME
	}
	return []channels.File{{Kind: kind, Name: f.Name, MIME: mime, Size: max(f.Size, 0), Ref: f.ID}}
}

// largest picks the best of a photo's sizes, which are the same picture.
func largest(sizes []file) *file {
	best := &sizes[0]
	for i := range sizes {
		if sizes[i].area() > best.area() {
			best = &sizes[i]
		}
	}
	return best
}

func (f *file) area() int64 { return int64(f.Width) * int64(f.Height) }

func (f *file) stickerMIME() string {
	switch {
	case f.Animated:
		return "application/x-tgsticker"
	case f.Video:
		return "video/webm"
	}
	return "image/webp"
}

// words is what a message says, as CommonMark; lossy reports that it only
// describes what the message holds.
func (m *message) words() (text string, lossy bool) {
	if m.Text != "" {
		return commonmark(m.Text, m.Entities), false
	}
	text = commonmark(m.Caption, m.CaptionEntities)
	if s := m.Sticker; s != nil && s.Emoji != "" {
		return "[sticker " + s.Emoji + "]", false
	}
	thing := m.describe()
	switch {
	case thing == "":
		return text, false
	case text == "":
		return thing, true
	}
	return thing + "\n" + text, true
}

// describe puts a content that is neither text nor a file into words.
func (t *things) describe() string {
	switch {
	case t.Venue != nil:
		v := t.Venue
		return fmt.Sprintf("[venue: %s, %s (%s)]", v.Title, v.Address, v.Location.coordinates())
	case t.Location != nil:
		return "[location: " + t.Location.coordinates() + "]"
	case t.Contact != nil:
		return fmt.Sprintf("[contact: %s, %s]", joined(t.Contact.FirstName, t.Contact.LastName), t.Contact.Phone)
	case t.Poll != nil:
		return "[poll: " + t.Poll.Question + "]" + numbered(t.Poll.Options)
	case t.Checklist != nil:
		return "[checklist: " + t.Checklist.Title + "]" + numbered(t.Checklist.Tasks)
	case t.Dice != nil:
		return fmt.Sprintf("[dice %s: %d]", t.Dice.Emoji, t.Dice.Value)
	case t.Game != nil:
		return "[game: " + t.Game.Title + "]"
	case t.Invoice != nil:
		return "[invoice: " + t.Invoice.Title + "]"
	case t.WebApp != nil:
		return "[from the web app: " + t.WebApp.Data + "]"
	case bool(t.Story):
		return "[story]"
	case bool(t.Giveaway):
		return "[giveaway]"
	case bool(t.PaidMedia):
		return "[paid media]"
	}
	return ""
}

func (l location) coordinates() string { return fmt.Sprintf("%.6f, %.6f", l.Latitude, l.Longitude) }

func numbered(options []pollOption) string {
	var b strings.Builder
	for i, o := range options {
		fmt.Fprintf(&b, "\n%d. %s", i+1, o.Text)
	}
	return b.String()
}

// describeFiles names what a quoted message carried.
func describeFiles(files []channels.File) string {
	if len(files) == 0 {
		return ""
	}
	f := files[0]
	if f.Name != "" {
		return "[" + string(f.Kind) + ": " + f.Name + "]"
	}
	return "[" + string(f.Kind) + "]"
}
