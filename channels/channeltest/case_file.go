package channeltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// document is an outgoing file.
func document(name string, open func() (io.Reader, error)) channels.File {
	return channels.File{
		Kind: channels.Document, Name: name, MIME: "application/octet-stream",
		Open: func(context.Context) (io.ReadCloser, error) {
			r, err := open()
			if err != nil {
				return nil, err
			}
			return io.NopCloser(r), nil
		},
	}
}

func fileOut(r *rig) {
	e, _ := r.hear(Said{})
	body := blob(int(min(fileSize, r.ch.Features(e.Where).MaxFile)))
	opened := 0
	file := document("report ä.bin", func() (io.Reader, error) {
		opened++
		return bytes.NewReader(body), nil
	})
	file.Size = int64(len(body))
	rec, err := r.send(channels.Part{To: e.Where, Body: markup.Plain("the caption"), Files: []channels.File{file}})
	r.check("send", err)
	got := r.shown(e.Where, rec.ID)
	if len(got.Files) != 1 || got.Files[0].Name != file.Name || !bytes.Equal(got.Files[0].Body, body) {
		r.t.Fatalf("the platform got %d files, or other bytes or another name", len(got.Files))
	}
	if got.Text != "the caption" || opened == 0 {
		r.t.Errorf("the caption reads %q; the file was opened %d times", got.Text, opened)
	}
}

// longestCaption: beside a file there is room for as much text as the features
// promise, counted in the dialect's unit.
func longestCaption(r *rig) {
	e, _ := r.hear(Said{})
	f := r.ch.Features(e.Where)
	for _, text := range []string{
		strings.Repeat("x", f.MaxCaption), strings.Repeat("😀", f.MaxCaption/f.Dialect.Unit().Len("😀")),
	} {
		file := document("a.bin", func() (io.Reader, error) { return strings.NewReader("content"), nil })
		file.Size = int64(len("content"))
		rec, err := r.send(channels.Part{To: e.Where, Body: markup.Plain(text), Files: []channels.File{file}})
		r.check("send", err)
		if got := r.shown(e.Where, rec.ID); got.Text != text || len(got.Files) != 1 {
			r.t.Errorf("of a caption of %d bytes there are %d shown, beside %d files", len(text), len(got.Text), len(got.Files))
		}
	}
}

// album sends as many files at a time as the features promise.
func album(r *rig) {
	e, _ := r.hear(Said{})
	const size = 40_000
	var files []channels.File
	var want, got []string
	for i := range r.ch.Features(e.Where).MaxAlbum {
		body := blob(size + i)
		file := document(fmt.Sprintf("page %d.bin", i), func() (io.Reader, error) { return bytes.NewReader(body), nil })
		file.Size = int64(len(body))
		files = append(files, file)
		want = append(want, fmt.Sprintf("%s %t %d", file.Name, true, len(body)))
	}
	rec, err := r.send(channels.Part{To: e.Where, Body: markup.Plain("the caption"), Files: files})
	r.check("send", err)
	captions := 0
	for _, m := range r.hs.Shown(e.Where) { // one message for all, or one for each
		if m.Text == "the caption" {
			captions++
		}
		for _, f := range m.Files {
			got = append(got, fmt.Sprintf("%s %t %d", f.Name, bytes.Equal(f.Body, blob(size+len(got))), len(f.Body)))
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		r.t.Errorf("the album (-sent +shown; name, the same bytes, size):\n%s", d)
	}
	if r.shown(e.Where, rec.ID); captions != 1 {
		r.t.Errorf("the caption is shown %d times", captions)
	}
}

var errUnreadable = errors.New("channeltest: the file cannot be read")

// unreadableFile: a file that cannot be opened, or breaks off, is a failure of
// which it is certain that nothing was delivered, and the text, which comes
// again without it, arrives.
func unreadableFile(r *rig) {
	e, _ := r.hear(Said{})
	for what, open := range map[string]func() (io.Reader, error){
		"cannot be opened": func() (io.Reader, error) { return nil, errUnreadable },
		"breaks off": func() (io.Reader, error) {
			return io.MultiReader(bytes.NewReader(blob(100_000)), unreadable{}), nil
		},
	} {
		before := len(r.hs.Shown(e.Where))
		file := document("broken.bin", open)
		file.Size = 200_000
		p := channels.Part{Key: "broken " + what, To: e.Where, Body: markup.Plain("the text of what " + what), Files: []channels.File{file}}
		_, err := r.send(p)
		switch kind := channels.KindOf(err); kind {
		case "":
			r.t.Errorf("a file that %s was sent all the same", what)
		case channels.Other, channels.Transient, channels.Rejected:
		default:
			r.t.Errorf("a file that %s is a failure of kind %q, want other, transient or rejected", what, kind)
		}
		if n := len(r.hs.Shown(e.Where)) - before; n != 0 {
			r.t.Errorf("of a file that %s there are %d messages", what, n)
		}
		p.Files = nil
		rec, err := r.send(p)
		r.check("send without the file", err)
		if got := r.shown(e.Where, rec.ID); got.Text != "the text of what "+what || len(got.Files) != 0 {
			r.t.Errorf("without the file it reads %q, beside %d files", got.Text, len(got.Files))
		}
	}
}

type unreadable struct{}

func (unreadable) Read([]byte) (int, error) { return 0, errUnreadable }
