package channeltest

import (
	"errors"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/channels"
)

func acceptCases() []Case {
	return []Case{
		{Name: "accept/durable before acknowledged", run: durableFirst},
		{Name: "accept/what was refused comes again", run: refusedComesAgain},
		{Name: "accept/the wait that is asked for is kept", run: waitIsKept},
		{Name: "accept/what is rejected holds up nothing", run: rejectedIsPassed},
		{Name: "accept/a crash after the commit doubles nothing", run: crashAfterCommit},
		{Name: "accept/a repeated delivery keeps its key", Needs: []Ability{Redelivery}, run: sameKeyAgain},
		{Name: "accept/order in a conversation", run: orderIsKept},
		{Name: "accept/two conversations are two orders", run: twoConversations},
		{Name: "accept/a conversation that waits holds up no other", run: waitsAlone},
		{Name: "accept/a restart repeats nothing and loses nothing", run: restart},
	}
}

// errFull is what a gateway without disk space says.
var errFull = errors.New("disk full")

// durableFirst kills the process while its first Accept is under way. A message
// that was acknowledged by then would never come again.
func durableFirst(r *rig) {
	w := r.word()
	hold := r.sink.Block()
	id := r.hs.Say(Said{Text: w})
	hold.Wait()
	r.unacked(id)
	snap := r.crash(hold)
	if n := len(snap.Events()); n != 0 {
		r.t.Fatalf("%d events are durable already", n)
	}
	r.boot(snap)
	r.message(w)
	r.acked(id)
}

// crash ends the process while an Accept is held.
func (r *rig) crash(hold *Block) Snapshot {
	r.t.Helper()
	snap := r.host.Crash()
	r.front.serve(nil)
	r.stop()
	hold.Release()
	_ = r.halt() // nobody hears what a dead process says
	return snap
}

// hasty is how long an adapter that acknowledges too early is given to do so,
// where the suite does not say. A correct one never does, however long it is.
const hasty = 60 * time.Millisecond

func (r *rig) unacked(id channels.MessageID) {
	r.t.Helper()
	if poll(r.t.Context(), max(hasty, r.s.Hasty), func() bool { return r.hs.Acked(id) }) {
		r.t.Errorf("the platform was told that a message was received before Accept returned")
	}
}

func (r *rig) acked(id channels.MessageID) {
	r.t.Helper()
	r.eventually("the platform to know that its message was received", func() bool { return r.hs.Acked(id) })
}

func refusedComesAgain(r *rig) {
	r.sink.FailNext(errFull, errFull)
	w := r.word()
	id := r.hs.Say(Said{Text: w})
	r.sink.WaitAttempts(2)
	r.message(w)
	r.acked(id)
	r.once(w)
}

// once checks that a message was kept exactly once.
func (r *rig) once(word string) {
	r.t.Helper()
	n := 0
	for _, e := range r.sink.Events() {
		if says(e, word) {
			n++
		}
	}
	if n != 1 {
		r.t.Errorf("%s was kept %d times", word, n)
	}
}

func waitIsKept(r *rig) {
	if r.hs.Push {
		r.t.Skip("the platform decides how soon it calls again")
	}
	wait := max(300*time.Millisecond, r.s.Hasty)
	from := len(r.sink.Attempts())
	r.sink.FailNext(&channels.Error{Op: "accept", Channel: r.host.ID(), Kind: channels.RateLimited, RetryAfter: wait})
	r.hear(Said{})
	at := r.sink.Attempts()[from:]
	if len(at) < 2 || at[1].Sub(at[0]) < wait {
		r.t.Errorf("Accept asked to wait %s and was called again sooner: %v", wait, at)
	}
}

// rejectedIsPassed has one message rejected for ever, in the middle of others.
// The others arrive, once and in order, with it or after it, and the platform
// does not bring it again.
func rejectedIsPassed(r *rig) {
	bad := r.word()
	r.sink.Reject(func(e channels.Event) bool { return says(e, bad) })
	hold := r.sink.Block()
	want := make([]string, 0, 5)
	var poison channels.MessageID
	for i := range cap(want) {
		w := r.word()
		want = append(want, w)
		r.hs.Say(Said{Text: w})
		switch i {
		case 0:
			hold.Wait() // so that the others queue up on the platform
		case 2:
			poison = r.hs.Say(Said{Text: bad})
		}
	}
	hold.Release()
	r.message(want[len(want)-1])
	r.acked(poison)
	if d := cmp.Diff(want, r.order(want)); d != "" {
		r.t.Errorf("around a message that is rejected (-said +accepted):\n%s", d)
	}
	r.boot(r.again())
	r.hear(Said{})
	r.acked(poison)
}

// again ends the channel in order and returns what a new one finds.
func (r *rig) again() Snapshot {
	r.t.Helper()
	if err := r.halt(); err != nil {
		r.t.Errorf("Run returned %v", err)
	}
	return r.host.Snapshot()
}

func crashAfterCommit(r *rig) {
	w := r.word()
	hold := r.sink.BlockCommitted()
	id := r.hs.Say(Said{Text: w})
	hold.Wait()
	r.unacked(id)
	r.boot(r.crash(hold))
	r.hear(Said{})
	r.acked(id)
	r.once(w)
}

func sameKeyAgain(r *rig) {
	w := r.word()
	id := r.hs.Say(Said{Text: w})
	first, _ := r.message(w)
	r.acked(id)
	r.hs.Again(id)
	other, _ := r.hear(Said{})
	r.once(w)
	if first.Key == other.Key {
		r.t.Errorf("two messages share the key %q", first.Key)
	}
}

func orderIsKept(r *rig) {
	hold := r.sink.Block()
	want := make([]string, 0, 24)
	for i := range cap(want) {
		w := r.word()
		want = append(want, w)
		r.hs.Say(Said{Text: w})
		if i == 0 {
			hold.Wait() // so that the others queue up on the platform
		}
	}
	r.sink.FailNext(nil, errFull, nil, errFull)
	hold.Release()
	r.message(want[len(want)-1])
	if d := cmp.Diff(want, r.order(want)); d != "" {
		r.t.Errorf("the order of a conversation (-said +accepted):\n%s", d)
	}
}

// order is the given words as they were accepted.
func (r *rig) order(words []string) []string {
	var got []string
	for _, e := range r.sink.Events() {
		m, _ := e.Content.(channels.Message)
		for _, w := range words {
			if hasWord(m.Text, w) {
				got = append(got, w)
			}
		}
	}
	return got
}

func twoConversations(r *rig) {
	words := map[string][]string{}
	for i := range 12 {
		by := []string{Alice, Bob}[i%2]
		w := r.word()
		words[by] = append(words[by], w)
		r.hs.Say(Said{By: by, Text: w})
	}
	places := map[string]bool{}
	for by, ws := range words {
		e, _ := r.message(ws[len(ws)-1])
		places[e.Where.Order()] = true
		if d := cmp.Diff(ws, r.order(ws)); d != "" {
			r.t.Errorf("the order of %s's conversation (-said +accepted):\n%s", by, d)
		}
	}
	if len(places) != 2 {
		r.t.Errorf("two direct chats have the orders %v", places)
	}
}

// waitsAlone holds the Accept of one conversation. A platform that calls keeps
// its conversations apart; one that is polled has a single stream.
func waitsAlone(r *rig) {
	if !r.hs.Push {
		r.t.Skip("the platform has one stream for all conversations")
	}
	slow, quick := r.word(), r.word()
	hold := r.sink.Block()
	defer hold.Release()
	r.hs.Say(Said{By: Alice, Text: slow})
	hold.Wait()
	r.hs.Say(Said{By: Bob, Text: quick})
	r.message(quick)
	hold.Release()
	r.message(slow)
}

func restart(r *rig) {
	var words []string
	for range 3 {
		w := r.word()
		words = append(words, w)
		id := r.hs.Say(Said{Text: w})
		r.message(w)
		r.acked(id)
	}
	if err := r.halt(); err != nil {
		r.t.Errorf("Run returned %v", err)
	}
	missed := r.word()
	r.hs.Say(Said{Text: missed})
	r.boot(r.host.Snapshot())
	r.message(missed)
	if got := strings.Join(r.order(words), " "); got != strings.Join(words, " ") {
		r.t.Errorf("after a restart the messages are %q, want %q", got, words)
	}
	r.once(missed)
}
