package telegram_test

import (
	"bytes"
	"context"
	"image"
	"image/png"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram"
	"github.com/gatehouse-chat/gatehouse/adapters/telegram/stagetest"
	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// live is a channel that polls an emulated platform.
type live struct {
	*stagetest.Stage
	host *channeltest.Host
	sink *channeltest.Sink
	ch   *telegram.Channel
	done chan error
	stop context.CancelFunc
}

func newLive(t *testing.T, opts ...telegramtest.Option) *live {
	t.Helper()
	s := stagetest.New(t, "poll", opts...)
	t.Cleanup(s.Close)
	l := &live{Stage: s}
	l.boot(t, channeltest.Snapshot{})
	return l
}

// boot opens the channel anew and runs it until the test ends.
func (l *live) boot(t *testing.T, snap channeltest.Snapshot) {
	t.Helper()
	l.host = channeltest.NewHost(t, append([]channeltest.HostOption{channeltest.Restore(snap)}, l.Host()...)...)
	l.sink = channeltest.NewSink(l.host)
	ch, err := telegram.Driver{}.Open(t.Context(), l.host, l.Config())
	if err != nil {
		t.Fatal(err)
	}
	l.ch = ch.(*telegram.Channel)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- ch.Run(ctx, l.sink) }()
	l.done, l.stop = done, cancel
	t.Cleanup(func() { l.halt(t) })
	l.host.WaitHealth(channels.Connected)
}

// halt ends Run and wants nil from it. It may be called again.
func (l *live) halt(t *testing.T) {
	t.Helper()
	l.stop()
	if err := <-l.done; err != nil {
		t.Errorf("Run returned %v", err)
	}
	l.done <- nil
	l.host.Client("").CloseIdleConnections()
}

func (l *live) send(t *testing.T, p channels.Part) channels.Receipt {
	t.Helper()
	r, err := l.ch.Send(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (l *live) contents(n int) (out []channels.Content) {
	for _, e := range l.sink.WaitEvents(n) {
		out = append(out, e.Content)
	}
	return out
}

func TestAlbumComesInAsOneGroup(t *testing.T) {
	l := newLive(t)
	l.Srv.Private(l.Alice).Album(l.Alice, []telegramtest.Attachment{{Kind: "photo", Bytes: []byte("one")}, {Kind: "photo", Bytes: []byte("two")}}, telegramtest.WithCaption("both"))
	c := l.contents(2)
	a, b := c[0].(channels.Message), c[1].(channels.Message)
	if a.Group == "" || a.Group != b.Group || a.Text != "both" || b.Text != "" {
		t.Errorf("%+v and %+v", a, b)
	}
	for i, m := range []channels.Message{a, b} {
		if got := l.fetch(t, m); got != []string{"one", "two"}[i] {
			t.Errorf("file %d is %q", i, got)
		}
	}
}

func (l *live) fetch(t *testing.T, m channels.Message) string {
	t.Helper()
	if len(m.Files) != 1 {
		t.Fatalf("%d files", len(m.Files))
	}
	r, err := l.ch.Fetch(t.Context(), m.Files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestVoiceBothWays(t *testing.T) {
	l := newLive(t)
	l.Srv.Private(l.Alice).Voice(l.Alice, []byte("opus in"), 3)
	e := l.sink.WaitEvents(1)[0]
	m := e.Content.(channels.Message)
	if m.Files[0].Kind != channels.Voice || l.fetch(t, m) != "opus in" {
		t.Errorf("%+v", m.Files)
	}
	l.send(t, channels.Part{To: e.Where, Files: []channels.File{file(channels.Voice, "opus out")}})
	sent := l.Srv.Private(l.Alice).Delivered()
	if len(sent) != 1 || sent[0].Files[0].Kind != "voice" || string(sent[0].Files[0].Bytes) != "opus out" {
		t.Errorf("%+v", sent)
	}
}

func TestAlbumGoesOutAsOne(t *testing.T) {
	l := newLive(t)
	l.Srv.Private(l.Alice).Say(l.Alice, "pictures please")
	where := l.sink.WaitEvents(1)[0].Where
	r := l.send(t, channels.Part{To: where, Body: markup.Plain("here"), Files: []channels.File{file(channels.Photo, picture(1)), file(channels.Photo, picture(2)), file(channels.Video, "c")}})
	sent := l.Srv.Private(l.Alice).Delivered()
	var kinds []string
	for _, d := range sent {
		kinds = append(kinds, d.Files[0].Kind+" "+d.Text)
		if d.Album == "" || d.Album != sent[0].Album {
			t.Errorf("%s is not in the album", d.Files[0].Name)
		}
	}
	if diff := cmp.Diff([]string{"photo here", "photo ", "video "}, kinds); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if r.ID != stagetest.MessageID(sent[0].Message) {
		t.Errorf("the receipt names %s, the first message is %d", r.ID, sent[0].Message)
	}
}

// picture is a PNG of so many pixels.
func picture(n int) string {
	var b bytes.Buffer
	_ = png.Encode(&b, image.NewGray(image.Rect(0, 0, n, 1)))
	return b.String()
}

// What the platform cannot show as a photo still arrives.
func TestBrokenPictureGoesAsDocument(t *testing.T) {
	l := newLive(t)
	l.Srv.Private(l.Alice).Say(l.Alice, "a picture please")
	where := l.sink.WaitEvents(1)[0].Where
	l.send(t, channels.Part{To: where, Body: markup.Plain("here"), Files: []channels.File{file(channels.Photo, "no picture")}})
	sent := l.Srv.Private(l.Alice).Delivered()
	if len(sent) != 1 || sent[0].Files[0].Kind != "document" || string(sent[0].Files[0].Bytes) != "no picture" || sent[0].Text != "here" {
		t.Errorf("%+v", sent)
	}
}

func TestTopics(t *testing.T) {
	l := newLive(t)
	topic := l.Forum.NewTopic(l.Alice, "Boilers")
	l.Forum.Say(l.Alice, "in the topic", telegramtest.InTopic(topic))
	l.Forum.Say(l.Alice, "in General")
	var in, general channels.Address
	for _, e := range l.sink.WaitEvents(2) {
		m, _ := e.Content.(channels.Message)
		switch m.Text {
		case "in the topic":
			in = e.Where
		case "in General":
			general = e.Where
		}
		if m.ReplyTo != nil {
			t.Errorf("%q quotes %+v", m.Text, m.ReplyTo)
		}
	}
	if in.Thread != stagetest.ThreadID(topic) || general.Thread != "" {
		t.Fatalf("%+v and %+v", in, general)
	}
	l.send(t, channels.Part{To: in, Body: markup.Plain("there")})
	l.send(t, channels.Part{To: general, Body: markup.Plain("here")})
	if err := l.ch.Type(t.Context(), in); err != nil {
		t.Error(err)
	}
	l.Forum.DeleteTopic(topic)
	l.send(t, channels.Part{To: in, Body: markup.Plain("the topic is gone")})
	type said struct {
		Text   string
		Thread int64
	}
	var got []said
	for _, d := range l.Forum.Delivered().Of(telegramtest.Sent) {
		got = append(got, said{d.Text, d.Thread})
	}
	if diff := cmp.Diff([]said{{"there", topic}, {"here", 0}, {"the topic is gone", 0}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestGroupBecomesSupergroup(t *testing.T) {
	l := newLive(t)
	group := l.Srv.Group(-77, "Small", l.Alice)
	group.Say(l.Alice, "hello")
	old := l.sink.WaitEvents(1)[0].Where
	super := group.Migrate(l.Alice)
	moved := l.sink.WaitEvent("the move", func(e channels.Event) bool { _, ok := e.Content.(channels.Moved); return ok })
	if to := moved.Content.(channels.Moved).To; moved.Where.Conversation != old.Conversation || string(to) != string(stagetest.MessageID(super.ID())) {
		t.Errorf("%+v", moved)
	}
	l.send(t, channels.Part{To: old, Body: markup.Plain("to the old place")})
	if got := super.Delivered().Texts(); !cmp.Equal(got, []string{"to the old place"}) {
		t.Errorf("the new place got %q", got)
	}
	super.Say(l.Alice, "after the move")
	l.sink.WaitEvent("what was said there", func(e channels.Event) bool {
		m, ok := e.Content.(channels.Message)
		return ok && m.Text == "after the move"
	})
	n := 0
	for _, e := range l.sink.Events() {
		if _, ok := e.Content.(channels.Moved); ok {
			n++
		}
	}
	if n != 1 {
		t.Errorf("the move is %d events", n)
	}
}

func TestButtonsSurviveAndAreAnswered(t *testing.T) {
	l := newLive(t)
	chat := l.Srv.Private(l.Alice)
	chat.Say(l.Alice, "do it")
	where := l.sink.WaitEvents(1)[0].Where
	r := l.send(t, channels.Part{To: where, Body: markup.Plain("Sure?"), Buttons: []channels.Button{{Label: "Yes", Data: "approve:17"}}})
	l.halt(t)
	l.boot(t, l.host.Snapshot())
	l.Press(r.ID, "Yes")
	e := l.sink.WaitEvent("the press", func(e channels.Event) bool { _, ok := e.Content.(channels.Press); return ok })
	p := e.Content.(channels.Press)
	if p.Data != "approve:17" || p.ID != r.ID || e.Where != where || e.At.IsZero() {
		t.Errorf("%+v", e)
	}
	if err := l.ch.Answer(t.Context(), p, "done"); err != nil {
		t.Error(err)
	}
}

func TestStartCodeArrives(t *testing.T) {
	l := newLive(t)
	link, err := l.ch.StartLink(t.Context(), "OWNER-1234")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(link, "?start=")
	l.Srv.Private(l.Bob).Start(l.Bob, code)
	e := l.sink.WaitEvents(1)[0]
	if c, ok := e.Content.(channels.Command); !ok || c.Name != "start" || c.Args != "OWNER-1234" {
		t.Errorf("%+v", e.Content)
	}
}

func TestBlockedBot(t *testing.T) {
	l := newLive(t)
	l.Srv.Private(l.Bob).Say(l.Bob, "hi")
	where := l.sink.WaitEvents(1)[0].Where
	l.Bob.Block()
	e := l.sink.WaitEvents(2)[1]
	if _, ok := e.Content.(channels.Left); !ok || !e.Who.Self || e.Where != where {
		t.Errorf("%+v", e)
	}
	if _, err := l.ch.Send(t.Context(), channels.Part{To: where, Body: markup.Plain("hi")}); channels.KindOf(err) != channels.Gone {
		t.Errorf("Send: %v", err)
	}
}

func TestLongPollIsLeftAtOnceOnShutdown(t *testing.T) {
	l := newLive(t)
	channeltest.Eventually(t, "a long poll", func() bool { return l.Srv.Calls("getUpdates") >= 1 })
	l.halt(t)
}

func TestLargeFileIsStreamed(t *testing.T) {
	l := newLive(t)
	l.Srv.Private(l.Alice).Say(l.Alice, "the film")
	where := l.sink.WaitEvents(1)[0].Where
	body := bytes.Repeat([]byte("0123456789abcdef"), 20<<16) // 20 MB
	f := channels.File{Kind: channels.Document, Name: "film.bin", Size: int64(len(body)), Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(body)), nil
	}}
	l.send(t, channels.Part{To: where, Files: []channels.File{f}})
	if sent := l.Srv.Private(l.Alice).Delivered(); len(sent) != 1 || !bytes.Equal(sent[0].Files[0].Bytes, body) {
		t.Error("the file is not what was sent")
	}
}
