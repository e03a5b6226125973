package wasm_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-chat/gatehouse/adapters/discord"
	discordstage "github.com/gatehouse-chat/gatehouse/adapters/discord/stagetest"
	"github.com/gatehouse-chat/gatehouse/adapters/slack"
	slackstage "github.com/gatehouse-chat/gatehouse/adapters/slack/stagetest"
	"github.com/gatehouse-chat/gatehouse/adapters/telegram"
	telegramstage "github.com/gatehouse-chat/gatehouse/adapters/telegram/stagetest"
	"github.com/gatehouse-chat/gatehouse/adapters/webhook"
	webhookstage "github.com/gatehouse-chat/gatehouse/adapters/webhook/stagetest"
	"github.com/gatehouse-chat/gatehouse/adapters/webhook/webhooktest"
	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud"
	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/cloudtest"
	cloudstage "github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/stagetest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// platform is one for which there is an adapter, of which the shipped guest of that
// name is made, too.
type platform struct {
	name   string
	native channels.Driver
	// stage makes the platform, with the section for the guest or for the adapter.
	stage func(b *testing.B, public string, guest bool) *channeltest.Harness
}

func platforms() []platform {
	return []platform{
		{"telegram", telegram.Driver{}, func(b *testing.B, _ string, guest bool) *channeltest.Harness {
			s := telegramstage.New(b, "poll")
			h := s.Harness()
			if guest {
				h.Config = s.Config("module", "telegram")
			}
			return h
		}},
		{"slack", slack.Driver{}, func(b *testing.B, public string, guest bool) *channeltest.Harness {
			s := slackstage.New(b, "socket", public)
			h := s.Harness()
			if guest {
				h.Config = s.Config("module", "slack", "socket_url", s.Sockets())
			}
			return h
		}},
		{"discord", discord.Driver{}, func(b *testing.B, _ string, guest bool) *channeltest.Harness {
			s := discordstage.New(b)
			h := s.Harness()
			if guest {
				h.Config = s.Config("module", "discord")
			}
			return h
		}},
		{"whatsapp-cloud", cloud.Driver{}, func(_ *testing.B, public string, guest bool) *channeltest.Harness {
			p := cloudtest.New(public)
			h := cloudstage.Harness(p)
			if guest {
				h.Config = cloudstage.Section(p, "module", "whatsapp-cloud")
			}
			return h
		}},
		{"webhook", webhook.Driver{}, func(_ *testing.B, public string, guest bool) *channeltest.Harness {
			p := webhooktest.New(public)
			h := webhookstage.Harness(p)
			if guest {
				h.Config = webhookstage.Section(p, "module", "webhook")
			}
			return h
		}},
	}
}

// BenchmarkShipped is one message in, until it is accepted, and one message out, by
// each shipped guest and by the adapter that is made of the same codec, each with a
// platform of its own on this machine.
func BenchmarkShipped(b *testing.B) {
	for _, p := range platforms() {
		b.Run(p.name, func(b *testing.B) {
			native := open(b, p, p.native, false)
			guest := open(b, p, newDriver(b, p.name), true)
			b.Run("in", func(b *testing.B) { pair(b, 20, 50, native.hear, guest.hear) })
			b.Run("out", func(b *testing.B) { pair(b, 20, 50, native.say, guest.say) })
		})
	}
}

// talk is a channel that runs, and the direct chat with a person.
type talk struct {
	h    *channeltest.Harness
	ch   channels.Channel
	sink heard
	at   channels.Address
	said int
}

// heard tells of the events that are accepted.
type heard struct {
	*channeltest.Sink
	events chan channels.Event
}

// Accept implements channels.Sink.
func (h heard) Accept(ctx context.Context, batch channels.Batch) error {
	if err := h.Sink.Accept(ctx, batch); err != nil {
		return err
	}
	for _, e := range batch.Events {
		h.events <- e
	}
	return nil
}

func open(b *testing.B, p platform, d channels.Driver, guest bool) *talk {
	b.Helper()
	var receive atomic.Pointer[http.Handler]
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if to := receive.Load(); to != nil {
			(*to).ServeHTTP(w, r)
		}
	}))
	b.Cleanup(front.Close)
	public := front.URL + "/hooks/test"
	t := &talk{h: p.stage(b, public, guest)}
	if t.h.Close != nil {
		b.Cleanup(t.h.Close)
	}
	host := channeltest.NewHost(b, append([]channeltest.HostOption{channeltest.WithPublic(public)}, t.h.Host...)...)
	ch, err := d.Open(b.Context(), host, t.h.Config)
	if err != nil {
		b.Fatal(err)
	}
	t.ch, t.sink = ch, heard{channeltest.NewSink(host), make(chan channels.Event, 100)}
	if r, ok := channels.As[channels.Receiver](ch); ok {
		to := r.Receive(t.sink)
		receive.Store(&to)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- ch.Run(ctx, t.sink) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	host.WaitHealth(channels.Connected)
	t.h.Say(channeltest.Said{By: channeltest.Alice, Text: "hello"})
	t.at = (<-t.sink.events).Where
	return t
}

// hear is one message in.
func (t *talk) hear() error {
	t.said++
	t.h.Say(channeltest.Said{By: channeltest.Alice, Text: "message " + strconv.Itoa(t.said)})
	<-t.sink.events
	return nil
}

// say is one message out.
func (t *talk) say() error {
	t.said++
	_, err := t.ch.Send(context.Background(), channels.Part{Key: "turn/" + strconv.Itoa(t.said), To: t.at, Body: markup.Plain("Good morning, everybody.")})
	return err
}
