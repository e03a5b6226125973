package telegram_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pass lets the bubble's clock run.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// bubble runs a test on a fake platform with a fake clock.
func bubble(t *testing.T, f func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newBench(t, newFake(t), channeltest.Snapshot{})) })
}

func TestOffsetFollowsAccept(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.sink.FailNext(errors.New("disk full"), errors.New("disk full"))
		b.say(41, message)
		b.say(42, message)
		b.run()
		b.sink.WaitEvents(2)
		synctest.Wait()
		polls := b.called("getUpdates")
		if n := len(b.sink.Attempts()); n != 3 {
			t.Errorf("%d Accepts, want two that failed and one for both updates", n)
		}
		for i, want := range []int64{0, 43, 43} {
			if got := polls[i].number("offset"); got != want {
				t.Errorf("poll %d asks from %d, want %d", i, got, want)
			}
		}
		if waited := polls[1].at.Sub(polls[0].at); waited < 500*time.Millisecond {
			t.Errorf("two failures took only %s", waited)
		}
		b.end()

		again := newBench(t, b.fake, b.host.Snapshot())
		again.run()
		again.host.WaitHealth(channels.Connected)
		if got := b.called("getUpdates")[len(polls)].number("offset"); got != 43 {
			t.Errorf("after a restart the offset is %d", got)
		}
		again.end()
	})
}

func TestAcceptFailureIsVisibleAndItsWaitKept(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.sink.FailNext(&channels.Error{Op: "accept", Kind: channels.RateLimited, RetryAfter: 90 * time.Second})
		b.say(1, message)
		b.run()
		b.host.WaitHealth(channels.Connected)
		if h := b.host.WaitHealth(channels.Retrying); h.Fix == "" || h.Err == nil {
			t.Errorf("%+v", h)
		}
		pass(2 * time.Minute)
		b.sink.WaitEvents(1)
		if at := b.sink.Attempts(); at[1].Sub(at[0]) < 90*time.Second {
			t.Errorf("waited %s", at[1].Sub(at[0]))
		}
		b.host.WaitHealth(channels.Connected)
		b.end()
	})
}

func TestPollThatHangsIsCut(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.on("getUpdates", then(b.updates, silent, b.updates))
		b.run()
		pass(2 * time.Minute)
		b.host.WaitHealth(channels.Connected)
		b.host.WaitHealth(channels.Retrying)
		h := b.host.WaitHealth(channels.Connected)
		if polls := b.called("getUpdates"); h.Since.Sub(polls[1].at) > 2*time.Minute {
			t.Errorf("deaf for %s", h.Since.Sub(polls[1].at))
		}
		b.end()
	})
}

func TestEmptyPollsCountAsHeard(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.run()
		pass(3 * time.Minute)
		if n := b.host.HeardCount(); n != 4 {
			t.Errorf("heard %d times in three minutes", n)
		}
		polls := b.called("getUpdates")
		if polls[0].number("timeout") != 0 || polls[1].number("timeout") != 50 {
			t.Errorf("the first polls wait %d s and %d s", polls[0].number("timeout"), polls[1].number("timeout"))
		}
		if !strings.Contains(string(polls[0].params["allowed_updates"]), `"message_reaction"`) {
			t.Errorf("asked for %s", polls[0].params["allowed_updates"])
		}
		b.end()
	})
}

func TestAnotherPoller(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		conflict := refuse(409, "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running")
		b.on("getUpdates", then(conflict, conflict, b.updates))
		b.say(1, message)
		b.run()
		if h := b.host.WaitHealth(channels.Retrying); !strings.Contains(h.Fix, "other program") {
			t.Errorf("the fix is %q", h.Fix)
		}
		b.sink.WaitEvents(1)
		b.host.WaitHealth(channels.Connected)
		if polls := b.called("getUpdates"); polls[1].at.Sub(polls[0].at) < 5*time.Second {
			t.Errorf("polled again after %s", polls[1].at.Sub(polls[0].at))
		}
		b.end()
	})
}

func TestWebhookSetElsewhereIsRemoved(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		set := refuse(409, "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first")
		b.on("getUpdates", then(set, set, b.updates))
		b.say(1, message)
		b.run()
		b.sink.WaitEvents(1)
		if n := len(b.called("deleteWebhook")); n != 2 {
			t.Errorf("removed %d times, want 2", n)
		}
		if h := b.host.WaitHealth(channels.Retrying); !strings.Contains(h.Fix, "webhook") {
			t.Errorf("the second time the fix is %q", h.Fix)
		}
		b.end()
	})
}

func TestRefusedTokenEndsRun(t *testing.T) {
	for name, method := range map[string]string{"at the start": "getMe", "while polling": "getUpdates"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				b.on(method, refuse(401, "Unauthorized"))
				b.run()
				if err := <-b.done; channels.KindOf(err) != channels.Unauthorized {
					t.Errorf("Run returned %v", err)
				}
				if h := b.host.WaitHealth(channels.Broken); !strings.Contains(h.Fix, "BotFather") {
					t.Errorf("the fix is %q", h.Fix)
				}
			})
		})
	}
}

// A poll that began before the token was revoked goes on for a while; a send
// finds out.
func TestRefusedSendEndsRun(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.run()
		b.host.WaitHealth(channels.Connected)
		b.on("sendMessage", refuse(401, "Unauthorized"))
		if _, err := b.ch.Send(t.Context(), text("hello")); channels.KindOf(err) != channels.Unauthorized {
			t.Errorf("Send returned %v", err)
		}
		if err := <-b.done; channels.KindOf(err) != channels.Unauthorized {
			t.Errorf("Run returned %v", err)
		}
		b.host.WaitHealth(channels.Broken)
	})
}

func TestStartRetriesUntilThePlatformIsThere(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.on("getMe", then(refuse(502, "Bad Gateway"), refuse(502, "Bad Gateway"), b.answers["getMe"]))
		b.run()
		b.host.WaitHealth(channels.Retrying)
		if h := b.host.WaitHealth(channels.Connected); h.As != "@gate_bot" || h.Err != nil {
			t.Errorf("%+v", h)
		}
		b.end()
	})
}

func TestPollKeepsRetryAfter(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		limited := func(context.Context, request) (int, string, error) {
			return 429, `{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 17","parameters":{"retry_after":17}}`, nil
		}
		b.on("getUpdates", then(limited, b.updates))
		b.run()
		pass(time.Minute)
		b.host.WaitHealth(channels.Connected)
		if polls := b.called("getUpdates"); polls[1].at.Sub(polls[0].at) < 17*time.Second {
			t.Errorf("waited %s", polls[1].at.Sub(polls[0].at))
		}
		b.end()
	})
}

// What cannot be used is passed over with the rest of its batch.
func TestStrangeUpdatesDoNotBlock(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		for i, raw := range []string{`{"update_id":%,"message":"what"}`, `{"update_id":%,"novelty":{}}`, message, `{"update_id":%,"channel_post":{}}`, `[7]`} {
			b.say(int64(10+i), raw)
		}
		b.run()
		events := b.sink.WaitEvents(1)
		synctest.Wait()
		polls := b.called("getUpdates")
		if len(events) != 1 || polls[len(polls)-1].number("offset") != 14 {
			t.Errorf("%d events, offset %d", len(events), polls[len(polls)-1].number("offset"))
		}
		b.forget()
		b.end()
	})
}

// Update ids may begin anew after a week without updates.
func TestAnOldOffsetIsForgotten(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.say(1_000_000, message)
		b.run()
		b.sink.WaitEvents(1)
		synctest.Wait()
		b.forget()
		pass(6*24*time.Hour + time.Hour)
		b.say(500, message)
		b.sink.WaitEvents(2)
		b.end()
	})
}

func TestManyUpdatesAreOneAccept(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		for i := range 250 {
			b.say(int64(i+1), message)
		}
		b.run()
		events := b.sink.WaitEvents(250)
		if n := len(b.sink.Attempts()); n != 3 {
			t.Errorf("%d Accepts for 250 updates", n)
		}
		for i, e := range events {
			if want := fmt.Sprintf("message/7/%d", i+1); e.Key != want {
				t.Fatalf("event %d is %s, want %s", i, e.Key, want)
			}
		}
		b.end()
	})
}
