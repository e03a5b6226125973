package agenttest

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
)

// keep is how many requests are recorded; a benchmark must not fill the memory.
const keep = 10_000

// Model runs a script in process. Make one with [NewModel]. It is safe for
// concurrent use.
type Model struct {
	mu     sync.Mutex
	script Script
	n      int
	record []*Request
	names  []string
}

var (
	_ agent.Provider = (*Model)(nil)
	_ agent.Lister   = (*Model)(nil)
)

// NewModel returns a model that follows s; nil means [Echo].
func NewModel(s Script) *Model {
	m := &Model{names: []string{"scripted", "scripted-mini"}}
	m.Follow(s)
	return m
}

// Follow changes the script from the next request on, and counts from 1 again.
// nil means [Echo].
func (m *Model) Follow(s Script) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s == nil {
		s = Echo
	}
	m.script, m.n, m.record = s, 0, nil
}

// Requests returns what has been asked so far, oldest first; at most the last 10,000.
func (m *Model) Requests() []*Request {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.record)
}

// Calls counts the requests.
func (m *Model) Calls() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.n
}

// Models implements agent.Lister.
func (m *Model) Models(context.Context) ([]string, error) { return slices.Clone(m.names), nil }

// Stream implements agent.Provider.
func (m *Model) Stream(ctx context.Context, r agent.ModelRequest) iter.Seq2[agent.Delta, error] {
	return func(yield func(agent.Delta, error) bool) {
		req := &Request{Model: r.Model, Stream: true, req: &r}
		a := m.answer(req)
		if err := m.play(ctx, req, &a, yield); err != nil {
			yield(agent.Delta{}, err)
		}
	}
}

// answer records a request and asks the script.
func (m *Model) answer(r *Request) Answer {
	m.mu.Lock()
	m.n++
	r.N, r.At = m.n, time.Now()
	if len(m.record) >= keep {
		m.record = slices.Delete(m.record, 0, keep/2)
	}
	m.record = append(m.record, r)
	script := m.script
	m.mu.Unlock()
	return script(r)
}

func (m *Model) play(ctx context.Context, r *Request, a *Answer, yield func(agent.Delta, error) bool) error {
	fail := func(k agent.ErrorKind, err error) error {
		return &agent.Error{Kind: k, Provider: "scripted", Model: r.Model, Err: err}
	}
	if err := pause(ctx, a.Delay); err != nil {
		return fail(agent.Interrupted, err)
	}
	if a.Status != 0 {
		return refusal(r.Model, a)
	}
	for i, p := range a.pieces() {
		if a.Broken != Whole && i == a.After {
			break
		}
		if err := pause(ctx, a.Each); err != nil {
			return fail(agent.Interrupted, err)
		}
		if i == 1 && a.Hold != nil {
			if err := held(ctx, a.Hold); err != nil {
				return fail(agent.Interrupted, err)
			}
		}
		if !yield(agent.Delta{Text: p}, nil) {
			return nil
		}
	}
	switch a.Broken {
	case Whole:
		return finishInProcess(r, a, yield)
	case Stall:
		<-ctx.Done()
		return fail(agent.Interrupted, context.Cause(ctx))
	case Garbage:
		return fail(agent.Garbled, errors.New("scripted garbage"))
	case InStream:
		return fail(agent.Overloaded, errors.New("scripted error event"))
	}
	return fail(agent.Interrupted, errors.New("scripted break"))
}

func finishInProcess(r *Request, a *Answer, yield func(agent.Delta, error) bool) error {
	for i := range a.Calls {
		if !yield(agent.Delta{Call: &a.Calls[i]}, nil) {
			return nil
		}
	}
	d := agent.Delta{Finish: a.finish()}
	if !a.NoUsage {
		t := a.tokens(r)
		d.Usage = &agent.Usage{Provider: "scripted", Model: r.Model, Input: t.Input, Cached: t.Cached, Output: t.Output}
	}
	yield(d, nil)
	return nil
}

// refusal is what a provider makes of the status and code.
func refusal(model string, a *Answer) error {
	e := &agent.Error{Kind: agent.BadRequest, Provider: "scripted", Model: model, Status: a.Status, Err: errors.New("scripted refusal")}
	switch {
	case a.Code == "insufficient_quota":
		e.Kind = agent.Quota
	case a.Code == "context_length_exceeded":
		e.Kind = agent.TooLong
	case a.Status == http.StatusUnauthorized, a.Status == http.StatusForbidden:
		e.Kind = agent.Unauthorized
	case a.Status == http.StatusNotFound:
		e.Kind = agent.UnknownModel
	case a.Status == http.StatusTooManyRequests:
		e.Kind = agent.RateLimited
	case a.Status >= http.StatusInternalServerError:
		e.Kind = agent.Overloaded
	}
	if s, err := strconv.ParseFloat(a.RetryAfter, 64); err == nil {
		e.RetryAfter = time.Duration(s * float64(time.Second))
	}
	return e
}

// pause waits without holding up an answer that has no delay.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// held waits until an answer may go on.
func held(ctx context.Context, hold <-chan struct{}) error {
	select {
	case <-hold:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
