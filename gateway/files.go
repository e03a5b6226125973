package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/blob"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
)

// unclaimed takes away what names a kept file: only the gateway says which one
// an attachment is.
func unclaimed(c channels.Content) channels.Content {
	clean := func(all []channels.File) []channels.File {
		if !slices.ContainsFunc(all, func(f channels.File) bool { return f.Blob != "" }) {
			return all
		}
		all = slices.Clone(all)
		for i := range all {
			all[i].Blob = ""
		}
		return all
	}
	switch m := c.(type) {
	case channels.Message:
		m.Files = clean(m.Files)
		return m
	case channels.Edit:
		m.Files = clean(m.Files)
		return m
	default:
		return c
	}
}

// maxKept bounds a file that is kept, in bytes. Most platforms take less.
const maxKept = 100 << 20

// files is how the turns of one place reach attachments.
type files struct {
	g  *Gateway
	at channels.Address
}

var _ agent.Files = files{}

// Fetch implements agent.Files.
func (x files) Fetch(ctx context.Context, f channels.File) (channels.File, error) {
	if f.Blob != "" && x.g.blobs.Touch(ctx, blob.ID(f.Blob)) == nil {
		return f, nil
	}
	l := x.g.line(x.at.Channel)
	if l == nil {
		return f, errNoChannel
	}
	from, ok := channels.As[channels.Fetcher](l.ch)
	if !ok || f.Ref == "" {
		return f, fmt.Errorf("fetch an attachment: %w", errors.ErrUnsupported)
	}
	limit := l.ch.Features(x.at).MaxFetch
	if limit <= 0 || limit > maxKept {
		limit = maxKept
	}
	if f.Size > limit {
		return f, agent.ErrFileTooLarge
	}
	r, err := x.fetchSafely(ctx, from, f)
	if err != nil {
		return f, err
	}
	defer func() { _ = r.Close() }()
	return x.put(ctx, f, r, limit)
}

var errNoChannel = errors.New("the channel is no longer configured")

// fetchSafely shields a turn from an adapter that panics.
func (x files) fetchSafely(ctx context.Context, from channels.Fetcher, f channels.File) (r io.ReadCloser, err error) {
	defer func() {
		if v := recover(); v != nil {
			x.g.log.Error("a fetch panicked", "channel", x.at.Channel, "err", v, "stack", string(debug.Stack()))
			err = errPanicked
		}
	}()
	return from.Fetch(ctx, f)
}

// Keep implements agent.Files.
func (x files) Keep(ctx context.Context, f channels.File) (channels.File, error) {
	if f.Open == nil {
		return f, x.g.blobs.Touch(ctx, blob.ID(f.Blob))
	}
	r, err := f.Open(ctx)
	if err != nil {
		return f, err
	}
	defer func() { _ = r.Close() }()
	f, err = x.put(ctx, f, r, maxKept)
	f.Kind, f.Ref = shownAs(f), ""
	return f, err
}

// put keeps what r gives. Its type is what the content says, where that is
// plain, else what was said of it.
func (x files) put(ctx context.Context, f channels.File, r io.Reader, limit int64) (channels.File, error) {
	in := bufio.NewReader(r)
	head, _ := in.Peek(512) // a short file is no failure, and a broken one fails again
	id, n, err := x.g.blobs.Put(ctx, in, limit)
	if errors.Is(err, blob.ErrTooBig) {
		return f, agent.ErrFileTooLarge
	}
	if err != nil {
		return f, err
	}
	f.Blob, f.Size, f.MIME = string(id), n, typeOf(f.MIME, head)
	return f, nil
}

// Open implements agent.Files.
func (x files) Open(ctx context.Context, f channels.File) (io.ReadCloser, error) {
	return x.g.blobs.Open(ctx, blob.ID(f.Blob))
}

// typeOf is the type of a content that is said to be of another. Only pictures,
// sounds and films, PDF and archives show what they are at their beginning.
func typeOf(said string, head []byte) string {
	found, _, _ := strings.Cut(http.DetectContentType(head), ";")
	switch {
	case found == "application/ogg" && strings.Contains(string(head), "OpusHead"):
		return "audio/ogg"
	case found == "application/ogg" && strings.HasPrefix(said, "audio/"):
		return said
	case strings.HasPrefix(found, "image/"), strings.HasPrefix(found, "audio/"), strings.HasPrefix(found, "video/"):
		if found == "video/mp4" && strings.HasPrefix(said, "audio/") { // the same container
			return said
		}
		return found
	case found == "application/pdf":
		return found
	case strings.HasPrefix(said, "image/"): // it is none
		return found
	case said != "":
		return said
	}
	return found
}

// shownAs is the kind as which a platform shows an outgoing file.
func shownAs(f channels.File) channels.FileKind {
	switch f.MIME {
	case "image/jpeg", "image/png", "image/webp":
		return channels.Photo
	case "audio/ogg":
		if path.Ext(f.Name) == ".mp3" {
			return channels.Audio
		}
		return channels.Voice
	case "audio/mpeg", "audio/mp4", "audio/x-m4a", "audio/aac", "audio/flac":
		return channels.Audio
	case "video/mp4":
		return channels.Video
	}
	return channels.Document
}

// sendable are the files of a reply that are kept.
func sendable(all []channels.File) []channels.File {
	return slices.DeleteFunc(slices.Clone(all), func(f channels.File) bool { return f.Blob == "" })
}

// remembered are the writes by which entries of a history hold their files.
// What an old entry says again may be about to go: it counts as new.
func (s *sitting) remembered(ctx context.Context, entries []agent.Entry, rows []bus.Write) ([]bus.Write, error) {
	var refs []bus.Write
	for i, e := range entries {
		for _, f := range e.Files {
			if f.Blob == "" || s.g.blobs.Touch(ctx, blob.ID(f.Blob)) != nil {
				continue // it is only told of
			}
			w, err := blob.Refer(blob.ID(f.Blob), blob.Holder{Space: rows[i].Space, Key: rows[i].Key}, s.g.now())
			if err != nil {
				return nil, err
			}
			refs = append(refs, w)
		}
	}
	return refs, nil
}

// holds reports whether what refers to a blob is still there.
func (g *Gateway) holds(ctx context.Context, h blob.Holder) (bool, error) {
	if h.Channel == "" {
		e, err := g.bus.Get(ctx, h.Space, h.Key)
		return e.Version > 0, err
	}
	all, err := g.bus.Replies(ctx, h.Channel, h.Key)
	return slices.ContainsFunc(all, func(l bus.Letter) bool { return l.Key == h.Key && len(l.Body) > 0 }), err
}
