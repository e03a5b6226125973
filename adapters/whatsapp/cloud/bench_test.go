package cloud_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud"
	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/cloudtest"
	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/stagetest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// BenchmarkSend sends through the emulator, which holds messages to the limits.
func BenchmarkSend(b *testing.B) {
	p := cloudtest.New("")
	defer p.Close()
	p.Wrote(stagetest.Alice)
	h := channeltest.NewHost(b, append(stagetest.Secrets(), channeltest.WithPublic("http://127.0.0.1"))...)
	ch, err := cloud.Driver{}.Open(b.Context(), h, stagetest.Section(p))
	if err != nil {
		b.Fatal(err)
	}
	part := channels.Part{Key: "turn/0", To: channels.Address{Conversation: stagetest.Alice}, Body: markup.Parse("The **meeting** is at ten.\n\n- bring the `plan.pdf`")}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ch.Send(b.Context(), part); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReceive is a message in: the emulator's call, its proof, the commit, the
// answer.
func BenchmarkReceive(b *testing.B) {
	var hook http.Handler
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { hook.ServeHTTP(w, r) }))
	defer front.Close()
	p := cloudtest.New(front.URL)
	defer p.Close()
	h := channeltest.NewHost(b, append(stagetest.Secrets(), channeltest.WithPublic(front.URL))...)
	sink := channeltest.NewSink(h)
	ch, err := cloud.Driver{}.Open(b.Context(), h, stagetest.Section(p))
	if err != nil {
		b.Fatal(err)
	}
	hook = ch.(channels.Receiver).Receive(sink)
	b.ResetTimer()
	for range b.N {
		p.Say(cloudtest.Said{By: stagetest.Alice, Text: "hello"})
	}
	sink.WaitEvents(b.N)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkReconnect measures from the end of an outage until the channel knows
// of it.
func BenchmarkReconnect(b *testing.B) {
	for b.Loop() {
		var hook http.Handler
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { hook.ServeHTTP(w, r) }))
		p := cloudtest.New(front.URL)
		h := channeltest.NewHost(b, append(stagetest.Secrets(), channeltest.WithPublic(front.URL))...)
		sink := channeltest.NewSink(h)
		ch, err := cloud.Driver{Watch: 20 * time.Millisecond}.Open(b.Context(), h, stagetest.Section(p))
		if err != nil {
			b.Fatal(err)
		}
		hook = ch.(channels.Receiver).Receive(sink)
		done, stop := run(b, ch, sink)
		h.WaitHealth(channels.Connected)
		up := p.Down()
		h.WaitHealth(channels.Retrying)
		began := time.Now()
		up()
		h.WaitHealth(channels.Connected)
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms-to-reconnect")
		stop()
		if err := <-done; err != nil {
			b.Error(err)
		}
		p.Close()
		front.Close()
	}
	b.ReportMetric(0, "ns/op")
}

// run starts a channel.
func run(b *testing.B, ch channels.Channel, sink channels.Sink) (done chan error, stop func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	done = make(chan error, 1)
	go func() { done <- ch.Run(ctx, sink) }()
	return done, cancel
}
