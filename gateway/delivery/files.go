package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
	"github.com/gatehouse-chat/gatehouse/gateway/blob"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
)

// References are the writes by which an outbox record holds its files.
func References(rec bus.Record, out Outbound) ([]bus.Write, error) {
	var refs []bus.Write
	for _, f := range out.Files {
		w, err := blob.Refer(blob.ID(f.Blob), blob.Holder{Channel: rec.Channel, Key: rec.Key}, out.Made)
		if err != nil {
			return nil, err
		}
		refs = append(refs, w)
	}
	return refs, nil
}

// withFiles lays out a reply that has files.
func (a *attempt) withFiles(body markup.Node, empty bool) []channels.Part {
	groups, refused := a.groups()
	for _, line := range refused {
		body, empty = followed(body, line), false
	}
	parts := make([]channels.Part, len(groups))
	for i, g := range groups {
		parts[i].Files = g
	}
	switch {
	case empty:
		return parts
	case a.draft == "" && len(groups) > 0 && a.fitsBeside(groups[0], body):
		parts[0].Body = body
		return parts
	case a.draft == "":
		return slices.Concat(parts, a.texts(body))
	}
	return slices.Concat(a.texts(body), parts)
}

// fitsBeside reports whether a text can stand beside files, marked as a
// repetition if it must be.
func (a *attempt) fitsBeside(files []channels.File, body markup.Node) bool {
	limit := a.feat.MaxCaption
	return limit > 0 && files[0].Kind != channels.Sticker && a.feat.Dialect.Measure(body) <= limit-a.room(limit)
}

// groups are the files as messages: those that the platform shows together, and
// for each that it does not take, a line that says so.
func (a *attempt) groups() (groups [][]channels.File, refused []string) {
	most := max(1, a.feat.MaxAlbum)
	if len(a.out.Buttons) > 0 {
		most = 1 // an album carries none
	}
	for _, f := range a.out.Files {
		if f.Size > a.feat.MaxFile || a.feat.MaxFile <= 0 {
			refused = append(refused, tooLarge(f, a.feat.MaxFile))
			continue
		}
		f.Open = a.opener(f)
		if n := len(groups) - 1; n >= 0 && len(groups[n]) < most && together(groups[n][0], f) {
			groups[n] = append(groups[n], f)
			continue
		}
		groups = append(groups, []channels.File{f})
	}
	return groups, refused
}

// together reports whether two files may share an album.
func together(a, b channels.File) bool {
	class := func(k channels.FileKind) channels.FileKind {
		switch k {
		case channels.Video:
			return channels.Photo
		case channels.Voice, channels.Sticker:
			return ""
		case channels.Photo, channels.Audio, channels.Document:
		}
		return k
	}
	return class(a.Kind) != "" && class(a.Kind) == class(b.Kind)
}

func (a *attempt) opener(f channels.File) func(context.Context) (io.ReadCloser, error) {
	return func(ctx context.Context) (io.ReadCloser, error) {
		if a.c.Files == nil {
			return nil, blob.ErrNotFound
		}
		return a.c.Files.Open(ctx, blob.ID(f.Blob))
	}
}

// call makes one call of the platform. One that carries files may take longer
// than the lease, which is therefore extended meanwhile; when it is lost, the
// call ends.
func (a *attempt) call(ctx context.Context, part channels.Part) (channels.Receipt, error) {
	if len(part.Files) == 0 {
		return a.c.call(ctx, part)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.extend(ctx, cancel)
	}()
	r, err := a.c.call(ctx, part)
	cancel(nil)
	<-done // calls with one lease must not overlap
	return r, err
}

func (a *attempt) extend(ctx context.Context, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(leaseFor / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, err := a.c.Bus.Hold(ctx, a.lease, bus.Hold{}); errors.Is(err, bus.ErrLeaseLost) {
			cancel(err)
			return
		}
	}
}

var errInDoubt = errors.New("it was sent twice, and nobody can tell whether it arrived")

// unsendable reports failures that another try of the same files would meet
// again.
func (a *attempt) unsendable(err error) bool {
	switch channels.KindOf(err) {
	case channels.Rejected, channels.Format:
		return true
	case channels.Other:
		return a.p.Tries+1 >= maxOther || errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrCorrupt)
	case channels.Transient, channels.RateLimited, channels.Ambiguous, channels.Closed, channels.Unauthorized, channels.Gone:
	}
	return false
}

// lose gives the files of the part that is being sent up. Its text, and the
// parts after it, arrive all the same.
func (a *attempt) lose(part *channels.Part, err error) {
	a.c.Log.Error("a file could not be sent", "channel", a.c.ID, "event", a.rec.Key, "kind", channels.KindOf(err), "err", err)
	a.p.Lost = append(slices.Clip(a.p.Lost), a.p.Next)
	a.p.Doubt, a.p.Tries = 0, 0
	without(part)
}

// without makes a part say that its files are missing.
func without(p *channels.Part) {
	for _, f := range p.Files {
		p.Body = followed(p.Body, fmt.Sprintf("(I could not send %s.)", called(f)))
	}
	p.Files = nil
}

func tooLarge(f channels.File, limit int64) string {
	if limit <= 0 {
		return fmt.Sprintf("(I cannot send %s: this channel carries no files.)", called(f))
	}
	return fmt.Sprintf("(I cannot send %s: it has %s, and this channel takes %s.)", called(f), megabytes(f.Size), megabytes(limit))
}

func called(f channels.File) string {
	if f.Name == "" {
		return "a file"
	}
	return "the file " + f.Name
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/(1<<20)) }

// followed puts a line of its own behind a document.
func followed(n markup.Node, line string) markup.Node {
	if n.Kind != markup.Document {
		n = markup.Node{Kind: markup.Document, Children: []markup.Node{n}}
	}
	n.Children = append(slices.Clip(n.Children), markup.Node{Kind: markup.Paragraph, Children: []markup.Node{
		{Kind: markup.Text, Literal: line},
	}})
	return n
}
