package trial

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// rounds is how many broken inputs are made of each test.
const rounds = 40

// Hostile gives the guest inputs that nobody should send, made from those of its
// tests. It may refuse them; it must not trap, loop, or exhaust a limit. The
// same seed gives the same inputs.
func Hostile(ctx context.Context, s Subject, seed uint64) []Result {
	var all []Result
	for i, t := range s.Manifest.Tests {
		r := rand.New(rand.NewPCG(seed, uint64(i))) //nolint:gosec // to repeat a run
		res := Result{Test: nameOf(i, t), Name: nameOf(i, t) + ": hostile inputs"}
		for _, in := range broken(r, t) {
			h := newHost(s, t)
			if res.Err = s.survives(ctx, t, h, in); res.Err != nil {
				res.Said = h.said
				break
			}
		}
		all = append(all, res)
	}
	return all
}

// input is what a call gets.
type input struct {
	what string
	sandbox.Payload
}

func broken(r *rand.Rand, t module.Test) []input {
	header, body := payload(t).Header, []byte(t.Body)
	if len(body) == 0 && len(t.HTTP) > 0 {
		body = []byte(t.HTTP[0].Answer)
	}
	all := []input{
		{"no header", sandbox.Payload{}},
		{"an empty header", sandbox.Payload{Header: json.RawMessage("{}"), Body: body}},
		{"an array for a header", sandbox.Payload{Header: json.RawMessage("[]"), Body: body}},
		{"null for a header", sandbox.Payload{Header: json.RawMessage("null"), Body: body}},
		{"no body", sandbox.Payload{Header: header}},
		{"a deep body", sandbox.Payload{Header: header, Body: []byte(strings.Repeat("[", 2000))}},
		{"a body without an end", sandbox.Payload{Header: header, Body: bytes.Repeat([]byte(`{"a":`), 2000)}},
		{"a long text", sandbox.Payload{Header: header, Body: append([]byte(`{"text":"`), bytes.Repeat([]byte("x"), 512<<10)...)}},
		{"bytes that are no text", sandbox.Payload{Header: header, Body: []byte{0xff, 0xfe, 0, 0x80, 0xc0}}},
	}
	for n := range rounds {
		if len(body) > 0 {
			all = append(all, input{fmt.Sprintf("changed body %d", n), sandbox.Payload{Header: header, Body: mutate(r, body)}})
		}
		if h := mutate(r, header); json.Valid(h) {
			all = append(all, input{fmt.Sprintf("changed header %d", n), sandbox.Payload{Header: h, Body: body}})
		}
	}
	return all
}

// mutate changes some bytes, or cuts the end off.
func mutate(r *rand.Rand, b []byte) []byte {
	out := bytes.Clone(b)
	if len(out) == 0 {
		return out
	}
	if r.IntN(4) == 0 {
		return out[:r.IntN(len(out))]
	}
	const pieces = `{}[]",:0129-eEtfn\u`
	for range 1 + r.IntN(4) {
		out[r.IntN(len(out))] = pieces[r.IntN(len(pieces))]
	}
	return out
}

func (s Subject) survives(ctx context.Context, t module.Test, h *host, in input) error {
	h.lax = true
	op, ok := sandbox.OpNamed(t.Op)
	if !ok {
		return nil
	}
	_, err := s.Compiled.Call(ctx, op, in.Payload, h)
	var fault *sandbox.Fault
	if errors.As(err, &fault) {
		return fmt.Errorf("%s: %w", in.what, fault)
	}
	return ctx.Err()
}
