package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/delivery"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/gateway/session"
)

// The patience of sittings.
const (
	sittingLease = 30 * time.Second
	sittingGrace = 8 * time.Second // for turns under way when the gateway stops
	maxAttempts  = 8               // an event that ends the process this often is set aside
	maxGathered  = 20              // messages one turn answers at most
	alone        = maxAttempts / 2 // from the next attempt on, an event is tried by itself
	hopeless     = 100             // attempts after which an event that cannot even be tried is given up
	runAgain     = 3 * time.Second // doubled with each attempt
	runAgainMost = 30 * time.Second
)

// work is how the inbox and its urgent lane are worked off.
func (g *Gateway) work(queue string, parallel int) bus.Work {
	return bus.Work{
		Want: bus.Want{Queue: queue, For: sittingLease}, Parallel: parallel, Grace: sittingGrace, Log: g.log,
		Do: func(stopping, work context.Context, l *bus.Lease) {
			s := &sitting{g: g, lease: l, stopping: stopping, verdicts: map[string]bus.Verdict{}}
			s.safely(work)
		},
	}
}

// sitting is the work on one conversation for the time of one lease. Nothing
// that it decides is visible before it settles, and then all of it is.
type sitting struct {
	g        *Gateway
	stopping context.Context // ends when no turn may begin

	mu    sync.Mutex // of the lease, which the turn and its keeper both hold
	lease *bus.Lease

	looked   time.Time // when it last asked for what is waiting
	items    []item    // events that may act, in order
	verdicts map[string]bus.Verdict
	emit     []bus.Record
	state    []bus.Write
	heard    []session.Heard    // what was not meant for the bot, and is not kept yet
	passed   []identity.Pairing // requests that are settled with this
	current  string             // key of the event that is being worked on
	tab      *tab               // of the turn that runs
	heldBack bool               // something was parked because its channel is paused
	decided  bool               // something was judged that decides about later events
}

// item is an event that passed the gate.
type item struct {
	rec   bus.Record
	event channels.Event
	scope identity.Judgement
}

// safely shields the process from what an adapter or an event makes panic; the
// event is tried again, and set aside in the end.
func (s *sitting) safely(ctx context.Context) {
	defer func() {
		if v := recover(); v != nil {
			s.g.log.Error("a sitting panicked", "conversation", s.lease.Order, "err", v, "stack", string(debug.Stack()))
			s.again(ctx, errPanicked)
		}
	}()
	s.run(ctx)
}

func (s *sitting) run(ctx context.Context) {
	err := s.sit(ctx)
	switch {
	case err == nil:
		err = s.settle(ctx)
	case errors.Is(err, bus.ErrLeaseLost), s.stopping.Err() != nil:
		s.giveBack(ctx)
		return
	}
	switch {
	case err == nil:
		s.release(ctx)
	case !errors.Is(err, bus.ErrLeaseLost):
		s.again(ctx, err)
	}
}

func (s *sitting) sit(ctx context.Context) error {
	if err := s.admit(ctx, s.lease.Records); err != nil {
		return err
	}
	if len(s.items) == 0 {
		return nil
	}
	if s.stopping.Err() != nil {
		return s.stopping.Err()
	}
	head := s.items[0]
	s.current = head.rec.Key
	if attempts(head.rec) > alone {
		if err := s.try(ctx, head.rec); err != nil {
			return err
		}
	}
	if c, ok := commandOf(head.event); ok {
		return s.command(ctx, head, c)
	}
	switch c := head.event.Content.(type) {
	case channels.Press:
		return s.press(ctx, head, c)
	default:
		return s.turn(ctx)
	}
}

// admit decodes and judges records, resolves those that may not act, and adds
// the others to the items. After a judgement that decides about later events it
// leaves those to the next lease.
func (s *sitting) admit(ctx context.Context, records []bus.Record) error {
	s.looked = s.g.now()
	for _, r := range records {
		if s.decided {
			return nil
		}
		if _, known := s.verdicts[r.Key]; known {
			continue
		}
		if err := s.admitOne(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

func (s *sitting) admitOne(ctx context.Context, r bus.Record) error {
	if wait, err := s.early(r); err != nil || wait {
		return err
	}
	var e channels.Event
	if err := json.Unmarshal(r.Body, &e); err != nil {
		s.verdicts[r.Key] = bus.Verdict{Fate: bus.Dead, Reason: unreadable(r.Body, err)}
		return nil
	}
	l := s.g.line(channels.ID(r.Channel))
	if l == nil {
		s.verdicts[r.Key] = bus.Verdict{Fate: bus.Dead, Reason: "the channel is no longer configured"}
		return nil
	}
	if attempts(r) > hopeless { // not even a trial was reached
		s.verdicts[r.Key] = bus.Verdict{Fate: bus.Dead, Reason: "it cannot be judged"}
		return nil
	}
	if wait, err := s.g.paused(ctx, l.id); err != nil || wait {
		if err != nil {
			return err
		}
		return s.holdBack(r)
	}
	if st, ok := e.Content.(channels.Status); ok && st.State == channels.StatusFailed {
		s.undelivered(r, e, st)
		return nil
	}
	j, err := s.g.dir.Judge(ctx, e, l.config().Policy)
	if err != nil {
		return fmt.Errorf("judge: %w", err)
	}
	if strangersErrand(r.Key, j) {
		return s.ignored(r, e, "whoever asked for this is not here any more")
	}
	if attempts(r) > maxAttempts && trialOf(r).Alone >= trials {
		return s.setAside(r, e, j)
	}
	return s.resolve(ctx, r, e, j)
}

// undelivered makes a dead letter of the word that a message which the platform
// had taken has not arrived. Nobody said it, so nobody is judged for it.
func (s *sitting) undelivered(r bus.Record, e channels.Event, st channels.Status) {
	s.verdicts[r.Key] = bus.Verdict{Fate: bus.Dead, Reason: strings.TrimSuffix("the platform took a message and could not deliver it: "+st.Why, ": ")}
	s.g.metrics.Send(e.Where.Channel, delivery.Dead)
}

// resolve applies a judgement; what may run becomes an item.
func (s *sitting) resolve(ctx context.Context, r bus.Record, e channels.Event, j identity.Judgement) error {
	if len(j.State) > 0 {
		s.state, s.decided = append(s.state, j.State...), true
	}
	if j.Passed != nil {
		s.passed = append(s.passed, *j.Passed)
	}
	if j.Do == identity.Background && s.goesOn(r, e, j) {
		j.Do = identity.Run
	}
	switch j.Do {
	case identity.Run:
		if why, skip := pointless(e.Content); skip {
			return s.ignored(r, e, why)
		}
		if !s.g.loops.admits(e, j.Scope, s.g.now()) {
			return s.ignored(r, e, "loop guard")
		}
		s.items = append(s.items, item{rec: r, event: e, scope: j})
		return nil
	case identity.Background:
		s.overhear(r, e)
		return nil
	case identity.Park:
		s.verdicts[r.Key] = bus.Verdict{Fate: bus.Park, Tag: j.Tag, At: j.Until}
		if j.Reply != "" {
			s.g.metrics.ignored(e.Where.Channel, "pairing")
			return s.reply(e, noticeKey(r, "pair"), j.Reply)
		}
		return nil
	case identity.Answer:
		s.verdicts[r.Key] = bus.Verdict{Fate: bus.Ack}
		if err := s.ended(r); err != nil {
			return err
		}
		return s.reply(e, noticeKey(r, "gate"), j.Reply)
	}
	if m, ok := e.Content.(channels.Moved); ok {
		return s.moved(ctx, r, e, m)
	}
	return s.ignored(r, e, j.Reason)
}

// moved gives the room's session to its new id.
func (s *sitting) moved(ctx context.Context, r bus.Record, e channels.Event, m channels.Moved) error {
	s.verdicts[r.Key] = bus.Verdict{Fate: bus.Ack, Reason: "conversation moved"}
	if m.To == "" || e.Room.Direct {
		return nil
	}
	to := e.Where
	to.Conversation = m.To
	workspace := s.g.workspaceOf(e.Where.Channel)
	if s.g.memory != nil { // before the commit: done again it does no harm
		if err := s.g.memory.Move(ctx, workspace, e.Where.Order(), to.Order()); err != nil {
			return err
		}
	}
	w, err := s.g.book.Move(ctx, workspace, e.Where, to)
	s.state, s.decided = append(s.state, w...), true
	return err
}

// pointless says which events pass the gate but start nothing.
func pointless(c channels.Content) (string, bool) {
	switch c := c.(type) {
	case channels.Message, channels.Command, channels.Press:
		return "", false
	case channels.Edit:
		return "", c.Text == ""
	default:
		return channels.ContentType(c) + " starts no turn", true
	}
}

func (s *sitting) ignored(r bus.Record, e channels.Event, why string) error {
	s.verdicts[r.Key] = bus.Verdict{Fate: bus.Ack, Reason: why}
	s.g.metrics.ignored(e.Where.Channel, channels.ContentType(e.Content))
	s.g.log.Debug("event ignored", "channel", e.Where.Channel, "event", e.Key, "kind", channels.ContentType(e.Content), "err", why)
	if e.Room.Direct {
		return s.ended(r)
	}
	return nil
}

func (s *sitting) overhear(r bus.Record, e channels.Event) {
	s.verdicts[r.Key] = bus.Verdict{Fate: bus.Ack, Reason: "not addressed"}
	if _, ok := e.Content.(channels.Message); ok {
		s.heard = append(s.heard, session.Heard{Seq: r.Seq, Event: e})
	}
}

// ended notes that an event without a turn is done with, for those who wait
// for its answer.
func (s *sitting) ended(r bus.Record) error {
	now := s.g.now()
	v, err := json.Marshal(turnRecord{Events: []string{r.Key}, Began: now, Ended: now})
	if err != nil {
		return err
	}
	s.state = append(s.state, bus.Write{Space: turnSpace, Key: turnID(r.Channel, r.Account, r.Key), Value: v})
	return nil
}

// setAside makes a dead letter of an event that has failed or ended the process
// again and again, and tells the person, if it was one who may be answered.
func (s *sitting) setAside(r bus.Record, e channels.Event, j identity.Judgement) error {
	s.verdicts[r.Key] = bus.Verdict{Fate: bus.Dead, Reason: fmt.Sprintf("not settled in %d attempts", attempts(r)-1)}
	if j.Do != identity.Run {
		return nil
	}
	if err := s.ended(r); err != nil {
		return err
	}
	return s.reply(e, noticeKey(r, "aside"), textSetAside)
}

// reply puts a short answer of the gateway itself into the outbox.
func (s *sitting) reply(e channels.Event, key, markdown string) error {
	out := s.outbound(e)
	out.Markdown = markdown
	r, err := delivery.Record(s.g.workspaceOf(e.Where.Channel), key, out)
	s.emit = append(s.emit, r)
	return err
}

// outbound is an empty answer to an event, addressed to where it belongs.
func (s *sitting) outbound(e channels.Event) delivery.Outbound {
	if to := s.g.elsewhere(e.Where.Channel); to != nil {
		return delivery.Outbound{To: *to, Made: s.g.now()}
	}
	return delivery.Outbound{To: e.Where, Direct: e.Room.Direct, ReplyTo: quoted(e), Via: e.Via, Made: s.g.now()}
}

// elsewhere is the place where a channel's answers go, if they do not go back.
func (g *Gateway) elsewhere(id channels.ID) *channels.Address {
	if l := g.line(id); l != nil {
		return l.config().ReplyTo
	}
	return nil
}

// quoted is the message that an answer refers to: in rooms, where several
// people speak, the one that asked.
func quoted(e channels.Event) channels.MessageID {
	if e.Room.Direct {
		return ""
	}
	switch c := e.Content.(type) {
	case channels.Message:
		return c.ID
	case channels.Edit:
		return c.ID
	case channels.Command:
		return c.ID
	default:
		return ""
	}
}

// noticeKey names an answer of the gateway itself. It begins as the replies of
// turns do, for those who read the replies to an event.
func noticeKey(r bus.Record, what string) string {
	return turnID(r.Channel, r.Account, r.Key) + "/r-" + what
}

// settleFor bounds the last word on a lease. It is said even when the work was
// cut off: what is done is done.
const settleFor = 3 * time.Second

// settle commits everything.
func (s *sitting) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleFor)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.heard) > 0 {
		w, err := s.g.book.Overheard(ctx, s.heard[0].Event.Where, s.heard)
		if err != nil {
			return err
		}
		s.state = append(s.state, w...)
	}
	err := s.g.bus.Settle(ctx, s.lease, bus.Outcome{Verdicts: s.verdicts, Emit: s.emit, State: s.state})
	if err == nil {
		s.g.settled.ring()
		if len(s.emit) > 0 && s.stopping.Err() != nil {
			s.g.late.Store(true)
		}
	}
	return err
}

// release frees what was parked for somebody who has been let in. What fails
// here is completed by the housekeeping.
func (s *sitting) release(ctx context.Context) {
	s.unpauseMissed(ctx)
	for _, p := range s.passed {
		if err := s.g.finishPairing(context.WithoutCancel(ctx), p); err != nil {
			s.g.log.Error("release what a stranger wrote", "channel", p.Where.Channel, "err", err)
		}
	}
}

// giveBack ends the lease as if it had never been taken.
func (s *sitting) giveBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleFor)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	v := map[string]bus.Verdict{}
	for _, r := range s.lease.Records {
		v[r.Key] = bus.Verdict{Fate: bus.Release}
	}
	_ = s.g.bus.Settle(ctx, s.lease, bus.Outcome{Verdicts: v}) // else the lease expires by itself
}

// again lets the event that failed be tried once more after a pause. The others
// of the lease wait behind it, and their attempts do not count.
func (s *sitting) again(ctx context.Context, cause error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleFor)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.g.log.Error("a conversation could not be worked on; it will be tried again", "conversation", s.lease.Order, "err", cause)
	v := map[string]bus.Verdict{}
	first := true
	for _, r := range s.lease.Records {
		v[r.Key] = bus.Verdict{Fate: bus.Release}
		if r.Key == s.current || s.current == "" && first {
			pause := min(runAgain<<min(max(attempts(r)-1, 0), 8), runAgainMost)
			v[r.Key] = bus.Verdict{Fate: bus.Retry, At: s.g.now().Add(pause), Reason: "internal failure"}
		}
		first = false
	}
	if err := s.g.bus.Settle(ctx, s.lease, bus.Outcome{Verdicts: v}); err != nil && !errors.Is(err, bus.ErrLeaseLost) {
		s.g.log.Error("settle; the work will be done again", "conversation", s.lease.Order, "err", err)
	}
}

// join takes in what arrived in the conversation meanwhile.
func (s *sitting) join(ctx context.Context) error {
	s.mu.Lock()
	more, err := s.g.bus.Hold(ctx, s.lease, bus.Hold{Join: true})
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.admit(ctx, more)
}

// hold stores things under the lease while a turn runs.
func (s *sitting) hold(ctx context.Context, h bus.Hold) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.g.bus.Hold(ctx, s.lease, h)
	return err
}

// gather takes the items that head's turn may answer out of the waiting ones.
func (s *sitting) gather(head item, mode QueueMode, already int) (taken []item) {
	taken, s.items = split(s.items, head, mode, already)
	return taken
}

// split finds the items that head's turn may answer: head, and what the same
// person added. Nothing is taken across that person's own command, whose place
// in the order means something. One thing, such as an album, is not cut in two
// by the limit, within reason.
func split(items []item, head item, mode QueueMode, already int) (taken, rest []item) {
	closed := false
	for _, it := range items {
		if closed || it.scope.Scope != head.scope.Scope {
			rest = append(rest, it)
			continue
		}
		goesOn := len(taken) > 0 && oneThing(taken[len(taken)-1].event, it.event)
		n := already + len(taken)
		switch {
		case !joinable(it.event),
			len(taken) > 0 && mode == Followup && !goesOn,
			n >= maxGathered && !goesOn, n >= 2*maxGathered:
			closed = true
			rest = append(rest, it)
		default:
			taken = append(taken, it)
		}
	}
	return taken, rest
}

// joinable reports whether an event may be answered together with others.
func joinable(e channels.Event) bool {
	if _, command := commandOf(e); command {
		return false
	}
	_, message := e.Content.(channels.Message)
	_, edit := e.Content.(channels.Edit)
	return message || edit
}

// events are what the agent sees of items: not the paths by which they are
// answered.
func events(items []item) []channels.Event {
	out := make([]channels.Event, len(items))
	for i, it := range items {
		out[i] = it.event
		out[i].Via, out[i].Raw = nil, nil
	}
	return out
}

// applyEdits puts corrected texts in the place of those they correct; an edit
// of a message that was answered before stands for itself.
func applyEdits(all []channels.Event) []channels.Event {
	out := make([]channels.Event, 0, len(all))
	for _, e := range all {
		edit, ok := e.Content.(channels.Edit)
		if !ok {
			out = append(out, e)
			continue
		}
		i := slices.IndexFunc(out, func(o channels.Event) bool {
			m, ok := o.Content.(channels.Message)
			return ok && m.ID == edit.ID
		})
		if i < 0 {
			out = append(out, e)
			continue
		}
		m := out[i].Content.(channels.Message) //nolint:forcetypeassert // IndexFunc saw it
		m.Text = edit.Text
		out[i].Content = m
	}
	return out
}

// sessionOf reads what a turn needs to know of its session.
func (s *sitting) sessionOf(ctx context.Context, it item) (session.ID, session.Meta, []agent.Entry, error) {
	id := session.Of(it.scope.Scope)
	meta, err := s.g.book.Meta(ctx, id)
	if err != nil {
		return id, meta, nil, err
	}
	history, err := s.g.book.History(ctx, id, meta)
	return id, meta, history, err
}
