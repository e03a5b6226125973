package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/approval"
	"github.com/gatehouse-chat/gatehouse/gateway/blob"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/delivery"
	"github.com/gatehouse-chat/gatehouse/internal/failpoint"
)

// The rhythm of a turn's signs of life.
const (
	slowAfter  = 300 * time.Millisecond // an instant answer costs no extra call
	draftAfter = time.Second
	keepEvery  = sittingLease / 3
	firstDraft = 24 // characters worth showing
	lastSign   = 5 * time.Second
	freshFor   = 50 * time.Millisecond // after which it is worth asking whether there is more
)

// port is how a running turn reaches the gateway. Beside the turn run its
// keeper, which extends the lease, and the signs of life: typing and drafts.
type port struct {
	s       *sitting
	t       *sat
	head    item
	mode    QueueMode
	cancel  context.CancelCauseFunc
	streams bool // the answer is shown while it grows
	taken   int  // messages that the turn began with

	joined  []item // what Next returned
	steps   []int  // journalled
	drafted bool   // a first draft was put into the outbox

	rules    string             // version of the policy
	question *approval.Question // that suspends the turn
	standing bool               // it was asked by an earlier run
	heard    []int              // steps whose answers were heard
	why      string             // it is asked

	mu    sync.Mutex
	text  string
	fresh chan struct{} // holds a token when text has changed

	end  context.CancelFunc
	slow *time.Timer // starts what an instant answer does not need
	all  sync.WaitGroup
}

var _ agent.Port = (*port)(nil)

func (s *sitting) newPort(ctx context.Context, cancel context.CancelCauseFunc, t *sat, settings AgentSettings, taken []item) *port {
	head := taken[0]
	p := &port{s: s, t: t, head: head, mode: settings.Queue, taken: len(taken), cancel: cancel, rules: settings.Rules, fresh: make(chan struct{}, 1)}
	ctx, p.end = context.WithCancel(ctx)
	parts := []func(){func() { p.keep(ctx) }}
	l := s.g.line(head.event.Where.Channel)
	if l == nil || l.config().ReplyTo != nil { // whoever reads the answer did not ask
		p.startSlow(parts)
		return p
	}
	feat := l.ch.Features(head.event.Where)
	if typer, ok := channels.As[channels.Typer](l.ch); ok && feat.TypingFor > 0 {
		parts = append(parts, func() { p.typing(ctx, typer, feat.TypingFor) })
	}
	_, live := channels.As[channels.Drafter](l.ch)
	p.streams = l.config().Stream && feat.Drafts && !live
	every := max(feat.DraftEvery, 100*time.Millisecond)
	if p.streams {
		parts = append(parts, func() { p.show(ctx, l.courier, every, false) })
	}
	p.startSlow(parts)
	if live {
		p.start(func() { p.show(ctx, l.courier, every, true) })
	}
	return p
}

// startSlow runs parts once the turn has lasted for slowAfter: most turns are
// over before, and a goroutine that only waits for their end is not free.
func (p *port) startSlow(parts []func()) {
	p.all.Add(1)
	p.slow = time.AfterFunc(slowAfter, func() {
		defer p.all.Done()
		for _, f := range parts {
			p.start(f)
		}
	})
}

// start runs one of the port's parts. One that panics ends the turn, which is
// then tried again, and not the process.
func (p *port) start(f func()) {
	p.all.Go(func() {
		defer func() {
			if v := recover(); v != nil {
				p.s.g.log.Error("a part of a turn panicked", "turn", p.t.ID, "err", v, "stack", string(debug.Stack()))
				p.cancel(errPanicked)
			}
		}()
		f()
	})
}

// close ends the signs of life and waits until nothing of them is under way,
// so that no draft can overtake the final.
func (p *port) close() {
	p.end()
	if p.slow.Stop() {
		p.all.Done()
	}
	p.all.Wait()
}

// keep extends the lease while the turn runs, and in the mode interrupt looks
// for what was added.
func (p *port) keep(ctx context.Context) {
	every, wait := keepEvery, keepEvery-slowAfter
	if p.mode == Interrupt {
		every, wait = slowAfter, 0
	}
	for ; pause(ctx, wait) == nil; wait = every {
		var err error
		if p.mode == Interrupt {
			err = p.s.join(ctx)
		} else {
			err = p.s.hold(ctx, bus.Hold{})
		}
		if err == nil {
			err = p.s.g.stands(ctx, p.t.Scope)
		}
		switch {
		case errors.Is(err, bus.ErrLeaseLost), errors.Is(err, errLeft):
			p.cancel(err)
			return
		case err != nil && ctx.Err() == nil:
			p.s.g.log.Warn("extend a lease", "turn", p.t.ID, "err", err)
		case p.mode == Interrupt && p.waiting() > 0:
			p.cancel(errInterrupted)
			return
		}
	}
}

// waiting counts what the turn would take in if it started over.
func (p *port) waiting() int {
	more, _ := split(p.s.items, p.head, p.mode, p.taken)
	return len(more)
}

// Next implements agent.Port.
func (p *port) Next(ctx context.Context) ([]channels.Event, error) {
	if p.mode != Steer || p.taken+len(p.joined) >= maxGathered || p.s.g.now().Sub(p.s.looked) < freshFor {
		return nil, nil
	}
	if err := p.s.join(ctx); err != nil {
		return nil, err
	}
	more := p.s.gather(p.head, p.mode, p.taken+len(p.joined))
	p.joined = append(p.joined, more...)
	return events(more), nil
}

// Draft implements agent.Port.
func (p *port) Draft(markdown string) {
	p.mu.Lock()
	p.text = markdown
	p.mu.Unlock()
	select {
	case p.fresh <- struct{}{}:
	default:
	}
}

func (p *port) latest() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text
}

// Journal implements agent.Port.
func (p *port) Journal(ctx context.Context, st agent.Step) error {
	v, err := json.Marshal(stepRow{Step: st, At: p.s.g.now()})
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if st.Result != nil {
		failpoint.Hit(failpoint.JournalAfter)
	}
	p.steps = append(p.steps, st.Index)
	key := stepKey(p.t.ID, st.Index)
	w := []bus.Write{{Space: stepSpace, Key: key, Value: v}}
	for _, b := range st.Blobs {
		ref, err := blob.Refer(blob.ID(b), blob.Holder{Space: stepSpace, Key: key}, p.s.g.now())
		if err != nil {
			return fmt.Errorf("journal: %w", err)
		}
		w = append(w, ref)
	}
	begins := st.Result == nil && !st.Waiting
	if begins {
		// Before it is journalled: a call may be on record that a crash prevented,
		// but none is made that is not.
		if err := p.s.g.recordTool(ctx, p.t.ID, p.t.Scope, st); err != nil {
			return fmt.Errorf("journal: %w", err)
		}
	}
	err = p.s.hold(ctx, bus.Hold{State: w})
	if err == nil && begins {
		failpoint.Hit(failpoint.JournalBefore)
	}
	return err
}

// typing shows that the bot is at work until the turn ends.
func (p *port) typing(ctx context.Context, t channels.Typer, lasts time.Duration) {
	wait := time.Duration(0)
	for pause(ctx, wait) == nil {
		call, cancel := context.WithTimeout(ctx, lasts)
		err := typeSafely(call, t, p.head.event.Where)
		cancel()
		wait = max(lasts*4/5, channels.RetryAfter(err))
	}
}

// typeSafely shields a turn from an adapter that panics: nobody needs to see
// that the bot is at work.
func typeSafely(ctx context.Context, t channels.Typer, at channels.Address) (err error) {
	defer func() {
		if recover() != nil {
			err = errPanicked
		}
	}()
	return t.Type(ctx, at)
}

// show lets the answer be seen while it grows: a first message through the
// outbox, whose ref the final replaces, and lossy edits of it; or, where the
// channel can, directly.
func (p *port) show(ctx context.Context, c courier, every time.Duration, live bool) {
	if !live {
		if pause(ctx, draftAfter-slowAfter) != nil {
			return
		}
	}
	shown := ""
	for {
		select {
		case <-p.fresh:
		case <-ctx.Done():
			return
		}
		text := p.latest()
		if text != shown && (live || p.drafted || len(text) >= firstDraft) {
			if err := p.showOnce(ctx, c, text, live); err != nil && ctx.Err() == nil {
				p.s.g.log.Debug("draft", "turn", p.t.ID, "err", err)
			}
			shown = text
		}
		if pause(ctx, every) != nil {
			return
		}
	}
}

// courier is what shows drafts.
type courier interface {
	Update(ctx context.Context, workspace string, o delivery.Outbound) error
}

func (p *port) showOnce(ctx context.Context, c courier, text string, live bool) error {
	head := p.head.event
	text = p.s.g.leaks.RedactDraft(sinkOf(head), text)
	if strings.TrimSpace(text) == "" {
		return nil
	}
	out := delivery.Outbound{
		To: head.Where, Direct: head.Room.Direct, Markdown: text, ReplyTo: quoted(head), Via: head.Via,
		Turn: p.t.ID, Stage: delivery.Draft, Made: p.s.g.now(),
	}
	if !live && !p.drafted {
		rec, err := delivery.Record(p.t.Scope.Workspace(), draftRecord(p.t.ID), out)
		if err != nil {
			return err
		}
		if err := p.s.hold(ctx, bus.Hold{Emit: []bus.Record{rec}}); err != nil {
			return err
		}
		p.drafted = true
		return nil
	}
	// The call may outlive the turn by a little: an edit that was cut off on
	// its way could still arrive, after the final.
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSign)
	defer cancel()
	return c.Update(call, p.t.Scope.Workspace(), out)
}
