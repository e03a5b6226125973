package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/delivery"
	"github.com/gatehouse-chat/gatehouse/gateway/session"
	"github.com/gatehouse-chat/gatehouse/internal/failpoint"
)

// The spaces of the state that turns write.
const (
	turnSpace     = "turn"     // turn id -> turnRecord
	gatheredSpace = "gathered" // own turn id of a gathered event -> turn that answered it
	stepSpace     = "step"     // turn id / index -> agent.Step
)

// turnID names the turn that an event starts. It is the same after a crash, so
// that whatever a turn emits again is recognised.
func turnID(channel, account, key string) string {
	h := sha256.Sum256([]byte(channel + "\x00" + account + "\x00" + key))
	return hex.EncodeToString(h[:12])
}

// turnRecord is what remains of a turn.
type turnRecord struct {
	Session session.ID `json:"session"`
	Events  []string   `json:"events"`
	Began   time.Time  `json:"began"`
	Ended   time.Time  `json:"ended"`
	Failed  string     `json:"failed,omitempty"`
	Stopped bool       `json:"stopped,omitempty"`
}

// errInterrupted is the cause of a turn that starts over with what was added.
var errInterrupted = errors.New("interrupted")

// turn runs one turn for the head of the items, and what is gathered with it.
func (s *sitting) turn(ctx context.Context) error {
	settings := s.g.settings()
	if err := s.complete(ctx, settings.Queue); err != nil {
		return err
	}
	head := s.items[0]
	taken := s.gather(head, settings.Queue, 0)
	for {
		result, t, err := s.once(ctx, settings, taken)
		if errors.Is(err, errInterrupted) {
			taken = append(taken, s.gather(head, settings.Queue, len(taken))...)
			continue
		}
		if err != nil {
			return err
		}
		return s.conclude(taken, t, result)
	}
}

// sat is a turn that is being run, with what belongs to it.
type sat struct {
	agent.Turn
	session session.ID
	began   time.Time
	stopped bool
	forget  []bus.Write // the overheard messages that it takes up
	port    *port
}

// once runs the agent once over what was taken.
func (s *sitting) once(ctx context.Context, settings AgentSettings, taken []item) (agent.Result, *sat, error) {
	t, err := s.prepare(ctx, settings, taken)
	if err != nil {
		return agent.Result{}, t, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	head := taken[0]
	defer s.g.running.add(head.event.Where.Order(), &run{scope: head.scope.Scope, began: t.began, cancel: cancel})()
	t.port = s.newPort(ctx, cancel, t, settings, taken)
	failpoint.Hit(failpoint.TurnBefore)
	result, err := runSafely(ctx, settings.Runner, t.Turn, t.port)
	failpoint.Hit(failpoint.TurnAfter)
	t.port.close()
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, errInterrupted), errors.Is(cause, bus.ErrLeaseLost):
		return result, t, cause
	case err != nil:
		return result, t, fmt.Errorf("turn %s: %w", t.ID, err)
	}
	t.stopped = errors.Is(cause, agent.ErrStopped)
	s.g.metrics.turn(s.g.now().Sub(t.began), result.Failed)
	return result, t, nil
}

// prepare collects what the agent needs to know.
func (s *sitting) prepare(ctx context.Context, settings AgentSettings, taken []item) (*sat, error) {
	head := taken[0]
	id, meta, history, err := s.sessionOf(ctx, head)
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	t := &sat{session: id, began: s.g.now()}
	t.Turn = agent.Turn{
		ID: turnID(head.rec.Channel, head.rec.Account, head.rec.Key), Scope: head.scope.Scope,
		Where: head.event.Where, Room: head.event.Room, Events: applyEdits(events(taken)), History: history,
		Model: settings.Model, Instructions: settings.Instructions, Note: s.circumstances(taken),
		Allowance: s.g.spend.left(settings.DailySpend), Attempt: head.rec.Attempt,
	}
	if meta.Model != "" {
		t.Model = meta.Model
	}
	if !head.event.Room.Direct {
		if t.Background, t.forget, err = s.g.book.Background(ctx, head.event.Where); err != nil {
			return nil, err
		}
	}
	if head.rec.Attempt > 1 {
		if t.Journal, err = s.journal(ctx, t.ID); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// circumstances tells the model when messages had to wait for long.
func (s *sitting) circumstances(taken []item) string {
	if age := s.g.now().Sub(taken[0].rec.Published); age > longWait {
		return fmt.Sprintf("The gateway was away: these messages waited for %s. Answer them together.", age.Round(time.Minute))
	}
	return ""
}

// longWait is the age from which a message is answered with an excuse.
const longWait = 15 * time.Minute

func (s *sitting) journal(ctx context.Context, turn string) ([]agent.Step, error) {
	rows, err := s.g.bus.List(ctx, stepSpace, turn+"/", "", 0)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	var steps []agent.Step
	for _, r := range rows {
		var st agent.Step
		if err := json.Unmarshal(r.Value, &st); err != nil {
			return nil, fmt.Errorf("journal: %w", err)
		}
		steps = append(steps, st)
	}
	return steps, nil
}

var errAgentPanicked = errors.New("the agent panicked")

// runSafely shields the process from a runner that panics.
func runSafely(ctx context.Context, r agent.Runner, t agent.Turn, p *port) (res agent.Result, err error) {
	defer func() {
		if v := recover(); v != nil {
			p.s.g.log.Error("agent panicked", "turn", t.ID, "err", v, "stack", string(debug.Stack()))
			err = errAgentPanicked
		}
	}()
	return r.Run(ctx, t, p)
}

// conclude turns a result into verdicts, replies, history and records.
func (s *sitting) conclude(taken []item, t *sat, result agent.Result) error {
	taken = append(taken, t.port.joined...)
	keys := make([]string, len(taken))
	for i, it := range taken {
		keys[i] = it.rec.Key
		s.verdicts[it.rec.Key] = bus.Verdict{Fate: bus.Ack}
		if i > 0 {
			own := turnID(it.rec.Channel, it.rec.Account, it.rec.Key)
			s.state = append(s.state, bus.Write{Space: gatheredSpace, Key: own, Value: []byte(t.ID)})
		}
	}
	if err := s.answer(taken, t, result); err != nil {
		return err
	}
	history, err := s.g.book.Append(t.session, taken[0].rec.Seq, result.Entries)
	if err != nil {
		return err
	}
	s.state = append(append(s.state, history...), t.forget...)
	s.state = append(s.state, s.g.spend.record(t.ID, t.Scope, result.Usage)...)
	rec := turnRecord{Session: t.session, Events: keys, Began: t.began, Ended: s.g.now(), Stopped: t.stopped}
	if result.Failed != nil {
		rec.Failed = string(result.Failed.Kind)
		s.g.log.Warn("turn without a full answer", "channel", t.Where.Channel, "turn", t.ID, "err", result.Failed)
	}
	v, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	for _, i := range t.port.steps {
		s.state = append(s.state, bus.Write{Space: stepSpace, Key: stepKey(t.ID, i)})
	}
	s.state = append(s.state, bus.Write{Space: turnSpace, Key: t.ID, Value: v})
	return nil
}

// answer makes the outbox records of a turn's replies. There is always one,
// unless a person stopped the turn before there was anything to see.
func (s *sitting) answer(taken []item, t *sat, result agent.Result) error {
	replies := result.Replies
	switch {
	case t.stopped && len(replies) == 0 && !t.port.drafted:
		return nil // the answer to /stop is the answer
	case len(replies) == 0:
		replies = []agent.Reply{{Markdown: textNoAnswer}}
	}
	if t.stopped {
		replies[0].Markdown = strings.TrimSpace(replies[0].Markdown + "\n\n*(stopped)*")
	}
	if note := gatheredNote(taken, t.port.joined, s.g.now()); note != "" {
		replies[0].Markdown = note + replies[0].Markdown
	}
	head := taken[0].event
	for i, r := range replies {
		out := delivery.Outbound{
			To: head.Where, Direct: head.Room.Direct, Markdown: r.Markdown, Plain: r.Plain, Files: r.Files,
			Buttons: r.Buttons, Via: head.Via, Turn: t.ID, Made: s.g.now(),
		}
		if i == 0 {
			out.ReplyTo = quoted(head)
			if t.port.streams {
				out.Stage = delivery.Final
			}
		}
		rec, err := delivery.Record(s.g.dir.Workspace(), fmt.Sprintf("%s/r%03d", t.ID, i), out)
		if err != nil {
			return err
		}
		s.emit = append(s.emit, rec)
	}
	return nil
}

// gatheredNote says that one answer is meant for several messages, where that
// is not plain to see: they had been waiting before the turn began.
func gatheredNote(taken, joined []item, now time.Time) string {
	n := countThings(taken[:len(taken)-len(joined)])
	if n < 2 {
		return ""
	}
	if now.Sub(taken[0].rec.Published) > longWait {
		return fmt.Sprintf(textGatheredLate, n)
	}
	return fmt.Sprintf(textGathered, n)
}
