package telegramtest_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
)

func TestRemote(t *testing.T) {
	srv := telegramtest.NewServer(t, telegramtest.WithoutPrivacy(), telegramtest.WithoutPollPenalty())
	control := httptest.NewServer(srv.Control())
	defer control.Close()
	ctx := deadline(t)
	remote, err := telegramtest.Dial(ctx, control.URL+"/")
	if err != nil {
		t.Fatal(err)
	}
	defer remote.Close()
	if remote.Token() != srv.Token() {
		t.Error(remote.Token())
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(remote.Person(ctx, 7, "Ada"))
	forum, err := remote.Room(ctx, "forum", 5, "F", 7)
	must(err)
	topic, err := remote.Topic(ctx, forum, 7, "News")
	must(err)
	first, err := remote.Say(ctx, forum, 7, topic, "hello")
	must(err)
	_, err = remote.Reply(ctx, forum, 7, first.Message, "and")
	must(err)
	_, err = remote.Say(ctx, 7, 7, 0, "look", telegramtest.Attachment{Name: "a.txt", Bytes: []byte("x")})
	must(err)
	_, err = remote.Press(ctx, 7, 7, 1, "yes")
	must(err)
	must(remote.Inject(ctx, []byte(`{"message":{"text":"raw"}}`)))
	if n, err := remote.Pending(ctx); n != 6 || err != nil {
		t.Errorf("%d pending, %v", n, err)
	}
	got := updates(t, srv, nil)
	if diff := cmp.Diff([]string{"", "hello", "and", "", "raw"}, texts(got)); diff != "" {
		t.Error(diff)
	}
	if got[3].Message.Caption != "look" || got[2].Message.ThreadID != topic {
		t.Errorf("%+v", got)
	}

	must(remote.Fail(ctx, "sendMessage", telegramtest.TooManyRequests(time.Second).In(7)))
	must(remote.Fail(ctx, "sendMessage", telegramtest.BadRequest("no").Always()))
	if a := ask(t, srv, "sendMessage", params{"chat_id": 7, "text": "x"}); a.Code != 429 {
		t.Errorf("%+v", a)
	}
	must(remote.ClearFaults(ctx))
	must(remote.SetLatency(ctx, time.Millisecond))
	must(remote.SetLimits(ctx, telegramtest.Limits{Token: 100}))
	done[message](t, srv, "sendMessage", params{"chat_id": 7, "text": "one"})
	go func() { _, _ = send(srv, "two") }()
	log, err := remote.Wait(ctx, func(l telegramtest.Log) bool { return len(l) == 2 })
	if diff := cmp.Diff(srv.Delivered(), log, cmp.Transformer("time", func(at time.Time) int64 { return at.UnixNano() })); diff != "" || err != nil {
		t.Error(diff, err)
	}
	refused(t, srv, "sendMessage", params{"chat_id": 8, "text": "x"})
	if list, err := remote.Refused(ctx); len(list) != 1 || list[0].Description != "Bad Request: chat not found" || err != nil {
		t.Errorf("%+v %v", list, err)
	}
	if _, err := remote.Say(ctx, 1, 2, 0, "x"); err == nil {
		t.Error("said something nowhere")
	}
	if err := remote.Fail(ctx, "*", telegramtest.Reset().Where(func(telegramtest.Call) bool { return true })); err == nil {
		t.Error("a fault with Where went through")
	}
}
