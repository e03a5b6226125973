package trial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// Contract tries what the gateway relies on. It takes the manifest's own tests
// and changes what the platform answers.
func Contract(ctx context.Context, s Subject) []Result {
	all := []Result{{Name: "its tests cover what it is for", Err: covered(s.Manifest)}}
	for i, t := range s.Manifest.Tests {
		name := nameOf(i, t)
		if t.Error != "" {
			continue
		}
		switch t.Op {
		case "poll", "http_request", "start":
			all = append(all, Result{Test: name, Name: name + ": events are whole, and have the same keys when they come again", Err: s.sameKeys(ctx, t)})
		case "send", "edit":
			all = append(all, s.failures(ctx, name, t)...)
		}
		all = append(all, Result{Test: name, Name: name + ": both engines agree", Err: s.agree(ctx, t)})
	}
	return all
}

// covered wants a test for each thing without which a channel is none.
func covered(m *module.Manifest) error {
	var missing []string
	has := func(op string) bool {
		return slices.ContainsFunc(m.Tests, func(t module.Test) bool { return t.Op == op && t.Error == "" })
	}
	if !has("send") {
		missing = append(missing, "send")
	}
	if !has("poll") && !has("http_request") && !has("socket_message") {
		missing = append(missing, "poll, http_request or socket_message")
	}
	if slices.Contains(m.Kind, "tool") {
		if missing = nil; !has("tool_execute") {
			missing = []string{"tool_execute"}
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("the manifest has no test of %q that succeeds", missing) //nolint:err113 // for people
	}
	return nil
}

// sameKeys makes a test twice. An event is recognised by its key: one that
// changes would be answered twice.
func (s Subject) sameKeys(ctx context.Context, t module.Test) error {
	var seen []string
	for range 2 {
		r, err := s.call(ctx, s.Compiled, t)
		if err != nil {
			return err
		}
		var keys []string
		for i, e := range r.events {
			var x struct {
				Key   string `json:"key"`
				Type  string `json:"type"`
				Where struct {
					Conversation string `json:"conversation"`
				} `json:"where"`
				Who struct {
					ID string `json:"id"`
				} `json:"who"`
			}
			if err := json.Unmarshal(e, &x); err != nil {
				return fmt.Errorf("event %d: %w", i+1, err)
			}
			if x.Key == "" || x.Type == "" || x.Where.Conversation == "" || x.Who.ID == "" {
				return fmt.Errorf("event %d: it needs a key, a type, where.conversation and who.id", i+1) //nolint:err113 // for people
			}
			keys = append(keys, x.Key)
		}
		if seen != nil && !slices.Equal(seen, keys) {
			return fmt.Errorf("the same input gave the keys %q, and then %q", seen, keys) //nolint:err113 // for people
		}
		seen = append([]string{}, keys...)
	}
	return nil
}

// failures makes a send whose platform fails, and looks at what the guest says of it.
func (s Subject) failures(ctx context.Context, name string, t module.Test) []Result {
	if len(t.HTTP) == 0 {
		return nil
	}
	status := func(n int, header string) func(*host) {
		return func(h *host) {
			h.t.HTTP = []module.Exchange{t.HTTP[0]}
			h.t.HTTP[0].Status, h.t.HTTP[0].Answer = n, "{}"
			if header != "" {
				h.t.HTTP[0].Headers = map[string]string{"retry-after": header}
			}
			h.lax = true // what it asks for next is refused as certainly not carried out
		}
	}
	refused := func(r sandbox.Refusal) func(*host) { return func(h *host) { h.refuse, h.lax = r, true } }
	cases := []struct {
		what string
		set  func(*host)
		want []string
	}{
		{"a request that certainly was not carried out is transient", refused(sandbox.Unavailable), []string{"transient"}},
		{"a request of which nobody knows is ambiguous", refused(sandbox.Timeout), []string{"ambiguous"}},
		{"status 429 is rate_limited", status(429, "7"), []string{"rate_limited"}},
		{"status 401 is unauthorized", status(401, ""), []string{"unauthorized"}},
		{"status 503 is transient or ambiguous", status(503, ""), []string{"transient", "ambiguous", "rate_limited"}},
	}
	var all []Result
	for _, c := range cases {
		h := newHost(s, t)
		c.set(h)
		err := s.fails(ctx, t, h, c.want)
		all = append(all, Result{Test: name, Name: name + ": " + c.what, Err: err, Said: h.said})
	}
	return all
}

func (s Subject) fails(ctx context.Context, t module.Test, h *host, want []string) error {
	op, _ := sandbox.OpNamed(t.Op)
	_, err := s.Compiled.Call(ctx, op, payload(t), h)
	var said *sandbox.GuestError
	switch {
	case errors.As(err, &said) && slices.Contains(want, said.Code):
		return nil
	case errors.As(err, &said):
		return fmt.Errorf("it says %q (%s), want %q", said.Code, said.Message, want) //nolint:err113 // for people
	case err != nil:
		return err
	}
	return fmt.Errorf("it says that all went well, want %q", want) //nolint:err113 // for people
}

// agree makes a test on both engines and compares what came.
func (s Subject) agree(ctx context.Context, t module.Test) error {
	a, errA := s.call(ctx, s.Compiled, t)
	b, errB := s.call(ctx, s.Interpreted, t)
	switch {
	case errA == nil && errB != nil:
		return fmt.Errorf("compiled it works, interpreted %w", errB)
	case errA != nil && errB == nil:
		return fmt.Errorf("interpreted it works, compiled %w", errA)
	}
	if len(a.events) != len(b.events) || a.host.next != b.host.next {
		return fmt.Errorf("compiled it makes %d events and %d requests, interpreted %d and %d", //nolint:err113 // for people
			len(a.events), a.host.next, len(b.events), b.host.next)
	}
	return nil
}
