// Package trial tries a guest out before it is trusted with messages: its own
// tests on both engines, what the contract asks of every channel, inputs that
// nobody expects, and how long it takes.
//
// There is no network. What a platform would answer stands in the tests of the
// manifest.
package trial

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// Subject is a guest on trial.
type Subject struct {
	Manifest *module.Manifest
	// Compiled and Interpreted are the same module on both engines; Compiled may be
	// nil where nothing but the tests is made.
	Compiled, Interpreted *sandbox.Module
	// Lists returns nil if the manifest lists a request, for a channel with this
	// configuration, and else says what is missing.
	Lists func(config json.RawMessage, method string, u *url.URL) error
}

// Result is one thing that was tried.
type Result struct {
	Name string
	Test string   // the manifest's test that it was made from; "": none
	Own  bool     // it is that test, as the manifest has it
	Err  error    // nil: it passed
	Said []string // what the guest wrote meanwhile, as far as it is kept
}

// Tests makes the tests of the manifest, each on both engines.
func Tests(ctx context.Context, s Subject) []Result {
	var all []Result
	for i, t := range s.Manifest.Tests {
		for _, e := range s.engines() {
			r, err := s.run(ctx, e.module, t)
			all = append(all, Result{Name: fmt.Sprintf("%s, %s", nameOf(i, t), e.name), Test: nameOf(i, t), Own: true, Err: err, Said: r.host.said})
		}
	}
	return all
}

type engine struct {
	name   string
	module *sandbox.Module
}

func (s Subject) engines() []engine {
	all := []engine{{"compiled", s.Compiled}, {"interpreted", s.Interpreted}}
	if s.Compiled == nil {
		all = all[1:]
	}
	return all
}

func nameOf(i int, t module.Test) string {
	if t.Name != "" {
		return t.Name
	}
	return fmt.Sprintf("test %d (%s)", i+1, t.Op)
}

// ran is what a call of a test did.
type ran struct {
	result sandbox.Result
	host   *host
	events []json.RawMessage
}

// run makes one test and holds what came of it to what it wants.
func (s Subject) run(ctx context.Context, m *sandbox.Module, t module.Test) (ran, error) {
	out, err := s.call(ctx, m, t)
	if err := out.host.fault; err != nil {
		return out, err
	}
	return out, out.judge(t, err)
}

// call makes the call of a test.
func (s Subject) call(ctx context.Context, m *sandbox.Module, t module.Test) (ran, error) {
	h := newHost(s, t)
	op, ok := sandbox.OpNamed(t.Op)
	if !ok {
		h.fault = fmt.Errorf("there is no operation %q", t.Op) //nolint:err113 // for people
		return ran{host: h}, nil
	}
	r, err := m.Call(ctx, op, payload(t), h)
	out := ran{result: r, host: h}
	for _, e := range r.Effects {
		if e.Op == sandbox.HostEmit {
			out.events = append(out.events, e.In.Header)
		}
	}
	return out, err
}

// payload is the input of a test, in the form that the gateway sends.
func payload(t module.Test) sandbox.Payload {
	var b bytes.Buffer
	if json.Compact(&b, t.In) != nil {
		return sandbox.Payload{Header: t.In, Body: []byte(t.Body)} // the call says what is wrong with it
	}
	return sandbox.Payload{Header: b.Bytes(), Body: []byte(t.Body)}
}

// Timing is how long an operation takes.
type Timing struct {
	Name   string
	Median time.Duration
	Fuel   int64
	Calls  int
}

// Speed makes each of the manifest's tests, compiled, for a moment.
func Speed(ctx context.Context, s Subject, moment time.Duration) ([]Timing, error) {
	var all []Timing
	for i, t := range s.Manifest.Tests {
		var took []time.Duration
		var fuel int64
		for began := time.Now(); len(took) < 5 || time.Since(began) < moment && len(took) < 2000; {
			if err := ctx.Err(); err != nil {
				return all, err
			}
			r, _ := s.call(ctx, s.Compiled, t) // whether it passes is said elsewhere
			took, fuel = append(took, r.result.Elapsed), r.result.Fuel
		}
		all = append(all, Timing{Name: nameOf(i, t), Median: median(took), Fuel: fuel, Calls: len(took)})
	}
	return all, nil
}
