package telegramtest_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
)

func TestHowPeopleWrite(t *testing.T) {
	srv := telegramtest.NewServer(t)
	ada, bob := srv.User(7, "Ada"), srv.User(8, "Bob")
	chat := srv.Private(ada)
	at := time.Unix(1_700_000_000, 0)
	first := chat.Say(ada, "the quick fox", telegramtest.SentAt(at))
	chat.Say(ada, "which one?", telegramtest.ReplyTo(first.ID), telegramtest.Quoting("quick"))
	chat.Say(ada, "secret", telegramtest.ForwardedFromHidden("Mallory"))
	chat.Say(ada, "open", telegramtest.ForwardedFrom(bob))
	chat.Say(ada, "bold", telegramtest.WithEntities(entity{Type: "bold", Offset: 0, Length: 4}))

	var got []struct {
		Message struct {
			Date          int64
			Quote         struct{ Text string }
			ForwardOrigin struct {
				Type       string
				SenderName string `json:"sender_user_name"`
				Sender     struct {
					ID int64
				} `json:"sender_user"`
			} `json:"forward_origin"`
			ForwardName string `json:"forward_sender_name"`
			Entities    []entity
		}
	}
	if err := json.Unmarshal(ask(t, srv, "getUpdates", nil).Result, &got); err != nil {
		t.Fatal(err)
	}
	if got[0].Message.Date != at.Unix() {
		t.Errorf("date %d", got[0].Message.Date)
	}
	if got[1].Message.Quote.Text != "quick" {
		t.Errorf("%+v", got[1])
	}
	if o := got[2].Message.ForwardOrigin; o.Type != "hidden_user" || o.SenderName != "Mallory" || got[2].Message.ForwardName != "Mallory" {
		t.Errorf("%+v", got[2])
	}
	if o := got[3].Message.ForwardOrigin; o.Type != "user" || o.Sender.ID != 8 {
		t.Errorf("%+v", got[3])
	}
	if diff := cmp.Diff([]entity{{Type: "bold", Length: 4}}, got[4].Message.Entities); diff != "" {
		t.Error(diff)
	}
	chat.Delete(first.ID)
	if lines := chat.Transcript(); len(lines) != 4 {
		t.Errorf("%d lines", len(lines))
	}
}

func TestGroupsByNameAndTheirMembers(t *testing.T) {
	srv := telegramtest.NewServer(t)
	ada, bob := srv.User(7, "Ada"), srv.User(8, "Bob")
	group := srv.Supergroup(5, "G", ada, bob)
	group.SetUsername("the_group")
	group.SetMember(ada, "creator")
	if srv.Chat(group.ID()) != group || srv.Chat(1) != nil {
		t.Error("Chat finds the wrong one")
	}
	done[message](t, srv, "sendMessage", params{"chat_id": "@the_group", "text": "x"})
	if refused(t, srv, "sendMessage", params{"chat_id": "@nobody", "text": "x"}) != "Bad Request: chat not found" {
		t.Error("found nobody")
	}
	if n := done[int](t, srv, "getChatMemberCount", params{"chat_id": group.ID()}); n != 3 {
		t.Errorf("%d members", n)
	}
	admins := done[[]struct{ User struct{ ID int64 } }](t, srv, "getChatAdministrators", params{"chat_id": group.ID()})
	if len(admins) != 1 || admins[0].User.ID != 7 {
		t.Errorf("%+v", admins)
	}
	if d := group.Delivered(); len(d) != 1 || len(srv.Delivered().In(7)) != 0 {
		t.Errorf("%+v", d)
	}
}

func TestOddsAreRepeatable(t *testing.T) {
	run := func(seed uint64) string {
		srv := telegramtest.NewServer(t, telegramtest.WithSeed(seed))
		srv.Private(srv.User(7, "Ada"))
		srv.Fail("sendMessage", telegramtest.Status(500).Always().Odds(0.5))
		out := ""
		for range 40 {
			if ask(t, srv, "sendMessage", params{"chat_id": 7, "text": "x"}).OK {
				out += "+"
			} else {
				out += "-"
			}
		}
		return out
	}
	first, again, other := run(1), run(1), run(2)
	if first != again || first == other {
		t.Errorf("%s\n%s\n%s", first, again, other)
	}
}

func TestFileByID(t *testing.T) {
	srv := telegramtest.NewServer(t)
	ada := srv.User(7, "Ada")
	srv.Private(ada).Document(ada, "a.txt", "", []byte("x"))
	id := updates(t, srv, nil)[0].Message.Document.FileID
	if f := srv.File(id); f == nil || string(f.Bytes) != "x" {
		t.Errorf("%+v", f)
	}
	if srv.File("other") != nil {
		t.Error("found a file that is none")
	}
}
