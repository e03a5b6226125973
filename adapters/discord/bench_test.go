package discord_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/discord/codec"
	"github.com/gatehouse-chat/gatehouse/adapters/discord/stagetest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

const dispatch = `{"id":"1473118765716602880","type":0,"channel_id":"900","content":"hello <@77>, how are you?",` +
	`"author":{"id":"1033044521375764530","username":"test","global_name":"Test"},"timestamp":"2026-02-17T00:48:03.193000+00:00",` +
	`"edited_timestamp":null,"mentions":[{"id":"77","username":"b"}],"mention_roles":[],"attachments":[],"embeds":[],"flags":0}`

func BenchmarkDecode(b *testing.B) {
	self, w := codec.Self{Channel: "team", ID: "1", App: "1", Name: "Helper"}, codec.NewWorld()
	b.ReportAllocs()
	for b.Loop() {
		if r := w.Decode(self, "MESSAGE_CREATE", []byte(dispatch), "s/1"); len(r.Events) != 1 {
			b.Fatal(r.Ignored)
		}
	}
}

func BenchmarkRender(b *testing.B) {
	p := channels.Part{
		Key: "turn/0", To: channels.Address{Conversation: "900"},
		Body: markup.Parse("Here is **what** you asked for:\n\n- one `thing`\n- [another](https://example.org)\n\n```go\nx := 1\n```"),
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := codec.Encode(p, codec.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// running is a channel that is connected to an emulated platform.
func running(b *testing.B) (*stagetest.Stage, *channeltest.Host, *channeltest.Sink, channels.Channel) {
	b.Helper()
	s := stagetest.New(b)
	b.Cleanup(s.Srv.Close)
	h := channeltest.NewHost(b, s.Host()...)
	sink := channeltest.NewSink(h)
	ch, err := quick.Open(b.Context(), h, s.Config())
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- ch.Run(ctx, sink) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	h.WaitHealth(channels.Connected)
	return s, h, sink, ch
}

// BenchmarkReceive is a message in: the emulator, the gateway's connection, the
// commit.
func BenchmarkReceive(b *testing.B) {
	s, _, sink, _ := running(b)
	dm := s.Srv.DM(s.Alice)
	dm.Say(s.Alice, "hi")
	sink.WaitEvents(1)
	b.ResetTimer()
	for range b.N {
		dm.Say(s.Alice, "hello")
	}
	sink.WaitEvents(b.N + 1)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkSend is one answer through the emulator and back.
func BenchmarkSend(b *testing.B) {
	s, _, sink, ch := running(b)
	s.Srv.DM(s.Alice).Say(s.Alice, "hi")
	at := sink.WaitEvents(1)[0].Where
	b.ResetTimer()
	for i := range b.N {
		if _, err := ch.Send(b.Context(), channels.Part{Key: fmt.Sprint(i), To: at, Body: markup.Plain("an answer")}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkReconnect is from the loss of the connection to the first message of
// the resumed session; most of it is the pause before the channel tries again.
func BenchmarkReconnect(b *testing.B) {
	s, _, sink, _ := running(b)
	dm := s.Srv.DM(s.Alice)
	dm.Say(s.Alice, "hi")
	sink.WaitEvents(1)
	var total time.Duration
	for i := range b.N {
		s.Srv.Drop()
		began := time.Now()
		dm.Say(s.Alice, "again")
		sink.WaitEvents(i + 2)
		total += time.Since(began)
	}
	b.ReportMetric(float64(total.Milliseconds())/float64(b.N), "ms/reconnect")
}
