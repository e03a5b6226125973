package telegramtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"image"
	_ "image/gif" // photos may come in these formats
	_ "image/jpeg"
	_ "image/png"
	"mime"
	"net/http"
	"path"
	"strings"
)

// File is a file of a message, with its bytes as they were sent.
type File struct {
	Kind  string `json:"kind"` // photo, document, voice, audio, video, animation, video_note or sticker
	Name  string `json:"name,omitempty"`
	MIME  string `json:"mime,omitempty"`
	ID    string `json:"id"`
	Size  int    `json:"size"`
	Bytes []byte `json:"bytes"`
}

// Sizes in bytes.
const (
	maxDownload = 20 << 20
	maxUpload   = 50 << 20
	maxPhoto    = 10 << 20
)

// fileStore keeps every file that was ever sent, by id and by path.
type fileStore struct {
	byID   map[string]*keptFile
	byPath map[string]*keptFile
}

type keptFile struct {
	File
	unique string
	path   string
}

var folders = map[string]string{
	"photo": "photos", "document": "documents", "voice": "voice", "audio": "music", "video": "videos",
	"animation": "animations", "video_note": "video_notes", "sticker": "stickers", "thumbnail": "thumbnails",
}

var defaultMIME = map[string]string{
	"photo": "image/jpeg", "voice": "audio/ogg", "audio": "audio/mpeg", "video": "video/mp4",
	"animation": "video/mp4", "video_note": "video/mp4", "sticker": "image/webp", "document": "application/octet-stream",
	"thumbnail": "image/jpeg",
}

var defaultExtension = map[string]string{
	"photo": ".jpg", "voice": ".oga", "audio": ".mp3", "video": ".mp4", "animation": ".mp4", "video_note": ".mp4",
	"sticker": ".webp", "thumbnail": ".jpg",
}

// keep stores a file under a new id.
func (fs *fileStore) keep(kind, name, mimeType string, content []byte) *keptFile {
	if fs.byID == nil {
		fs.byID, fs.byPath = map[string]*keptFile{}, map[string]*keptFile{}
	}
	n := len(fs.byID)
	unique := sha256.Sum256(append([]byte(kind+"\x00"), content...))
	id := sha256.Sum256(fmt.Appendf(nil, "%d\x00%s\x00%s", n, kind, name))
	ext := defaultExtension[kind]
	if ext == "" {
		ext = path.Ext(name)
	}
	f := &keptFile{
		File: File{
			Kind:  kind,
			Name:  name,
			MIME:  mimeOf(kind, name, mimeType),
			ID:    "AgAC" + base64.RawURLEncoding.EncodeToString(id[:]),
			Size:  len(content),
			Bytes: content,
		},
		unique: "AQAD" + base64.RawURLEncoding.EncodeToString(unique[:9]),
		path:   fmt.Sprintf("%s/file_%d%s", folders[kind], n, ext),
	}
	fs.byID[f.ID], fs.byPath[f.path] = f, f
	return f
}

// mimeOf guesses like the platform: by what the file is sent as, else by its
// name, else by what the sender says.
func mimeOf(kind, name, said string) string {
	if kind == "voice" || kind == "photo" || kind == "sticker" || kind == "thumbnail" {
		return defaultMIME[kind]
	}
	if byName, _, err := mime.ParseMediaType(mime.TypeByExtension(path.Ext(name))); err == nil {
		return byName
	}
	if said, _, err := mime.ParseMediaType(said); err == nil && said != "" && said != "application/octet-stream" {
		return said
	}
	return defaultMIME[kind]
}

// File is the file with that id, nil when there is none.
func (s *Server) File(id string) *File {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.files.byID[id]; ok {
		return &f.File
	}
	return nil
}

func (s *Server) getFile(q *query) (any, error) {
	id := q.str("file_id")
	if id == "" {
		return nil, badRequest("file_id not specified")
	}
	f, ok := s.files.byID[id]
	switch {
	case !ok:
		return nil, badRequest("wrong file_id or the file is temporarily unavailable")
	case f.Size > maxDownload:
		return nil, badRequest("file is too big")
	}
	return wireFile{FileID: f.ID, FileUniqueID: f.unique, FileSize: f.Size, FilePath: f.path}, nil
}

// serveFile answers a download: <token>/<path>. Faults meet it as the method
// "file".
func (s *Server) serveFile(w http.ResponseWriter, r *http.Request, rest string) {
	token, where, _ := strings.Cut(rest, "/")
	if token != s.token {
		writeError(w, &apiError{code: http.StatusUnauthorized, description: "Unauthorized"})
		return
	}
	s.mu.Lock()
	f, ok := s.files.byPath[where]
	s.mu.Unlock()
	if !ok || f.Size > maxDownload {
		writeError(w, &apiError{code: http.StatusNotFound, description: "Not Found"})
		return
	}
	q := &query{method: "file", name: "file"}
	plan := s.plan(q)
	if !s.pause(r.Context(), plan.wait+plan.waitAfter) {
		cut(w, nil)
		return
	}
	for _, fault := range []*Injection{plan.before, plan.after} {
		if fault != nil {
			fault.act(s, w, r, f.Bytes)
			s.count(q, fault.status())
			return
		}
	}
	s.count(q, http.StatusOK)
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", s.now(), bytes.NewReader(f.Bytes))
}

// wire describes a file in a message.
func (f *keptFile) wire() wireFile {
	w := wireFile{Name: f.Name, MIME: f.MIME, FileID: f.ID, FileUniqueID: f.unique, FileSize: f.Size}
	switch f.Kind {
	case "voice", "audio", "video", "animation", "video_note":
		w.Duration = new(int64)
	}
	switch f.Kind {
	case "video", "animation", "sticker":
		w.Width, w.Height = 512, 512
	case "video_note":
		w.Length = 240
	}
	if f.Kind == "voice" || f.Kind == "video_note" || f.Kind == "sticker" {
		w.Name = ""
	}
	if f.Kind == "sticker" || f.Kind == "video_note" {
		w.MIME = ""
	}
	return w
}

// wireSizes describes a photo: the platform offers it in several sizes, the
// largest last. The smaller ones have bytes of their own.
func (fs *fileStore) wireSizes(f *keptFile) []wireFile {
	width, height := 1280, 960
	if config, _, err := image.DecodeConfig(bytes.NewReader(f.Bytes)); err == nil {
		width, height = config.Width, config.Height
	}
	var out []wireFile
	for _, side := range []int{90, 320} {
		if max(width, height) <= side {
			break
		}
		small := fs.keep("thumbnail", "", "", fmt.Appendf(nil, "the photo %s in %d pixels", f.ID, side))
		scale := float64(side) / float64(max(width, height))
		out = append(out, wireFile{
			FileID: small.ID, FileUniqueID: small.unique, FileSize: small.Size,
			Width: max(1, int(float64(width)*scale)), Height: max(1, int(float64(height)*scale)),
		})
	}
	return append(out, wireFile{FileID: f.ID, FileUniqueID: f.unique, FileSize: f.Size, Width: width, Height: height})
}

// attach puts a file into a message.
func (s *Server) attach(m *stored, f *keptFile) {
	m.files = append(m.files, f.File)
	w := f.wire()
	switch f.Kind {
	case "photo":
		m.Photo = s.files.wireSizes(f)
	case "voice":
		m.Voice = &w
	case "audio":
		m.Audio = &w
	case "video":
		m.Video = &w
	case "animation":
		m.Animation, m.Document = &w, &w
	case "video_note":
		m.VideoNote = &w
	case "sticker":
		m.Sticker = &w
	default:
		m.Document = &w
	}
}
