package agent

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// answer is one complete answer of a model.
type answer struct {
	text   string
	calls  []ToolCall
	finish Finish
}

var errNoFinish = errors.New("the stream ended without a finish")

// maxTries bounds one question, whatever the waits.
const maxTries = 20

// candidate is a model and when it may be asked again.
type candidate struct {
	Model
	ready time.Time
}

// ask gets one answer, from the preferred model if it can be had.
//
// A try goes through the models in order. Those that failed for good (a wrong
// key, an unknown model) are left out of the next try; before it there is a
// wait, which grows, and each model's Retry-After is honoured. When the time is
// up, the preferred model's failure is the one that is told, since its fix
// helps most.
func (r *run) ask(ctx context.Context) (answer, Model, error) {
	left := make([]candidate, 0, len(r.models))
	for _, m := range r.models {
		left = append(left, candidate{Model: m})
	}
	var first *Error
	var until time.Time
	shortened := false
	sign := notice{at: r.now().Add(tellAfter)}
	for try := 0; ; try++ {
		again := left[:0:0]
		for _, c := range left {
			if c.ready.After(r.now()) {
				again = append(again, c)
				continue
			}
			if err := r.steer(ctx); err != nil {
				return answer{}, Model{}, err
			}
			said, err := r.attempt(ctx, c.Model, &shortened)
			if err == nil {
				r.partial = ""
				r.overcome(sign, said)
				return said, c.Model, nil
			}
			if ctx.Err() != nil {
				return answer{}, Model{}, err
			}
			failed := asError(err, c.Model)
			r.logFailure(failed, try)
			if first == nil || same(c.Model, r.models[0]) {
				first = failed
			}
			if failed.Temporary() {
				c.ready = r.now().Add(failed.RetryAfter)
				again = append(again, c)
			}
		}
		left = again
		if until.IsZero() {
			until = r.now().Add(r.limits.RetryFor)
		}
		wait := r.nextWait(left, try)
		if len(left) == 0 || try+1 >= maxTries || r.now().Add(wait).After(until) {
			return answer{}, Model{}, first
		}
		if err := r.rest(ctx, wait, &sign, first, until); err != nil {
			return answer{}, Model{}, err
		}
	}
}

// tellAfter is how long a model may give no answer before the person sees more
// than that the bot is at work.
const tellAfter = 15 * time.Second

// notice is the line that says so, once in a question.
type notice struct {
	at   time.Time
	done bool
}

// rest waits before the next try, and shows the notice when its time has come.
// It stands where the answer will: the answer, or the failure, takes its place.
func (r *run) rest(ctx context.Context, wait time.Duration, sign *notice, e *Error, until time.Time) error {
	next := r.now().Add(wait)
	if sign.done || sign.at.After(next) {
		return sleep(ctx, wait)
	}
	if err := sleep(ctx, sign.at.Sub(r.now())); err != nil {
		return err
	}
	sign.done = true
	r.port.Draft(join(join(r.shown, r.partial), sayTrying(e, r.titled(e), until.Sub(r.now()))))
	return sleep(ctx, next.Sub(r.now()))
}

// overcome takes the notice back where the answer that came at last has no text
// that would take its place.
func (r *run) overcome(sign notice, said answer) {
	if sign.done && strings.TrimSpace(said.text) == "" {
		r.port.Draft(join(r.shown, sayGoesOn))
	}
}

func same(a, b Model) bool { return a.Kind == b.Kind && a.Name == b.Name }

// nextWait is the backoff, or longer if no model may be asked before.
func (r *run) nextWait(left []candidate, try int) time.Duration {
	wait := time.Duration(-1)
	for _, c := range left {
		if d := c.ready.Sub(r.now()); wait < 0 || d < wait {
			wait = d
		}
	}
	return max(wait, r.backoff(try))
}

// attempt makes one call; a context that does not fit is shortened once in a
// question, and the call made again.
func (r *run) attempt(ctx context.Context, m Model, shortened *bool) (answer, error) {
	r.look(ctx, m)
	req := r.request(m)
	if len(r.history) > 0 && !*shortened && tokensOf(&req) > budget(m) {
		*shortened = true
		if err := r.compact(ctx, m, false); err != nil {
			return answer{}, err
		}
		req = r.request(m)
	}
	said, err := r.call(ctx, m, req)
	if asError(err, m).kind() == BadRequest && len(r.images) > 0 {
		// It may be the images that it does not take, or one of them.
		r.blind = true
		said, err = r.call(ctx, m, r.request(m))
	}
	if asError(err, m).kind() == TooLong && !*shortened && len(r.history) > 0 {
		*shortened = true
		if err := r.compact(ctx, m, true); err != nil {
			return answer{}, err
		}
		return r.call(ctx, m, r.request(m))
	}
	return said, err
}

// steer takes in what the speaker has added meanwhile.
func (r *run) steer(ctx context.Context) error {
	more, err := r.port.Next(ctx)
	if err != nil {
		return err
	}
	r.hear(ctx, more)
	r.turn.Events = append(slices.Clip(r.turn.Events), more...)
	return nil
}

// call asks one model once and streams what it says to the draft.
func (r *run) call(ctx context.Context, m Model, req ModelRequest) (answer, error) {
	estimate := tokensOf(&req)
	spent, err := r.reserve(ctx, m, &req, estimate)
	if err != nil {
		return answer{}, err
	}
	cost := 0.0
	defer func() { spent(cost) }()
	var (
		said  answer
		text  strings.Builder
		usage *Usage
	)
	prefix := r.shown
	if prefix != "" {
		prefix += "\n\n"
	}
	for d, err := range m.Provider.Stream(ctx, req) {
		if err != nil {
			r.keepPartial(text.String())
			if text.Len() > 0 || usage != nil {
				cost = r.account(m, usage, estimate, text.Len())
			}
			return answer{}, err
		}
		if d.Text != "" {
			text.WriteString(d.Text)
			r.draft(prefix, text.String())
		}
		if d.Call != nil {
			said.calls = append(said.calls, *d.Call)
		}
		if d.Usage != nil {
			usage = d.Usage
		}
		if d.Finish != "" {
			said.finish = d.Finish
			break
		}
	}
	said.text = text.String()
	cost = r.account(m, usage, estimate, text.Len())
	if said.finish == "" {
		r.keepPartial(said.text)
		return answer{}, &Error{Kind: Interrupted, Provider: m.Kind, Model: m.Name, Err: errNoFinish}
	}
	return said, nil
}

// keepPartial remembers what an answer had said when it broke off. A later try
// that says nothing does not take its place.
func (r *run) keepPartial(text string) {
	if strings.TrimSpace(text) != "" {
		r.partial = text
	}
}

func (r *run) draft(prefix, text string) {
	if prefix == "" {
		r.port.Draft(text)
		return
	}
	r.port.Draft(prefix + text)
}

// account books a call and returns what it cost. Where the provider gave no
// figures they are estimated.
func (r *run) account(m Model, u *Usage, input, output int) float64 {
	booked := Usage{Input: input, Output: output/4 + 1, Guessed: true}
	if u != nil {
		booked = *u
	}
	booked.At, booked.Provider, booked.Model = r.now(), m.Kind, m.Name
	booked.USD = m.Price.Of(booked)
	booked.Guessed = booked.Guessed || m.Price.Guessed
	r.usage = append(r.usage, booked)
	return booked.USD
}

// logFailure says why a call failed; as a detail when it was tried again and
// failed as before.
func (r *run) logFailure(e *Error, try int) {
	again := try > 0 && e.Kind == r.lastly
	r.lastly = e.Kind
	l := r.log.With("turn", r.turn.ID, "provider", e.Provider, "model", e.Model, "kind", string(e.Kind), "attempt", try+1, "err", e)
	if slices.Contains([]ErrorKind{Unauthorized, UnknownModel, Quota, BadRequest}, e.Kind) {
		l.Error("model call failed")
		return
	}
	if again {
		l.Debug("model call failed again")
		return
	}
	l.Warn("model call failed")
}

// backoff grows from Limits.Backoff to 16 s, and is spread by a quarter.
func (r *run) backoff(try int) time.Duration {
	d := min(r.limits.Backoff<<min(try, 10), 16*time.Second)
	return d - d/8 + rand.N(d/4+1) //nolint:gosec // a wait needs no secret
}

// sleep returns the cause when the context ends first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// asError makes every failure of a provider an *Error; nil stays nil.
func asError(err error, m Model) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		known := *e
		known.Provider, known.Model = m.Kind, m.Name
		return &known
	}
	return &Error{Kind: Interrupted, Provider: m.Kind, Model: m.Name, Err: err}
}

func (e *Error) kind() ErrorKind {
	if e == nil {
		return ""
	}
	return e.Kind
}
