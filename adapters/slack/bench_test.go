package slack_test

import (
	"context"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/slack"
	"github.com/gatehouse-chat/gatehouse/adapters/slack/slacktest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// bench runs a channel in Socket Mode against the emulator.
func bench(b *testing.B) (*slacktest.Server, *channeltest.Sink, channels.Channel, *channeltest.Host) {
	b.Helper()
	srv := slacktest.NewServer(b)
	host := channeltest.NewHost(b, channeltest.WithSecret("secret://bot", srv.Team("T0MAIN000", "").Token()), channeltest.WithSecret("secret://app", srv.AppToken()))
	sink := channeltest.NewSink(host)
	ch, err := slack.Driver{}.Open(b.Context(), host, []byte(`{"base_url":"`+srv.BaseURL()+`","token":"secret://bot","app_token":"secret://app"}`))
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- ch.Run(ctx, sink) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	host.WaitHealth(channels.Connected)
	return srv, sink, ch, host
}

// BenchmarkReceive is a message in: the emulator, a socket, the acknowledgement.
func BenchmarkReceive(b *testing.B) {
	srv, sink, _, _ := bench(b)
	team := srv.Team("T0MAIN000", "")
	u := team.User("U0ADA0000", "Ada")
	for range b.N {
		team.Direct(u).Say(u, "hello")
	}
	sink.WaitAttempts(1)
	channeltest.Eventually(b, "all to be acknowledged", func() bool { return srv.Pending() == 0 })
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkSend is an answer out.
func BenchmarkSend(b *testing.B) {
	srv, _, ch, _ := bench(b)
	team := srv.Team("T0MAIN000", "")
	at := channels.Address{Channel: "test", Account: "T0MAIN000", Conversation: channels.ConversationID(team.Direct(team.User("U0ADA0000", "Ada")).ID())}
	body := markup.Parse("The **meeting** is at ten.\n\n- bring the `plan.pdf`\n\nSee you there.")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ch.Send(b.Context(), channels.Part{Key: "turn/0", To: at, Body: body}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReconnect is the time from a cut socket to the next one.
func BenchmarkReconnect(b *testing.B) {
	srv, _, _, _ := bench(b)
	var took time.Duration
	n := 0
	for b.Loop() {
		opened, began := srv.Opened(), time.Now()
		srv.Drop()
		channeltest.Eventually(b, "the next socket", func() bool { return srv.Opened() > opened && srv.Sockets() > 0 })
		took += time.Since(began)
		n++
	}
	b.ReportMetric(float64(took.Milliseconds())/float64(n), "ms/reconnect")
}
