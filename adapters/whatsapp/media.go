//go:build !nowhatsapp

package whatsapp

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/store"
	"google.golang.org/protobuf/proto"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// media is where a file lies and how it is opened: what a File.Ref holds.
type media struct {
	Type      whatsmeow.MediaType `json:"type"`
	Path      string              `json:"path"`
	Key       []byte              `json:"key"`
	Sum       []byte              `json:"sum"`
	SealedSum []byte              `json:"sealed_sum"`
	Size      int                 `json:"size"`
}

func (m media) ref() string {
	b, err := json.Marshal(m)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseRef(ref string) (m media, err error) {
	b, err := base64.RawURLEncoding.DecodeString(ref)
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err == nil && (!strings.HasPrefix(m.Path, "/") || len(m.Key) != 32 || whatsmeow.MediaType("") == m.Type) {
		err = errors.New("it is incomplete")
	}
	return m, err
}

// attached is what every message with a file has.
type attached interface {
	whatsmeow.DownloadableMessage
	GetMimetype() string
	GetFileLength() uint64
}

// filesOf describes the file of a message; nil for none.
func filesOf(m *waE2E.Message) []channels.File {
	var x attached
	f := channels.File{}
	switch {
	case m.GetImageMessage() != nil:
		x, f.Kind = m.GetImageMessage(), channels.Photo
	case m.GetVideoMessage() != nil:
		x, f.Kind = m.GetVideoMessage(), channels.Video
	case m.GetAudioMessage() != nil:
		x, f.Kind = m.GetAudioMessage(), channels.Audio
		if m.GetAudioMessage().GetPTT() {
			f.Kind = channels.Voice
		}
	case m.GetStickerMessage() != nil:
		x, f.Kind = m.GetStickerMessage(), channels.Sticker
	case m.GetDocumentMessage() != nil:
		x, f.Kind, f.Name = m.GetDocumentMessage(), channels.Document, m.GetDocumentMessage().GetFileName()
	default:
		return nil
	}
	size := x.GetFileLength()
	if size > 1<<40 {
		size = 0
	}
	f.MIME, _, _ = strings.Cut(x.GetMimetype(), ";")
	f.Size = int64(size)
	f.Ref = media{
		Type: whatsmeow.GetMediaType(x), Path: x.GetDirectPath(), Key: x.GetMediaKey(),
		Sum: x.GetFileSHA256(), SealedSum: x.GetFileEncSHA256(), Size: int(size),
	}.ref()
	return []channels.File{f}
}

var errTooBig = errors.New("the file is larger than 20 MB")

// Fetch implements channels.Fetcher. The file is downloaded and checked as a
// whole before anything of it is given out.
func (c *Channel) Fetch(ctx context.Context, f channels.File) (io.ReadCloser, error) {
	const op = "fetch"
	m, err := parseRef(f.Ref)
	if err != nil {
		return nil, c.fail(op, channels.Rejected, fmt.Errorf("the file's reference: %w", err))
	}
	if f.Size > maxFetch || m.Size > maxFetch {
		return nil, c.fail(op, channels.Rejected, errTooBig)
	}
	b, err := c.download(ctx, m)
	switch {
	case err == nil:
		return io.NopCloser(bytes.NewReader(b)), nil
	case errors.Is(err, whatsmeow.ErrMediaDownloadFailedWith403), errors.Is(err, whatsmeow.ErrMediaDownloadFailedWith404),
		errors.Is(err, whatsmeow.ErrMediaDownloadFailedWith410):
		return nil, c.fail(op, channels.Gone, errors.New("WhatsApp no longer has the file; ask for it to be sent again"))
	case errors.Is(err, whatsmeow.ErrInvalidMediaHMAC), errors.Is(err, whatsmeow.ErrInvalidMediaSHA256), errors.Is(err, whatsmeow.ErrInvalidMediaEncSHA256):
		return nil, c.fail(op, channels.Rejected, errors.New("the file is damaged"))
	}
	return nil, c.fail(op, channels.Transient, plain(err))
}

// mediaHost is where media lies for everybody who knows its path. Over a
// connection, WhatsApp names hosts that are nearer.
const mediaHost = "https://mmg.whatsapp.net"

// download gets a file over the connection that stands, and without one from
// where everybody finds it: a gateway that has left the connection to another
// one reads attachments, too.
func (c *Channel) download(ctx context.Context, m media) ([]byte, error) {
	s, err := c.session(ctx, "fetch")
	if err == nil {
		defer s.release()
		return s.client.DownloadMediaWithPath(ctx, m.Path, m.SealedSum, m.Sum, m.Key, m.Size, m.Type, "")
	}
	cli, _ := c.client(ctx, &store.Device{})
	at := mediaHost + m.Path + "&hash=" + base64.URLEncoding.EncodeToString(m.SealedSum) + "&mms-type=" + shelf(m.Type) + "&__wa-mms="
	return internals(cli).DownloadAndDecrypt(ctx, at, m.Key, m.Type, m.Size, m.SealedSum, m.Sum)
}

// shelf is what the hosts of media call a kind of it.
func shelf(t whatsmeow.MediaType) string {
	switch t {
	case whatsmeow.MediaImage:
		return "image"
	case whatsmeow.MediaVideo:
		return "video"
	case whatsmeow.MediaAudio:
		return "audio"
	}
	return "document"
}

// upload encrypts a file, and gives it to WhatsApp; nothing is shown yet.
func (c *Channel) upload(ctx context.Context, s *session, f channels.File) (*waE2E.Message, error) {
	const op = "upload"
	r, err := f.Open(ctx)
	if err != nil {
		return nil, c.fail(op, channels.Other, err)
	}
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, c.fail(op, channels.Other, err)
	}
	if len(b) > maxFile {
		return nil, c.fail(op, channels.Rejected, errTooBig)
	}
	kind := mediaTypeOf(f.Kind)
	up, err := s.client.Upload(ctx, b, kind)
	if err != nil {
		return nil, c.fail(op, channels.Transient, plain(err))
	}
	return uploaded(f, up), nil
}

func mediaTypeOf(k channels.FileKind) whatsmeow.MediaType {
	switch k {
	case channels.Photo, channels.Sticker:
		return whatsmeow.MediaImage
	case channels.Video:
		return whatsmeow.MediaVideo
	case channels.Audio, channels.Voice:
		return whatsmeow.MediaAudio
	case channels.Document:
	}
	return whatsmeow.MediaDocument
}

// uploaded is the message that shows an uploaded file.
func uploaded(f channels.File, up whatsmeow.UploadResponse) *waE2E.Message {
	mime := f.MIME
	switch f.Kind {
	case channels.Photo:
		return &waE2E.Message{ImageMessage: &waE2E.ImageMessage{
			URL: &up.URL, DirectPath: &up.DirectPath, MediaKey: up.MediaKey, FileEncSHA256: up.FileEncSHA256,
			FileSHA256: up.FileSHA256, FileLength: &up.FileLength, Mimetype: &mime,
		}}
	case channels.Video:
		return &waE2E.Message{VideoMessage: &waE2E.VideoMessage{
			URL: &up.URL, DirectPath: &up.DirectPath, MediaKey: up.MediaKey, FileEncSHA256: up.FileEncSHA256,
			FileSHA256: up.FileSHA256, FileLength: &up.FileLength, Mimetype: &mime,
		}}
	case channels.Sticker:
		return &waE2E.Message{StickerMessage: &waE2E.StickerMessage{
			URL: &up.URL, DirectPath: &up.DirectPath, MediaKey: up.MediaKey, FileEncSHA256: up.FileEncSHA256,
			FileSHA256: up.FileSHA256, FileLength: &up.FileLength, Mimetype: &mime,
		}}
	case channels.Audio, channels.Voice:
		voice := f.Kind == channels.Voice
		if voice && mime == "audio/ogg" {
			mime = "audio/ogg; codecs=opus" // without it, phones do not play it
		}
		return &waE2E.Message{AudioMessage: &waE2E.AudioMessage{
			URL: &up.URL, DirectPath: &up.DirectPath, MediaKey: up.MediaKey, FileEncSHA256: up.FileEncSHA256,
			FileSHA256: up.FileSHA256, FileLength: &up.FileLength, Mimetype: &mime, PTT: proto.Bool(voice),
		}}
	case channels.Document:
	}
	name := f.Name
	return &waE2E.Message{DocumentMessage: &waE2E.DocumentMessage{
		URL: &up.URL, DirectPath: &up.DirectPath, MediaKey: up.MediaKey, FileEncSHA256: up.FileEncSHA256,
		FileSHA256: up.FileSHA256, FileLength: &up.FileLength, Mimetype: &mime, FileName: &name,
	}}
}
