package discordtest_test

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bwmarrin/discordgo"
	"github.com/gorilla/websocket"

	"github.com/gatehouse-chat/gatehouse/adapters/discord/discordtest"
)

// elsewhere sends what is meant for Discord to the emulator.
type elsewhere struct{ host string }

func (e elsewhere) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host, r.Host = "http", e.host, e.host
	return http.DefaultTransport.RoundTrip(r)
}

// discordgo is a client that was written against the platform itself. What it
// understands of the emulator, the emulator says as the platform does.
func TestDiscordgo(t *testing.T) {
	srv := discordtest.NewServer(t, discordtest.WithHeartbeat(200*time.Millisecond))
	guild := srv.Guild("Engineering")
	room, alice := guild.Text("general"), srv.User("Alice")
	u, err := url.Parse(srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	s, err := discordgo.New("Bot " + srv.Token())
	if err != nil {
		t.Fatal(err)
	}
	s.Client = &http.Client{Transport: elsewhere{u.Host}}
	s.Dialer = &websocket.Dialer{NetDialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, u.Host)
	}}
	s.Identify.Intents = discordgo.IntentsAllWithoutPrivileged | discordgo.IntentMessageContent
	heard := make(chan *discordgo.MessageCreate, 10)
	pressed := make(chan *discordgo.InteractionCreate, 10)
	s.AddHandler(func(_ *discordgo.Session, m *discordgo.MessageCreate) { heard <- m })
	s.AddHandler(func(_ *discordgo.Session, i *discordgo.InteractionCreate) { pressed <- i })
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if me, err := s.User("@me"); err != nil || me.ID != srv.Bot().ID {
		t.Fatalf("%+v, %v", me, err)
	}
	room.Say(alice, "hello <@"+srv.Bot().ID+">")
	m := <-heard
	if m.Content != "hello <@"+srv.Bot().ID+">" || len(m.Mentions) != 1 || m.GuildID != guild.ID || m.Author.ID != alice.ID || m.Timestamp.IsZero() {
		t.Errorf("%+v", m)
	}
	sent, err := s.ChannelMessageSendComplex(room.ID, &discordgo.MessageSend{
		Content: "choose", Reference: m.Reference(),
		Components: []discordgo.MessageComponent{discordgo.ActionsRow{Components: []discordgo.MessageComponent{discordgo.Button{Label: "Yes", CustomID: "y"}}}},
		Files:      []*discordgo.File{{Name: "a.txt", ContentType: "text/plain", Reader: strings.NewReader("content")}},
	})
	if err != nil || len(sent.Attachments) != 1 || sent.MessageReference == nil {
		t.Fatalf("%+v, %v", sent, err)
	}
	if own := <-heard; own.ID != sent.ID || own.Author.ID != srv.Bot().ID {
		t.Errorf("%+v", own)
	}
	room.Press(alice, sent.ID, "Yes")
	i := <-pressed
	if i.MessageComponentData().CustomID != "y" || i.Member.User.ID != alice.ID || i.Message.ID != sent.ID {
		t.Errorf("%+v", i.Interaction)
	}
	if err := s.InteractionRespond(i.Interaction, &discordgo.InteractionResponse{Type: discordgo.InteractionResponseDeferredMessageUpdate}); err != nil {
		t.Error(err)
	}
	if _, err := s.ChannelMessageEdit(room.ID, sent.ID, "chosen"); err != nil {
		t.Error(err)
	}
	if err := s.MessageReactionAdd(room.ID, m.ID, "👍"); err != nil {
		t.Error(err)
	}
	list, err := s.ApplicationCommandBulkOverwrite(srv.App(), "", []*discordgo.ApplicationCommand{{Name: "help", Description: "What I can do"}})
	if err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	history, err := s.ChannelMessages(room.ID, 10, "", "0", "")
	if err != nil || len(history) != 2 || history[0].ID != sent.ID || history[0].Content != "chosen" {
		t.Errorf("%+v, %v", history, err)
	}
	srv.Reconnect() // it resumes by itself
	room.Say(alice, "still there?")
	if m := <-heard; m.Content != "still there?" {
		t.Errorf("%+v", m)
	}
	if _, started := srv.Sessions(); started != 1 {
		t.Errorf("%d sessions began", started)
	}
	if err := s.ChannelMessageDelete(room.ID, sent.ID); err != nil {
		t.Error(err)
	}
	_, err = s.ChannelMessageSend("1", "x")
	if rest, ok := err.(*discordgo.RESTError); !ok || rest.Message.Code != discordgo.ErrCodeUnknownChannel { //nolint:errorlint // it is given as it is
		t.Errorf("%v", err)
	}
}
