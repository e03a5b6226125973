package e2e_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
	"github.com/gatehouse-chat/gatehouse/internal/porttest"
)

// TestPlatformFails: a Bot API that refuses, breaks or loses answers costs
// nobody an answer. What may have arrived comes again at most once, marked.
func TestPlatformFails(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name     string
		method   string
		fault    telegramtest.Fault
		repeated int // answers that came twice
	}{
		{"429", "sendMessage", telegramtest.TooManyRequests(time.Second), 0},
		{"429, three times", "sendMessage", telegramtest.TooManyRequests(time.Second).Times(3), 0},
		{"500", "sendMessage", telegramtest.Status(500), 0},
		{"502 of a proxy", "sendMessage", telegramtest.BadGateway(), 0},
		{"reset before", "sendMessage", telegramtest.Reset(), 0},
		{"reset after", "sendMessage", telegramtest.Reset().After(), 1},
		{"cut answer", "sendMessage", telegramtest.ShortRead(), 1},
		{"markup refused", "sendMessage", telegramtest.BadRequest("can't parse entities: unexpected end tag"), 0},
		{"poll 409", "getUpdates", telegramtest.Status(409), 0},
		{"poll 500", "getUpdates", telegramtest.Status(500).Times(2), 0},
		{"poll reset", "getUpdates", telegramtest.Reset().Times(2), 0},
		{"poll garbage", "getUpdates", telegramtest.Answer(200, "application/json", `{"ok":true,"result":[{"update_id":`), 0},
	}
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, settings{script: closed(nil)})
			r.up()
			u, chat := r.person(int64(1001 + i))
			hit := r.bot.Fail(c.method, c.fault)
			w := watching(t, r.bot)
			said := ledger{}
			for n := range 3 {
				text := fmt.Sprintf("text %d", n)
				answered := w.done(text)
				said[chat.ID()] = append(said[chat.ID()], text)
				chat.Say(u, text)
				select {
				case <-answered:
				case <-time.After(patience):
					t.Fatalf("%q is not answered", text)
				}
			}
			r.await("the repetition", func(log telegramtest.Log) bool { return judge(said, log).Repeated >= c.repeated })
			r.term()
			f := judge(said, r.bot.Delivered())
			if len(f.Faults) > 0 || f.Repeated != c.repeated || hit.Hits() == 0 {
				t.Errorf("%+v, %d faults met; %q", f, hit.Hits(), texts(r.bot.Delivered()))
			}
		})
	}
}

// TestOddUpdates: what is malformed, too large, doubled or out of order neither
// stops the intake nor is answered twice.
func TestOddUpdates(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	u, chat := r.person(1001)
	message := func(update, id int64, text string) string {
		return fmt.Sprintf(`{"update_id":%d,"message":{"message_id":%d,"date":1767224888,"text":%q,`+
			`"chat":{"id":1001,"type":"private","first_name":"P"},"from":{"id":1001,"is_bot":false,"first_name":"P"}}}`, update, id, text)
	}
	odd := []string{
		`{"update_id":5001}`,
		`{"update_id":5002,"message":null}`,
		`{"update_id":5003,"message":{"message_id":"x","chat":7}}`,
		`{"update_id":5004,"message":{"message_id":1,"date":-9223372036854775808,"chat":{"id":1001,"type":"private"},"from":{"id":1001}}}`,
		`{"update_id":5005,"never_heard_of":{"a":[[[[[[[[1]]]]]]]]}}`,
		`{"update_id":5006,"message":{"message_id":900,"date":1,"text":"x","entities":[{"type":"bold","offset":-4,"length":1000000}],` +
			`"chat":{"id":77,"type":"group"},"from":{"id":78,"is_bot":true}}}`,
		`{"update_id":5007,"callback_query":{"id":"1","from":{"id":1001},"data":"` + strings.Repeat("x", 5000) + `"}}`,
		`{"update_id":5008,"message":{"message_id":901,"date":1,"chat":{"id":1001,"type":"private"},"from":{"id":1001},"text":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}}`,
		message(5010, 800, "first"),
		message(5011, 800, "first"), // the same message under a new id
		message(5010, 800, "first"), // the same update
		message(5013, 802, "third"),
		message(5012, 801, "second"), // too late for its place
	}
	for _, raw := range odd {
		if _, err := r.bot.Inject([]byte(raw)); err != nil {
			t.Fatalf("%.80s: %v", raw, err)
		}
	}
	r.up()
	r.awaitText(chat, "third")
	chat.Say(u, "and now")
	r.awaitText(chat, "and now")
	all := strings.Join(texts(chat.Delivered()), "\n")
	for _, s := range []string{"first", "third", "and now"} {
		if n := strings.Count(all, s); n != 1 {
			t.Errorf("%q was answered %d times: %q", s, n, all)
		}
	}
	if n := strings.Count(all, "second"); n > 1 {
		t.Errorf("what came out of order was answered %d times", n)
	}
	r.term()
	if dead := r.remains().dead; dead != 0 {
		t.Errorf("%d letters are dead", dead)
	}
}

// TestWebhook: the platform pushes, and only the platform: without the secret
// nothing is accepted.
func TestWebhook(t *testing.T) {
	t.Parallel()
	address := porttest.Keep(t)
	r := newRig(t, settings{
		listen: address, channel: []string{"mode: webhook"}, extra: "public_url: http://" + address + "\n",
	})
	r.start()
	u, chat := r.person(1001)
	if !eventually(patience, func() bool { return r.bot.Calls("setWebhook") > 0 || !r.proc.running() }) {
		t.Fatalf("no webhook was set\n%s", r.proc.log)
	}
	chat.Say(u, "by the platform")
	r.awaitText(chat, "echo: by the platform")
	forged := []byte(`{"update_id":9001,"message":{"message_id":900,"date":1767224888,"text":"forged","chat":{"id":1001,"type":"private"},"from":{"id":1001}}}`)
	for _, tt := range []struct {
		name, secret string
		body         []byte
		want         int
	}{
		{"no secret", "", forged, http.StatusUnauthorized},
		{"wrong secret", "wrong", forged, http.StatusUnauthorized},
		{"wrong secret, garbage", "wrong", []byte("\x00{"), http.StatusUnauthorized},
		{"wrong secret, huge", "wrong", bytes.Repeat([]byte(" "), 8<<20), http.StatusUnauthorized},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := post(t, "http://"+address+"/hooks/support", tt.secret, tt.body); got != tt.want {
				t.Errorf("status %d, want %d", got, tt.want)
			}
		})
	}
	if got := post(t, "http://"+address+"/hooks/other", "wrong", forged); got != http.StatusNotFound {
		t.Errorf("a channel that is not there: %d", got)
	}
	chat.Say(u, "once more")
	r.awaitText(chat, "echo: once more")
	if all := texts(chat.Delivered()); len(all) != 2 {
		t.Errorf("%q", all)
	}
	r.term()
}

func post(t *testing.T, url, secret string, body []byte) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if secret != "" {
		req.Header.Set("X-Telegram-Bot-Api-Secret-Token", secret)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
