package telegramtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
)

// send tries to send a message to chat 7.
func send(srv *telegramtest.Server, text string) (answer, error) {
	body, _ := json.Marshal(params{"chat_id": 7, "text": text})
	return tryPost(srv, "sendMessage", "application/json", bytes.NewReader(body))
}

func TestFaultsThatAnswer(t *testing.T) {
	cases := []struct {
		name   string
		fault  telegramtest.Fault
		status int
		body   string
	}{
		{"429", telegramtest.TooManyRequests(1500 * time.Millisecond), 429, `{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 2","parameters":{"retry_after":2}}`},
		{"500", telegramtest.Status(500), 500, `{"ok":false,"error_code":500,"description":"Internal Server Error"}`},
		{"400", telegramtest.BadRequest("chat not found"), 400, `{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}`},
		{"401", telegramtest.Unauthorized(), 401, `{"ok":false,"error_code":401,"description":"Unauthorized"}`},
		{"403", telegramtest.Forbidden("bot was blocked by the user"), 403, `{"ok":false,"error_code":403,"description":"Forbidden: bot was blocked by the user"}`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			srv := telegramtest.NewServer(t)
			srv.Private(srv.User(7, "Ada"))
			set := srv.Fail("sendMessage", c.fault)
			resp, err := httpClient.Get(srv.URL() + "/bot" + srv.Token() + "/sendMessage?chat_id=7&text=x")
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != c.status || string(body) != c.body {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
			if len(srv.Delivered()) != 0 || set.Hits() != 1 {
				t.Errorf("%d delivered, %d hits", len(srv.Delivered()), set.Hits())
			}
			if a, err := send(srv, "again"); err != nil || !a.OK {
				t.Errorf("the next call met the fault too: %v %v", a, err)
			}
		})
	}
}

func TestBadGatewayIsNoJSON(t *testing.T) {
	srv := telegramtest.NewServer(t)
	srv.Fail("*", telegramtest.BadGateway())
	a, err := send(srv, "x")
	if err == nil || a.status != http.StatusBadGateway {
		t.Errorf("%d %v", a.status, err)
	}
}

// An ambiguous call: people see the message, the bot learns of nothing.
func TestFaultsThatLoseTheAnswer(t *testing.T) {
	faults := map[string]telegramtest.Fault{
		"reset":      telegramtest.Reset().After(),
		"short read": telegramtest.ShortRead(),
		"500":        telegramtest.Status(500).After(),
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			srv := telegramtest.NewServer(t)
			srv.Private(srv.User(7, "Ada"))
			srv.Fail("sendMessage", fault)
			if a, err := send(srv, "x"); err == nil && a.OK {
				t.Error("the answer came")
			}
			log := srv.Delivered()
			if len(log) != 1 || !log[0].Lost {
				t.Errorf("log %+v", log)
			}
			_, _ = send(srv, "y")
			if log := srv.Delivered(); len(log) != 2 || log[1].Lost {
				t.Errorf("log %+v", log)
			}
		})
	}
}

func TestResetBefore(t *testing.T) {
	srv := telegramtest.NewServer(t)
	srv.Private(srv.User(7, "Ada"))
	srv.Fail("sendMessage", telegramtest.Reset())
	_, err := send(srv, "x")
	if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
		t.Errorf("error %v", err)
	}
	if len(srv.Delivered()) != 0 {
		t.Error("the message was delivered")
	}
}

func TestStallUntilCleared(t *testing.T) {
	srv := telegramtest.NewServer(t)
	srv.Private(srv.User(7, "Ada"))
	before := srv.Fail("sendMessage", telegramtest.Stall())
	after := srv.Fail("sendMessage", telegramtest.Stall().After())
	errs := make(chan error)
	for range 2 {
		go func() {
			_, err := send(srv, "x")
			errs <- err
		}()
	}
	if err := srv.Wait(deadline(t), func(l telegramtest.Log) bool { return len(l) == 1 }); err != nil {
		t.Fatal(err)
	}
	for ctx := deadline(t); before.Hits()+after.Hits() < 2; {
		if ctx.Err() != nil {
			t.Fatal("the calls did not come")
		}
	}
	srv.ClearFaults()
	for range 2 {
		if err := <-errs; err == nil {
			t.Error("a stalled call was answered")
		}
	}
}

func TestChoosingCalls(t *testing.T) {
	srv := telegramtest.NewServer(t)
	for id := range int64(3) {
		srv.Private(srv.User(id+7, "U"))
	}
	srv.Fail("sendMessage", telegramtest.BadRequest("second and third").Skip(1).Times(2))
	srv.Fail("*", telegramtest.BadRequest("in 8").In(8).Always())
	srv.Fail("sendMessage", telegramtest.BadRequest("by text").Always().Where(func(c telegramtest.Call) bool {
		return strings.Contains(c.Text, "boom")
	}))
	var got []string
	for _, p := range []params{
		{"chat_id": 7, "text": "1"},
		{"chat_id": 7, "text": "2"},
		{"chat_id": 7, "text": "3"},
		{"chat_id": 7, "text": "4"},
		{"chat_id": 8, "text": "5"},
		{"chat_id": 8, "text": "6"},
		{"chat_id": 9, "text": "boom"},
	} {
		got = append(got, strings.TrimPrefix(ask(t, srv, "sendMessage", p).Description, "Bad Request: "))
	}
	want := []string{"", "second and third", "second and third", "", "in 8", "in 8", "by text"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLatencyAddsToFaults(t *testing.T) {
	srv := telegramtest.NewServer(t)
	srv.Private(srv.User(7, "Ada"))
	srv.SetLatency(30*time.Millisecond, "sendMessage")
	srv.Fail("sendMessage", telegramtest.Delay(20*time.Millisecond))
	srv.Fail("sendMessage", telegramtest.BadRequest("and this"))
	begin := time.Now()
	a, err := send(srv, "x")
	if err != nil || a.Description != "Bad Request: and this" {
		t.Errorf("%+v %v", a, err)
	}
	if took := time.Since(begin); took < 35*time.Millisecond { // half the latency lies behind the answer
		t.Errorf("took %v", took)
	}
}

// A call that is on its way when its caller dies takes effect all the same.
func TestTheDeadAreHeard(t *testing.T) {
	srv := telegramtest.NewServer(t)
	srv.Private(srv.User(7, "Ada"))
	srv.SetLatency(200 * time.Millisecond)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { cancel() }})
	url := srv.URL() + "/bot" + srv.Token() + "/sendMessage?chat_id=7&text=x"
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := httpClient.Do(r); err == nil {
		_ = resp.Body.Close()
		t.Fatal("the caller lived")
	}
	if err := srv.Wait(deadline(t), func(l telegramtest.Log) bool { return len(l) == 1 }); err != nil {
		t.Error(err)
	}
}

func TestCloseCutsOpenCalls(t *testing.T) {
	srv := telegramtest.NewServer(t)
	srv.Private(srv.User(7, "Ada"))
	set := srv.Fail("sendMessage", telegramtest.Stall())
	open := make(chan error, 1)
	go func() {
		_, err := send(srv, "x")
		open <- err
	}()
	for ctx := deadline(t); set.Hits() == 0; {
		if ctx.Err() != nil {
			t.Fatal("the call did not come")
		}
	}
	srv.Close()
	if err := <-open; err == nil || strings.Contains(err.Error(), "no JSON") {
		t.Errorf("the call was answered: %v", err)
	}
}

func TestLimits(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	srv := telegramtest.NewServer(t, telegramtest.WithClock(func() time.Time { return now }))
	for id := int64(7); id < 50; id++ {
		srv.Private(srv.User(id, "U"))
	}
	group := srv.Group(5, "G")
	srv.SetLimits(telegramtest.PlatformLimits())
	try := func(chat int64) int {
		return ask(t, srv, "sendMessage", params{"chat_id": chat, "text": "x"}).Parameters.RetryAfter
	}
	if first, second := try(7), try(7); first != 0 || second != 1 {
		t.Errorf("one chat: %d, %d", first, second)
	}
	if a := ask(t, srv, "sendChatAction", params{"chat_id": 7, "action": "typing"}); !a.OK {
		t.Error("typing counts")
	}
	for id := int64(8); id < 37; id++ {
		if wait := try(id); wait != 0 {
			t.Fatalf("chat %d of 30 has to wait %d s", id-6, wait)
		}
	}
	if try(40) != 1 {
		t.Error("31 in a second pass")
	}
	for range 20 {
		now = now.Add(time.Second)
		if try(group.ID()) != 0 {
			t.Fatal("20 in a group do not pass")
		}
	}
	now = now.Add(time.Second)
	a := ask(t, srv, "sendMessage", params{"chat_id": group.ID(), "text": "x"})
	if a.Parameters.RetryAfter != 40 || a.header.Get("Retry-After") != "40" || a.status != 429 {
		t.Errorf("group: %+v", a)
	}
}
