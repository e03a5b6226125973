package telegramtest

import (
	"bytes"
	"encoding/json"
	"image"
	"strconv"
	"strings"
)

// sendFile is the call that sends one file of a kind, in the field of that name.
func sendFile(kind string) call {
	return func(s *Server, q *query) (any, error) {
		up, known, err := s.input(q, kind, q.str(kind))
		if err != nil {
			return nil, err
		}
		if up == nil && known == nil {
			return nil, badRequest("there is no %s in the request", strings.ReplaceAll(kind, "_", " "))
		}
		caption, err := formattedOf(q, "caption", "caption_entities")
		if err != nil {
			return nil, err
		}
		board, err := keyboardOf(q)
		if err != nil {
			return nil, err
		}
		p, err := s.place(q)
		if err != nil {
			return nil, err
		}
		if err := s.checkMedia(kind, up, caption); err != nil {
			return nil, err
		}
		if err := checkButtons(board); err != nil {
			return nil, err
		}
		m := s.compose(q, p)
		m.ReplyMarkup = board
		s.fill(m, s.file(kind, up, known), caption)
		describe(m, q)
		return s.deliver(q, p, m), nil
	}
}

// fill puts a file and its caption into a message.
func (s *Server) fill(m *stored, f *keptFile, caption formatted) {
	s.attach(m, f)
	m.Caption, m.CaptionEntities = caption.text, s.known(caption.entities)
}

// file stores an upload, or sends a stored file again, perhaps as another kind.
func (s *Server) file(kind string, up *upload, known *keptFile) *keptFile {
	switch {
	case up != nil:
		return s.files.keep(kind, up.name, up.mime, up.bytes)
	case known.Kind != kind:
		return s.files.keep(kind, known.Name, known.MIME, known.Bytes)
	}
	return known
}

// describe copies what a call says of a sound or a film.
func describe(m *stored, q *query) {
	for _, w := range []*wireFile{m.Voice, m.Audio, m.Video, m.Animation, m.VideoNote} {
		if w == nil {
			continue
		}
		duration := q.int("duration")
		w.Duration = &duration
		w.Title, w.Performer = q.str("title"), q.str("performer")
		if width := q.int("width"); width > 0 {
			w.Width, w.Height = int(width), int(q.int("height"))
		}
	}
}

// input finds the file that a call means: an upload in the field itself or
// under attach://, or one that was sent before.
func (s *Server) input(q *query, field, value string) (*upload, *keptFile, error) {
	name, attached := strings.CutPrefix(value, "attach://")
	switch {
	case attached:
		field = name
	case strings.HasPrefix(value, "http://") || strings.HasPrefix(value, "https://"):
		return nil, nil, badRequest("failed to get HTTP URL content")
	case value != "":
		if f, ok := s.files.byID[value]; ok {
			return nil, f, nil
		}
		return nil, nil, badRequest("wrong file identifier/HTTP URL specified")
	}
	up, ok := q.files[field]
	switch {
	case !ok:
		return nil, nil, nil
	case len(up.bytes) == 0:
		return nil, nil, badRequest("file must be non-empty")
	}
	return &up, nil, nil
}

// checkMedia applies the platform's limits on a file and its caption.
func (s *Server) checkMedia(kind string, up *upload, caption formatted) error {
	if utf16Len(caption.text) > maxCaption {
		return badRequest("message caption is too long")
	}
	if up == nil {
		return nil
	}
	if len(up.bytes) > s.options.maxUpload {
		return &apiError{code: 413, description: "Request Entity Too Large"}
	}
	if kind != "photo" {
		return nil
	}
	if len(up.bytes) > maxPhoto {
		return badRequest("file of size %d bytes is too big for a photo; the maximum size is %d bytes", len(up.bytes), maxPhoto)
	}
	config, _, err := image.DecodeConfig(bytes.NewReader(up.bytes))
	switch {
	case err != nil:
		return badRequest("IMAGE_PROCESS_FAILED")
	case config.Width+config.Height > 10000 || config.Width > 20*config.Height || config.Height > 20*config.Width:
		return badRequest("PHOTO_INVALID_DIMENSIONS")
	}
	return nil
}

// albumItem is an entry of the media of a call.
type albumItem struct {
	Type      string          `json:"type"`
	Media     string          `json:"media"`
	Caption   string          `json:"caption"`
	ParseMode string          `json:"parse_mode"`
	Entities  json.RawMessage `json:"caption_entities"`
}

type readyItem struct {
	kind    string
	up      *upload
	known   *keptFile
	caption formatted
}

// prepare checks one entry, without storing anything.
func (s *Server) prepare(q *query, item albumItem) (readyItem, error) {
	kind := item.Type
	switch kind {
	case "photo", "video", "document", "audio", "animation":
	default:
		return readyItem{}, badRequest("can't parse InputMedia: type must be one of photo, video, document, audio, animation")
	}
	up, known, err := s.input(q, "", item.Media)
	if err != nil {
		return readyItem{}, err
	}
	if up == nil && known == nil {
		return readyItem{}, badRequest("can't parse InputMedia: media not found")
	}
	caption, err := formattedOf(&query{args: map[string]string{
		"caption": item.Caption, "parse_mode": item.ParseMode, "caption_entities": string(item.Entities),
	}}, "caption", "caption_entities")
	if err != nil {
		return readyItem{}, err
	}
	return readyItem{kind, up, known, caption}, s.checkMedia(kind, up, caption)
}

// sendMediaGroup sends an album: all of it or nothing.
func (s *Server) sendMediaGroup(q *query) (any, error) {
	var items []albumItem
	if json.Unmarshal([]byte(q.str("media")), &items) != nil {
		return nil, badRequest("can't parse media JSON object")
	}
	var ready []readyItem
	for _, item := range items {
		r, err := s.prepare(q, item)
		if err != nil {
			return nil, err
		}
		ready = append(ready, r)
	}
	if err := checkAlbum(ready); err != nil {
		return nil, err
	}
	p, err := s.place(q)
	if err != nil {
		return nil, err
	}
	album := ""
	if len(ready) > 1 {
		s.lastAlbum++
		album = strconv.FormatInt(13_900_000_000_000_000+s.lastAlbum, 10)
	}
	var out []*wireMessage
	for _, r := range ready {
		m := s.compose(q, p)
		m.AlbumID = album
		s.fill(m, s.file(r.kind, r.up, r.known), r.caption)
		out = append(out, s.deliver(q, p, m))
	}
	return out, nil
}

func checkAlbum(ready []readyItem) error {
	kinds := map[string]bool{}
	for _, r := range ready {
		kinds[r.kind] = true
	}
	switch {
	case len(ready) == 0:
		return badRequest("there are no messages to send")
	case len(ready) > 10:
		return badRequest("too many messages to send as an album")
	case kinds["animation"] && len(ready) > 1:
		return badRequest("can't use the media of the specified type in the album")
	case kinds["document"] && len(kinds) > 1:
		return badRequest("document can't be mixed with other media types")
	case kinds["audio"] && len(kinds) > 1:
		return badRequest("audio can't be mixed with other media types")
	}
	return nil
}

func (s *Server) editMessageCaption(q *query) (any, error) {
	caption, err := formattedOf(q, "caption", "caption_entities")
	if err != nil {
		return nil, err
	}
	board, err := keyboardOf(q)
	if err != nil {
		return nil, err
	}
	c, m, err := s.ownMessage(q)
	if err != nil {
		return nil, err
	}
	caption.entities = s.known(caption.entities)
	switch {
	case len(m.files) == 0:
		return nil, badRequest("there is no caption in the message to edit")
	case utf16Len(caption.text) > maxCaption:
		return nil, badRequest("message caption is too long")
	case caption.text == m.Caption && sameEntities(caption.entities, m.CaptionEntities) && sameKeyboard(board, m.ReplyMarkup):
		return nil, badRequest(notModified)
	}
	if err := checkButtons(board); err != nil {
		return nil, err
	}
	return s.edit(q, c, m, func(w *wireMessage) {
		w.Caption, w.CaptionEntities, w.ReplyMarkup = caption.text, caption.entities, board
	}), nil
}
