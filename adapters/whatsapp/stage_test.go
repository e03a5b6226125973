//go:build !nowhatsapp

package whatsapp_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp"
	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/whatsapptest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
)

// stage is an emulated WhatsApp with people, a group, and a linked device whose
// store is in a snapshot.
type stage struct {
	wa     *whatsapptest.Server
	people map[string]*whatsapptest.Person
	room   *whatsapptest.Group
	linked channeltest.Snapshot
}

func newStage(t testing.TB) *stage {
	t.Helper()
	wa := whatsapptest.NewServer(t)
	s := &stage{wa: wa, people: map[string]*whatsapptest.Person{}}
	for _, name := range []string{channeltest.Alice, channeltest.Bob} {
		s.people[name] = wa.Person(name)
	}
	s.room = wa.Group("The room", s.people[channeltest.Alice], s.people[channeltest.Bob])
	s.linked = s.link(t, channeltest.Snapshot{})
	return s
}

func (s *stage) config() json.RawMessage {
	return json.RawMessage(`{"base_url": "` + s.wa.URL() + `", "trust": "` + whatsapptest.Key() + `"}`)
}

// link links a device as a stopped gateway does, and returns what it keeps.
func (s *stage) link(t testing.TB, snap channeltest.Snapshot) channeltest.Snapshot {
	t.Helper()
	host := channeltest.NewHost(t, channeltest.Restore(snap))
	ch, err := whatsapp.Driver{}.Open(t.Context(), host, s.config())
	if err != nil {
		t.Fatal(err)
	}
	err = ch.(channels.Linker).Link(t.Context(), func(code string) {
		if err := s.wa.Scan(code); err != nil {
			t.Errorf("scan: %v", err)
		}
	})
	if err != nil {
		t.Fatalf("link: %v", err)
	}
	host.Client("").CloseIdleConnections()
	return host.Snapshot()
}

// once restores the linked device into the first host that it is given to; a
// later one has what the case itself kept.
func (s *stage) once() channeltest.HostOption {
	used := false
	return func(h *channeltest.Host) {
		if !used {
			used = true
			channeltest.Restore(s.linked)(h)
		}
	}
}

// live is a channel that runs on a stage.
type live struct {
	*stage
	host *channeltest.Host
	sink *channeltest.Sink
	ch   *whatsapp.Channel
	done chan error
	stop context.CancelFunc
}

func newLive(t *testing.T) *live {
	t.Helper()
	l := &live{stage: newStage(t)}
	l.boot(t, l.linked)
	return l
}

// boot opens the channel anew and runs it until the test ends.
func (l *live) boot(t *testing.T, snap channeltest.Snapshot) {
	t.Helper()
	l.start(t, snap)
	l.host.WaitHealth(channels.Connected)
}

// start is boot without the wait.
func (l *live) start(t *testing.T, snap channeltest.Snapshot) {
	t.Helper()
	l.host = channeltest.NewHost(t, channeltest.Restore(snap))
	l.sink = channeltest.NewSink(l.host)
	ch, err := whatsapp.Driver{}.Open(t.Context(), l.host, l.config())
	if err != nil {
		t.Fatal(err)
	}
	l.ch = ch.(*whatsapp.Channel)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.ch.Run(ctx, l.sink) }()
	l.done, l.stop = done, cancel
	t.Cleanup(func() { l.halt(t) })
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

// message waits for a message that holds a word.
func (l *live) message(word string) (channels.Event, channels.Message) {
	e := l.sink.WaitEvent("a message with "+word, func(e channels.Event) bool {
		m, ok := e.Content.(channels.Message)
		return ok && strings.Contains(m.Text, word)
	})
	return e, e.Content.(channels.Message)
}

// stanza is the platform's part of an adapter's message id.
func stanza(id channels.MessageID) string {
	s, _, _ := strings.Cut(string(id), "/")
	return s
}

// ref is how the adapter writes a message's id.
func (s *stage) ref(m whatsapptest.Message) channels.MessageID {
	switch {
	case m.From == nil:
		return channels.MessageID(m.ID)
	case m.Chat.Server == types.GroupServer:
		return channels.MessageID(m.ID + "/" + m.From.LID.String())
	}
	return channels.MessageID(m.ID + "/" + m.From.PN.String())
}

func pollOf(name string, options ...string) *waE2E.Message {
	p := &waE2E.PollCreationMessage{Name: proto.String(name)}
	for _, o := range options {
		p.Options = append(p.Options, &waE2E.PollCreationMessage_Option{OptionName: proto.String(o)})
	}
	return &waE2E.Message{PollCreationMessageV3: p}
}
