package gateway

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
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
