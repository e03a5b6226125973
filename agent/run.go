package agent

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/vault/leak"
)

// Model is a configured model. Values are not changed after [New].
type Model struct {
	Provider  Provider // nil: no model, see [NoModel]
	Kind      string   // the provider's name, such as "openai"
	Title     string   // the provider's name for people; "": Kind
	Secret    string   // name of the secret that holds its key, for advice; "": it needs none
	Name      string   // the provider's name for the model
	Price     Price
	Context   int      // tokens that a request may have; 0: 32,000
	MaxOutput int      // tokens; 0: the provider's default
	Vision    bool     // it takes images
	Fallbacks []string // names of other configured models, tried in this order
}

// Options set up an [Agent].
type Options struct {
	Models map[string]Model // by configured name; "default" is used by turns that name none
	Tools  []Tool
	Voice  *Voice           // nil: nobody writes recordings down
	Now    func() time.Time // nil: time.Now
	Log    *slog.Logger     // nil: nothing is logged
	Limits Limits
	Leaks  *leak.Guard // hides secrets in what the model is told; nil: nothing is hidden
	Recall Recall
}

// Voice is who writes recordings down. Of Model, the name, kind and price count.
type Voice struct {
	Transcriber Transcriber
	Model       Model
}

// Limits bound a turn. Zero values take the defaults.
type Limits struct {
	Rounds   int           // model calls that ask for tools; 12
	Calls    int           // tool calls of one answer; 16
	Tool     time.Duration // one tool call, or one transcription; 2 min
	Fetch    time.Duration // one attachment; 1 min
	RetryFor time.Duration // from the first failure of a model call until it is given up; 90 s
	Backoff  time.Duration // the first wait between tries, doubled each time; 500 ms
}

func (l Limits) withDefaults() Limits {
	l.Rounds = orElse(l.Rounds, 12)
	l.Calls = orElse(l.Calls, 16)
	l.Tool = orElse(l.Tool, 2*time.Minute)
	l.Fetch = orElse(l.Fetch, time.Minute)
	l.RetryFor = orElse(l.RetryFor, 90*time.Second)
	l.Backoff = orElse(l.Backoff, 500*time.Millisecond)
	return l
}

func orElse[T int | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// Agent runs turns. It is safe for concurrent use and keeps nothing between
// turns; a changed configuration makes a new one.
type Agent struct {
	models map[string]Model
	tools  map[string]Tool
	specs  []Spec // in the order of Options.Tools, so that providers can cache
	now    func() time.Time
	log    *slog.Logger
	limits Limits
	leaks  *leak.Guard
	voice  *Voice
	// recollect is what turns are given of memory.
	recollect Recall
}

var _ Runner = (*Agent)(nil)

// New returns an agent. It does no I/O.
func New(o Options) *Agent {
	a := &Agent{models: o.Models, tools: map[string]Tool{}, now: o.Now, log: o.Log, limits: o.Limits.withDefaults(), leaks: o.Leaks, voice: o.Voice, recollect: o.Recall}
	if a.now == nil {
		a.now = time.Now
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	for _, t := range o.Tools {
		s := t.Spec()
		a.tools[s.Name] = t
		a.specs = append(a.specs, s)
	}
	return a
}

// candidates are the models to try for a turn, the preferred one first.
func (a *Agent) candidates(name string) []Model {
	if name == "" {
		name = "default"
	}
	first := a.models[name]
	var out []Model
	seen := map[string]bool{}
	for _, n := range append([]string{name}, first.Fallbacks...) {
		if m := a.models[n]; m.Provider != nil && !seen[n] {
			out = append(out, m)
		}
		seen[n] = true
	}
	return out
}

// run is the state of one turn while it runs, on one goroutine.
type run struct {
	*Agent
	turn   *Turn
	port   Port
	models []Model

	history    []Entry // as sent to the model: from the last summary on
	compacted  bool    // history is to be stored anew
	fresh      []Entry // of this turn, to be appended
	keys       []string
	shown      string   // text of earlier answers of this turn
	partial    string   // what the latest answer that broke off had said
	notes      []string // what the person must be told whatever the model says
	asked      int      // messages with something that the model can read
	nonce      string   // marks the boundaries of untrusted content; "": none yet
	offered    []Spec   // the tools that the gate lets the model know of
	usage      []Usage
	steps      int              // journalled so far
	images     map[string]Image // by blob: what the next request may show
	blind      bool             // the models have refused images
	attached   []channels.File  // what goes out with the answer
	memories   []remembered     // what is told of memory
	unsearched bool             // memory could not be searched
	lastly     ErrorKind        // of the last call that failed
}

// errStop ends a turn that a person has stopped.
var errStop = errors.New("the turn was stopped")

// Run implements [Runner].
func (a *Agent) Run(ctx context.Context, t Turn, p Port) (Result, error) {
	a = a.only(t.Tools)
	t.Seen = Trusted
	r := &run{Agent: a, turn: &t, port: p, models: a.candidates(t.Model)}
	t.Extract = r.extract
	r.offered = r.offers()
	r.history = tidy(sinceSummary(t.History))
	for i := range r.history {
		r.see(r.labelOf(&r.history[i]))
	}
	if len(t.Background) > 0 {
		r.see(Untrusted)
	}
	r.hear(ctx, t.Events)
	r.recall(ctx)
	err := r.loop(ctx)
	var failed *Error
	switch {
	case err == nil:
		return r.done(), nil
	case errors.Is(err, ErrSuspended):
		return Result{Suspended: true, Answered: r.keys, Usage: r.usage}, nil
	case errors.Is(err, errStop):
		return r.stopped(), nil
	case errors.As(err, &failed):
		return r.failed(failed), nil
	}
	return Result{}, err
}

// offers are the tools that the model is told of.
func (r *run) offers() []Spec {
	if r.turn.Gate == nil || len(r.specs) == 0 {
		return r.specs
	}
	var out []Spec
	for _, s := range r.specs {
		if r.turn.Gate.Offers(s) {
			out = append(out, s)
		}
	}
	return out
}

// loop asks the model until it has nothing more to do.
func (r *run) loop(ctx context.Context) error {
	if len(r.models) == 0 {
		return &Error{Kind: NoModel, Model: r.turn.Model}
	}
	if r.asked == 0 && len(r.turn.Journal) == 0 {
		return nil // nothing for a model; a note about voice messages may be the answer
	}
	if err := r.replay(ctx); err != nil {
		return r.ended(ctx, err)
	}
	for round := r.firstRound(); ; round++ {
		said, m, err := r.ask(ctx)
		if err != nil {
			return r.ended(ctx, err)
		}
		calls := said.calls
		if said.finish != CallTools {
			calls = nil
		}
		r.fresh = append(r.fresh, Entry{At: r.now(), Role: Assistant, Text: said.text, Calls: calls, Model: m.Name, Label: kept(r.turn.Seen)})
		r.shown = join(r.shown, said.text)
		if len(calls) == 0 {
			return r.conclude(said, m)
		}
		if err := r.useTools(ctx, round, calls); err != nil {
			return r.ended(ctx, err)
		}
		if round+1 >= r.limits.Rounds {
			r.notes = append(r.notes, sayTooManyRounds(r.limits.Rounds))
			return nil
		}
	}
}

// ended tells a stop by a person from other ends of the context.
func (r *run) ended(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	if cause := context.Cause(ctx); !errors.Is(cause, ErrStopped) {
		return cause
	}
	return errStop
}

// conclude looks at how the last answer ended.
func (r *run) conclude(said answer, m Model) error {
	switch {
	case said.finish == CutOff:
		r.notes = append(r.notes, sayCutOff)
	case said.finish == Refused && strings.TrimSpace(r.shown) == "":
		r.notes = append(r.notes, sayRefused)
	case strings.TrimSpace(r.shown) == "" && len(r.attached) == 0:
		r.dropLast()
		return &Error{Kind: Garbled, Provider: m.Kind, Model: m.Name, Err: errEmpty}
	}
	return nil
}

var errEmpty = errors.New("the answer was empty")

// dropLast takes back the entry of an answer that had nothing in it.
func (r *run) dropLast() { r.fresh = r.fresh[:len(r.fresh)-1] }

func (r *run) done() Result {
	text := r.cite(r.shown)
	for _, n := range r.notes {
		text = join(text, n)
	}
	if n := len(r.fresh); n > 0 && r.fresh[n-1].Role != Assistant {
		// Nothing was asked, or the rounds ran out after a tool's result: the
		// history says what the person was told.
		r.fresh = append(r.fresh, Entry{At: r.now(), Role: Assistant, Text: last(r.notes)})
	}
	return r.result(text, nil)
}

// stopped keeps what there was. The person knows that it is not all.
func (r *run) stopped() Result {
	text := join(r.shown, r.partial)
	r.fresh = append(r.fresh, Entry{At: r.now(), Role: Assistant, Text: join(r.partial, noteStopped), Label: kept(r.turn.Seen)})
	return r.result(text, nil)
}

// failed answers with what there was and an honest line.
func (r *run) failed(e *Error) Result {
	text := join(r.shown, r.partial)
	line := ReplyFor(e, r.titled(e))
	if text != "" {
		line = sayBrokeOff + " " + line
	}
	for _, n := range r.notes {
		line = join(line, n)
	}
	r.fresh = append(r.fresh, Entry{At: r.now(), Role: Assistant, Text: join(r.partial, noteFailed), Label: kept(r.turn.Seen)})
	return r.result(join(text, line), e)
}

// titled is the model of which an error is; the zero Model when it is of none.
func (r *run) titled(e *Error) Model {
	for _, c := range r.models {
		if c.Kind == e.Provider && c.Name == e.Model {
			return c
		}
	}
	return Model{}
}

func (r *run) result(text string, failed *Error) Result {
	res := Result{Answered: r.keys, Usage: r.usage, Failed: failed}
	if strings.TrimSpace(text) != "" || len(r.attached) > 0 {
		res.Replies = []Reply{{Markdown: text, Files: r.attached}}
	}
	if r.compacted {
		res.Entries = append(res.Entries, r.history...)
	}
	for _, e := range tidy(r.fresh) {
		res.Entries = append(res.Entries, unsealed(e))
	}
	return res
}

// unsealed leaves out what providers want to see again: it matters within a
// turn only.
func unsealed(e Entry) Entry {
	if len(e.Calls) == 0 {
		return e
	}
	calls := make([]ToolCall, len(e.Calls))
	copy(calls, e.Calls)
	for i := range calls {
		calls[i].Sealed = nil
	}
	e.Calls = calls
	return e
}

// join puts a blank line between two texts that are there.
func join(a, b string) string {
	switch {
	case strings.TrimSpace(a) == "":
		return b
	case strings.TrimSpace(b) == "":
		return a
	}
	return a + "\n\n" + b
}

func last(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[len(s)-1]
}
