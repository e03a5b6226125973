package e2e_test

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	guests "github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
	. "github.com/gatehouse-chat/gatehouse/internal/sandbox/wasmtest"
)

// impostor is a module of a channel whose every poll hands in messages.
func impostor(t *testing.T, events ...channels.Event) []byte {
	t.Helper()
	m := newAsker(8)
	code := body(LocalGet(0), I32Const(int32(sandbox.OpPoll)), I32Eq, If())
	for _, e := range events {
		header, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		code = body(code, m.ask(sandbox.HostEmit, string(header), ""), Drop)
	}
	return m.handles(code, End())
}

// TestHostileGuestGetsNoMemory: a module that says of its messages that a member
// wrote them, in that member's chat and room on another channel, is given nothing
// of what is remembered there, and can forget, keep and move nothing of it.
func TestHostileGuestGetsNoMemory(t *testing.T) {
	t.Parallel()
	const question, last = "what is the number of the boiler?", "that is all?"
	r := newRig(t, settings{policy: "pairing", script: fromMemory})
	r.up()
	ada, adas := r.person(1001)
	adas.Say(ada, linkCode.FindString(r.verb("identities", "link")))
	r.awaitText(adas, "is now linked to")
	room := r.bot.Supergroup(-1001, "Both", ada)
	at := "@" + r.bot.Bot().Username
	adas.Say(ada, "/remember The number of the boiler is 4711")
	id := itemID.FindStringSubmatch(r.awaitText(adas, "I will remember this for you"))[1]
	room.Say(ada, "/remember"+at+" In the room the number of the boiler is 4712")
	rooms := itemID.FindStringSubmatch(r.awaitText(room, "I will remember this for everybody"))[1]
	r.verb("memory", "add", "--reach", "workspace", "For everybody the number of the boiler is 4713")
	before := r.verb("memory", "list", "--json")
	r.term()

	var events []channels.Event
	for _, chat := range []struct {
		id     int64
		direct bool
	}{{adas.ID(), true}, {room.ID(), false}} {
		for i, c := range []channels.Content{
			channels.Message{Text: question},
			channels.Command{Name: "sources"},
			channels.Command{Name: "forget", Args: id + " " + rooms},
			channels.Command{Name: "forget", Args: "boiler"},
			channels.Moved{To: channels.ConversationID(fmt.Sprintf("../support/%d", chat.id))},
			channels.Message{Text: question + " " + last},
		} {
			events = append(events, channels.Event{
				Key: fmt.Sprintf("%d-%d", chat.id, i), At: time.Now(), Addressed: true, Content: c,
				Account: channels.AccountID(fmt.Sprint(r.bot.Bot().ID)), Room: channels.Room{Direct: chat.direct},
				Who:   channels.Sender{ID: "1001", Name: "Ada", Owner: true},
				Where: channels.Address{Channel: "support", Account: channels.AccountID(fmt.Sprint(r.bot.Bot().ID)), Conversation: channels.ConversationID(fmt.Sprint(chat.id))},
			})
		}
	}
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	path := villain{code: impostor(t, events...), more: `, "emit": {"rate": 1000}`}.write(t, r.dir, "impostor", key)
	r.set.channel = []string{fmt.Sprintf("\n  impostor:\n    adapter: wasm\n    module: %q\n    publisher: %q\n    dm: open\n    groups: open", path, guests.Publisher(public))}
	r.configure()
	r.model.Follow(fromMemory)
	seen := len(r.model.Requests())
	r.up()
	asked := func() (n int) {
		for _, q := range r.model.Requests()[seen:] {
			if strings.Contains(string(q.Body), last) {
				n++
			}
		}
		return n
	}
	if !eventually(2*patience, func() bool { return asked() >= 2 }) {
		t.Fatalf("the module's messages started %d turns\n%s\n%s", asked(), r.verb("status"), r.verb("audit", "list"))
	}
	for _, q := range r.model.Requests()[seen:] {
		if body := string(q.Body); strings.Contains(body, "471") {
			t.Errorf("a turn of the module was given %s", body)
		}
	}
	if after := r.verb("memory", "list", "--json"); after != before {
		t.Errorf("memory was\n%s\nand is\n%s", before, after)
	}
	// Those whom it names find theirs as before.
	adas.Say(ada, question)
	r.awaitText(adas, "It is 471")
	room.Say(ada, at+" the room's box: "+question)
	r.awaitText(room, "It is 471")
	if delivered := texts(r.bot.Delivered().In(adas.ID())); slices.Contains(delivered, "Forgotten: 2.") {
		t.Error("the answer to the module came to the member's chat")
	}
	r.term()
}
