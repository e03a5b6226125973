//go:build !nowhatsapp

package whatsapp_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waHistorySync"
	"google.golang.org/protobuf/proto"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp"
	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/whatsapptest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// eventually polls the emulator.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	channeltest.Eventually(t, what, cond)
}

func text(s string) markup.Node { return markup.Plain(s) }

// TestNoteToSelf: the owner's chat with himself is a direct chat with the bot,
// in which the owner is told from the bot.
func TestNoteToSelf(t *testing.T) {
	l := newLive(t)
	owner := l.wa.Owner()
	l.wa.Say(owner, l.wa.Self(), "remind me *now*")
	e, m := l.message("remind")
	want := channels.Sender{ID: owner.LID.String(), Name: owner.Name, Handle: "+" + owner.PN.User, Owner: true}
	if d := cmp.Diff(want, e.Who); d != "" {
		t.Errorf("the sender (-want +got):\n%s", d)
	}
	if !e.Room.Direct || !e.Addressed || m.Text != "remind me **now**" || string(e.Where.Conversation) != owner.LID.String() {
		t.Errorf("the event is %+v, the text %q", e, m.Text)
	}
	r := l.send(t, channels.Part{Key: "a/0", To: e.Where, Body: markup.Parse("**done**")})
	all := l.wa.Messages(l.wa.Self())
	if len(all) != 2 || all[1].ID != string(r.ID) || all[1].Text != "*done*" || all[1].From != nil {
		t.Errorf("the phone shows %+v", all)
	}
	l.send(t, channels.Part{Key: "a/1", To: e.Where, Body: text("and again")}) // the device list is known by now
	if all := l.wa.Messages(l.wa.Self()); len(all) != 3 {
		t.Errorf("the phone shows %d messages, want 3", len(all))
	}
}

// TestOwnersTalkIsPrivate: what the owner writes to somebody else is
// acknowledged and goes nowhere.
func TestOwnersTalkIsPrivate(t *testing.T) {
	l := newLive(t)
	alice := l.people[channeltest.Alice]
	id := l.wa.Say(l.wa.Owner(), alice.PN, "just between us")
	l.wa.Say(alice, alice.PN, "yes")
	e, _ := l.message("yes")
	if n := len(l.sink.Events()); n != 1 || e.Who.Owner {
		t.Errorf("%d events, the sender is %+v", n, e.Who)
	}
	eventually(t, "the acknowledgement", func() bool { return l.wa.Acked(id) })
}

// TestOwnerInGroup: a reply to what the owner typed himself does not mean the
// bot; a reply to the bot does.
func TestOwnerInGroup(t *testing.T) {
	l := newLive(t)
	alice := l.people[channeltest.Alice]
	typed := l.wa.Say(l.wa.Owner(), l.room.JID, "I am here myself")
	e, _ := l.message("myself")
	if !e.Who.Owner || e.Addressed || e.Room.Title != "The room" {
		t.Errorf("the owner's talk in a group is %+v", e)
	}
	l.wa.Say(alice, l.room.JID, "reply one", whatsapptest.WithQuote(typed))
	if e, m := l.message("one"); e.Addressed || m.ReplyTo == nil || !m.ReplyTo.Who.Owner || m.ReplyTo.Text != "I am here myself" {
		t.Errorf("a reply to the owner is %+v of %+v", e, m.ReplyTo)
	}
	r := l.send(t, channels.Part{Key: "g/0", To: e.Where, Body: text("I am the bot")})
	l.wa.Say(alice, l.room.JID, "reply two", whatsapptest.WithQuote(string(r.ID)))
	if e, m := l.message("two"); !e.Addressed || m.ReplyTo == nil || !m.ReplyTo.Who.Self {
		t.Errorf("a reply to the bot is %+v of %+v", e, m.ReplyTo)
	}
}

// TestLinkWhileRunning: a channel without a phone says so, and connects by
// itself once one is linked.
func TestLinkWhileRunning(t *testing.T) {
	for _, by := range []string{"QR code", "phone code"} {
		t.Run(by, func(t *testing.T) {
			wa := whatsapptest.NewServer(t)
			l := &live{stage: &stage{wa: wa}}
			l.start(t, channeltest.Snapshot{})
			if h := l.host.WaitHealth(channels.Broken); h.Fix == "" {
				t.Error("the health does not say what to do")
			}
			if _, err := l.ch.Send(t.Context(), channels.Part{Key: "k", To: channels.Address{Conversation: "1@lid"}, Body: text("x")}); channels.KindOf(err) != channels.Unauthorized {
				t.Errorf("a send without a phone is %v", err)
			}
			var err error
			if by == "QR code" {
				err = l.ch.Link(t.Context(), func(code string) { must(t, wa.Scan(code)) })
			} else {
				err = l.ch.LinkPhone(t.Context(), "+49 151 000", func(code string) { must(t, wa.Enter(code)) })
			}
			must(t, err)
			l.host.WaitHealth(channels.Connected)
			wa.Say(wa.Owner(), wa.Self(), "first")
			e, _ := l.message("first")
			l.send(t, channels.Part{Key: "a/0", To: e.Where, Body: text("answer")})
			if err := l.ch.Link(t.Context(), func(string) {}); channels.KindOf(err) != channels.Rejected {
				t.Errorf("a second phone is %v", err)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// TestLinkEndsWithItsContext: nobody has to scan.
func TestLinkEndsWithItsContext(t *testing.T) {
	wa := whatsapptest.NewServer(t)
	l := &live{stage: &stage{wa: wa}}
	l.start(t, channeltest.Snapshot{})
	ctx, cancel := context.WithCancel(t.Context())
	if err := l.ch.Link(ctx, func(string) { cancel() }); err == nil || wa.Linked() {
		t.Errorf("the linking ended with %v", err)
	}
}

// TestLoggedOutAndLinkedAgain: the phone logs the device out, also while the
// gateway is stopped; everything works again after a new linking.
func TestLoggedOutAndLinkedAgain(t *testing.T) {
	for _, stopped := range []bool{false, true} {
		l := newLive(t)
		if stopped {
			l.halt(t)
			l.wa.Unlink()
			l.start(t, l.host.Snapshot())
		} else {
			l.wa.Unlink()
		}
		if h := l.host.WaitHealth(channels.Broken); h.Fix == "" || h.Err == nil {
			t.Errorf("the health is %+v", h)
		}
		eventually(t, "linking to be possible", func() bool {
			return l.ch.Link(t.Context(), func(code string) { must(t, l.wa.Scan(code)) }) == nil
		})
		l.host.WaitHealth(channels.Connected)
		alice := l.people[channeltest.Alice]
		l.wa.Say(alice, alice.PN, "are you back")
		e, _ := l.message("back")
		l.send(t, channels.Part{Key: "b/0", To: e.Where, Body: text("yes")})
	}
}

// TestRepeatIsShownOnce: after an unclear end the same part goes out under the
// same id, before and after a restart.
func TestRepeatIsShownOnce(t *testing.T) {
	l := newLive(t)
	alice := l.people[channeltest.Alice]
	l.wa.Say(alice, alice.PN, "hi")
	e, _ := l.message("hi")
	l.wa.LoseAnswer()
	p := channels.Part{Key: "turn/0", To: e.Where, Body: text("once")}
	if _, err := l.ch.Send(t.Context(), p); channels.KindOf(err) != channels.Ambiguous {
		t.Fatalf("a lost answer is %v", err)
	}
	if _, ok, err := l.ch.Sent(t.Context(), p, time.Now()); ok || err != nil {
		t.Errorf("Sent says %v %v of what nobody has confirmed", ok, err)
	}
	l.send(t, p)
	l.halt(t)
	l.boot(t, l.host.Snapshot())
	l.send(t, p)
	all := l.wa.Messages(alice.PN)
	if len(all) != 2 || all[1].Again != 2 {
		t.Errorf("the phone shows %+v", all)
	}
}

// TestReadAndComposing: a message is marked as read when the bot begins to work
// on it, and not before.
func TestReadAndComposing(t *testing.T) {
	l := newLive(t)
	alice := l.people[channeltest.Alice]
	id := l.wa.Say(alice, l.room.JID, "hello", whatsapptest.WithMention())
	e, _ := l.message("hello")
	eventually(t, "the acknowledgement", func() bool { return l.wa.Acked(id) })
	if l.wa.Read(id) {
		t.Error("it is marked as read already")
	}
	must(t, l.ch.Type(t.Context(), e.Where))
	eventually(t, "the blue ticks", func() bool { return l.wa.Read(id) && l.wa.Typed(l.room.JID) == 1 })
	if l.wa.Online() {
		t.Error("an account whose name is not known is shown as online")
	}
	l.wa.Say(l.wa.Owner(), l.wa.Self(), "my name is on this")
	l.message("my name")
	must(t, l.ch.Type(t.Context(), e.Where))
	eventually(t, "the account to be online", l.wa.Online)
	l.send(t, channels.Part{Key: "p/0", To: e.Where, Body: text("done")})
	eventually(t, "the account to be offline", func() bool { return !l.wa.Online() })
}

// TestMediaBothWays: every kind arrives as what it is, with its bytes.
func TestMediaBothWays(t *testing.T) {
	l := newLive(t)
	alice := l.people[channeltest.Alice]
	body := bytes.Repeat([]byte("media "), 10_000)
	for kind, name := range kinds() {
		l.wa.Say(alice, alice.PN, "", whatsapptest.WithFile(whatsapptest.File{Kind: name, Name: "x", MIME: "a/b", Body: body}))
		e := l.sink.WaitEvent("a "+name, func(e channels.Event) bool {
			m, ok := e.Content.(channels.Message)
			return ok && len(m.Files) == 1 && m.Files[0].Kind == kind
		})
		f := e.Content.(channels.Message).Files[0]
		if got := l.fetch(t, f); !bytes.Equal(got, body) || f.MIME != "a/b" || f.Size != int64(len(body)) {
			t.Errorf("%s: %d bytes of %+v", kind, len(got), f)
		}
		f.Open = func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		f.Name = "back"
		l.send(t, channels.Part{Key: "m/" + name, To: e.Where, Body: text("a text"), Files: []channels.File{f}})
		all := l.wa.Messages(alice.PN)
		last := all[len(all)-1]
		if last.File == nil || last.File.Kind != name || !bytes.Equal(last.File.Body, body) {
			t.Errorf("%s: the phone shows %+v", kind, last)
		}
		if last.Text != "a text" && all[len(all)-2].Text != "a text" {
			t.Errorf("%s: the text beside it is not shown", kind)
		}
	}
	l.wa.Expire()
	e := l.sink.Events()[0]
	if _, err := l.ch.Fetch(t.Context(), e.Content.(channels.Message).Files[0]); channels.KindOf(err) != channels.Gone {
		t.Errorf("a file that expired is %v", err)
	}
}

func (l *live) fetch(t *testing.T, f channels.File) []byte {
	t.Helper()
	r, err := l.ch.Fetch(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(r)
	must(t, err)
	return b
}

// TestOutagesHeal: nothing that was said meanwhile is lost, or kept twice.
func TestOutagesHeal(t *testing.T) {
	for _, o := range []whatsapptest.Outage{whatsapptest.Unavailable, whatsapptest.Throttled, whatsapptest.Hung, whatsapptest.Malformed} {
		t.Run(string(o), func(t *testing.T) {
			t.Parallel()
			l := newLive(t)
			alice := l.people[channeltest.Alice]
			l.wa.Say(alice, alice.PN, "before")
			l.message("before")
			l.wa.Fail(o)
			if o != whatsapptest.Malformed { // of frames that nobody can read only those are lost
				l.host.WaitHealth(channels.Retrying)
			}
			l.wa.Say(alice, alice.PN, "meanwhile")
			l.wa.Fail(whatsapptest.None)
			e, _ := l.message("meanwhile")
			eventually(t, "a send to work", func() bool {
				_, err := l.ch.Send(t.Context(), channels.Part{Key: "o/0", To: e.Where, Body: text("here")})
				return err == nil
			})
			if n := len(l.sink.Events()); n != 2 {
				t.Errorf("%d events, want 2", n)
			}
		})
	}
}

// TestShutOutOfGroup: who was removed learns it before anything is sent.
func TestShutOutOfGroup(t *testing.T) {
	l := newLive(t)
	l.wa.Say(l.people[channeltest.Bob], l.room.JID, "hello")
	e, _ := l.message("hello")
	l.wa.Remove(l.room)
	_, err := l.ch.Send(t.Context(), channels.Part{Key: "r/0", To: e.Where, Body: text("hello")})
	if channels.KindOf(err) != channels.Gone {
		t.Errorf("a send to a group that one is out of is %v", err)
	}
	bad := channels.Part{Key: "r/1", To: channels.Address{Conversation: "nonsense"}, Body: text("x")}
	if _, err := l.ch.Send(t.Context(), bad); channels.KindOf(err) != channels.Rejected {
		t.Errorf("a send to nobody is %v", err)
	}
}

// TestPollAsText: what there is nothing to press for is written out.
func TestPollAsText(t *testing.T) {
	l := newLive(t)
	alice := l.people[channeltest.Alice]
	id := l.wa.Send(alice, alice.PN, pollOf("Lunch?", "Pizza", "Soup"))
	_, m := l.message("Lunch")
	if m.Text != "Poll: Lunch?\n- Pizza\n- Soup" || stanza(m.ID) != id {
		t.Errorf("the poll is %+v", m)
	}
}

// TestHistoryIsDeclined: of the chats that a phone offers after it was linked none
// becomes an event; the offer is acknowledged, and what is said next comes in.
func TestHistoryIsDeclined(t *testing.T) {
	l := newLive(t)
	owner := l.wa.Owner()
	var packed bytes.Buffer
	b, err := proto.Marshal(&waHistorySync.HistorySync{
		SyncType:  waHistorySync.HistorySync_INITIAL_BOOTSTRAP.Enum(),
		Pushnames: []*waHistorySync.Pushname{{ID: proto.String(l.people[channeltest.Alice].PN.String()), Pushname: proto.String("Alice of the history")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	z := zlib.NewWriter(&packed)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	id := l.wa.Send(owner, l.wa.Self(), &waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{
		Type: waE2E.ProtocolMessage_HISTORY_SYNC_NOTIFICATION.Enum(),
		HistorySyncNotification: &waE2E.HistorySyncNotification{
			SyncType: waE2E.HistorySyncType_INITIAL_BOOTSTRAP.Enum(), InitialHistBootstrapInlinePayload: packed.Bytes(),
		},
	}})
	l.wa.Say(owner, l.wa.Self(), "after it")
	l.message("after it")
	if n := len(l.sink.Events()); n != 1 {
		t.Errorf("%d events", n)
	}
	eventually(t, "the acknowledgement", func() bool { return l.wa.Acked(id) })
}

// TestForwardedIsNoCommand: what somebody passes on is theirs to show, and not
// theirs to order.
func TestForwardedIsNoCommand(t *testing.T) {
	l := newLive(t)
	alice := l.people[channeltest.Alice]
	l.wa.Say(alice, alice.PN, "/stop at once", whatsapptest.WithForward())
	if _, m := l.message("/stop"); m.Forwarded == "" || m.Text != "/stop at once" {
		t.Errorf("it is %+v", m)
	}
}

// TestAttachmentWithoutAConnection: a gateway that has left the connection to
// another one reads what came in over it.
func TestAttachmentWithoutAConnection(t *testing.T) {
	l := newLive(t)
	alice := l.people[channeltest.Alice]
	for kind, mime := range map[string]string{"image": "image/png", "video": "video/mp4", "ptt": "audio/ogg", "document": "text/plain"} {
		body := []byte("the content of " + kind)
		l.wa.Say(alice, alice.PN, "look, "+kind, whatsapptest.WithFile(whatsapptest.File{Kind: kind, Name: "f", MIME: mime, Body: body}))
		e := l.sink.WaitEvent("the file", func(e channels.Event) bool {
			m, ok := e.Content.(channels.Message)
			return ok && len(m.Files) == 1 && m.Files[0].MIME == mime
		})
		f := e.Content.(channels.Message).Files[0]
		host := channeltest.NewHost(t, channeltest.Restore(l.host.Snapshot()))
		idle, err := whatsapp.Driver{}.Open(t.Context(), host, l.config())
		must(t, err)
		r, err := idle.(channels.Fetcher).Fetch(t.Context(), f)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		got, err := io.ReadAll(r)
		must(t, err)
		if !bytes.Equal(got, body) {
			t.Errorf("%s is %q", kind, got)
		}
		host.Client("").CloseIdleConnections()
	}
}
