package console

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-chat/gatehouse/adapters/console/wire"
	"github.com/gatehouse-chat/gatehouse/channels"
)

// The limits of uploads.
const (
	uploadFor  = 12 * time.Hour // that a file waits for its message
	maxWaiting = 2 * wire.MaxFiles
	maxName    = 200 // bytes of a file's name
)

// keepAll takes the files of a part in. Nothing of the part is shown yet, so
// that no failure is ambiguous.
func (c *Channel) keepAll(ctx context.Context, files []channels.File) ([]channels.File, error) {
	var kept []channels.File
	for _, f := range files {
		k, err := c.keep(ctx, f)
		if err != nil {
			kind := channels.KindOf(err)
			if ctx.Err() != nil {
				kind = channels.Transient
			}
			return nil, c.fail("send", kind, fmt.Errorf("keep a file: %w", err))
		}
		k.Kind, k.Name, k.Ref, k.Open = f.Kind, cleanName(f.Name), "", nil
		kept = append(kept, k)
	}
	return kept, nil
}

func (c *Channel) keep(ctx context.Context, f channels.File) (channels.File, error) {
	r, err := f.Open(ctx)
	if err != nil {
		return f, err
	}
	defer func() { _ = r.Close() }()
	return c.keeper.Keep(ctx, f, r, wire.MaxFile)
}

func sameFile(a, b channels.File) bool {
	return a.Blob == b.Blob && a.Name == b.Name && a.MIME == b.MIME && a.Kind == b.Kind
}

// Fetch implements channels.Fetcher: what was uploaded is here.
func (c *Channel) Fetch(ctx context.Context, f channels.File) (io.ReadCloser, error) {
	r, err := c.keeper.Kept(ctx, channels.File{Blob: f.Ref})
	if err != nil {
		return nil, c.fail("fetch", channels.Other, err)
	}
	return r, nil
}

// incoming are the files of an event.
func incoming(kept []channels.File) []channels.File {
	out := slices.Clone(kept)
	for i := range out {
		out[i].Ref, out[i].Blob = out[i].Blob, ""
	}
	return out
}

// files are an entry's files as clients see them.
func (e entry) files() []wire.File {
	var out []wire.File
	for i, f := range e.Files {
		q := url.Values{"id": {e.id()}, "n": {decimal(i)}}
		out = append(out, wire.File{Name: f.Name, MIME: f.MIME, Size: f.Size, URL: "/chat/api/file?" + q.Encode(), Picture: safePicture(f.MIME)})
	}
	return out
}

// safePicture reports whether a browser may show a content of this type: it
// cannot hold a script.
func safePicture(mime string) bool {
	switch mime {
	case "image/png", "image/jpeg", "image/gif", "image/webp":
		return true
	}
	return false
}

// cleanName makes a name that is one line, without a folder.
func cleanName(name string) string {
	name = path.Base(strings.ReplaceAll(strings.ToValidUTF8(name, "�"), `\`, "/"))
	name = strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) { // also what changes the direction of writing
			return -1
		}
		return r
	}, name))
	if strings.Trim(name, "./") == "" {
		return "file"
	}
	if len(name) <= maxName {
		return name
	}
	end := path.Ext(name)
	if len(end) > maxName/4 {
		end = ""
	}
	cut := maxName - len(end)
	for !utf8.RuneStart(name[cut]) {
		cut--
	}
	return name[:cut] + end
}

// waiting is a file whose message is still to come.
type waiting struct {
	channels.File
	At time.Time `json:"at"`
}

func uploadsOf(id channels.ConversationID) string { return "u/" + url.PathEscape(string(id)) + "/" }

// uploaded finds an upload; false when there is none, or none any more.
func (t transcript) uploaded(ctx context.Context, id channels.ConversationID, key string) (waiting, bool, error) {
	var u waiting
	b, err := t.state.Get(ctx, uploadsOf(id)+key)
	if err != nil || b == nil {
		return u, false, err
	}
	if err := json.Unmarshal(b, &u); err != nil {
		return u, false, fmt.Errorf("an upload: %w", err)
	}
	return u, time.Since(u.At) < uploadFor, nil
}

// uploads are the files with these keys, and the writes that take them out of
// what waits.
func (t transcript) uploads(ctx context.Context, id channels.ConversationID, keys []string) ([]channels.File, []channels.Write, error) {
	var files []channels.File
	var used []channels.Write
	for _, key := range keys {
		u, ok, err := t.uploaded(ctx, id, key)
		switch {
		case err != nil:
			return nil, nil, err
		case !ok:
			return nil, nil, errNoUpload
		}
		files = append(files, u.File)
		used = append(used, channels.Write{Key: uploadsOf(id) + key})
	}
	return files, used, nil
}

// await notes an upload, and forgets those that waited for too long or are too
// many.
func (t transcript) await(ctx context.Context, id channels.ConversationID, key string, f channels.File) error {
	rows, err := t.state.List(ctx, uploadsOf(id), "", 0)
	if err != nil {
		return fmt.Errorf("list the uploads: %w", err)
	}
	type old struct {
		key string
		at  time.Time
	}
	var there []old
	for _, r := range rows {
		var u waiting
		_ = json.Unmarshal(r.Value, &u) // what cannot be read is the oldest
		there = append(there, old{r.Key, u.At})
	}
	slices.SortFunc(there, func(a, b old) int { return b.at.Compare(a.at) })
	now := time.Now().UTC()
	var w []channels.Write
	for i, o := range there {
		if i >= maxWaiting-1 || now.Sub(o.at) >= uploadFor {
			w = append(w, channels.Write{Key: o.key})
		}
	}
	v, err := json.Marshal(waiting{File: f, At: now})
	if err != nil {
		return fmt.Errorf("note an upload: %w", err)
	}
	return t.state.Put(ctx, append(w, channels.Write{Key: uploadsOf(id) + key, Value: v, Files: []channels.File{f}})...)
}
