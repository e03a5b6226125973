//go:build !nowhatsapp

package whatsapptest

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/util/cbcutil"
	"google.golang.org/protobuf/proto"
)

const mediaPath = "/v/t62/"

// maxMedia is the largest upload that is taken, in bytes.
const maxMedia = 100 << 20

func (s *Server) upload(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMedia))
	if err != nil {
		return
	}
	name := path.Base(r.URL.Path)
	sum := sha256.Sum256(b)
	if r.URL.Query().Get("auth") != "emulated" || name != base64.URLEncoding.EncodeToString(sum[:]) {
		http.Error(w, "the token is not the content's", http.StatusForbidden)
		return
	}
	s.mu.Lock()
	s.media[name] = b
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{
		"url": "https://mmg.whatsapp.net" + mediaPath + name + "?ccb=1", "direct_path": mediaPath + name + "?ccb=1",
	})
}

func (s *Server) download(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	b, ok := s.media[strings.TrimPrefix(r.URL.Path, mediaPath)]
	s.mu.Unlock()
	if !ok {
		http.Error(w, "gone", http.StatusGone)
		return
	}
	_, _ = w.Write(b)
}

// Expire makes the server forget all media, as it does after some weeks.
func (s *Server) Expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.media = map[string][]byte{}
}

// purposes are what the keys of a kind of media are derived for.
func purpose(kind string) string {
	switch kind {
	case "image", "sticker":
		return "WhatsApp Image Keys"
	case "video":
		return "WhatsApp Video Keys"
	case "audio", "ptt":
		return "WhatsApp Audio Keys"
	}
	return "WhatsApp Document Keys"
}

func mediaKeys(key []byte, kind string) (iv, enc, mac []byte) {
	b, err := hkdf.Key(sha256.New, key, nil, purpose(kind), 112)
	if err != nil {
		panic(err) // 112 bytes are not too many
	}
	return b[:16], b[16:48], b[48:80]
}

// stored is where media lies and how it is opened.
type stored struct {
	url, path                 string
	key, sum, sealedSum       []byte
	length                    uint64
	mime, name, caption, kind string
}

// store encrypts and keeps a file, as a phone does before it sends it.
func (s *Server) store(f File, caption string) (stored, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	iv, encKey, macKey := mediaKeys(key, f.Kind)
	sealed, err := cbcutil.Encrypt(encKey, iv, bytes.Clone(f.Body))
	if err != nil {
		return stored{}, err
	}
	mac := hmac.New(sha256.New, macKey)
	mac.Write(iv)
	mac.Write(sealed)
	sealed = append(sealed, mac.Sum(nil)[:10]...)
	sealedSum, sum := sha256.Sum256(sealed), sha256.Sum256(f.Body)
	name := base64.URLEncoding.EncodeToString(sealedSum[:])
	s.media[name] = sealed
	return stored{
		url: "https://mmg.whatsapp.net" + mediaPath + name + "?ccb=1", path: mediaPath + name + "?ccb=1",
		key: key, sum: sum[:], sealedSum: sealedSum[:], length: uint64(len(f.Body)),
		mime: f.MIME, name: f.Name, caption: caption, kind: f.Kind,
	}, nil
}

// message is the message that shows the file.
func (m stored) message(c *waE2E.ContextInfo) *waE2E.Message {
	switch m.kind {
	case "image":
		return &waE2E.Message{ImageMessage: &waE2E.ImageMessage{
			URL: &m.url, DirectPath: &m.path, MediaKey: m.key, FileSHA256: m.sum, FileEncSHA256: m.sealedSum,
			FileLength: &m.length, Mimetype: &m.mime, Caption: &m.caption, ContextInfo: c,
		}}
	case "video":
		return &waE2E.Message{VideoMessage: &waE2E.VideoMessage{
			URL: &m.url, DirectPath: &m.path, MediaKey: m.key, FileSHA256: m.sum, FileEncSHA256: m.sealedSum,
			FileLength: &m.length, Mimetype: &m.mime, Caption: &m.caption, ContextInfo: c,
		}}
	case "audio", "ptt":
		return &waE2E.Message{AudioMessage: &waE2E.AudioMessage{
			URL: &m.url, DirectPath: &m.path, MediaKey: m.key, FileSHA256: m.sum, FileEncSHA256: m.sealedSum,
			FileLength: &m.length, Mimetype: &m.mime, PTT: proto.Bool(m.kind == "ptt"), ContextInfo: c,
		}}
	case "sticker":
		return &waE2E.Message{StickerMessage: &waE2E.StickerMessage{
			URL: &m.url, DirectPath: &m.path, MediaKey: m.key, FileSHA256: m.sum, FileEncSHA256: m.sealedSum,
			FileLength: &m.length, Mimetype: &m.mime, ContextInfo: c,
		}}
	}
	d := &waE2E.Message{DocumentMessage: &waE2E.DocumentMessage{
		URL: &m.url, DirectPath: &m.path, MediaKey: m.key, FileSHA256: m.sum, FileEncSHA256: m.sealedSum,
		FileLength: &m.length, Mimetype: &m.mime, FileName: &m.name, Caption: &m.caption, ContextInfo: c,
	}}
	if m.caption == "" {
		return d
	}
	return &waE2E.Message{DocumentWithCaptionMessage: &waE2E.FutureProofMessage{Message: d}}
}

// fileOf fetches and opens the file of a message that the device has sent; nil
// for none, or when it cannot be opened.
func (s *Server) fileOf(m *waE2E.Message) *File {
	if inner := m.GetDocumentWithCaptionMessage().GetMessage(); inner != nil {
		m = inner
	}
	type media interface {
		GetDirectPath() string
		GetMediaKey() []byte
		GetMimetype() string
	}
	var x media
	f := &File{}
	switch {
	case m.GetImageMessage() != nil:
		x, f.Kind = m.GetImageMessage(), "image"
	case m.GetVideoMessage() != nil:
		x, f.Kind = m.GetVideoMessage(), "video"
	case m.GetAudioMessage() != nil:
		x, f.Kind = m.GetAudioMessage(), "audio"
		if m.GetAudioMessage().GetPTT() {
			f.Kind = "ptt"
		}
	case m.GetStickerMessage() != nil:
		x, f.Kind = m.GetStickerMessage(), "sticker"
	case m.GetDocumentMessage() != nil:
		x, f.Kind, f.Name = m.GetDocumentMessage(), "document", m.GetDocumentMessage().GetFileName()
	default:
		return nil
	}
	f.MIME = x.GetMimetype()
	name, _, _ := strings.Cut(strings.TrimPrefix(x.GetDirectPath(), mediaPath), "?")
	body, err := unseal(s.media[name], x.GetMediaKey(), f.Kind)
	if err != nil {
		return nil
	}
	f.Body = body
	return f
}

func unseal(sealed, key []byte, kind string) ([]byte, error) {
	if len(sealed) < 10 {
		return nil, fmt.Errorf("there is no such media")
	}
	iv, encKey, macKey := mediaKeys(key, kind)
	body, mac := sealed[:len(sealed)-10], hmac.New(sha256.New, macKey)
	mac.Write(iv)
	mac.Write(body)
	if !hmac.Equal(mac.Sum(nil)[:10], sealed[len(body):]) {
		return nil, fmt.Errorf("the media is damaged")
	}
	return cbcutil.Decrypt(encKey, iv, bytes.Clone(body))
}
