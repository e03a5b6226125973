package sandbox

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// The interface gw1: a guest imports these functions from "gw" and exports its
// memory and gw1_handle(op, length) -> i32. It fetches the input itself, so that
// the host needs no allocator inside of the guest.

// gatewayFuncs are the functions of "gw".
func gatewayFuncs() []hostFunc {
	return []hostFunc{
		{"input", types("ii"), types("i"), func(c *call, m memory, s []uint64) { s[0] = c.give(m, c.in, s) }},
		{"result", types("ii"), types("i"), func(c *call, m memory, s []uint64) { s[0] = c.give(m, c.result, s) }},
		{"output", types("ii"), nil, func(c *call, m memory, s []uint64) { c.setOutput(m.bytes(s[0], s[1])) }},
		{"call", types("iii"), types("l"), func(c *call, m memory, s []uint64) {
			s[0] = uint64(c.serve(HostOp(uint32(s[0])), m.bytes(s[1], s[2]))) //nolint:gosec // the low half; the bits of an i64
		}},
	}
}

// give copies as much of b as the guest has room for, and tells how much.
func (c *call) give(m memory, b []byte, s []uint64) uint64 {
	to := m.bytes(s[0], min(uint64(uint32(s[1])), uint64(len(b)))) //nolint:gosec // the low half
	c.charge(len(to))
	return uint64(copy(to, b)) //nolint:gosec // not negative
}

func (c *call) setOutput(b []byte) {
	if len(b) > c.lim.Output {
		panic(stopf(KindOutput, "an output of %d bytes, at most %d", len(b), c.lim.Output))
	}
	c.charge(len(b))
	c.out = append(c.out[:0], b...)
}

// serve answers one request. It returns the length of the result, or a
// refusal.
func (c *call) serve(op HostOp, request []byte) int64 {
	c.count(op)
	c.charge(requestCost + len(request))
	c.result = nil
	out, refusal := c.answer(op, request)
	if refusal != 0 {
		return int64(refusal)
	}
	c.result = out
	c.charge(len(out))
	return int64(len(out))
}

// count bounds how often the host is asked.
func (c *call) count(op HostOp) {
	if op == HostLog { // bounded by its bytes
		return
	}
	c.lookAtClock()
	if op == HostEmit { // bounded by Limits.Emits
		return
	}
	if c.calls++; c.calls > c.lim.HostCalls {
		panic(stopf(KindCalls, "asked its host more than %d times", c.lim.HostCalls))
	}
}

func (c *call) answer(op HostOp, request []byte) ([]byte, Refusal) {
	in, err := DecodePayload(bytes.Clone(request)) // the guest's memory moves on
	if err != nil {
		return nil, Invalid
	}
	in.Header = slices.Clip(in.Header) // the body stands behind it
	out, err := c.perform(op, in)
	switch refusal := err.(type) { //nolint:errorlint // perform and ask return refusals as they are
	case nil:
	case Refusal:
		return nil, refusal
	default:
		return nil, Unavailable
	}
	framed := out.Encode()
	if len(framed) > c.lim.Response {
		return nil, TooLarge
	}
	return framed, 0
}

// perform does what the sandbox can do itself, and asks the host for the rest.
func (c *call) perform(op HostOp, in Payload) (Payload, error) {
	switch op {
	case HostNow:
		now := time.Now()
		return Payload{Header: fmt.Appendf(nil, `{"unix_ms":%d,"text":%q}`, now.UnixMilli(), now.UTC().Format(clockText))}, nil
	case HostRandom:
		return random(in)
	case HostLog:
		return Payload{}, c.logRequest(in)
	case HostEmit:
		return Payload{}, c.effects.emit(in, c.lim)
	case HostKVPut:
		if k, err := parseKey(in); err != nil || !k.Now {
			return Payload{}, c.effects.put(in, c.lim)
		}
	case HostKVGet:
		if v, ok, err := c.effects.get(in); ok || err != nil {
			return v, err
		}
	case HostSocketSend:
		if c.effects.waits(in) {
			return Payload{}, c.effects.add(op, in, c.lim)
		}
	case HostHTTP:
		if c.requests++; c.requests > c.lim.HTTP {
			return Payload{}, Quota
		}
		if c.effects.waits(in) {
			return Payload{}, c.effects.add(op, in, c.lim)
		}
	case HostSecretExists, HostAttachmentPut, HostToolInvoke, HostSocketClose, HostTimerSet, HostAttachmentRead, HostKVList, HostAttachmentLink:
	default:
		return Payload{}, Invalid
	}
	return c.ask(op, in)
}

// clockText is RFC 3339 with as much of the second as guests are told.
const clockText = "2006-01-02T15:04:05.000Z07:00"

func random(in Payload) (Payload, error) {
	const most = 4096
	var h struct{ Bytes int }
	if json.Unmarshal(in.Header, &h) != nil || h.Bytes < 0 {
		return Payload{}, Invalid
	}
	if h.Bytes > most {
		return Payload{}, TooLarge
	}
	b := make([]byte, h.Bytes)
	_, _ = rand.Read(b) // it never fails
	return Payload{Body: b}, nil
}

func (c *call) logRequest(in Payload) error {
	var h struct{ Level slog.Level }
	if in.Header != nil && json.Unmarshal(in.Header, &h) != nil {
		return Invalid
	}
	c.log(h.Level, in.Body)
	return nil
}

// log passes a text of the guest to the host, line by line.
func (c *call) log(level slog.Level, text []byte) {
	if c.logged += len(text) + 16; c.logged > c.lim.Log {
		panic(stopf(KindLog, "logged more than %d bytes", c.lim.Log))
	}
	if c.host == nil {
		return
	}
	for line := range strings.Lines(strings.ToValidUTF8(string(text), "\uFFFD")) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			c.host.Log(c.Context, min(level, slog.LevelError), line)
		}
	}
}
