package e2e_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
	"github.com/gatehouse-chat/gatehouse/internal/db/pgtest"
)

var (
	remembered = regexp.MustCompile(`\[(\d+)\] \([^)]*\) [^\n]*boiler is (\d+)`)
	linkCode   = regexp.MustCompile(`\b[A-HJ-NP-Z2-9]{8}\b`)
	itemID     = regexp.MustCompile(`/forget (\w+)`)
)

// fromMemory answers a question about the boiler from what it is told of memory,
// with the mark, and echoes what is no question.
func fromMemory(r *agenttest.Request) agenttest.Answer {
	asked := r.Asked()
	if len(asked) == 0 || !strings.HasSuffix(asked[len(asked)-1], "?") {
		return agenttest.Echo(r)
	}
	for _, m := range r.Messages() {
		if found := remembered.FindStringSubmatch(m.Text); found != nil {
			return agenttest.Say(fmt.Sprintf("It is %s [%s].", found[2], found[1]))
		}
	}
	return agenttest.Say("I do not know.")
}

// TestMemoryAcrossChannels: what a member said on one channel is recalled when
// they ask on another, after a restart, and shown by /sources; another member,
// a guest and another workspace get nothing, and what is forgotten is gone.
func TestMemoryAcrossChannels(t *testing.T) {
	for name, set := range map[string]func(t *testing.T) settings{
		"sqlite":    func(*testing.T) settings { return settings{} },
		"encrypted": func(*testing.T) settings { return settings{extra: "encrypt: content\n"} },
		"postgres":  func(t *testing.T) settings { return settings{extra: fmt.Sprintf("store: %q\n", pgtest.DSN(t))} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			memoryAcrossChannels(t, set(t))
		})
	}
}

// second makes another channel of the gateway, with an emulator of its own.
func second(t *testing.T, more string) (*telegramtest.Server, string) {
	t.Helper()
	bot := telegramtest.NewServer(t, telegramtest.WithoutPollPenalty())
	return bot, fmt.Sprintf("adapter: telegram, base_url: %q, token: %q, groups: open, send_rate: unlimited, stream: \"off\"%s", bot.URL(), bot.Token(), more)
}

func memoryAcrossChannels(t *testing.T, set settings) {
	t.Helper()
	const question = "what is the number of the boiler?"
	other, section := second(t, ", dm: pairing")
	tenant, foreign := second(t, ", dm: open, workspace: acme")
	set.script, set.policy = fromMemory, "pairing"
	r := newRig(t, set)
	r.verb("workspaces", "create", "acme", "Acme")
	r.set.extra = fmt.Sprintf("  other: {%s}\n  tenant: {%s}\n", section, foreign) + set.extra
	r.configure()
	r.up()

	ada, adas := r.person(1001)
	ada2 := other.User(2001, "Ada elsewhere")
	adas2 := other.Private(ada2)
	there := *r
	there.bot = other
	adas.Say(ada, linkCode.FindString(r.verb("identities", "link")))
	r.awaitText(adas, "is now linked to")
	adas2.Say(ada2, linkCode.FindString(r.verb("identities", "link")))
	there.awaitText(adas2, "is now linked to")
	adas.Say(ada, "/remember The number of the boiler is 4711")
	id := itemID.FindStringSubmatch(r.awaitText(adas, "I will remember this for you"))[1]

	r.term()
	there.polls = other.Calls("getUpdates")
	r.up()
	adas2.Say(ada2, question)
	there.awaitText(adas2, "It is 4711 [1].")
	there.awaitText(adas2, "/sources")
	adas2.Say(ada2, "/sources")
	there.awaitText(adas2, "The number of the boiler is 4711")

	bob := other.User(2002, "Bob")
	bobs := other.Private(bob)
	bobs.Say(bob, question)
	code := pairingCode.FindStringSubmatch(there.awaitText(bobs, "Your code is"))
	r.verb("pair", "approve", code[1])
	there.awaitText(bobs, "I do not know.")
	eve := tenant.User(1001, "Ada's number, in another workspace")
	eves := tenant.Private(eve)
	eves.Say(eve, question)
	beyond := *r
	beyond.bot = tenant
	beyond.awaitText(eves, "I do not know.")
	bobs.Say(bob, "/forget "+id)
	there.awaitText(bobs, "I remember nothing of the kind here.")

	adas.Say(ada, "/forget "+id)
	r.awaitText(adas, "Forgotten: 1.")
	adas.Say(ada, question)
	r.awaitText(adas, "I do not know.")
	adas2.Say(ada2, "/sources")
	there.awaitText(adas2, "has been forgotten since")

	// What somebody kept goes with them: their own, and what they shared in a room.
	room := other.Supergroup(-1001, "Both", ada2, bob)
	room.Say(bob, "/remember@"+other.Bot().Username+" The box of the room is 5678")
	there.awaitText(room, "I will remember this for everybody in this room")
	bobs.Say(bob, "/remember The number of the boiler is 1234")
	there.awaitText(bobs, "I will remember this for you")
	bobs.Say(bob, "/whoami")
	who := memberID.FindStringSubmatch(there.awaitText(bobs, "You are"))[1]
	if out := r.verb("memory", "list"); strings.Contains(out, "1234") {
		t.Errorf("the owner sees what is bob's: %s", out)
	}
	if out := r.verb("members", "erase", who, "--confirm", who, "--json"); !strings.Contains(out, "\"memory\"") {
		t.Errorf("the erasure says %s", out)
	}
	r.term()
}
