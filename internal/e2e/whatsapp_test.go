//go:build !nowhatsapp

package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/types"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/whatsapptest"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
	"github.com/gatehouse-chat/gatehouse/internal/db/pgtest"
)

// TestWhatsAppAnswersItsOwner: linked while the gateway runs and while it is
// stopped, the bot answers in the owner's chat with himself; everybody else is
// left in silence, and unread.
func TestWhatsAppAnswersItsOwner(t *testing.T) {
	for name, stopped := range map[string]bool{"running": false, "stopped": true} {
		t.Run(name, func(t *testing.T) {
			r := newWARig(t, nil, "")
			if stopped {
				r.link()
				r.up()
			} else {
				r.start()
				r.await("the gateway to say what is missing", func() bool { return strings.Contains(r.run("channels", "list"), "gatehouse channels link wa") })
				r.link()
			}
			owner, alice := r.wa.Owner(), r.wa.Person("Alice")
			r.wa.Say(alice, alice.PN, "hello stranger")
			hers := r.wa.Say(alice, alice.PN, "are you there")
			r.wa.Say(owner, alice.PN, "I am, but busy")
			r.wa.Say(owner, r.wa.Self(), "remember the milk")
			r.await("the answer", func() bool { return r.answers(r.wa.Self())["echo: remember the milk"] == 1 })
			r.await("the acknowledgement", func() bool { return r.wa.Acked(hers) })
			if n := len(r.answers(alice.PN)); n != 0 || r.wa.Read(hers) || r.wa.Typed(alice.PN) > 0 {
				t.Errorf("somebody else got %d answers, or saw the bot", n)
			}
			if said := r.run("channels", "status", "--probe"); !strings.Contains(said, "+"+owner.PN.User) {
				t.Errorf("the channel is\n%s", said)
			}
			r.leavesNoKeys()
		})
	}
}

// leavesNoKeys looks that the account's names, which every key of the store goes
// with, are nowhere in the clear in the device's part of the database.
func (r *waRig) leavesNoKeys() {
	r.t.Helper()
	r.kill()
	files, err := filepath.Glob(filepath.Join(r.path("data"), "*"))
	if err != nil || len(files) == 0 {
		r.t.Fatalf("no data: %v", err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // a folder
		}
		for _, word := range []string{`"noise"`, `"identity"`, `"registration"`, `"push_name"`} {
			if strings.Contains(string(b), word) {
				r.t.Errorf("%s holds %s of the device in the clear", filepath.Base(f), word)
			}
		}
	}
}

// TestWhatsAppCrash kills the gateway in the middle of answers; everything that
// was said is answered, and shown once.
func TestWhatsAppCrash(t *testing.T) {
	for _, name := range []string{"sqlite", "postgres"} {
		t.Run(name, func(t *testing.T) {
			slow := func(r *agenttest.Request) agenttest.Answer {
				a := agenttest.Echo(r)
				a.Delay = 150 * time.Millisecond
				return a
			}
			store := ""
			if name == "postgres" {
				store = pgtest.DSN(t)
			}
			r := newWARig(t, slow, store, "dm: open", "groups: open", "mention: false")
			r.link()
			people := []*whatsapptest.Person{r.wa.Person("Alice"), r.wa.Person("Bob")}
			room := r.wa.Group("Room", people...)
			rng := rand.New(rand.NewPCG(seed(t), 3)) //nolint:gosec // repeatable on purpose
			const rounds = 6
			chats := []types.JID{people[0].PN, people[1].PN, room.JID}
			for n := range rounds {
				r.up()
				for i, chat := range chats {
					r.wa.Say(people[i%2], chat, fmt.Sprintf("w%dx%d", n, i))
				}
				if n == rounds-1 {
					break
				}
				<-time.After(time.Duration(rng.Int64N(int64(600 * time.Millisecond)))) // the moment is the point
				r.kill()
			}
			for i, chat := range chats {
				r.await("all answers in "+chat.String(), func() bool { return r.answered(chat, i, rounds) })
			}
			for _, chat := range chats {
				for text, n := range r.answers(chat) {
					if n != 1 {
						t.Errorf("%q is shown %d times", text, n)
					}
				}
			}
		})
	}
}

// answered reports whether every word of a chat stands in an answer; one answer
// may be to several.
func (r *waRig) answered(chat types.JID, i, rounds int) bool {
	var all strings.Builder
	for text := range r.answers(chat) {
		all.WriteString(text + " ")
	}
	for n := range rounds {
		if !strings.Contains(all.String(), fmt.Sprintf("w%dx%d ", n, i)) {
			return false
		}
	}
	return true
}

// TestWhatsAppOutage: outages of every kind heal by themselves and lose nothing.
func TestWhatsAppOutage(t *testing.T) {
	r := newWARig(t, nil, "")
	r.link()
	r.up()
	owner := r.wa.Owner()
	for _, o := range []whatsapptest.Outage{whatsapptest.Unavailable, whatsapptest.Throttled, whatsapptest.Hung, whatsapptest.Malformed, whatsapptest.HalfOpen} {
		if o == whatsapptest.HalfOpen && testing.Short() {
			continue // whatsmeow notices a silent connection after 30 to 40 s
		}
		r.wa.Say(owner, r.wa.Self(), "before "+string(o))
		r.await("an answer before "+string(o), func() bool { return r.answers(r.wa.Self())["echo: before "+string(o)] == 1 })
		r.wa.Fail(o)
		r.wa.Say(owner, r.wa.Self(), "during "+string(o))
		if o != whatsapptest.Malformed && o != whatsapptest.HalfOpen {
			r.await("the health to say it", func() bool { return strings.Contains(r.run("channels", "list"), "retrying") })
		}
		r.wa.Fail(whatsapptest.None)
		r.await("an answer after "+string(o), func() bool { return r.answers(r.wa.Self())["echo: during "+string(o)] == 1 })
	}
}

// TestWhatsAppLoggedOut: the phone logs the device out; the gateway says so,
// goes on with everything else, and is linked again.
func TestWhatsAppLoggedOut(t *testing.T) {
	r := newWARig(t, nil, "")
	r.link()
	r.up()
	r.wa.Unlink()
	r.await("the health to say it", func() bool {
		s := r.run("channels", "list")
		return strings.Contains(s, "broken") && strings.Contains(s, "gatehouse channels link")
	})
	r.link()
	r.wa.Say(r.wa.Owner(), r.wa.Self(), "back again")
	r.await("the answer", func() bool { return r.answers(r.wa.Self())["echo: back again"] == 1 })
}

// TestWhatsAppReplicas: two gateways on one database share a device. One holds
// its connection and sends what both answer; when it dies, or is stopped, the
// other one takes the connection and goes on.
func TestWhatsAppReplicas(t *testing.T) {
	t.Parallel() // it waits until the dead are known to be dead
	r := newWARig(t, nil, pgtest.DSN(t), "dm: open", "groups: open", "mention: false")
	r.link()
	alice := r.wa.Person("Alice")
	r.up()
	both := []*waRig{r, r.replica()}
	both[1].start()
	both[1].await("the second to stand by", func() bool { return strings.Contains(both[1].run("channels", "list"), "standby") })
	said := 0
	for round := range 3 {
		if round > 0 { // the one that holds the connection goes
			gone := both[(round-1)%2]
			before := r.wa.Logins()
			if round == 1 {
				gone.kill()
			} else if err := gone.proc.Term(); err != nil {
				t.Errorf("after SIGTERM: %v", err)
			}
			both[round%2].await("the other one to take its place", func() bool { return r.wa.Logins() > before })
			gone.start()
		}
		for range 6 {
			r.wa.Say(alice, alice.PN, fmt.Sprintf("w0x%d ", said))
			said++
			both[round%2].await("the answers", func() bool { return answeredAll(r.answers(alice.PN), said) })
		}
	}
	for text, n := range r.answers(alice.PN) {
		if n != 1 || !strings.HasPrefix(text, "echo: ") {
			t.Errorf("%q is shown %d times", text, n)
		}
	}
}

// answeredAll reports whether each of so many words stands in an answer.
func answeredAll(answers map[string]int, words int) bool {
	var all strings.Builder
	for text := range answers {
		all.WriteString(text + " ")
	}
	for n := range words {
		if !strings.Contains(all.String(), fmt.Sprintf("w0x%d ", n)) {
			return false
		}
	}
	return true
}
