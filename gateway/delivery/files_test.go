package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
	"github.com/gatehouse-chat/gatehouse/gateway/blob"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/gateway/delivery"
)

// drawer holds files by their name.
type drawer map[blob.ID]string

func (d drawer) Open(_ context.Context, id blob.ID) (io.ReadCloser, error) {
	content, ok := d[id]
	if !ok {
		return nil, blob.ErrNotFound
	}
	return io.NopCloser(strings.NewReader(content)), nil
}

func file(kind channels.FileKind, name string) channels.File {
	return channels.File{Kind: kind, Name: name, Blob: name, Size: int64(len(name))}
}

// reading is a platform that reads what it is sent, as all do.
type reading struct {
	*platform
	got []string // for each part that arrived: its text and its files' contents
}

func (r *reading) Send(ctx context.Context, p channels.Part) (channels.Receipt, error) {
	line := strings.Join(strings.Fields(markup.PlainText.Render(p.Body)), " ")
	for _, f := range p.Files {
		from, err := f.Open(ctx)
		if err != nil {
			return channels.Receipt{}, &channels.Error{Kind: channels.Other, Err: fmt.Errorf("a file cannot be opened: %w", err)}
		}
		b, err := io.ReadAll(from)
		if err != nil {
			return channels.Receipt{}, &channels.Error{Kind: channels.Other, Err: err}
		}
		line += " <" + string(b) + ">"
	}
	if p.Replaces != "" {
		line = "edit: " + line
	}
	rec, err := r.platform.Send(ctx, p)
	if err == nil || channels.KindOf(err) == channels.Ambiguous {
		r.got = append(r.got, strings.TrimSpace(line))
	}
	return rec, err
}

// fileRig runs f with a courier that has files "a" to "e", whose contents are
// their names in capitals.
func fileRig(t *testing.T, ch *reading, f func(t *testing.T, r *rig)) {
	t.Helper()
	files := drawer{}
	for _, n := range []string{"a", "b", "c", "d", "e"} {
		files[blob.ID(n)] = strings.ToUpper(n)
	}
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, bus: inprocess.New(inprocess.Options{}), seen: &outcomes{}}
		c := delivery.New(delivery.Options{
			Bus: r.bus, Channel: ch, Files: files, ID: "c", Now: time.Now, Log: slog.New(slog.DiscardHandler), Observer: r.seen,
		})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); _ = c.Run(ctx) }()
		<-time.After(2 * time.Second) // a courier repeats nothing in its first second
		f(t, r)
		cancel()
		<-done
	})
}

func withFiles() *reading {
	f := plainFeatures()
	f.MaxText, f.MaxCaption, f.MaxFile, f.MaxAlbum = 400, 200, 10, 3
	return &reading{platform: &platform{feat: f}}
}

func TestFilesAndTheirText(t *testing.T) {
	long := strings.Repeat("word ", 50)
	longWords := strings.TrimSpace(long)
	tests := []struct {
		name string
		out  delivery.Outbound
		want []string
	}{
		{"a caption", delivery.Outbound{Markdown: "look", Files: []channels.File{file(channels.Photo, "a")}}, []string{"look <A>"}},
		{"a file alone", delivery.Outbound{Files: []channels.File{file(channels.Document, "a")}}, []string{"<A>"}},
		{"too long for a caption", delivery.Outbound{Markdown: long, Files: []channels.File{file(channels.Photo, "a")}}, []string{"<A>", longWords}},
		{"a sticker has no caption", delivery.Outbound{Markdown: "hm", Files: []channels.File{file(channels.Sticker, "a")}}, []string{"<A>", "hm"}},
		{
			"an album", delivery.Outbound{Markdown: "three", Files: []channels.File{
				file(channels.Photo, "a"), file(channels.Video, "b"), file(channels.Photo, "c"), file(channels.Photo, "d"), file(channels.Document, "e"),
			}}, []string{"three <A> <B> <C>", "<D>", "<E>"},
		},
		{
			"buttons need a message of their own", delivery.Outbound{
				Markdown: "two", Buttons: []channels.Button{{Label: "l", Data: "d"}},
				Files: []channels.File{file(channels.Photo, "a"), file(channels.Photo, "b")},
			}, []string{"two <A>", "<B>"},
		},
		{
			"too large",
			delivery.Outbound{Markdown: "text", Files: []channels.File{{Kind: channels.Document, Name: "big", Blob: "a", Size: 11}, file(channels.Photo, "b")}},
			[]string{"text (I cannot send the file big: it has 0.0 MB, and this channel takes 0.0 MB.) <B>"},
		},
		{"gone", delivery.Outbound{Markdown: "text", Files: []channels.File{file(channels.Photo, "x")}}, []string{"text (I could not send the file x.)"}},
		{
			"one of two is gone",
			delivery.Outbound{Markdown: "text", Files: []channels.File{file(channels.Voice, "x"), file(channels.Photo, "b")}},
			[]string{"text (I could not send the file x.)", "<B>"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ch := withFiles()
			fileRig(t, ch, func(t *testing.T, r *rig) {
				r.put("t/r000", tt.out)
				r.put("t/r001", delivery.Outbound{Markdown: "next"})
				r.after(time.Second)
				if d := cmp.Diff(append(tt.want, "next"), ch.got); d != "" {
					t.Error(d)
				}
				if len(r.dead()) > 0 {
					t.Error("there is a dead letter")
				}
			})
		})
	}
}

// TestPlaceWithoutFiles: what a place cannot carry is said, and the text arrives.
func TestPlaceWithoutFiles(t *testing.T) {
	ch := withFiles()
	ch.feat.MaxFile = 0
	fileRig(t, ch, func(t *testing.T, r *rig) {
		r.put("t/r000", delivery.Outbound{Markdown: "text", Files: []channels.File{file(channels.Photo, "a")}})
		r.after(time.Second)
		if d := cmp.Diff([]string{"text (I cannot send the file a: this channel carries no files.)"}, ch.got); d != "" {
			t.Error(d)
		}
	})
}

// TestFileFollowsADraft: the text takes the draft's place, the files follow.
func TestFileFollowsADraft(t *testing.T) {
	ch := withFiles()
	fileRig(t, ch, func(t *testing.T, r *rig) {
		r.put("t/0", delivery.Outbound{Markdown: "so far", Turn: "t", Stage: delivery.Draft})
		r.put("t/r000", delivery.Outbound{Markdown: "all", Turn: "t", Stage: delivery.Final, Files: []channels.File{file(channels.Photo, "a")}})
		r.after(time.Second)
		if d := cmp.Diff([]string{"so far", "edit: all", "<A>"}, ch.got); d != "" {
			t.Error(d)
		}
	})
}

// TestFileFailures: whatever a platform says to a file, its text arrives, once.
func TestFileFailures(t *testing.T) {
	const lost = "text (I could not send the file a.)"
	tests := []struct {
		name string
		kind channels.Kind
		n    int // so many sends fail
		want []string
	}{
		{"refused", channels.Rejected, 1, []string{lost, "more"}},
		{"refused as markup, then as it is", channels.Format, 2, []string{lost, "more"}},
		{"an odd failure for ever", channels.Other, 6, []string{lost, "more"}},
		{"an odd failure", channels.Other, 1, []string{"text <A>", "more"}},
		{"too fast", channels.RateLimited, 2, []string{"text <A>", "more"}},
		{"not there for a while", channels.Transient, 4, []string{"text <A>", "more"}},
		{"nobody can tell", channels.Ambiguous, 1, []string{"text <A>", repeatMark + " text <A>", "more"}},
		{"nobody can tell, twice", channels.Ambiguous, 2, []string{"text <A>", repeatMark + " text <A>", lost, "more"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ch := withFiles()
			ch.feat.MaxCaption = 400
			ch.answer = func(n int, _ channels.Part) (bool, error) {
				if n <= tt.n {
					return false, failure(tt.kind, 0)
				}
				return true, nil
			}
			fileRig(t, ch, func(t *testing.T, r *rig) {
				r.put("t/r000", delivery.Outbound{Markdown: "text", Files: []channels.File{file(channels.Photo, "a")}})
				r.put("t/r001", delivery.Outbound{Markdown: "more"})
				r.after(2 * time.Hour)
				if d := cmp.Diff(tt.want, ch.got); d != "" {
					t.Error(d)
				}
				if len(r.dead()) > 0 {
					t.Errorf("a dead letter: %s", r.dead()[0].Reason)
				}
			})
		})
	}
}

// sluggish takes longer for a file than a lease lasts.
type sluggish struct{ *reading }

func (s sluggish) Send(ctx context.Context, p channels.Part) (channels.Receipt, error) {
	select {
	case <-time.After(4 * time.Minute):
		return s.reading.Send(ctx, p)
	case <-ctx.Done():
		return channels.Receipt{}, &channels.Error{Kind: channels.Transient, Err: ctx.Err()}
	}
}

// TestSlowFileKeepsItsLease: another courier does not send it meanwhile.
func TestSlowFileKeepsItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inprocess.New(inprocess.Options{})
		ch := withFiles()
		var stops []func()
		for range 2 {
			c := delivery.New(delivery.Options{
				Bus: b, Channel: sluggish{ch}, Files: drawer{"a": "A"}, ID: "c", Now: time.Now, Log: slog.New(slog.DiscardHandler), Observer: &outcomes{},
			})
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan struct{})
			go func() { defer close(done); _ = c.Run(ctx) }()
			stops = append(stops, func() { cancel(); <-done })
		}
		put(t, b, "t/r000", delivery.Outbound{Markdown: "text", Files: []channels.File{file(channels.Photo, "a")}})
		<-time.After(20 * time.Minute)
		for _, stop := range stops {
			stop()
		}
		if d := cmp.Diff([]string{"text <A>"}, ch.got); d != "" {
			t.Error(d)
		}
	})
}

// stolen is a bus on which somebody else has taken the lease over.
type stolen struct{ bus.Engine }

func (stolen) Hold(context.Context, *bus.Lease, bus.Hold) ([]bus.Record, error) {
	return nil, bus.ErrLeaseLost
}

// TestLostLeaseEndsTheUpload: what another worker will send is not sent on.
func TestLostLeaseEndsTheUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inprocess.New(inprocess.Options{})
		ch := withFiles()
		ended := make(chan time.Duration, 10)
		began := time.Now()
		c := delivery.New(delivery.Options{
			Bus: stolen{b}, Channel: ends{ch, func() { ended <- time.Since(began) }}, Files: drawer{"a": "A"}, ID: "c",
			Now: time.Now, Log: slog.New(slog.DiscardHandler), Observer: &outcomes{},
		})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); _ = c.Run(ctx) }()
		put(t, b, "t/r000", delivery.Outbound{Files: []channels.File{file(channels.Photo, "a")}})
		if d := <-ended; d > time.Minute {
			t.Errorf("it ended after %s", d)
		}
		cancel()
		<-done
	})
}

// ends waits for the end of the call.
type ends struct {
	*reading
	told func()
}

func (e ends) Send(ctx context.Context, _ channels.Part) (channels.Receipt, error) {
	<-ctx.Done()
	e.told()
	if !errors.Is(context.Cause(ctx), bus.ErrLeaseLost) {
		return channels.Receipt{}, errors.New("ended for another reason")
	}
	return channels.Receipt{}, &channels.Error{Kind: channels.Transient, Err: ctx.Err()}
}

func TestReferences(t *testing.T) {
	now := time.Now()
	out := delivery.Outbound{To: here, Made: now, Files: []channels.File{file(channels.Photo, "a"), file(channels.Photo, "b")}}
	rec, err := delivery.Record("w", "t/r000", out)
	if err != nil {
		t.Fatal(err)
	}
	refs, err := delivery.References(rec, out)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, r := range refs {
		keys = append(keys, r.Space+" "+r.Key)
	}
	if d := cmp.Diff([]string{"blob-ref a/outbox/c/t/r000", "blob-ref b/outbox/c/t/r000"}, keys); d != "" {
		t.Error(d)
	}
}
