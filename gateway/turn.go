package gateway

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
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
// To the agent it is a stop: it tells what was spent until then.
var errInterrupted = fmt.Errorf("interrupted: %w", agent.ErrStopped)

// turn runs one turn for the head of the items, and what is gathered with it.
// It can be stopped from the moment it is begun.
func (s *sitting) turn(ctx context.Context) error {
	settings := s.g.settings()
	head := s.items[0]
	if attempts(head.rec) > alone {
		settings.Queue = Followup // whoever is to blame, it takes no others with it
	}
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	leave := s.g.running.add(head.event.Where.Order(), &run{scope: head.scope.Scope, head: head.rec.Seq, began: s.g.now(), cancel: cancel})
	defer leave()
	s.tab = s.g.spend.open(settings.DailySpend)
	defer s.tab.close()
	taken, t, result, err := s.passes(running, settings, head)
	leave()
	if err != nil && errors.Is(context.Cause(running), agent.ErrStopped) && !errors.Is(err, bus.ErrLeaseLost) {
		if len(taken) == 0 {
			taken = s.gather(head, settings.Queue, 0)
		}
		t, result, err = s.unbegun(head), agent.Result{Usage: result.Usage}, nil
	}
	if err != nil {
		return err
	}
	return s.conclude(ctx, taken, t, result)
}

// passes runs the agent until it comes to an end without being interrupted.
func (s *sitting) passes(ctx context.Context, settings AgentSettings, head item) ([]item, *sat, agent.Result, error) {
	if err := s.complete(ctx, settings.Queue); err != nil {
		return nil, nil, agent.Result{}, err
	}
	first := settings.Queue
	if first == Followup && attempts(head.rec) <= alone && s.g.now().Sub(head.rec.Published) > longWait {
		first = Collect // what came while the gateway was away is answered together
	}
	taken := s.gather(head, first, 0)
	var spent []agent.Usage
	for {
		result, t, err := s.once(ctx, settings, taken)
		result.Usage = append(spent, result.Usage...)
		if !errors.Is(err, errInterrupted) {
			return taken, t, result, err
		}
		spent = result.Usage
		taken = append(taken, s.gather(head, settings.Queue, len(taken))...)
	}
}

// sat is a turn that is being run, with what belongs to it.
type sat struct {
	agent.Turn
	session session.ID
	began   time.Time
	stopped bool
	forget  []bus.Write // the overheard messages that it takes up
	steps   []string    // keys of what an earlier run journalled
	port    *port
}

// unbegun is a turn that was stopped before the agent saw it.
func (s *sitting) unbegun(head item) *sat {
	t := &sat{session: session.Of(head.scope.Scope), began: s.g.now(), stopped: true, port: &port{}}
	t.Turn = agent.Turn{ID: idOf(head), Scope: head.scope.Scope, Where: head.event.Where, Room: head.event.Room}
	return t
}

func idOf(head item) string { return turnID(head.rec.Channel, head.rec.Account, head.rec.Key) }

// once runs the agent once over what was taken.
func (s *sitting) once(ctx context.Context, settings AgentSettings, taken []item) (agent.Result, *sat, error) {
	t, err := s.prepare(ctx, settings, taken)
	if err != nil {
		return agent.Result{}, t, err
	}
	t.Budget = s.tab.budget()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t.port = s.newPort(ctx, cancel, t, settings, taken)
	failpoint.Hit(failpoint.TurnBefore)
	result, err := runSafely(ctx, settings.Runner, t.Turn, t.port)
	failpoint.Hit(failpoint.TurnAfter)
	t.port.close()
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, errInterrupted), errors.Is(cause, bus.ErrLeaseLost), errors.Is(cause, errPanicked):
		return result, t, cause
	case err != nil:
		return result, t, fmt.Errorf("turn %s: %w", t.ID, err)
	}
	t.stopped = errors.Is(cause, agent.ErrStopped)
	if errors.Is(cause, errLeft) {
		result.Replies = nil
	}
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
		ID: idOf(head), Scope: head.scope.Scope,
		Where: head.event.Where, Room: head.event.Room, Events: applyEdits(events(taken)), History: history,
		Model: settings.Model, Instructions: settings.Instructions, Note: s.circumstances(taken),
		Attempt: attempts(head.rec), Files: files{g: s.g, at: head.event.Where},
	}
	s.furnish(&t.Turn, head)
	if meta.Model != "" {
		t.Model = meta.Model
	}
	if settings.Gate != nil {
		t.Gate = settings.Gate(t.Scope)
	}
	if !head.event.Room.Direct {
		if t.Background, t.forget, err = s.g.book.Background(ctx, head.event.Where, s.heardBefore(head)); err != nil {
			return nil, err
		}
		if t.Background, err = s.around(ctx, head.event, t.Background); err != nil {
			return nil, err
		}
	}
	// Also at the first attempt: a turn that was given back, or interrupted, has
	// a journal, and its attempt did not count.
	if t.Journal, t.steps, err = s.journal(ctx, t.ID); err != nil {
		return nil, err
	}
	return t, nil
}

// around puts the talk of the room before the background of a thread that the
// event itself opens: there, all that was said before stands in the room. The
// room keeps it, for the next thread.
func (s *sitting) around(ctx context.Context, e channels.Event, inThread []channels.Event) ([]channels.Event, error) {
	m, ok := e.Content.(channels.Message)
	if !ok || e.Where.Thread == "" || string(m.ID) != string(e.Where.Thread) {
		return inThread, nil
	}
	room := e.Where
	room.Thread = ""
	talk, _, err := s.g.book.Background(ctx, room, nil)
	if err != nil {
		return nil, err
	}
	talk = slices.DeleteFunc(talk, func(x channels.Event) bool { return x.At.After(e.At) })
	all := slices.Concat(talk, inThread)
	return all[max(0, len(all)-session.MaxBackground):], nil
}

// heardBefore are the overheard messages of this sitting that came before an
// event.
func (s *sitting) heardBefore(head item) []session.Heard {
	i, _ := slices.BinarySearchFunc(s.heard, head.rec.Seq, func(h session.Heard, seq int64) int { return cmp.Compare(h.Seq, seq) })
	return s.heard[:i]
}

// circumstances tells the model when messages had to wait for long.
func (s *sitting) circumstances(taken []item) string {
	if age := s.g.now().Sub(taken[0].rec.Published); age > longWait {
		return fmt.Sprintf("These messages waited for %s. Answer them together.", age.Round(time.Minute))
	}
	return ""
}

// longWait is the age from which a message is answered with an excuse.
const longWait = 15 * time.Minute

// stepRow is how a step is kept.
type stepRow struct {
	agent.Step
	At time.Time `json:"at"`
}

func stepKey(turn string, i int) string { return fmt.Sprintf("%s/%06d", turn, i) }

// journal reads what earlier runs of the turn have journalled.
func (s *sitting) journal(ctx context.Context, turn string) (steps []agent.Step, keys []string, err error) {
	rows, err := s.g.bus.List(ctx, stepSpace, turn+"/", "", 0)
	if err != nil {
		return nil, nil, fmt.Errorf("journal: %w", err)
	}
	for _, r := range rows {
		var st stepRow
		if err := json.Unmarshal(r.Value, &st); err != nil {
			return nil, nil, fmt.Errorf("journal: %w", err)
		}
		steps, keys = append(steps, st.Step), append(keys, r.Key)
	}
	return steps, keys, nil
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
func (s *sitting) conclude(ctx context.Context, taken []item, t *sat, result agent.Result) error {
	if result.Suspended {
		return s.suspend(taken, t, result)
	}
	first := len(taken) // those that had been waiting
	taken = append(taken, t.port.joined...)
	keys := make([]string, len(taken))
	for i, it := range taken {
		keys[i] = it.rec.Key
		s.verdicts[it.rec.Key] = bus.Verdict{Fate: bus.Ack}
		if i > 0 {
			s.state = append(s.state, bus.Write{Space: gatheredSpace, Key: idOf(it), Value: []byte(t.ID)})
		}
	}
	if err := s.answer(ctx, taken[:first], t, result); err != nil {
		return err
	}
	for i := range result.Entries { // they are told to a model again
		result.Entries[i].Text = s.g.leaks.Redact("", result.Entries[i].Text)
	}
	s.digest(ctx, t, result)
	for _, it := range taken {
		if err := s.keepDocuments(ctx, it); err != nil {
			return err
		}
	}
	history, err := s.g.book.Append(t.session, taken[0].rec.Seq, result.Entries)
	if err != nil {
		return err
	}
	refs, err := s.remembered(ctx, result.Entries, history)
	if err != nil {
		return err
	}
	s.state = append(append(append(s.state, history...), refs...), t.forget...)
	if t.forget != nil {
		s.heard = s.heard[len(s.heardBefore(taken[0])):]
	}
	s.g.recordCalls(t.ID, t.Scope, result.Usage)
	s.state = append(s.state, s.g.spend.record(t.ID, t.Scope, result.Usage, s.tab)...)
	for _, i := range t.port.steps {
		t.steps = append(t.steps, stepKey(t.ID, i))
	}
	for _, k := range t.steps {
		s.state = append(s.state, bus.Write{Space: stepSpace, Key: k})
	}
	for _, step := range t.port.heard {
		s.state = append(s.state, s.g.approvals.Done(t.ID, step))
	}
	return s.recorded(t, keys, result)
}

// recorded keeps what remains of a turn.
func (s *sitting) recorded(t *sat, keys []string, result agent.Result) error {
	rec := turnRecord{Session: t.session, Events: keys, Began: t.began, Ended: s.g.now(), Stopped: t.stopped}
	if result.Failed != nil {
		rec.Failed = string(result.Failed.Kind)
		s.g.log.Warn("turn without a full answer", "channel", t.Where.Channel, "turn", t.ID, "err", result.Failed)
	}
	v, err := json.Marshal(rec)
	s.state = append(s.state, bus.Write{Space: turnSpace, Key: t.ID, Value: v})
	return err
}

// answer makes the outbox records of a turn's replies. There is always one,
// unless a person stopped the turn before there was anything to see.
func (s *sitting) answer(ctx context.Context, waited []item, t *sat, result agent.Result) error {
	replies := slices.DeleteFunc(slices.Clone(result.Replies), func(r agent.Reply) bool {
		return strings.TrimSpace(r.Markdown) == "" && len(r.Files) == 0
	})
	if len(replies) == 0 {
		if t.stopped {
			drafted, err := s.drafted(ctx, t)
			if err != nil || !drafted {
				return err // the answer to /stop is the answer
			}
			replies = []agent.Reply{{}} // an end for what can be seen
		} else {
			replies = []agent.Reply{{Markdown: textNoAnswer}}
		}
	}
	if t.stopped {
		replies[0].Markdown = strings.TrimSpace(replies[0].Markdown + "\n\n*(stopped)*")
	}
	replies[0].Markdown = gatheredNote(waited, t.began) + replies[0].Markdown
	head := waited[0].event
	for i, r := range replies {
		out := s.outbound(head)
		out.Markdown, out.Plain = s.g.leaks.Redact(out.To.Order(), r.Markdown), r.Plain
		out.Files, out.Buttons, out.Turn = sendable(r.Files), r.Buttons, t.ID
		if i == 0 { // an earlier run may have shown a draft, whatever this one did
			out.Stage = delivery.Final
		} else {
			out.ReplyTo = ""
		}
		rec, err := delivery.Record(t.Scope.Workspace(), fmt.Sprintf("%s/r%03d", t.ID, i), out)
		if err != nil {
			return err
		}
		refs, err := delivery.References(rec, out)
		if err != nil {
			return err
		}
		s.emit, s.state = append(s.emit, rec), append(s.state, refs...)
	}
	return nil
}

// sinkOf names the place where the pieces of a secret could come together:
// everybody who reads the conversation sees all of its messages.
func sinkOf(e channels.Event) string { return e.Where.Order() }

// drafted reports whether this or an earlier run of the turn has shown a draft.
func (s *sitting) drafted(ctx context.Context, t *sat) (bool, error) {
	if t.port.drafted {
		return true, nil
	}
	all, err := s.g.bus.Replies(ctx, string(t.Where.Channel), draftRecord(t.ID))
	return len(all) > 0, err
}

// draftRecord is the key of a turn's first draft in the outbox.
func draftRecord(turn string) string { return turn + "/0" }

// gatheredNote says that one answer is meant for several messages, where that
// is not plain to see: they had been waiting when the turn began.
func gatheredNote(waited []item, began time.Time) string {
	n := countThings(waited)
	if n < 2 {
		return ""
	}
	if began.Sub(waited[0].rec.Published) > longWait {
		return fmt.Sprintf(textGatheredLate, n)
	}
	return fmt.Sprintf(textGathered, n)
}
