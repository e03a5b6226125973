package wasm_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/internal/sandbox/wasm"
	. "github.com/gatehouse-chat/gatehouse/internal/sandbox/wasmtest"
)

const nop, block, loop, iff, els, end, br, brIf, brTable = 0x01, 0x02, 0x03, 0x04, 0x05, 0x0b, 0x0c, 0x0d, 0x0e

// token is an instruction of a random function.
type token struct {
	op   byte
	to   []int // where a branch may lead, as tokens
	next int   // offset behind it
	end  int   // of a block: its end; of an if: its else or end; of an else: its end
}

// function draws the body of a function: blocks in blocks, with branches. What it
// computes does not matter.
type function struct {
	code   []byte
	tokens []token
	open   []int // tokens
	later  []func()
}

func (f *function) put(op byte, raw ...byte) int {
	f.code = append(append(f.code, op), raw...)
	f.tokens = append(f.tokens, token{op: op, next: len(f.code)})
	return len(f.tokens) - 1
}

func (f *function) body(t *rapid.T, depth int) {
	for range rapid.IntRange(0, 5).Draw(t, "instructions") {
		switch op := rapid.SampledFrom([]byte{nop, nop, block, block, loop, iff, br, brIf, brTable, brTable}).Draw(t, "op"); {
		case op == nop:
			f.put(op)
		case op >= br:
			f.branch(t, op)
		case depth < 5:
			f.nested(t, op, depth)
		}
	}
}

func (f *function) nested(t *rapid.T, op byte, depth int) {
	at := f.put(op, 0x40)
	f.open = append(f.open, at)
	f.body(t, depth+1)
	if op == iff && rapid.Bool().Draw(t, "else") {
		other := f.put(els)
		f.tokens[at].end = other
		f.body(t, depth+1)
		f.tokens[other].end = f.put(end)
	} else {
		f.tokens[at].end = f.put(end)
	}
	f.open = f.open[:len(f.open)-1]
}

func (f *function) branch(t *rapid.T, op byte) {
	n := 1
	var raw []byte
	if op == brTable {
		n = rapid.IntRange(1, 4).Draw(t, "targets")
		raw = append(raw, byte(n-1))
	}
	var blocks []int
	for range n {
		up := rapid.IntRange(0, len(f.open)).Draw(t, "up")
		raw = append(raw, byte(up))
		blocks = append(blocks, append([]int{-1}, f.open...)[len(f.open)-up])
	}
	at := f.put(op, raw...)
	f.later = append(f.later, func() {
		for _, b := range blocks {
			f.tokens[at].to = append(f.tokens[at].to, f.landing(b))
		}
	})
}

// landing is the token whose end a branch to a block comes to: the last one of the
// function, the loop itself, or the block's end.
func (f *function) landing(b int) int {
	switch {
	case b < 0:
		return len(f.tokens) - 1
	case f.tokens[b].op == loop:
		return b
	}
	last := f.tokens[b].end
	if f.tokens[last].op == els {
		last = f.tokens[last].end
	}
	return last
}

// TestNothingIsFree: on every way through a function, what was paid covers what
// has run.
func TestNothingIsFree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := &function{}
		f.body(t, 0)
		f.put(end)
		for _, resolve := range f.later {
			resolve()
		}
		balance, later := wasm.Charges(f.code)
		for at, steps := 0, 0; at < len(f.tokens) && steps < 500; steps++ {
			x := f.tokens[at]
			if x.op != end {
				balance--
			}
			landed := at
			switch {
			case x.op == els: // the then-branch is over
				landed = x.end
			case x.op == iff && rapid.Bool().Draw(t, "condition"):
				landed = x.end
			case x.op == br, x.op == brTable, x.op == brIf && rapid.Bool().Draw(t, "taken"):
				landed = rapid.SampledFrom(x.to).Draw(t, "target")
			}
			balance += later[f.tokens[landed].next]
			if balance < 0 {
				t.Fatalf("after %d steps, at %d of %x, %d instructions are not paid for", steps, at, f.code, -balance)
			}
			at = landed + 1
		}
	})
}

// TestSwitchInALoop: a function that is one loop around one br_table, as Go's
// compiler makes them, pays for the block that it runs and not for all of them.
func TestSwitchInALoop(t *testing.T) {
	var code []byte
	add := func(parts ...[]byte) {
		for _, p := range parts {
			code = append(code, p...)
		}
	}
	const blocks, each = 20, 100
	add(Loop())
	for range blocks {
		add(Block())
	}
	add(LocalGet(0), []byte{brTable, blocks - 1})
	for up := range byte(blocks) {
		add([]byte{up})
	}
	for up := range uint32(blocks) {
		add(End())
		for range each {
			add(Op(nop))
		}
		add(Br(blocks - 1 - up))
	}
	add(End(), End())
	entry, later := wasm.Charges(code)
	if entry != 2 || len(later) != 1+blocks {
		t.Errorf("the entry pays %d units and there are %d more places, want 2 and %d", entry, len(later), 1+blocks)
	}
	for at, units := range later {
		if units > each+1 && units != 1+2+blocks {
			t.Errorf("at %d %d units are paid", at, units)
		}
	}
}
