package telegramtest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
)

func keyboard(data string) params {
	return params{"inline_keyboard": [][]params{{{"text": "Go", "callback_data": data}}}}
}

// Each of these calls fails with the platform's words and leaves no trace.
func TestRefusals(t *testing.T) {
	srv := telegramtest.NewServer(t)
	ada, eve, dead := srv.User(7, "Ada"), srv.User(8, "Eve"), srv.User(9, "Gone")
	chat := srv.Private(ada)
	theirs := chat.Say(ada, "hello")
	eve.Block()
	dead.Deactivate()
	srv.Private(dead)
	forum := srv.Forum(20, "F", ada)
	kicked := srv.Supergroup(21, "K", ada)
	kicked.RemoveBot(ada)
	left := srv.Group(22, "L", ada)
	left.SetBot("left")
	old := srv.Group(23, "Old", ada)
	old.Migrate(ada)
	own := done[message](t, srv, "sendMessage", params{"chat_id": 7, "text": "mine", "reply_markup": keyboard("x")})
	before := len(srv.Delivered())

	cases := []struct {
		name, method string
		p            params
		want         string
	}{
		{"nobody", "sendMessage", params{"chat_id": 1, "text": "x"}, "Bad Request: chat not found"},
		{"no chat", "sendMessage", params{"text": "x"}, "Bad Request: chat_id is empty"},
		{"blocked", "sendMessage", params{"chat_id": 8, "text": "x"}, "Forbidden: bot was blocked by the user"},
		{"typing to a blocked one", "sendChatAction", params{"chat_id": 8, "action": "typing"}, "Forbidden: bot was blocked by the user"},
		{"deactivated", "sendMessage", params{"chat_id": 9, "text": "x"}, "Forbidden: user is deactivated"},
		{"kicked", "sendMessage", params{"chat_id": kicked.ID(), "text": "x"}, "Forbidden: bot was kicked from the supergroup chat"},
		{"left", "sendMessage", params{"chat_id": left.ID(), "text": "x"}, "Forbidden: bot is not a member of the group chat"},
		{"migrated", "sendMessage", params{"chat_id": old.ID(), "text": "x"}, "Bad Request: group chat was upgraded to a supergroup chat"},
		{"no such topic", "sendMessage", params{"chat_id": forum.ID(), "text": "x", "message_thread_id": 4711}, "Bad Request: message thread not found"},
		{"the General topic", "sendMessage", params{"chat_id": forum.ID(), "text": "x", "message_thread_id": 1}, "Bad Request: message thread not found"},
		{"a thread in a private chat", "sendMessage", params{"chat_id": 7, "text": "x", "message_thread_id": 5}, "Bad Request: message thread not found"},
		{"reply to nothing", "sendMessage", params{"chat_id": 7, "text": "x", "reply_parameters": params{"message_id": 999}}, "Bad Request: message to be replied not found"},
		{"legacy reply to nothing", "sendMessage", params{"chat_id": 7, "text": "x", "reply_to_message_id": 999}, "Bad Request: message to be replied not found"},
		{"long data", "sendMessage", params{"chat_id": 7, "text": "x", "reply_markup": keyboard(strings.Repeat("x", 65))}, "Bad Request: BUTTON_DATA_INVALID"},
		{"idle button", "sendMessage", params{"chat_id": 7, "text": "x", "reply_markup": `{"inline_keyboard":[[{"text":"a"}]]}`}, "Bad Request: can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard"},
		{"broken keyboard", "sendMessage", params{"chat_id": 7, "text": "x", "reply_markup": `{`}, "Bad Request: can't parse reply keyboard markup JSON object"},
		{"bad link button", "sendMessage", params{"chat_id": 7, "text": "x", "reply_markup": `{"inline_keyboard":[[{"text":"a","url":"nowhere"}]]}`}, "Bad Request: BUTTON_URL_INVALID"},
		{"edit nothing", "editMessageText", params{"chat_id": 7, "message_id": 999, "text": "x"}, "Bad Request: message to edit not found"},
		{"edit theirs", "editMessageText", params{"chat_id": 7, "message_id": theirs.ID, "text": "x"}, "Bad Request: message can't be edited"},
		{"edit to the same", "editMessageText", params{"chat_id": 7, "message_id": own.ID, "text": "mine", "reply_markup": keyboard("x")}, "Bad Request: message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message"},
		{"same keyboard", "editMessageReplyMarkup", params{"chat_id": 7, "message_id": own.ID, "reply_markup": keyboard("x")}, "Bad Request: message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message"},
		{"edit to nothing", "editMessageText", params{"chat_id": 7, "message_id": own.ID, "text": ""}, "Bad Request: message text is empty"},
		{"caption of a text", "editMessageCaption", params{"chat_id": 7, "message_id": own.ID, "caption": "x"}, "Bad Request: there is no caption in the message to edit"},
		{"delete nothing", "deleteMessage", params{"chat_id": 7, "message_id": 999}, "Bad Request: message to delete not found"},
		{"delete none", "deleteMessages", params{"chat_id": 7, "message_ids": []int{}}, "Bad Request: message identifiers are not specified"},
		{"odd action", "sendChatAction", params{"chat_id": 7, "action": "dancing"}, "Bad Request: wrong parameter action in request"},
		{"odd reaction", "setMessageReaction", params{"chat_id": 7, "message_id": theirs.ID, "reaction": []params{{"type": "emoji", "emoji": "🧀"}}}, "Bad Request: REACTION_INVALID"},
		{"two reactions", "setMessageReaction", params{"chat_id": 7, "message_id": theirs.ID, "reaction": []params{{"type": "emoji", "emoji": "👍"}, {"type": "emoji", "emoji": "🔥"}}}, "Bad Request: REACTIONS_TOO_MANY"},
		{"react to nothing", "setMessageReaction", params{"chat_id": 7, "message_id": 999, "reaction": []params{}}, "Bad Request: message to react not found"},
		{"answer to nothing", "answerCallbackQuery", params{"callback_query_id": "1"}, "Bad Request: query is too old and response timeout expired or query ID is invalid"},
		{"no photo", "sendPhoto", params{"chat_id": 7}, "Bad Request: there is no photo in the request"},
		{"photo by address", "sendPhoto", params{"chat_id": 7, "photo": "https://example.com/a.jpg"}, "Bad Request: failed to get HTTP URL content"},
		{"unknown file", "sendDocument", params{"chat_id": 7, "document": "nonsense"}, "Bad Request: wrong file identifier/HTTP URL specified"},
		{"unknown file id", "getFile", params{"file_id": "nonsense"}, "Bad Request: wrong file_id or the file is temporarily unavailable"},
		{"command name", "setMyCommands", params{"commands": []params{{"command": "Bad Name", "description": "x"}}}, "Bad Request: BOT_COMMAND_INVALID"},
		{"command text", "setMyCommands", params{"commands": []params{{"command": "ok", "description": ""}}}, "Bad Request: command description must be non-empty"},
		{"member nobody", "getChatMember", params{"chat_id": forum.ID(), "user_id": 555}, "Bad Request: PARTICIPANT_ID_INVALID"},
		{"leave a person", "leaveChat", params{"chat_id": 7}, "Bad Request: chat member status can't be changed in private chats"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := refused(t, srv, c.method, c.p); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
	if log := srv.Delivered(); len(log) != before {
		t.Errorf("traces: %+v", log[before:])
	}
	if n := len(srv.Refused()); n != len(cases) {
		t.Errorf("%d refusals noted of %d", n, len(cases))
	}
}

func TestEditingAndDeleting(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	srv := telegramtest.NewServer(t, telegramtest.WithClock(func() time.Time { return now }))
	ada := srv.User(7, "Ada")
	chat := srv.Private(ada)
	theirs := chat.Say(ada, "hello")
	m := done[message](t, srv, "sendMessage", params{
		"chat_id": 7, "text": "one", "reply_markup": keyboard("a"), "reply_parameters": params{"message_id": theirs.ID, "quote": "ello"},
		"link_preview_options": params{"is_disabled": true},
	})
	if m.ReplyTo == nil || m.ReplyTo.ID != theirs.ID || m.Quote.Text != "ello" || m.Quote.Position != 1 {
		t.Errorf("%+v", m)
	}
	done[message](t, srv, "editMessageText", params{"chat_id": 7, "message_id": m.ID, "text": "<b>two</b>", "parse_mode": "HTML"})
	done[message](t, srv, "editMessageReplyMarkup", params{"chat_id": 7, "message_id": m.ID, "reply_markup": keyboard("b")})
	lost := done[message](t, srv, "sendMessage", params{"chat_id": 7, "text": "gone", "reply_parameters": params{"message_id": 4711, "allow_sending_without_reply": true}})
	done[bool](t, srv, "deleteMessages", params{"chat_id": 7, "message_ids": []int64{lost.ID, 4711}})
	now = now.Add(49 * time.Hour)
	if got := refused(t, srv, "deleteMessage", params{"chat_id": 7, "message_id": m.ID}); got != "Bad Request: message can't be deleted" {
		t.Error(got)
	}

	type row struct {
		Kind    telegramtest.Kind
		Text    string
		Buttons int
		Reply   int64
		Quiet   bool
	}
	var got []row
	for _, d := range chat.Delivered() {
		got = append(got, row{d.Kind, d.Text, len(d.Buttons), d.ReplyTo, d.NoPreview})
	}
	want := []row{
		{telegramtest.Sent, "one", 1, theirs.ID, true},
		{telegramtest.Edited, "two", 0, theirs.ID, false},
		{telegramtest.Edited, "two", 1, theirs.ID, false},
		{telegramtest.Sent, "gone", 0, 0, false},
		{telegramtest.Deleted, "", 0, 0, false},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var lines []string
	for _, l := range chat.Transcript() {
		lines = append(lines, l.From.FirstName+": "+l.Text)
	}
	if diff := cmp.Diff([]string{"Ada: hello", "Test Bot: two"}, lines); diff != "" {
		t.Error(diff)
	}
}

func TestTopics(t *testing.T) {
	srv := telegramtest.NewServer(t, telegramtest.WithoutPrivacy(), telegramtest.WithoutPollPenalty())
	ada := srv.User(7, "Ada")
	forum := srv.Forum(20, "F", ada)
	topic := forum.NewTopic(ada, "News")
	first := forum.Say(ada, "in general")
	second := forum.Say(ada, "in the topic", telegramtest.InTopic(topic))
	got := updates(t, srv, nil)
	if got[0].Message.Created == nil || got[0].Message.ID != topic {
		t.Errorf("the topic's first message: %+v", got[0].Message)
	}
	if m := got[1].Message; m.ThreadID != 0 || m.Topic || m.ReplyTo != nil {
		t.Errorf("General: %+v", m)
	}
	if m := got[2].Message; m.ThreadID != topic || !m.Topic || m.ReplyTo == nil || m.ReplyTo.Created == nil {
		t.Errorf("topic: %+v", m)
	}
	send := func(p params) message {
		p["chat_id"], p["text"] = forum.ID(), "x"
		return done[message](t, srv, "sendMessage", p)
	}
	if m := send(params{}); m.ThreadID != 0 {
		t.Errorf("no thread: %+v", m)
	}
	if m := send(params{"message_thread_id": topic}); m.ThreadID != topic || !m.Topic {
		t.Errorf("thread: %+v", m)
	}
	if m := send(params{"reply_parameters": params{"message_id": second.ID}}); m.ThreadID != topic {
		t.Errorf("reply: %+v", m)
	}
	if m := send(params{"reply_parameters": params{"message_id": first.ID}}); m.ThreadID != 0 {
		t.Errorf("reply in General: %+v", m)
	}
	done[bool](t, srv, "sendChatAction", params{"chat_id": forum.ID(), "action": "typing", "message_thread_id": topic})
	if d := forum.Delivered().Of(telegramtest.Acted)[0]; d.Thread != topic || d.Action != "typing" {
		t.Errorf("%+v", d)
	}
	if d := forum.Delivered()[1]; d.Thread != topic || d.ReplyTo != 0 {
		t.Errorf("%+v", d)
	}
	forum.CloseTopic(ada, topic)
	if got := refused(t, srv, "sendMessage", params{"chat_id": forum.ID(), "text": "x", "message_thread_id": topic}); got != "Bad Request: TOPIC_CLOSED" {
		t.Error(got)
	}
	forum.ReopenTopic(ada, topic)
	forum.DeleteTopic(topic)
	if got := refused(t, srv, "sendMessage", params{"chat_id": forum.ID(), "text": "x", "message_thread_id": topic}); got != "Bad Request: message thread not found" {
		t.Error(got)
	}
	if got := refused(t, srv, "createForumTopic", params{"chat_id": forum.ID(), "name": "n"}); got != "Bad Request: not enough rights to create a topic" {
		t.Error(got)
	}
	forum.SetBot("administrator")
	made := done[struct {
		ID int64 `json:"message_thread_id"`
	}](t, srv, "createForumTopic", params{"chat_id": forum.ID(), "name": "n"})
	if m := send(params{"message_thread_id": made.ID}); m.ThreadID != made.ID {
		t.Errorf("%+v", m)
	}
}

func TestPrivacyMode(t *testing.T) {
	srv := telegramtest.NewServer(t, telegramtest.WithBot("Bot", "my_bot"))
	ada, other := srv.User(7, "Ada"), srv.User(8, "Robot", telegramtest.AsBot())
	group := srv.Group(5, "G", ada)
	said := map[string]bool{}
	say := func(u *telegramtest.User, text string, opts ...telegramtest.SayOption) {
		said[text] = group.Say(u, text, opts...).Update != 0
	}
	say(ada, "just talk")
	say(ada, "hi @my_bot")
	say(ada, "hi @my_botany")
	say(ada, "/start")
	say(ada, "/start@my_bot")
	say(ada, "/start@another_bot")
	say(other, "@my_bot from a bot")
	own := done[message](t, srv, "sendMessage", params{"chat_id": group.ID(), "text": "mine"})
	say(ada, "an answer", telegramtest.ReplyTo(own.ID))
	group.SetBot("administrator")
	say(ada, "to an administrator")
	want := map[string]bool{
		"just talk": false, "hi @my_bot": true, "hi @my_botany": false, "/start": true, "/start@my_bot": true,
		"/start@another_bot": false, "@my_bot from a bot": false, "an answer": true, "to an administrator": true,
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
}

func TestMembership(t *testing.T) {
	srv := telegramtest.NewServer(t, telegramtest.WithoutPollPenalty())
	ada, bob := srv.User(7, "Ada"), srv.User(8, "Bob")
	group := srv.Group(5, "G", ada)
	group.AddBot(ada, "member")
	group.Join(bob)
	group.Leave(bob)
	ada.Block()
	next := group.Migrate(ada)
	got := updates(t, srv, nil)
	if len(got) != 7 {
		t.Fatalf("%d updates: %+v", len(got), got)
	}
	if got[0].MyMember == nil || got[0].MyMember.New.Status != "member" || got[4].MyMember.New.Status != "kicked" {
		t.Errorf("%+v %+v", got[0].MyMember, got[4].MyMember)
	}
	if got[5].Message.MigrateTo != next.ID() || got[6].Message.MigrateFrom != group.ID() || got[6].Message.Chat.ID != next.ID() {
		t.Errorf("%+v %+v", got[5].Message, got[6].Message)
	}
	a := ask(t, srv, "sendMessage", params{"chat_id": group.ID(), "text": "x"})
	if a.Parameters.MigrateTo != next.ID() {
		t.Errorf("%+v", a)
	}
	member := done[struct{ Status string }](t, srv, "getChatMember", params{"chat_id": next.ID(), "user_id": 8})
	if member.Status != "left" {
		t.Errorf("%+v", member)
	}
	full := done[struct{ Type, Title string }](t, srv, "getChat", params{"chat_id": next.ID()})
	if full.Type != "supergroup" || full.Title != "G" {
		t.Errorf("%+v", full)
	}
	done[bool](t, srv, "leaveChat", params{"chat_id": next.ID()})
	if kind := srv.Delivered()[0].Kind; kind != telegramtest.Left {
		t.Error(kind)
	}
}

func TestPressAndReact(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	srv := telegramtest.NewServer(t, telegramtest.WithClock(func() time.Time { return now }), telegramtest.WithoutPollPenalty())
	ada := srv.User(7, "Ada")
	chat := srv.Private(ada)
	m := done[message](t, srv, "sendMessage", params{"chat_id": 7, "text": "?", "reply_markup": keyboard("yes")})
	press := chat.Press(ada, m.ID, "yes")
	updates(t, srv, params{"allowed_updates": []string{"message_reaction", "callback_query"}})
	chat.React(ada, m.ID, "👍")
	got := updates(t, srv, nil)
	if c := got[0].Callback; c.ID != press.Query || c.Data != "yes" || c.Message.ID != m.ID {
		t.Errorf("%+v", c)
	}
	if r := got[1].Reaction; r.ID != m.ID || r.New[0].Emoji != "👍" {
		t.Errorf("%+v", r)
	}
	done[bool](t, srv, "answerCallbackQuery", params{"callback_query_id": press.Query, "text": "noted", "show_alert": true})
	done[bool](t, srv, "setMessageReaction", params{"chat_id": 7, "message_id": m.ID, "reaction": []params{{"type": "emoji", "emoji": "❤️"}}})
	done[bool](t, srv, "setMessageReaction", params{"chat_id": 7, "message_id": m.ID, "reaction": []params{}})
	log := srv.Delivered()[1:]
	if log[0].Kind != telegramtest.Answered || log[0].Text != "noted" || !log[0].Alert || log[0].Callback != press.Query {
		t.Errorf("%+v", log[0])
	}
	if diff := cmp.Diff([]string{"❤"}, log[1].Reactions); diff != "" || len(log[2].Reactions) != 0 {
		t.Error(diff, log[2])
	}
	now = now.Add(time.Hour)
	if got := refused(t, srv, "answerCallbackQuery", params{"callback_query_id": press.Query}); !strings.Contains(got, "query is too old") {
		t.Error(got)
	}
}

func TestCommands(t *testing.T) {
	srv := telegramtest.NewServer(t)
	list := []params{{"command": "/help", "description": "what I can do"}, {"command": "stop", "description": "stop"}}
	done[bool](t, srv, "setMyCommands", params{"commands": list})
	done[bool](t, srv, "setMyCommands", params{"commands": list[:1], "scope": params{"type": "all_group_chats"}, "language_code": "de"})
	want := []telegramtest.Command{{Name: "help", Description: "what I can do"}, {Name: "stop", Description: "stop"}}
	if diff := cmp.Diff(want, srv.Commands()); diff != "" {
		t.Error(diff)
	}
	in := params{"scope": params{"type": "all_group_chats"}, "language_code": "de"}
	if got := done[[]params](t, srv, "getMyCommands", in); len(got) != 1 || got[0]["command"] != "help" {
		t.Error(got)
	}
	done[bool](t, srv, "deleteMyCommands", in)
	if got := done[[]params](t, srv, "getMyCommands", in); len(got) != 0 {
		t.Error(got)
	}
}

func TestPersonsWrite(t *testing.T) {
	srv := telegramtest.NewServer(t, telegramtest.WithoutPollPenalty())
	ada, bob := srv.User(7, "Ada"), srv.User(8, "Bob")
	chat := srv.Private(ada)
	chat.Start(ada, "c0de")
	m := chat.Say(ada, "typo", telegramtest.ForwardedFrom(bob))
	chat.Edit(m, "fixed")
	pieces := chat.Paste(ada, strings.Repeat("long ", 1000))
	got := updates(t, srv, nil)
	if got[0].Message.Text != "/start c0de" || got[0].Message.Entities[0].Type != "bot_command" {
		t.Errorf("%+v", got[0].Message)
	}
	if got[2].Edited == nil || got[2].Edited.Text != "fixed" || got[2].Edited.ID != m.ID {
		t.Errorf("%+v", got[2])
	}
	if len(pieces) != 2 || len(pieces[0].Text) != 4096 || len(pieces[1].Text) != 903 {
		t.Errorf("%d pieces of %d and %d", len(pieces), len(pieces[0].Text), len(pieces[1].Text))
	}
}

func TestDrafts(t *testing.T) {
	srv := telegramtest.NewServer(t)
	srv.Private(srv.User(7, "Ada"))
	done[bool](t, srv, "sendMessageDraft", params{"chat_id": 7, "draft_id": 3, "text": "wri"})
	if d := srv.Delivered()[0]; d.Kind != telegramtest.Drafted || d.Text != "wri" || d.Message != 3 {
		t.Errorf("%+v", d)
	}
	group := srv.Group(5, "G")
	refused(t, srv, "sendMessageDraft", params{"chat_id": group.ID(), "draft_id": 3, "text": "wri"})
}
