//go:build !nowhatsapp

package whatsapp_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"go.mau.fi/whatsmeow/proto/waE2E"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// BenchmarkDecode is what it costs to make an event of a decrypted message.
func BenchmarkDecode(b *testing.B) {
	body, err := proto.Marshal(&waE2E.Message{Conversation: proto.String("a message of *ordinary* length, as people write them")})
	if err != nil {
		b.Fatal(err)
	}
	m, _ := event(body, "491700000002@s.whatsapp.net", "491700000002@s.whatsapp.net", false, false)
	for b.Loop() {
		if _, ok := whatsapp.Decode(m, ownPN, ownLID, 7); !ok {
			b.Fatal("nothing")
		}
	}
}

// BenchmarkRender is what it costs to write a part's text.
func BenchmarkRender(b *testing.B) {
	p := channels.Part{Body: markup.Parse("An answer with **strong** words, a [link](https://example.org) and\n\n- a list\n- of things\n")}
	for b.Loop() {
		whatsapp.Render(p)
	}
}

// benchLive runs a channel on an emulator for a benchmark.
func benchLive(b *testing.B) (*stage, channels.Channel, *channeltest.Sink, *channeltest.Host) {
	b.Helper()
	s := newStage(b)
	host := channeltest.NewHost(b, channeltest.Restore(s.linked))
	sink := channeltest.NewSink(host)
	ch, err := whatsapp.Driver{}.Open(b.Context(), host, s.config())
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
	host.WaitHealth(channels.Connected)
	return s, ch, sink, host
}

// BenchmarkReceive is a message from a person's phone to its acceptance, with
// all encryption on both sides.
func BenchmarkReceive(b *testing.B) {
	s, _, sink, _ := benchLive(b)
	alice := s.people[channeltest.Alice]
	n := 0
	for b.Loop() {
		n++
		s.wa.Say(alice, alice.PN, "hello")
		sink.WaitEvents(n)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkSend is a part to the server's answer, with all encryption.
func BenchmarkSend(b *testing.B) {
	s, ch, sink, _ := benchLive(b)
	alice := s.people[channeltest.Alice]
	s.wa.Say(alice, alice.PN, "hello")
	to := sink.WaitEvents(1)[0].Where
	n := 0
	for b.Loop() {
		n++
		if _, err := ch.Send(b.Context(), channels.Part{Key: fmt.Sprint(n), To: to, Body: text("an answer")}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkReconnect is a connection that is cut to the next login, pause
// included.
func BenchmarkReconnect(b *testing.B) {
	s, _, _, host := benchLive(b)
	for b.Loop() {
		s.wa.Drop()
		host.WaitHealth(channels.Connected)
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)*float64(time.Second/time.Millisecond), "ms/reconnect")
}
