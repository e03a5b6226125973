package slacktest_test

import (
	"context"
	"io"
	"log"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"
	"github.com/slack-go/slack/socketmode"

	"github.com/gatehouse-chat/gatehouse/adapters/slack/slacktest"
)

// A client that we did not write: the SDK's own Web API and Socket Mode.
func newClient(srv *slacktest.Server) *sdk.Client {
	team := srv.Team("T0MAIN000", "Main")
	return sdk.New(team.Token(), sdk.OptionAPIURL(srv.BaseURL()+"/"), sdk.OptionAppLevelToken(srv.AppToken()),
		sdk.OptionLog(log.New(io.Discard, "", 0)))
}

// listen runs the SDK's socket and gives each event that it acknowledges.
func listen(t *testing.T, c *sdk.Client) (events <-chan socketmode.Event) {
	t.Helper()
	sm := socketmode.New(c, socketmode.OptionLog(log.New(io.Discard, "", 0)))
	out := make(chan socketmode.Event, 100)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = sm.RunContext(ctx) })
	running.Go(func() {
		for {
			select {
			case e := <-sm.Events:
				if e.Request != nil && e.Request.EnvelopeID != "" {
					_ = sm.Ack(*e.Request)
				}
				out <- e
			case <-ctx.Done():
				return
			}
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return out
}

func await(t *testing.T, events <-chan socketmode.Event, kind socketmode.EventType) socketmode.Event {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		select {
		case e := <-events:
			if e.Type == kind {
				return e
			}
		case <-limit:
			t.Fatalf("no %s came", kind)
		}
	}
}

func TestSocketModeOfTheSDK(t *testing.T) {
	srv := slacktest.NewServer(t)
	team := srv.Team("T0MAIN000", "Main")
	ada := team.User("U0ADA0000", "Ada")
	room := team.Channel("C0ROOM000", "general", ada)
	events := listen(t, newClient(srv))
	await(t, events, socketmode.EventTypeHello)

	room.Say(ada, team.Mention()+" hello")
	e := await(t, events, socketmode.EventTypeEventsAPI)
	if m, ok := e.Data.(slackevents.EventsAPIEvent).InnerEvent.Data.(*slackevents.MessageEvent); !ok || !strings.HasSuffix(m.Text, "hello") || m.Channel != room.ID() {
		t.Errorf("%+v", e.Data)
	}
	e = await(t, events, socketmode.EventTypeEventsAPI)
	if _, ok := e.Data.(slackevents.EventsAPIEvent).InnerEvent.Data.(*slackevents.AppMentionEvent); !ok {
		t.Errorf("%+v", e.Data)
	}
	room.Slash(ada, "/gatehouse", "help")
	e = await(t, events, socketmode.EventTypeSlashCommand)
	if c := e.Data.(sdk.SlashCommand); c.Command != "/gatehouse" || c.Text != "help" || c.ResponseURL == "" {
		t.Errorf("%+v", c)
	}
	if err := sdk.PostWebhookContext(t.Context(), e.Data.(sdk.SlashCommand).ResponseURL, &sdk.WebhookMessage{Text: "only you"}); err != nil {
		t.Error(err)
	}
	if got := srv.Delivered().Of(slacktest.Answered); len(got) != 1 || got[0].Only != ada.ID {
		t.Errorf("%+v", got)
	}

	srv.Disconnect("refresh_requested", 10*time.Millisecond)
	await(t, events, socketmode.EventTypeHello)
	room.Say(ada, "after the refresh")
	await(t, events, socketmode.EventTypeEventsAPI)
	srv.Drop()
	await(t, events, socketmode.EventTypeHello)
	eventually(t, "everything to be acknowledged", func() bool { return srv.Pending() == 0 })
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited for %s", what)
		}
	}
}

func TestWebAPIOfTheSDK(t *testing.T) {
	srv := slacktest.NewServer(t)
	team := srv.Team("T0MAIN000", "Main")
	ada := team.User("U0ADA0000", "Ada")
	room := team.Channel("C0ROOM000", "general", ada)
	c, ctx := newClient(srv), t.Context()

	who, err := c.AuthTestContext(ctx)
	if err != nil || who.UserID != team.BotUser || who.TeamID != team.ID {
		t.Fatalf("%+v %v", who, err)
	}
	_, ts, err := c.PostMessageContext(ctx, room.ID(), sdk.MsgOptionText("*bold* &amp; plain", false),
		sdk.MsgOptionMetadata(sdk.SlackMetadata{EventType: "noted", EventPayload: map[string]any{"key": "value"}}))
	if err != nil {
		t.Fatal(err)
	}
	past, err := c.GetConversationHistoryContext(ctx, &sdk.GetConversationHistoryParameters{ChannelID: room.ID(), IncludeAllMetadata: true})
	if err != nil || len(past.Messages) != 1 || past.Messages[0].Metadata.EventPayload["key"] != "value" || past.HasMore {
		t.Fatalf("%+v %v", past, err)
	}
	in, _, _, err := c.GetConversationRepliesContext(ctx, &sdk.GetConversationRepliesParameters{ChannelID: room.ID(), Timestamp: ts})
	if err != nil || len(in) != 1 || in[0].Metadata.EventType != "" {
		t.Fatalf("%+v %v", in, err)
	}
	button := sdk.NewButtonBlockElement("a", "v", sdk.NewTextBlockObject(sdk.PlainTextType, "Go", false, false))
	if _, _, _, err := c.UpdateMessageContext(ctx, room.ID(), ts, sdk.MsgOptionText("later", false),
		sdk.MsgOptionBlocks(sdk.NewSectionBlock(sdk.NewTextBlockObject(sdk.MarkdownType, "_later_", false, false), nil, nil), sdk.NewActionBlock("", button))); err != nil {
		t.Fatal(err)
	}
	if err := c.AddReactionContext(ctx, "eyes", sdk.NewRefToMessage(room.ID(), ts)); err != nil {
		t.Fatal(err)
	}
	l := room.Transcript()[0]
	if l.Text != "later" || l.Edits != 1 || len(l.Buttons) != 1 || l.Buttons[0].Value != "v" || len(l.Reactions) != 1 {
		t.Errorf("%+v", l)
	}
	if _, err := c.PostEphemeralContext(ctx, room.ID(), ada.ID, sdk.MsgOptionText("psst", false)); err != nil {
		t.Fatal(err)
	}
	f, err := c.UploadFileContext(ctx, sdk.UploadFileParameters{Filename: "a.txt", FileSize: 5, Content: "hello", Channel: room.ID(), InitialComment: "see"})
	if err != nil {
		t.Fatal(err)
	}
	info, _, _, err := c.GetFileInfoContext(ctx, f.ID, 0, 0)
	if err != nil || len(info.Shares.Public[room.ID()]) != 1 {
		t.Fatalf("%+v %v", info, err)
	}
	var got strings.Builder
	if err := c.GetFileContext(ctx, info.URLPrivateDownload, &got); err != nil || got.String() != "hello" {
		t.Errorf("%q %v", got.String(), err)
	}
	if err := c.SetAssistantThreadsStatusContext(ctx, sdk.AssistantThreadsSetStatusParameters{ChannelID: room.ID(), ThreadTS: ts, Status: "thinks"}); err != nil {
		t.Error(err)
	}
	if _, _, err := c.DeleteMessageContext(ctx, room.ID(), ts); err != nil {
		t.Error(err)
	}
	u, err := c.GetUserInfoContext(ctx, ada.ID)
	if err != nil || u.RealName != "Ada" {
		t.Errorf("%+v %v", u, err)
	}
	kinds := map[slacktest.Kind]int{}
	for _, e := range srv.Delivered() {
		kinds[e.Kind]++
	}
	for kind, n := range map[slacktest.Kind]int{slacktest.Sent: 2, slacktest.Edited: 1, slacktest.Ephemeral: 1, slacktest.Reacted: 1, slacktest.Typed: 1, slacktest.Deleted: 1} {
		if kinds[kind] != n {
			t.Errorf("%d %s, want %d", kinds[kind], kind, n)
		}
	}
}

// The signature of the server is what the SDK checks.
func TestSignatureOfTheSDK(t *testing.T) {
	srv := slacktest.NewServer(t)
	body := []byte(`{"type":"url_verification","challenge":"x"}`)
	v, err := sdk.NewSecretsVerifier(srv.Signed(body, time.Now()), srv.SigningSecret())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Write(body); err != nil || v.Ensure() != nil {
		t.Errorf("%v %v", err, v.Ensure())
	}
}

func TestRefusals(t *testing.T) {
	srv := slacktest.NewServer(t, slacktest.WithScopes("chat:write"))
	team := srv.Team("T0MAIN000", "Main")
	ada := team.User("U0ADA0000", "Ada")
	room := team.Channel("C0ROOM000", "general", ada)
	c, ctx := newClient(srv), t.Context()
	post := func(to string, o ...sdk.MsgOption) error {
		_, _, err := c.PostMessageContext(ctx, to, o...)
		return err
	}
	wrong := func(what, want string, err error) {
		t.Helper()
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", what, err, want)
		}
	}
	_, err := c.GetUserInfoContext(ctx, ada.ID)
	wrong("scope", "missing_scope", err)
	wrong("nowhere", "channel_not_found", post("C0NOWHERE", sdk.MsgOptionText("x", false)))
	wrong("empty", "no_text", post(room.ID(), sdk.MsgOptionText("", false)))
	wrong("long", "msg_too_long", post(room.ID(), sdk.MsgOptionText(strings.Repeat("x", 40_001), false)))
	wrong("blocks", "invalid_blocks", post(room.ID(), sdk.MsgOptionBlocks(sdk.NewSectionBlock(sdk.NewTextBlockObject("mrkdwn", strings.Repeat("x", 3001), false, false), nil, nil))))
	table := sdk.NewTableBlock("").AddRow(sdk.NewTableRawTextCell("a"))
	wrong("tables", "only_one_table_allowed", post(room.ID(), sdk.MsgOptionBlocks(table, table)))
	srv.Fail("chat.postMessage", slacktest.RateLimited(7*time.Second))
	if err := post(room.ID(), sdk.MsgOptionText("x", false)); err == nil || !strings.Contains(err.Error(), "7s") {
		t.Errorf("%v", err)
	}
	room.Leave()
	wrong("outside", "not_in_channel", post(room.ID(), sdk.MsgOptionText("x", false)))
	room.Archive()
	wrong("archived", "is_archived", post(room.ID(), sdk.MsgOptionText("x", false)))
	team.Revoke()
	wrong("revoked", "token_revoked", post(room.ID(), sdk.MsgOptionText("x", false)))
	resp, err := http.Get(srv.URL() + "/elsewhere") //nolint:noctx // loopback
	if err != nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("%v %v", resp, err)
	}
	_ = resp.Body.Close()
}
