package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// Files is how a turn, and the tools that it calls, reach attachments. Its
// methods may be called from the goroutine that called Run only.
type Files interface {
	// Fetch brings an attachment that somebody sent to the gateway, unless it is
	// there, and returns it with its Blob, and with the size and type that it
	// turned out to have. It blocks while the platform gives it out.
	// [ErrFileTooLarge] says that it never will.
	Fetch(ctx context.Context, f channels.File) (channels.File, error)
	// Keep takes a file in that is for the person, from its Open or by the Blob
	// that it has, and returns it with its Blob, size, type and kind.
	Keep(ctx context.Context, f channels.File) (channels.File, error)
	// Open reads a file that has a Blob. The caller closes it.
	Open(ctx context.Context, f channels.File) (io.ReadCloser, error)
}

// ErrFileTooLarge says that a file is larger than can be fetched or kept.
var ErrFileTooLarge = errors.New("the file is too large")

// Image is a picture as a model sees it.
type Image struct {
	MIME string
	Data []byte
}

// Transcriber writes down what is said in a recording. Failures are an *Error.
type Transcriber interface {
	Transcribe(ctx context.Context, r Recording) (text string, u Usage, err error)
}

// Recording is what a Transcriber is given.
type Recording struct {
	Model   string // the provider's name for it
	Name    string // with an ending that says what it is
	MIME    string
	Content io.Reader
}

// The limits of what a turn looks into.
const (
	maxImage    = 3_750_000 // bytes; as base64 it is the 5 MB that the strictest provider takes
	maxImages   = 8         // of one request, the newest
	maxSeen     = 12 << 20  // bytes of all images of one request
	maxInline   = 48 << 10  // bytes of a text that stands in the message itself
	maxListen   = 25 << 20  // bytes of a recording
	maxFetched  = 10        // attachments of one batch of messages that are looked into
	maxAttached = 10        // files of one answer
	imageTokens = 1000      // what an image is reckoned to take
)

// FileID names an attachment to the model. It is the same in every turn.
func FileID(f channels.File) string {
	name := f.Ref
	if name == "" {
		name = f.Blob
	}
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:4])
}

// Attachments are the files of an event.
func Attachments(e *channels.Event) []channels.File {
	switch c := e.Content.(type) {
	case channels.Message:
		return c.Files
	case channels.Edit:
		return c.Files
	default:
		return nil
	}
}

// opened is what became of an event's attachments.
type opened struct {
	files []channels.File // with a Blob where they were fetched
	text  string          // how the model reads of them
	heard bool            // a recording was written down
}

// open looks into an event's attachments, as far as somebody can make use of
// what is in them. What fails is said, to the model and to the person, and
// takes nothing with it.
func (r *run) open(ctx context.Context, files []channels.File) opened {
	var o opened
	for i, f := range files {
		line := bracketed(f)
		if f.Kind == channels.Voice {
			line = unheard(f)
		}
		if i < maxFetched && ctx.Err() == nil {
			var more string
			var err error
			switch {
			case r.turn.Files == nil:
			case r.sees() && picture(f):
				f, err = r.fetch(ctx, f, maxImage)
			case r.voice != nil && f.Kind == channels.Voice:
				if more, err = r.listen(ctx, &f); err == nil {
					o.heard, line = true, bracketed(f)
				}
			case plainText(f):
				more, err = r.inline(ctx, &f)
			}
			if err != nil && ctx.Err() == nil {
				r.notOpened(f, err)
				more = "[it could not be opened]"
			}
			line = lines(line, more)
		}
		o.files, o.text = append(o.files, f), lines(o.text, line)
	}
	return o
}

// notOpened tells the person and the log.
func (r *run) notOpened(f channels.File, err error) {
	r.log.Warn("an attachment could not be opened", "turn", r.turn.ID, "kind", f.Kind, "err", err)
	r.note(sayNotOpened(f, errors.Is(err, ErrFileTooLarge)))
}

// fetch brings an attachment here, unless it is larger than limit.
func (r *run) fetch(ctx context.Context, f channels.File, limit int64) (channels.File, error) {
	if f.Size > limit {
		return f, ErrFileTooLarge
	}
	ctx, cancel := context.WithTimeout(ctx, r.limits.Fetch)
	defer cancel()
	got, err := r.turn.Files.Fetch(ctx, f)
	if err != nil {
		return f, err
	}
	if got.Size > limit {
		return got, ErrFileTooLarge
	}
	return got, nil
}

// inline reads a small text. What turns out to be none stays a name.
func (r *run) inline(ctx context.Context, f *channels.File) (string, error) {
	var err error
	if *f, err = r.fetch(ctx, *f, maxInline); err != nil {
		return "", err
	}
	b, err := r.read(ctx, *f, maxInline)
	if err != nil || !utf8.Valid(b) || strings.ContainsRune(string(b), 0) {
		return "", err
	}
	return "[its text:]\n" + string(b) + "\n[end of the file]", nil
}

// listen writes a recording down.
func (r *run) listen(ctx context.Context, f *channels.File) (string, error) {
	var err error
	if *f, err = r.fetch(ctx, *f, maxListen); err != nil {
		return "", err
	}
	m := r.voice.Model
	spent, err := r.reserveListening(ctx, m)
	if err != nil {
		return "", err
	}
	cost := 0.0
	defer func() { spent(cost) }()
	content, err := r.turn.Files.Open(ctx, *f)
	if err != nil {
		return "", err
	}
	defer func() { _ = content.Close() }()
	ctx, cancel := context.WithTimeout(ctx, r.limits.Tool)
	defer cancel()
	text, usage, err := r.voice.Transcriber.Transcribe(ctx, Recording{Model: m.Name, Name: soundName(*f), MIME: f.MIME, Content: content})
	if err != nil {
		return "", err
	}
	cost = r.heard(m, usage)
	if text = strings.TrimSpace(text); text == "" {
		return "[nothing is said in it]", nil
	}
	return "[what is said in it:]\n" + text, nil
}

// heard books a transcription. A provider counts its time or its tokens.
func (r *run) heard(m Model, u Usage) float64 {
	u.At, u.Provider, u.Model = r.now(), m.Kind, m.Name
	if u.USD == 0 {
		u.USD = m.Price.Of(u)
	}
	u.Guessed = u.Guessed || m.Price.Guessed
	r.usage = append(r.usage, u)
	return u.USD
}

// mostListening is what one transcription is taken to cost at most, in USD:
// half an hour of a recording at the usual price.
const mostListening = 0.2

// reserveListening takes what a transcription may cost out of the budget.
func (r *run) reserveListening(ctx context.Context, m Model) (spent func(float64), err error) {
	if r.turn.Budget == nil || m.Price.Free() {
		return func(float64) {}, nil
	}
	_, spent, err = r.turn.Budget.Reserve(ctx, mostListening/100, mostListening)
	return spent, err
}

// soundName ends as providers want a recording's name to end.
func soundName(f channels.File) string {
	switch f.MIME {
	case "audio/ogg", "audio/opus", "application/ogg":
		return "voice.ogg"
	case "audio/mpeg":
		return "voice.mp3"
	case "audio/mp4", "audio/x-m4a", "audio/m4a", "video/mp4":
		return "voice.m4a"
	case "audio/wav", "audio/wave", "audio/x-wav":
		return "voice.wav"
	case "audio/webm", "video/webm":
		return "voice.webm"
	}
	if end := path.Ext(f.Name); end != "" && len(end) <= 5 {
		return "voice" + end
	}
	return "voice.ogg"
}

// read reads a kept file of at most limit bytes.
func (r *run) read(ctx context.Context, f channels.File, limit int64) ([]byte, error) {
	c, err := r.turn.Files.Open(ctx, f)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	b, err := io.ReadAll(io.LimitReader(c, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = ErrFileTooLarge
	}
	return b, err
}

// sees reports whether one of the turn's models takes images.
func (r *run) sees() bool {
	return !r.blind && slices.ContainsFunc(r.models, func(m Model) bool { return m.Vision })
}

// picture reports files that models can be shown.
func picture(f channels.File) bool {
	return showable(f.MIME) && (f.Kind == channels.Photo || f.Kind == channels.Document || f.Kind == channels.Sticker)
}

// showable are the types that every provider with vision takes.
func showable(mime string) bool {
	return slices.Contains([]string{"image/jpeg", "image/png", "image/gif", "image/webp"}, mime)
}

// plainText reports small files that are most likely texts.
func plainText(f channels.File) bool {
	if f.Kind != channels.Document || f.Size > maxInline {
		return false
	}
	kind, _, _ := strings.Cut(f.MIME, ";")
	if strings.HasPrefix(kind, "text/") {
		return true
	}
	return slices.Contains([]string{
		"application/json", "application/xml", "application/yaml", "application/x-yaml", "application/toml",
		"application/javascript", "application/x-sh", "application/sql",
	}, kind)
}

// look brings the newest pictures of the conversation here for a model that
// sees. What cannot be had is not shown; its name stands in the text.
func (r *run) look(ctx context.Context, m Model) {
	if !m.Vision || r.blind || r.turn.Files == nil {
		return
	}
	seen := map[string]Image{}
	var sum int
	add := func(entries []Entry) {
		for i := len(entries) - 1; i >= 0; i-- {
			for _, f := range slices.Backward(entries[i].Files) {
				if entries[i].Role != User || f.Blob == "" || !picture(f) || len(seen) >= maxImages || ctx.Err() != nil {
					continue
				}
				img, have := r.images[f.Blob]
				if !have {
					b, err := r.read(ctx, f, maxImage)
					if err != nil {
						r.log.Debug("a picture is not shown", "turn", r.turn.ID, "err", err)
						continue
					}
					img = Image{MIME: f.MIME, Data: b}
				}
				if sum += len(img.Data); sum > maxSeen {
					return
				}
				seen[f.Blob] = img
			}
		}
	}
	add(r.fresh)
	add(r.history)
	r.images = seen
}

// shownImages are the pictures of an entry that a model is given.
func (r *run) shownImages(e *Entry, vision bool) []Image {
	if !vision || r.blind || len(r.images) == 0 || e.Role != User {
		return nil
	}
	var all []Image
	for _, f := range e.Files {
		if img, ok := r.images[f.Blob]; ok {
			all = append(all, img)
		}
	}
	return all
}

// keepFiles makes what a tool returned durable, before its result is. What
// cannot be kept is taken out, and the model told.
func (r *run) keepFiles(ctx context.Context, res *ToolResult) {
	var kept []channels.File
	for _, f := range res.Files {
		if r.turn.Files == nil || len(r.attached)+len(kept) >= maxAttached {
			res.Text = lines(res.Text, fmt.Sprintf("error: an answer has at most %d files; this one is not attached", maxAttached))
			continue
		}
		r.clear(&f)
		k, err := r.turn.Files.Keep(ctx, f)
		if err != nil {
			r.log.Warn("a file could not be kept", "turn", r.turn.ID, "err", err)
			why := "error: the file could not be kept and is not attached"
			if errors.Is(err, ErrFileTooLarge) {
				why = "error: the file is too large and is not attached"
			}
			res.Text = lines(res.Text, why)
			continue
		}
		k.Open = nil
		kept = append(kept, k)
		res.Text = lines(res.Text, "Attached to the answer: "+bracketed(k))
	}
	res.Files = kept
}

// maxCleared bounds the texts in which secrets are looked for. In bytes.
const maxCleared = 1 << 20

// clear hides secrets in a text that a tool made, as in what the answer says.
func (r *run) clear(f *channels.File) {
	if f.Open == nil || !strings.HasPrefix(f.MIME, "text/") {
		return
	}
	open := f.Open
	f.Open = func(ctx context.Context) (io.ReadCloser, error) {
		c, err := open(ctx)
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(io.LimitReader(c, maxCleared+1))
		if err := errors.Join(err, c.Close()); err != nil {
			return nil, err
		}
		if len(b) > maxCleared {
			return nil, ErrFileTooLarge
		}
		return io.NopCloser(strings.NewReader(r.leaks.Redact("files of "+r.turn.ID, string(b)))), nil
	}
}

// bracketed describes a file in a line: kind, id, name, type and size.
func bracketed(f channels.File) string {
	switch f.Kind {
	case "":
		return about(f, string(channels.Document))
	case channels.Voice:
		return about(f, "voice message")
	case channels.Photo, channels.Audio, channels.Video, channels.Sticker, channels.Document:
	}
	return about(f, string(f.Kind))
}

// unheard describes a recording that nobody has written down.
func unheard(f channels.File) string { return about(f, "voice message that could not be transcribed") }

func about(f channels.File, kind string) string {
	var facts []string
	if n := cleanName(f.Name); n != "" {
		facts = append(facts, n)
	}
	if t := cleanName(f.MIME); t != "" {
		facts = append(facts, t)
	}
	if f.Size > 0 {
		facts = append(facts, sizeOf(f.Size))
	}
	if f.Ref != "" || f.Blob != "" {
		kind += " " + FileID(f)
	}
	if len(facts) == 0 {
		return "[" + kind + "]"
	}
	return "[" + kind + ": " + strings.Join(facts, ", ") + "]"
}

// sizeOf says a number of bytes in words.
func sizeOf(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 1<<20:
		return fmt.Sprintf("%d KB", (n+512)>>10)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
}
