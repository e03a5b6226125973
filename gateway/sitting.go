package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
	runAgain     = 3 * time.Second
)

// work is how the inbox and its urgent lane are worked off.
func (g *Gateway) work(queue string, parallel int) bus.Work {
	return bus.Work{
		Want: bus.Want{Queue: queue, For: sittingLease}, Parallel: parallel, Grace: sittingGrace, Log: g.log,
		Do: func(stopping, work context.Context, l *bus.Lease) {
			s := &sitting{g: g, lease: l, stopping: stopping, verdicts: map[string]bus.Verdict{}}
			s.run(work)
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
}

// item is an event that passed the gate.
type item struct {
	rec   bus.Record
	event channels.Event
	scope identity.Judgement
}

func (s *sitting) run(ctx context.Context) {
	err := s.sit(ctx)
	switch {
	case err == nil:
		err = s.settle(ctx)
	case errors.Is(err, bus.ErrLeaseLost), s.stopping.Err() != nil:
		s.giveBack(ctx)
		return
	default:
		s.again(ctx, err)
		return
	}
	if err != nil && !errors.Is(err, bus.ErrLeaseLost) && ctx.Err() == nil {
		s.g.log.Error("settle; the work will be done again", "conversation", s.lease.Order, "err", err)
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
	switch c := s.items[0].event.Content.(type) {
	case channels.Command:
		return s.command(ctx, s.items[0], c)
	case channels.Press:
		return s.press(ctx, s.items[0], c)
	default:
		return s.turn(ctx)
	}
}

// admit decodes and judges records, resolves those that may not act, and adds
// the others to the items.
func (s *sitting) admit(ctx context.Context, records []bus.Record) error {
	s.looked = s.g.now()
	for _, r := range records {
		if _, known := s.verdicts[r.Key]; known {
			continue
		}
		if r.Attempt > maxAttempts {
			s.setAside(r)
			continue
		}
		var e channels.Event
		if err := json.Unmarshal(r.Body, &e); err != nil {
			s.verdicts[r.Key] = bus.Verdict{Fate: bus.Dead, Reason: "unreadable: " + err.Error()}
			continue
		}
		l := s.g.line(channels.ID(r.Channel))
		if l == nil {
			s.verdicts[r.Key] = bus.Verdict{Fate: bus.Dead, Reason: "the channel is no longer configured"}
			continue
		}
		j, err := s.g.dir.Judge(ctx, e, l.config().Policy)
		if err != nil {
			return fmt.Errorf("judge: %w", err)
		}
		if err := s.resolve(ctx, r, e, j); err != nil {
			return err
		}
	}
	return nil
}

// resolve applies a judgement; what may run becomes an item.
func (s *sitting) resolve(ctx context.Context, r bus.Record, e channels.Event, j identity.Judgement) error {
	s.state = append(s.state, j.State...)
	switch j.Do {
	case identity.Run:
		if why, skip := pointless(e.Content); skip {
			s.ignored(r, e, why)
			return nil
		}
		s.items = append(s.items, item{rec: r, event: e, scope: j})
		return nil
	case identity.Background:
		return s.overhear(ctx, r, e)
	case identity.Park:
		s.verdicts[r.Key] = bus.Verdict{Fate: bus.Park, Tag: j.Tag, At: j.Until}
		if j.Reply != "" {
			s.g.metrics.ignored(e.Where.Channel, "pairing")
			return s.reply(e, noticeKey(r, "pair"), j.Reply)
		}
	case identity.Answer:
		s.verdicts[r.Key] = bus.Verdict{Fate: bus.Ack}
		return s.reply(e, noticeKey(r, "gate"), j.Reply)
	default:
		s.ignored(r, e, j.Reason)
	}
	return nil
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

func (s *sitting) ignored(r bus.Record, e channels.Event, why string) {
	s.verdicts[r.Key] = bus.Verdict{Fate: bus.Ack, Reason: why}
	s.g.metrics.ignored(e.Where.Channel, channels.ContentType(e.Content))
	s.g.log.Debug("event ignored", "channel", e.Where.Channel, "event", e.Key, "kind", channels.ContentType(e.Content), "err", why)
}

func (s *sitting) overhear(ctx context.Context, r bus.Record, e channels.Event) error {
	s.verdicts[r.Key] = bus.Verdict{Fate: bus.Ack, Reason: "not addressed"}
	if _, ok := e.Content.(channels.Message); !ok {
		return nil
	}
	w, err := s.g.book.Overheard(ctx, r.Seq, e)
	s.state = append(s.state, w...)
	return err
}

// setAside makes a dead letter of an event that has ended the process again
// and again, and tells the person.
func (s *sitting) setAside(r bus.Record) {
	s.verdicts[r.Key] = bus.Verdict{Fate: bus.Dead, Reason: fmt.Sprintf("not settled in %d attempts", r.Attempt-1)}
	var e channels.Event
	if json.Unmarshal(r.Body, &e) == nil {
		_ = s.reply(e, noticeKey(r, "aside"), textSetAside)
	}
}

// reply puts a short answer of the gateway itself into the outbox.
func (s *sitting) reply(e channels.Event, key, markdown string) error {
	r, err := delivery.Record(s.g.dir.Workspace(), key, delivery.Outbound{
		To: e.Where, Direct: e.Room.Direct, Markdown: markdown, ReplyTo: quoted(e), Via: e.Via, Made: s.g.now(),
	})
	s.emit = append(s.emit, r)
	return err
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
	}
	return ""
}

func noticeKey(r bus.Record, what string) string {
	return turnID(r.Channel, r.Account, r.Key) + "/" + what
}

// settle commits everything.
func (s *sitting) settle(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.g.bus.Settle(ctx, s.lease, bus.Outcome{Verdicts: s.verdicts, Emit: s.emit, State: s.state})
	if err == nil {
		s.g.settled.ring()
	}
	return err
}

// settleFor bounds the last word on a lease when the gateway stops.
const settleFor = 3 * time.Second

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

// again lets everything be tried once more after a failure of our own.
func (s *sitting) again(ctx context.Context, cause error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleFor)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.g.log.Error("a conversation could not be worked on; it will be tried again", "conversation", s.lease.Order, "err", cause)
	at := s.g.now().Add(runAgain)
	v := map[string]bus.Verdict{}
	for _, r := range s.lease.Records {
		v[r.Key] = bus.Verdict{Fate: bus.Retry, At: at, Reason: "internal failure"}
	}
	_ = s.g.bus.Settle(ctx, s.lease, bus.Outcome{Verdicts: v})
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

// gather takes the items that head's turn may answer out of the waiting ones:
// head, and what the same person added. Nothing is taken across that person's
// own command, whose place in the order means something.
func (s *sitting) gather(head item, mode QueueMode, already int) []item {
	var taken, rest []item
	closed := false
	for _, it := range s.items {
		same := it.scope.Scope == head.scope.Scope
		switch {
		case closed || !same || already+len(taken) >= maxGathered:
			rest = append(rest, it)
		case !joinable(it.event),
			len(taken) > 0 && mode == Followup && !oneThing(taken[len(taken)-1].event, it.event):
			closed = true
			rest = append(rest, it)
		default:
			taken = append(taken, it)
		}
	}
	s.items = rest
	return taken
}

// joinable reports whether an event may be answered together with others.
func joinable(e channels.Event) bool {
	switch e.Content.(type) {
	case channels.Message, channels.Edit:
		return true
	}
	return false
}

func events(items []item) []channels.Event {
	out := make([]channels.Event, len(items))
	for i, it := range items {
		out[i] = it.event
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
