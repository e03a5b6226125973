package channeltest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// Suite is what an adapter's test hands to [Run].
type Suite struct {
	Driver channels.Driver

	// New starts an emulated platform with the people and places that [Said]
	// names, and describes it. It is called anew for every case. The platform
	// reaches the channel's webhook, if it has one, below public, which is also
	// what Host.Public returns.
	New func(t testing.TB, public string) *Harness

	// Lacks names every ability that this adapter, or its emulator, does not
	// have. Its cases are listed as not offered. An ability that is neither
	// offered nor named here fails the suite.
	Lacks []Ability

	// Golden is the folder of the formatting goldens; "" means
	// "testdata/format". Update writes them anew; an adapter's test sets it from
	// its own -update flag.
	Golden string
	Update bool

	// Patience is how long a case waits for what must happen; 0 means [Deadline].
	Patience time.Duration

	// Hasty is how long what would come too early is given to come; 0 means a
	// moment. A correct adapter's cases last that long.
	Hasty time.Duration
}

// Harness is one emulated platform with one bot on it. Functions that a
// platform has no use for are nil. All of them may be called from the test's
// goroutine only and return when the platform has taken the action, whatever the
// adapter makes of it.
type Harness struct {
	Config json.RawMessage // of the channel
	Host   []HostOption    // its secrets, above all

	// Push says that the platform calls the channel and decides itself how soon
	// it calls again after a refusal.
	Push bool

	// Say lets a person say something and returns the message's id as the
	// adapter writes it. Required.
	Say func(s Said) channels.MessageID
	// Acked says whether the platform holds the message to be received, so that
	// it would not deliver it to a new process. Required.
	Acked func(id channels.MessageID) bool
	// Shown is what the bot has sent to a place and not deleted, oldest first.
	// A thread's messages are in the thread alone. Required.
	Shown func(at channels.Address) []Shown

	// Rooms and Threads say that Said.In may name them; Joins that the bot is
	// meant, mentioned or not, in a thread in which it has spoken.
	Rooms, Threads, Joins bool

	// What else people and the platform do.
	Again  func(id channels.MessageID)              // the platform delivers the message once more
	Edit   func(id channels.MessageID, text string) // its author changes a message
	Delete func(id channels.MessageID)              // its author removes a message
	React  func(id channels.MessageID, emoji string)
	Press  func(id channels.MessageID, label string) // of the bot's message, in the direct chat
	Drop   func()                                    // cuts every connection that is open, as soon as there is one
	Down   func() (up func())                        // refuses every connection until up is called
	Revoke func()                                    // makes the credentials invalid
	Fail   func(f Fault, wait time.Duration)         // the next send meets with f; wait is for Throttled
	Faults []Fault                                   // those that Fail knows
	Stall  func() (release func())                   // the next send is answered when release is called

	// What else the platform shows.
	Answered func() int // how many presses were answered
	Reacted  func(at channels.Address, id channels.MessageID) string
	Typed    func(at channels.Address) int // how often typing was shown
	Commands func() []channels.CommandSpec

	// Close ends the platform. It is called after the channel has ended and
	// before goroutines are counted. Required when the emulator has any.
	Close func()
}

// The people that say something. Two different ones have different ids.
const (
	Alice = "alice"
	Bob   = "bob"
)

// Place is where something is said.
type Place string

// The places. Each person has a direct chat with the bot; the room and its
// thread are shared.
const (
	Direct Place = "direct"
	Room   Place = "room"
	Thread Place = "thread"
)

// Said is something that a person says on the platform.
type Said struct {
	In      Place
	By      string // Alice unless set
	Text    string
	Mention bool               // of the bot, as the platform marks it
	ReplyTo channels.MessageID // an earlier message of this place
	Files   []Upload
}

// Upload is a file as the platform holds it.
type Upload struct {
	Kind channels.FileKind
	Name string
	MIME string
	Body []byte
}

// Shown is a message of the bot.
type Shown struct {
	ID      channels.MessageID
	Native  string // its text as the adapter sent it, markup included
	Text    string // its text as a person reads it
	ReplyTo channels.MessageID
	Edits   int // how often it was changed
	Files   []Upload
	Buttons []channels.Button
}

// Fault is what the next send meets with.
type Fault string

// The faults, and the kind that each must come out as.
const (
	Throttled   Fault = "throttled"   // too many requests: RateLimited with the wait
	Unavailable Fault = "unavailable" // refused before anything was done: Transient
	LostAnswer  Fault = "lost answer" // taken, but the connection ends without an answer: Ambiguous
	BadFormat   Fault = "bad format"  // the markup is refused: Format
	ShutOut     Fault = "shut out"    // blocked, or the place is gone: Gone
	Refused     Fault = "refused"     // never accepted in this form: Rejected
)

// Run holds an adapter to the contract. It ends with a table of what was not
// offered.
func Run(t *testing.T, s Suite) {
	t.Helper()
	var missing []string
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) {
			if lacks := s.lacking(c); len(lacks) > 0 {
				missing = append(missing, fmt.Sprintf("%-40s needs %s", c.Name, strings.Join(lacks, ", ")))
				t.Skip("not offered: ", strings.Join(lacks, ", "))
			}
			defer func() {
				if t.Skipped() {
					missing = append(missing, c.Name)
				}
			}()
			c.Run(t, s)
		})
	}
	if len(missing) > 0 {
		t.Logf("%s: not offered\n  %s", s.Driver.Name(), strings.Join(missing, "\n  "))
	}
}

// Case is one demand of the contract.
type Case struct {
	Name  string
	Needs []Ability
	run   func(r *rig)
	bare  func(t testing.TB, s Suite) // for cases that open nothing, or do it themselves
}

// Run runs the case alone, whatever the suite lacks.
func (c Case) Run(t testing.TB, s Suite) {
	t.Helper()
	if c.bare != nil {
		c.bare(t, s)
		return
	}
	r := newRig(t, s)
	r.boot(Snapshot{})
	c.run(r)
}

// Cases are all the demands, in the order in which they are best met.
func Cases() []Case {
	declaration := []Case{{Name: "declaration", bare: func(t testing.TB, s Suite) { s.declare(t) }}}
	return slices.Concat(declaration, openCases(), acceptCases(), intakeCases(), sendCases(), failureCases(), lifeCases())
}

func (s Suite) patience() time.Duration {
	if s.Patience > 0 {
		return s.Patience
	}
	return Deadline
}

func (s Suite) lacking(c Case) []string {
	var out []string
	for _, a := range c.Needs {
		if slices.Contains(s.Lacks, a) {
			out = append(out, string(a))
		}
	}
	return out
}

// declare compares what is offered with what the suite says is not.
func (s Suite) declare(t testing.TB) {
	r := newRig(t, s)
	r.open(Snapshot{})
	for _, must := range []struct {
		name string
		ok   bool
	}{{"Say", r.hs.Say != nil}, {"Acked", r.hs.Acked != nil}, {"Shown", r.hs.Shown != nil}} {
		if !must.ok {
			t.Errorf("Harness.%s is required", must.name)
		}
	}
	for _, a := range Abilities() {
		has, does := a.offered(r)
		declared := slices.Contains(s.Lacks, a)
		switch {
		case does && !has:
			t.Errorf("%s: the channel can do it, so the harness must show it", a)
		case has && declared:
			t.Errorf("%s: it is offered, and Lacks names it", a)
		case !has && !declared:
			t.Errorf("%s: it is not offered, and Lacks does not name it", a)
		}
	}
}
