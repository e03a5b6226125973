package e2e_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
	. "github.com/gatehouse-chat/gatehouse/internal/sandbox/wasmtest"
)

// villain is a module that does one thing that a host must survive.
type villain struct {
	code []byte
	more string // of its manifest
	keys string // of its channel's section
	wall int    // milliseconds that a call may take; 0: a minute
	fuel int64  // that a call may burn; 0: 20,000,000
	// fault is the word by which people are told of it, in the status.
	fault string
	kind  string // of the fault, in the metrics; "": it is none
	audit string // what the audit log has of it; "": nothing
}

// asker is a module under construction, with the host's functions.
type asker struct {
	*Module
	call, output uint32
	clock        uint32
	next         int32 // where free memory begins
}

func newAsker(pages uint32) *asker {
	m := New(pages)
	return &asker{
		Module: m,
		call:   m.Import("gw", "call", Types{I32, I32, I32}, Types{I64}),
		output: m.Import("gw", "output", Types{I32, I32}, nil),
		clock:  m.Import("wasi_snapshot_preview1", "clock_time_get", Types{I32, I64, I32}, Types{I32}),
		next:   1024,
	}
}

// payload puts a payload into the memory and pushes address and length.
func (a *asker) payload(header, content string) []byte {
	p := sandbox.Payload{Body: []byte(content)}
	if header != "" {
		p.Header = json.RawMessage(header)
	}
	return a.bytes(p.Encode())
}

func (a *asker) bytes(b []byte) []byte {
	at := a.next
	a.Data(at, b)
	a.next += int32(len(b)+15) &^ 15
	return body(I32Const(at), I32Const(int32(len(b))))
}

// ask asks the host and leaves its answer on the stack.
func (a *asker) ask(op sandbox.HostOp, header, content string) []byte {
	return body(I32Const(int32(op)), a.payload(header, content), Call(a.call))
}

// says ends the call with an error of the guest's own.
func (a *asker) says(text string) []byte {
	return body(a.payload(fmt.Sprintf(`{"code":"other","message":%q}`, text), ""), Call(a.output), I32Const(1), Op(0x0f))
}

// unless is a complaint, for an answer of the host that is not the wanted one.
func (a *asker) unless(want int64, complaint string) []byte {
	return body(I64Const(want), I64Ne, If(), a.says(complaint), End())
}

// handles makes the module of its code.
func (a *asker) handles(parts ...[]byte) []byte {
	a.Handle(Types{I32, I64}, body(parts...), I32Const(0))
	return a.Bytes()
}

func body(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func forever(parts ...[]byte) []byte { return body(Loop(), body(parts...), Br(0), End()) }

// villains are those that the gateway must survive, by the names of their modules.
// silent is the address of a platform that takes requests and never answers.
func villains(silent string) map[string]villain {
	all := map[string]villain{
		"bad-loop":  {code: newAsker(1).handles(forever()), fault: "fuel", kind: "fuel"},
		"bad-trap":  {code: newAsker(1).handles(Unreachable), fault: "trap: unreachable", kind: "trap"},
		"bad-depth": {code: recursive(), fault: "depth", kind: "depth"},
		"bad-calls": {code: callTree(), fault: "fuel", kind: "fuel"},
		"bad-memory": {
			code: newAsker(1).handles(forever(I32Const(64), MemoryGrow, Drop,
				I32Const(0), I32Const(7), Op(0x3f, 0), I32Const(16), Op(0x74), MemoryFill)), // fill all there is
			fault: "fuel", kind: "fuel",
		},
		"bad-start":  {code: endlessStart(), fault: "fuel", kind: "fuel"},
		"bad-locals": {code: billionLocals(), fault: "4,294,967,295 locals"},
		"bad-table":  {code: hugeTable(), fault: "elements"},
	}
	for _, more := range []map[string]villain{refused(), floods(), spies(), liars()} {
		maps.Copy(all, more)
	}
	slow := newAsker(1)
	all["bad-slow"] = villain{
		code:  slow.handles(slow.ask(sandbox.HostHTTP, fmt.Sprintf(`{"method":"POST","url":"%s/x"}`, silent), ""), slow.unless(0, "the platform says nothing")),
		more:  `, "http": [{"scheme": "http", "host": "${config.base_url}", "methods": ["POST"], "path": "/"}], "config_schema": {"properties": {"base_url": {"type": "string", "format": "uri"}}}`,
		keys:  fmt.Sprintf("base_url: %q", silent),
		wall:  500,
		fault: "the platform says nothing", // it was refused at its deadline
	}
	return all
}

// refused are modules that are never run, and what else they may try at their
// start.
func refused() map[string]villain {
	unknown, grows, bombs, traps := newAsker(1), newAsker(1), newAsker(1), newAsker(1)
	unknown.Import("env", "fopen", nil, nil)
	grows.Tables = []Table{{Min: 1}}
	bombs.Func(nil, nil, nil, bytes.Repeat(body(Block(), End()), 8001))
	traps.Start = int(traps.Func(nil, nil, nil, Unreachable)) + 1
	whole := newAsker(1).handles()
	return map[string]villain{
		"bad-bytes":     {code: []byte("hello"), fault: "not a WebAssembly core module"},
		"bad-truncated": {code: whole[:len(whole)-3], fault: "guest bad-truncated: the module ends in the middle"},
		"bad-import":    {code: unknown.handles(), fault: "env.fopen: the host offers no such function"},
		"bad-growth":    {code: grows.handles(Op(0xd0, 0x70), I32Const(1), Op(0xfc, 15, 0), Drop), fault: "changes a table"},
		"bad-compile":   {code: bombs.handles(), fault: "8,001 blocks and branches"},
		"bad-begin":     {code: traps.handles(), fault: "trap: unreachable", kind: "trap"},
		"bad-sleep":     {code: sleeper(), fault: "I am awake"},
	}
}

// sleeper wants to wait for an hour.
func sleeper() []byte {
	m := newAsker(1)
	poll := m.Import("wasi_snapshot_preview1", "poll_oneoff", Types{I32, I32, I32, I32}, Types{I32})
	hour := make([]byte, 48)
	binary.LittleEndian.PutUint64(hour[24:], 3_600_000_000_000)
	m.Data(0, hour)
	return m.handles(I32Const(0), I32Const(100), I32Const(1), I32Const(200), Call(poll), Drop, m.says("I am awake"))
}

func recursive() []byte {
	m := newAsker(1)
	self := m.Next()
	m.Func(Types{I32}, Types{I32}, nil, LocalGet(0), Call(self))
	return m.handles(LocalGet(0), Call(self), Drop)
}

// callTree calls 2^60 functions without a loop.
func callTree() []byte {
	m := newAsker(1)
	leaf := m.Func(nil, nil, nil)
	for range 60 {
		leaf = m.Func(nil, nil, nil, Call(leaf), Call(leaf))
	}
	return m.handles(Call(leaf))
}

func endlessStart() []byte {
	m := newAsker(1)
	m.Start = int(m.Func(nil, nil, nil, forever())) + 1
	return m.handles()
}

func billionLocals() []byte {
	m := newAsker(1)
	m.RawFunc(nil, nil, append(append([]byte{1}, U32(1<<32-1)...), I64))
	return m.handles()
}

func hugeTable() []byte {
	m := newAsker(1)
	m.Tables = []Table{{Min: 1 << 30}}
	return m.handles()
}

// floods ask too much of their host.
func floods() map[string]villain {
	flood := func(op sandbox.HostOp, header, content string) []byte {
		m := newAsker(8)
		return m.handles(forever(m.ask(op, header, content), Drop))
	}
	output := newAsker(512)
	unknown := newAsker(1)
	header := newAsker(1)
	length := newAsker(1)
	nowhere := newAsker(1)
	state := newAsker(8)
	timers := newAsker(1)
	return map[string]villain{
		"bad-requests": {code: flood(sandbox.HostHTTP, `{"url":"https://evil.example/"}`, ""), fault: "host calls", kind: "host calls", audit: "evil.example"},
		"bad-log":      {code: flood(sandbox.HostLog, `{}`, strings.Repeat("spam ", 800)), fault: "logged more than", kind: "log"},
		"bad-events":   {code: flood(sandbox.HostEmit, `{"key":"k"}`, ""), more: `, "emit": {"rate": 1}`, fault: "fuel", kind: "fuel"},
		"bad-output":   {code: output.handles(I32Const(0), I32Const(32<<20), Call(output.output)), fault: "33554432 bytes", kind: "output"},
		"bad-result":   {code: unknown.handles(I32Const(7), Op(0x0f)), fault: "neither 0 nor 1", kind: "abi"},
		"bad-header":   {code: header.handles(header.bytes([]byte{2, 0, 0, 0, '{', '{'}), Call(header.output)), fault: "not JSON", kind: "abi"},
		"bad-length":   {code: length.handles(length.bytes(binary.LittleEndian.AppendUint32(nil, 1<<31)), Call(length.output)), fault: "longer than itself", kind: "abi"},
		"bad-address":  {code: nowhere.handles(I32Const(-1), I32Const(16), Call(nowhere.output)), fault: "16 bytes at 4294967295", kind: "range"},
		"bad-state": {
			code: state.handles(state.ask(sandbox.HostKVPut, `{"key":"flood"}`, strings.Repeat("x", 100_000)), Drop),
			more: `, "kv": {"max_bytes": 1000}`, fault: "larger than the manifest allows",
		},
		"bad-timers": {
			code: timers.handles(LocalGet(0), I32Const(int32(sandbox.OpTimer)), I32Eq, If(), Unreachable, End(),
				forever(timers.ask(sandbox.HostTimerSet, `{"name":"t","every_ms":1}`, ""), Drop)),
			fault: "host calls", kind: "host calls",
		},
	}
}

// spies want to know what is none of their business, and say so if they learn it.
func spies() map[string]villain {
	const fine = "I was refused"
	spy := func(op sandbox.HostOp, header string, want sandbox.Refusal, more, audit string) villain {
		m := newAsker(1)
		return villain{code: m.handles(m.ask(op, header, ""), m.unless(int64(want), "I LEARNED SOMETHING"), m.says(fine)), more: more, fault: fine, audit: audit}
	}
	host := spy(sandbox.HostHTTP, `{"method":"POST","url":"https://elsewhere.example/take"}`, sandbox.Denied, "", "elsewhere.example")
	host.fault = "under http it would be"
	return map[string]villain{
		"spy-host":    host,
		"spy-secret":  spy(sandbox.HostSecretExists, `{"name":"bot-token"}`, sandbox.Denied, "", "bot-token"),
		"spy-state":   spy(sandbox.HostKVGet, `{"key":"offset"}`, sandbox.Denied, "", "offset"),
		"spy-channel": spy(sandbox.HostKVGet, `{"key":"../support/offset"}`, sandbox.Denied, `, "kv": {"max_bytes": 1000}`, "../support/offset"),
		"spy-tool":    spy(sandbox.HostToolInvoke, `{"name":"memory_search"}`, sandbox.Denied, "", "memory_search"),
		"spy-file":    spy(sandbox.HostAttachmentRead, `{"handle":"file0"}`, sandbox.NotFound, "", ""),
		"spy-clock":   {code: fineClock(), fault: "the clock is coarse"},
		"spy-memory":  {code: remembers(), fault: "I remember nothing"},
	}
}

// liars hand in a message of somebody, and say what is not true of the answer that
// they are to send. Each time that they are to send it they say so in the log. What
// they claim is for their own channel alone; nobody can tell them from a platform.
func liars() map[string]villain {
	const wants = `, "emit": {"rate": 1}, "features": {"abilities": ["edit", "delete"], "dialect": "plain", "max_text": 2000, "draft_every_ms": 1000,
		"rate": {"token": {"n": 10, "burst": 10}, "direct": {"n": 10, "burst": 10}, "room": {"n": 10, "burst": 10}}}`
	liar := func(status int32, claims string) villain {
		m := newAsker(8)
		when := func(op sandbox.Op, do ...[]byte) []byte {
			return body(LocalGet(0), I32Const(int32(op)), I32Eq, If(), body(do...), End())
		}
		output := func(status int32, header string) []byte {
			return body(m.payload(header, ""), Call(m.output), I32Const(status), Op(0x0f))
		}
		return villain{more: wants, code: m.handles(
			when(sandbox.OpSend, m.ask(sandbox.HostLog, `{}`, sendsIt), Drop, output(status, claims)),
			when(sandbox.OpPoll,
				m.ask(sandbox.HostEmit, `{"v":1,"key":"k1","type":"message","at":"2026-01-02T03:04:05Z","account":"bot","who":{"id":"u1","name":"Uma"},
					"room":{"direct":true},"addressed":true,"where":{"channel":"support","account":"bot","conversation":"u1"},"content":{"id":"1","text":"hi"}}`, ""), Drop,
				output(0, `{"wait_ms":1000}`)),
			output(0, `{}`))}
	}
	return map[string]villain{
		"lies-sent":      liar(0, `{"receipt":{"id":"made-up-4711","at":"9999-12-31T23:59:59Z"}}`),
		"lies-lost":      liar(1, `{"code":"ambiguous","message":"nobody knows"}`),
		"lies-elsewhere": liar(0, `{"receipt":{"id":"1"}}`), // of a message in the channel beside it
		"lies-long":      liar(0, `{"receipt":{"id":"`+strings.Repeat("x", 100_000)+`"}}`),
	}
}

// sendsIt is what a liar says when it is to send something.
const sendsIt = "I am to send it"

// fineClock looks whether the clock tells less than milliseconds.
func fineClock() []byte {
	m := newAsker(1)
	return m.handles(I32Const(0), I64Const(1), I32Const(8), Call(m.clock), Drop,
		I32Const(8), Op(0x29, 3, 0), I64Const(1_000_000), Op(0x82), m.unless(0, "I LEARNED SOMETHING"), m.says("the clock is coarse"))
}

// remembers looks for what an earlier call left in the memory.
func remembers() []byte {
	m := newAsker(1)
	v := m.Global(I32, 0)
	return m.handles(I32Const(16), Load(), GlobalGet(v), I32Add, If(), m.says("I LEARNED SOMETHING"), End(),
		I32Const(16), I32Const(1), Store(), I32Const(1), GlobalSet(v), m.says("I remember nothing"))
}
