package channeltest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// Sink is a fake of the gateway's intake. Its disk is its host's: events and
// state are committed in one step, and a [Snapshot] holds both.
//
// The test fails by itself when an adapter accepts an event that cannot be
// stored or read back, one whose parts contradict each other, one that holds a
// secret, or events of one conversation out of their order.
type Sink struct {
	h *Host

	// guarded by h.board
	attempts []time.Time // when Accepts were begun
	fail     []error
	rejects  func(channels.Event) bool
	before   *Block
	after    *Block
	inflight map[string]map[int]string // keys being accepted, by conversation and attempt
	latest   map[string]time.Time      // of the newest message, by conversation
	replies  map[[2]string]*answer     // by account and event key
}

var _ channels.Sink = (*Sink)(nil)

// NewSink makes the sink of a host. A host may have several, one after the other.
func NewSink(h *Host) *Sink {
	return &Sink{
		h: h, inflight: map[string]map[int]string{}, latest: map[string]time.Time{},
		replies: map[[2]string]*answer{},
	}
}

// Accept implements channels.Sink.
func (s *Sink) Accept(ctx context.Context, b channels.Batch) error {
	for _, e := range b.Events {
		s.check(e)
	}
	for _, w := range b.State {
		s.h.watch("the state "+w.Key, w.Key+" "+string(w.Value))
	}
	n, fail, before := s.begin(b)
	defer s.end(n)
	if fail != nil {
		return fail
	}
	if err := before.pass(ctx, s.h.board); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	after, err := s.commit(n, b)
	if err != nil {
		return err
	}
	return after.pass(ctx, s.h.board)
}

// begin counts the attempt, takes what was prepared for it, and looks whether
// another Accept for the same conversation is under way.
func (s *Sink) begin(b channels.Batch) (n int, fail error, before *Block) { //nolint:staticcheck // fail is a result to return, not this function's failure
	var clash string
	s.h.board.change(func() {
		s.attempts = append(s.attempts, time.Now())
		n = len(s.attempts)
		if len(s.fail) > 0 {
			fail, s.fail = s.fail[0], s.fail[1:]
		}
		if s.rejects != nil && slices.ContainsFunc(b.Events, s.rejects) {
			fail = &channels.Error{Op: "accept", Channel: s.h.id, Kind: channels.Rejected, Err: errUnkeepable}
		}
		if fail == nil && s.before != nil {
			before, s.before = s.before, nil
		}
		for _, e := range b.Events {
			at := e.Where.Order()
			for other, key := range s.inflight[at] {
				if other != n && key != e.Key {
					clash = fmt.Sprintf("%s while %s was not accepted yet", e.Key, key)
				}
			}
			if s.inflight[at] == nil {
				s.inflight[at] = map[int]string{}
			}
			s.inflight[at][n] = e.Key
		}
	})
	if clash != "" {
		s.h.violate("two Accepts of one conversation at a time, so that their order is left to chance: %s", clash)
	}
	return n, fail, before
}

func (s *Sink) end(n int) { s.h.board.change(func() { s.over(n) }) }

func (s *Sink) over(n int) {
	for _, keys := range s.inflight {
		delete(keys, n)
	}
}

// commit stores the batch in one step. With that the attempt is over, unless
// something holds it: a test that has heard an event may cause the next one
// before Accept has returned.
func (s *Sink) commit(n int, b channels.Batch) (after *Block, err error) {
	var wrong []string
	s.h.board.change(func() {
		if s.h.dead {
			err = errCrashed
			return
		}
		for _, e := range b.Events {
			id := [2]string{string(e.Account), e.Key}
			if s.h.disk.known[id] {
				continue
			}
			s.h.disk.known[id] = true
			s.h.disk.events = append(s.h.disk.events, stored(e))
			wrong = append(wrong, s.ordered(e)...)
		}
		s.h.disk.write(b.State)
		if after, s.after = s.after, nil; after == nil {
			s.over(n)
		}
	})
	for _, w := range wrong {
		s.h.violate("%s", w)
	}
	return after, err
}

// stored is what a reader of the disk would get: a copy by way of JSON.
func stored(e channels.Event) channels.Event {
	b, err := json.Marshal(e)
	if err != nil {
		return e // check has reported it
	}
	var out channels.Event
	if json.Unmarshal(b, &out) != nil {
		return e
	}
	return out
}

// ordered looks that new messages of a conversation do not go back in time.
func (s *Sink) ordered(e channels.Event) []string {
	if _, ok := e.Content.(channels.Message); !ok {
		return nil
	}
	at := e.Where.Order()
	last := s.latest[at]
	if e.At.Before(last) {
		return []string{fmt.Sprintf("event %q of %s comes after one that is %s younger", e.Key, at, last.Sub(e.At))}
	}
	s.latest[at] = e.At
	return nil
}

// check reports what would make an event useless later.
func (s *Sink) check(e channels.Event) {
	bad := func(format string, args ...any) {
		s.h.violate("event %q: %s", e.Key, fmt.Sprintf(format, args...))
	}
	if e.Key == "" {
		bad("it has no key")
	}
	for _, id := range []string{e.Key, string(e.Account), string(e.Where.Conversation), string(e.Where.Thread)} {
		if !utf8.ValidString(id) || strings.Contains(id, "\x00") {
			bad("the id %q is not UTF-8 without NUL", id)
		}
	}
	if e.Where.Channel != s.h.id {
		bad("Where.Channel is %q and not the channel's id %q", e.Where.Channel, s.h.id)
	}
	if e.Where.Account != e.Account {
		bad("Where.Account %q and Account %q differ", e.Where.Account, e.Account)
	}
	if _, ok := e.Content.(channels.Installed); !ok && e.Where.Conversation == "" {
		bad("it has no conversation")
	}
	if e.Room.Direct && !e.Addressed {
		bad("it is in a direct chat and not addressed")
	}
	if where := leaksPath(e); where != "" {
		bad("%s holds the token of Via", where)
	}
	b, err := json.Marshal(e)
	if err != nil {
		bad("it cannot be stored: %v", err)
		return
	}
	if name := s.h.Leak(string(b)); name != "" {
		bad("it holds the value of %s", name)
	}
	var back channels.Event
	if err := json.Unmarshal(b, &back); err != nil {
		bad("it cannot be read back: %v", err)
	}
}

// leaksPath says where else than in Via an event holds the token of its reply
// path, which is sealed there and nowhere else.
func leaksPath(e channels.Event) string {
	if e.Via == nil || e.Via.Token.Empty() {
		return ""
	}
	token := e.Via.Token.Reveal()
	quoted, err := json.Marshal(token)
	if err != nil {
		return ""
	}
	holds := func(b []byte) bool {
		return bytes.Contains(b, []byte(token)) || bytes.Contains(b, bytes.Trim(quoted, `"`))
	}
	if holds(e.Raw) {
		return "Raw"
	}
	e.Via, e.Raw = nil, nil
	if b, err := json.Marshal(e); err == nil && holds(b) {
		return "the event"
	}
	return ""
}

// Events are the events that were kept, in the order of their commits.
func (s *Sink) Events() []channels.Event { return s.h.Snapshot().Events() }

// Attempts is when Accepts were begun, oldest first.
func (s *Sink) Attempts() []time.Time {
	var out []time.Time
	s.h.board.read(func() { out = slices.Clone(s.attempts) })
	return out
}

// WaitEvents returns when at least n events are kept. Events that a restored
// snapshot brought along count.
func (s *Sink) WaitEvents(n int) []channels.Event {
	s.h.t.Helper()
	var out []channels.Event
	s.h.board.wait(s.h.t, func() bool {
		out = slices.Clone(s.h.disk.events)
		return len(out) >= n
	}, func() string { return fmt.Sprintf("%d events; there are %d: %s", n, len(out), keys(out)) })
	return out
}

// WaitEvent returns the first event that match accepts, and waits until there is
// one. match runs under a lock and must not call the sink or its host.
func (s *Sink) WaitEvent(what string, match func(channels.Event) bool) channels.Event {
	s.h.t.Helper()
	var got channels.Event
	s.h.board.wait(s.h.t, func() bool {
		i := slices.IndexFunc(s.h.disk.events, match)
		if i >= 0 {
			got = s.h.disk.events[i]
		}
		return i >= 0
	}, func() string { return fmt.Sprintf("%s; the events are %s", what, keys(s.h.disk.events)) })
	return got
}

// WaitAttempts returns when at least n Accepts were begun, whatever became of them.
func (s *Sink) WaitAttempts(n int) {
	s.h.t.Helper()
	s.h.board.wait(s.h.t, func() bool { return len(s.attempts) >= n },
		func() string { return fmt.Sprintf("%d Accepts; there were %d", n, len(s.attempts)) })
}

func keys(es []channels.Event) string {
	var out []string
	for _, e := range es {
		out = append(out, e.Key)
	}
	return fmt.Sprint(out)
}

// FailNext lets the next Accepts fail with these errors, one each, and keep nothing.
func (s *Sink) FailNext(errs ...error) {
	s.h.board.change(func() { s.fail = append(s.fail, errs...) })
}

// Reject lets every Accept fail for good that holds an event which match
// accepts, until it is called with nil. match must not call the sink.
func (s *Sink) Reject(match func(channels.Event) bool) {
	s.h.board.change(func() { s.rejects = match })
}

var errUnkeepable = errors.New("it can never be kept as it is")

// Block holds the next Accept open before anything is kept. When its context
// ends meanwhile, it fails and keeps nothing.
func (s *Sink) Block() *Block {
	b := &Block{h: s.h}
	s.h.board.change(func() { s.before = b })
	return b
}

// BlockCommitted holds the next Accept open after its batch was kept and before
// the adapter learns of it. When its context ends meanwhile it returns an
// error although everything is kept, as a crash between the two would.
func (s *Sink) BlockCommitted() *Block {
	b := &Block{h: s.h}
	s.h.board.change(func() { s.after = b })
	return b
}

// Block is an Accept that is held open.
type Block struct {
	h        *Host
	reached  bool
	released bool
}

func (b *Block) pass(ctx context.Context, on *board) error {
	if b == nil {
		return nil
	}
	on.change(func() { b.reached = true })
	if err := on.until(ctx, func() bool { return b.released }); err != nil {
		return err
	}
	var err error
	on.read(func() {
		if b.h.dead {
			err = errCrashed
		}
	})
	return err
}

// Wait returns when the Accept is there and held.
func (b *Block) Wait() {
	b.h.t.Helper()
	b.h.board.wait(b.h.t, func() bool { return b.reached }, func() string { return "an Accept to hold" })
}

// Release lets the Accept go on; it fails if its host has crashed meanwhile. It
// may be called more than once.
func (b *Block) Release() { b.h.board.change(func() { b.released = true }) }

// answer is what was said to an event.
type answer struct {
	parts []channels.Part
	ended bool
}

// Reply adds parts to the answer to the event with this account and key.
func (s *Sink) Reply(account channels.AccountID, key string, parts ...channels.Part) {
	s.h.board.change(func() { a := s.answer(account, key); a.parts = append(a.parts, parts...) })
}

// EndTurn completes the answer to the event with this account and key.
func (s *Sink) EndTurn(account channels.AccountID, key string) {
	s.h.board.change(func() { s.answer(account, key).ended = true })
}

func (s *Sink) answer(account channels.AccountID, key string) *answer {
	id := [2]string{string(account), key}
	if s.replies[id] == nil {
		s.replies[id] = &answer{}
	}
	return s.replies[id]
}

// Replies implements channels.Sink over what Reply and EndTurn said.
func (s *Sink) Replies(ctx context.Context, account channels.AccountID, key string) iter.Seq2[channels.Part, error] {
	return func(yield func(channels.Part, error) bool) {
		for i := 0; ; i++ {
			var next *channels.Part
			err := s.h.board.until(ctx, func() bool {
				a := s.answer(account, key)
				if i < len(a.parts) {
					next = &a.parts[i]
				}
				return next != nil || a.ended
			})
			if err != nil {
				yield(channels.Part{}, err)
				return
			}
			if next == nil || !yield(*next, nil) {
				return
			}
		}
	}
}
