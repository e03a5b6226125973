package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
)

// due waits for what stands in a chat when an errand of a minute was taken up.
func due(r *rig, chat *telegramtest.Chat, part string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*time.Minute+patience)
	defer cancel()
	err := r.bot.Wait(ctx, func(log telegramtest.Log) bool {
		return strings.Contains(strings.Join(texts(log.In(chat.ID())), "\n"), part)
	})
	if err != nil {
		r.t.Fatalf("waiting for %q: %v; delivered: %q", part, err, texts(r.bot.Delivered()))
	}
}

// TestInvariant06LaterWithTheMakersSecret: what a member asked for runs in the
// background, after the gateway was killed, with that member's own secret; what
// somebody else asked for in the same words has none; and nothing of somebody who
// was removed runs.
func TestInvariant06LaterWithTheMakersSecret(t *testing.T) {
	t.Parallel()
	const token = "tok-77e2b05d834f9a1c-ada"
	echo := newEchoServer(t)
	r := newRig(t, settings{
		policy: "pairing", script: asking,
		agent: []string{"tools: [http_request]", fmt.Sprintf("hosts: [%q]", echo.URL)},
	})
	r.up()
	ada, adas := r.person(1001)
	bob, bobs := r.person(1002)
	eve, eves := r.person(1003)
	idA := r.member(ada, adas)
	r.member(bob, bobs)
	idE := r.member(eve, eves)
	r.secret(token, "github", "--member", idA, "--host", strings.TrimPrefix(echo.URL, "http://"), "--as", "bearer", "--tool", "http_request")

	eves.Say(eve, "/later 1m !get github "+echo.URL+"/eve")
	r.awaitText(eves, "I will take this up")
	r.verb("members", "remove", idE)
	adas.Say(ada, "/later 400d look at "+echo.URL)
	r.awaitText(adas, "I will take this up")
	adas.Say(ada, "/later 1m !get github "+echo.URL+"/ada")
	bobs.Say(bob, "/later 1m !get github "+echo.URL+"/bob")
	r.awaitText(bobs, "I will take this up")
	adas.Say(ada, "/later")
	r.awaitText(adas, "/ada")
	r.kill()
	r.up()
	if list := r.verb("later", "list"); !strings.Contains(list, idA) || strings.Contains(list, idE) || strings.Contains(list, echo.URL) {
		t.Errorf("the list is %s", list)
	}
	due(r, adas, "200 OK")
	due(r, bobs, "answer:")
	if got := r.awaitText(adas, "200 OK"); strings.Contains(got, token) {
		t.Errorf("Ada is told %q", got)
	}
	if got := r.awaitText(bobs, "answer:"); !strings.Contains(got, "there is no secret") {
		t.Errorf("Bob is told %q", got)
	}
	if got := echo.seen(); len(got) != 1 || got[0] != "Bearer "+token {
		t.Errorf("the server got %q", got)
	}
	if got := texts(r.bot.Delivered().In(eves.ID())); strings.Contains(strings.Join(got, "\n"), "answer:") {
		t.Errorf("Eve is told %q", got)
	}
	r.audited(func(said string) bool {
		return strings.Count(said, "begun") == 2 && strings.Contains(said, "cancelled")
	}, "--kind", "errand")
}
