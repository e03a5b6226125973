package e2e_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
)

var digestID = regexp.MustCompile(`"id": ?"(d[0-9a-f]{12})"`)

// summing answers as sender does, and the request for a summary with what a long
// conversation came to.
func summing(q *agenttest.Request) agenttest.Answer {
	if strings.HasPrefix(q.System(), "You keep the memory of a conversation") {
		return agenttest.Say("They agreed that the number of the boiler is 4711.")
	}
	return sender(q)
}

// talks writes to the bot until its history was summarised, and it has answered
// what made it longer than the model takes.
func (r *rig) talks(who *telegramtest.User, chat *telegramtest.Chat) {
	r.t.Helper()
	summaries := func() (n int) {
		for _, q := range r.model.Requests() {
			if strings.HasPrefix(q.System(), "You keep the memory of a conversation") {
				n++
			}
		}
		return n
	}
	before := summaries()
	for i := range 20 {
		end := fmt.Sprintf("end of %d of %d", i, who.ID)
		chat.Say(who, strings.Repeat("and the weather was fine ", 60)+end)
		r.awaitText(chat, end)
		if summaries() > before {
			return
		}
	}
	r.t.Fatal("no summary was asked for")
}

// TestDigestsOfConversations: where it is asked for, what a long conversation
// came to is remembered after the conversation and a restart, as far to be
// trusted as the worst that was said in it, and nothing finds it when it is
// forgotten.
func TestDigestsOfConversations(t *testing.T) {
	t.Parallel()
	page := newSite(t)
	r := newRig(t, settings{
		policy: "pairing", script: summing, priced: ", context: 2500, max_output: 200",
		agent: []string{"tools: [http_request]", fmt.Sprintf("hosts: [%q]", page.URL)},
		extra: "memory: {digests: true}\n",
	})
	r.up()
	ada, adas := r.person(1001)
	adas.Say(ada, linkCode.FindString(r.verb("identities", "link")))
	r.awaitText(adas, "is now linked to")
	bob, bobs := r.person(1002)
	r.member(bob, bobs)
	r.talks(ada, adas)
	bobs.Say(bob, "somebody writes that the boiler hums", telegramtest.ForwardedFromHidden("A stranger"))
	r.awaitText(bobs, "the boiler hums")
	r.talks(bob, bobs)
	r.kill()
	r.up()
	for chat, who := range map[*telegramtest.Chat]*telegramtest.User{adas: ada, bobs: bob} {
		chat.Say(who, "/new")
		r.awaitText(chat, "A new conversation")
	}
	adas.Say(ada, "the number of the boiler: !send "+page.URL+"/ada")
	r.awaitText(adas, "it is done")
	bobs.Say(bob, "the number of the boiler: !send "+page.URL+"/bob")
	r.awaitText(bobs, "nobody here vouches for")
	if got := page.seen(); !slices.Equal(got, []string{"/ada"}) {
		t.Errorf("%q was sent", got)
	}

	list := r.verb("memory", "list", "--json")
	id := digestID.FindStringSubmatch(list)
	if id == nil {
		t.Fatalf("there is no digest in %s", list)
	}
	for _, by := range []string{"words", "vectors"} {
		if !eventually(patience, func() bool { // vectors follow after a while
			return strings.Contains(r.verb("memory", "search", "--by", by, "--json", "number of the boiler"), id[1])
		}) {
			t.Errorf("by %s it is not found", by)
		}
	}
	adas.Say(ada, "/forget "+id[1])
	r.awaitText(adas, "Forgotten: 1.")
	for _, by := range []string{"words", "vectors", ""} {
		if out := r.verb("memory", "search", "--by", by, "--json", "number of the boiler"); strings.Contains(out, "4711") {
			t.Errorf("by %q it is found after it was forgotten: %s", by, out)
		}
	}
	adas.Say(ada, "/new")
	adas.Say(ada, "the number of the boiler: !send "+page.URL+"/again")
	r.awaitText(adas, "I know nothing of a boiler")
	r.term()
}

// TestMovedRoomKeepsItsMemory: what was kept in a group is found in the
// supergroup that it became, from the first message on, before and after a
// restart, and can be forgotten there.
func TestMovedRoomKeepsItsMemory(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{policy: "pairing", script: fromMemory})
	r.up()
	ada, adas := r.person(1001)
	r.member(ada, adas)
	at := "@" + r.bot.Bot().Username
	group := r.bot.Group(77, "House", ada)
	group.Say(ada, "/remember"+at+" The number of the boiler is 4711")
	id := itemID.FindStringSubmatch(r.awaitText(group, "I will remember this for everybody"))[1]
	room := group.Migrate(ada)
	room.Say(ada, at+" what is the number of the boiler?")
	r.awaitText(room, "It is 4711 [1].")
	r.kill()
	r.up()
	room.Say(ada, "/new"+at)
	r.awaitText(room, "A new conversation")
	room.Say(ada, at+" and now, what is the number of the boiler?")
	r.await("a second answer", func(log telegramtest.Log) bool {
		return strings.Count(strings.Join(texts(log.In(room.ID())), "\n"), "It is 4711 [1].") == 2
	})
	room.Say(ada, "/forget"+at+" "+id)
	r.awaitText(room, "Forgotten: 1.")
	r.term()
}
