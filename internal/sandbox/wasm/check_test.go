package wasm_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/internal/sandbox/wasm"
	. "github.com/gatehouse-chat/gatehouse/internal/sandbox/wasmtest"
)

// limits are the default ones, with the host's functions that the tests use.
func limits() wasm.Limits {
	lim := wasm.DefaultLimits()
	lim.Known = map[wasm.Name]wasm.FuncType{
		{Module: "gw", Field: "output"}: {Params: Types{I32, I32}},
	}
	return lim
}

func repeat(n int, code ...[]byte) []byte { return bytes.Repeat(bytes.Join(code, nil), n) }

// locals declares n locals of i64 in one group.
func locals(n uint32) []byte { return append(append([]byte{1}, U32(n)...), I64) }

// with makes a module of one page and lets add extend it.
func with(add func(m *Module)) []byte {
	m := New(1)
	add(m)
	return m.Bytes()
}

// code makes a module with one function of this code.
func code(parts ...[]byte) []byte {
	return with(func(m *Module) { m.Func(nil, nil, nil, parts...) })
}

func TestParseRefuses(t *testing.T) {
	tests := []struct {
		name   string
		module []byte
		want   string
	}{
		{"nothing", nil, "not a WebAssembly core module"},
		{"a component", []byte("\x00asm\x0d\x00\x01\x00"), "a component has to be built as a core module"},
		{"too large", make([]byte, 8<<20+1), "the module has 8,388,609 bytes, at most 8,388,608"},
		{"an unknown section", with(func(m *Module) { m.Tail = Section(13, nil) }), "section 13 is of no known kind"},
		{"a section twice", with(func(m *Module) { m.Tail = append(Section(11, []byte{0}), Section(11, []byte{0})...) }), "data section: out of order or twice"},
		{"sections out of order", with(func(m *Module) { m.Tail = Section(1, []byte{0}) }), "type section: out of order or twice"},
		{"a section with a rest", with(func(m *Module) { m.Tail = Section(11, []byte{0, 0}) }), "data section: 1 bytes too many"},
		{"a type that is no function", append([]byte("\x00asm\x01\x00\x00\x00"), Section(1, []byte{1, 0x5f, 0})...), "type 0 is not a function's"},
		{"no memory", (&Module{}).Bytes(), "the module defines no memory"},
		{"two memories", with(func(m *Module) { m.Memories = append(m.Memories, Memory{Min: 1}) }), "memory section: 2 memories, want exactly one"},
		{"a large memory", with(func(m *Module) { m.Memories[0].Min = 513 }), "a memory of 513 pages of 64 KiB, at most 512"},
		{"a memory that is less than it is", with(func(m *Module) { m.Memories[0] = Memory{Min: 2, Max: 1} }), "a maximum of 1 is less than the minimum of 2"},
		{"a memory that stays inside", (&Module{Memories: []Memory{{Min: 1}}}).Bytes(), `the memory is not exported under the name "memory"`},
		{"an imported memory", append([]byte("\x00asm\x01\x00\x00\x00"), Section(2, []byte("\x01\x03env\x06memory\x02\x00\x01"))...), `only functions can be imported`},
		{"an unknown import", with(func(m *Module) { m.Import("env", "fopen", nil, nil) }), "import env.fopen: the host offers no such function"},
		{
			"a known import of another type", with(func(m *Module) { m.Import("gw", "output", Types{I64}, Types{I32}) }),
			"import gw.output: the host's is (i32, i32), the module wants (i64) -> i32",
		},
		{"a large table", with(func(m *Module) { m.Tables = []Table{{Min: 40_000}, {Min: 40_000}} }), "table section: tables of 80,000 elements, at most 65,536"},
		{"an export of nothing", with(func(m *Module) { m.Export("gw1_handle", 0, 3) }), `export "gw1_handle": there is no number 3`},
		{"an export with a reserved name", with(func(m *Module) { m.Export("\x00fuel", 2, 0) }), "begins with a NUL character"},
		{"a name that is no text", with(func(m *Module) { m.Export("\xff", 2, 0) }), "export section: a name that is not UTF-8"},
		{"data outside", with(func(m *Module) { m.Data(65_530, []byte("1234567")) }), "data segment 0 ends at 65,537, the memory at 65,536"},
		{"a start that does not exist", with(func(m *Module) { m.Start = 4 }), "the start function, 3, does not exist"},
		{"a start with parameters", with(func(m *Module) { m.Func(Types{I32}, nil, nil); m.Start = 1 }), "the start function is (i32), want ()"},
		{"elements that do not exist", with(func(m *Module) { m.Tables = []Table{{Min: 1}}; m.Elem(7) }), "element segment 0: function 7 does not exist"},

		{"billions of locals", with(func(m *Module) { m.RawFunc(nil, nil, locals(1<<32-1)) }), "function 0: 4,294,967,295 locals, at most 2,000"},
		{
			"locals, with the function's name",
			with(func(m *Module) {
				m.RawFunc(nil, nil, locals(4_000))
				m.Tail = Names(map[uint32]string{0: "parse_update"})
			}),
			"function 0 (parse_update): 4,000 locals, at most 2,000",
		},
		{"a large function", code(repeat(300_000, Op(0x01, 0x01))), "function 0: 600,002 bytes, at most 524,288"},
		{"many functions", append([]byte("\x00asm\x01\x00\x00\x00"), Section(3, U32(30_001))...), "30,001 functions, at most 30,000"},
		{"deep nesting", code(repeat(601, Block()), repeat(601, End())), "blocks are nested deeper than 600"},
		{"many blocks", code(repeat(8_001, Block(), End())), "8,001 blocks and branches, at most 8,000"},
		{
			"locals times blocks",
			with(func(m *Module) { m.RawFunc(nil, nil, locals(1_000), repeat(600, Block(), End())) }),
			"1,000 locals times 600 blocks and branches is more than 524,288: split the function",
		},
		{
			"a long br_table",
			code(Block(), I32Const(0), Op(0x0e), U32(20_000), make([]byte, 20_001), End()),
			"a br_table of 20,005 bytes, at most 20,000",
		},
		{"many loops", code(repeat(2_667, Loop(), End())), "8,001 blocks and branches, at most 8,000"},
		{"many moved ranges", code(repeat(2_667, I32Const(0), I32Const(0), I32Const(0), MemoryFill)), "8,001 blocks and branches, at most 8,000"},
		{
			"many targets",
			code(repeat(4, Block(), I32Const(0), Op(0x0e), U32(15_000), make([]byte, 15_001), End())),
			"60,004 targets of br_table, at most 60,000",
		},
		{
			"locals times targets",
			with(func(m *Module) {
				m.RawFunc(nil, nil, locals(1_000), Block(), I32Const(0), Op(0x0e), U32(600), make([]byte, 601), End())
			}),
			"1,000 locals times 603 blocks and branches is more than 524,288",
		},
		{
			"many large functions",
			with(func(m *Module) {
				for range 5 {
					m.Func(nil, nil, nil, repeat(7_000, Block(), End()))
				}
			}),
			"the squares of their blocks and branches add up to 245,000,000, at most 200,000,000",
		},
		{"elements that do not fit", with(func(m *Module) { m.Tables = []Table{{Min: 1}}; f := m.Func(nil, nil, nil); m.Elem(f, f) }), "element segment 0: it ends at 2, its table at 1"},
		{"elements of no table", with(func(m *Module) { m.Elem(m.Func(nil, nil, nil)) }), "element segment 0: table 0 does not exist"},
		{"an operator of a later time", code(Op(0xfe, 0x00)), "operator 0xfe is not in WebAssembly 2.0"},
		{"a tail call", code(Op(0x12, 0x00)), "operator 0x12 is not in WebAssembly 2.0"},
		{"a relaxed vector operator", code(Op(0xfd, 0x80, 0x02)), "operator 0xfd 256 is not in WebAssembly 2.0"},
		{"a table that changes", code(Op(0xd0, 0x70), I32Const(1), Op(0xfc, 15, 0), Drop), "changes a table, which a snapshot cannot hold"},
		{"a segment that is dropped", code(Op(0xfc, 9, 0)), "drops a segment, which a snapshot cannot hold"},
		{"a segment that is not declared", code(MemoryInit0), "data segment 0 is not declared"},
		{"code after the end", code(End(), Op(0x01)), "code after the end"},
		{"code without an end", code(Block()), "the code does not end"},

		// What Rewrite adds must not come within reach.
		{"the local that is added", code(LocalGet(0), Drop), "local 0 does not exist"},
		{"the variable that is added", code(GlobalGet(0), Drop), "global 0 does not exist"},
		{"the function that is added", code(Call(1)), "function 1 does not exist"},
		{"the type that is added", code(Op(0x02, 0x01), End()), "type 1 does not exist"},
		{"the type that is added, called", code(I32Const(0), CallIndirect(1)), "type 1 does not exist"},
		{"a reference that is not declared", code(Op(0xd2, 0x00), Drop), "a reference of function 0, which is not declared"},
		{
			"a reference that is declared by the export of the start",
			with(func(m *Module) { m.Func(nil, nil, nil, Op(0xd2, 0x00), Drop); m.Start = 1 }),
			"a reference of function 0, which is not declared",
		},
		{"an overlong number", code(Op(0x20, 0xff, 0xff, 0xff, 0xff, 0x1f)), "a number of more than 32 bits"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := wasm.Parse(test.module, limits())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Parse: %v, want %q", err, test.want)
			}
		})
	}
}

// TestLimitsAreInclusive: what is just within the limits is accepted.
func TestLimitsAreInclusive(t *testing.T) {
	tests := []struct {
		name   string
		module []byte
	}{
		{"memory", with(func(m *Module) { m.Memories[0].Min = 512 })},
		{"table", with(func(m *Module) { m.Tables = []Table{{Min: 65_536}} })},
		{"locals", with(func(m *Module) { m.RawFunc(nil, nil, locals(2_000)) })},
		{"nesting", code(repeat(600, Block()), repeat(600, End()))},
		{"data", with(func(m *Module) { m.Data(65_530, []byte("123456")) })},
		{"import", with(func(m *Module) { m.Import("gw", "output", Types{I32, I32}, nil) })},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := wasm.Parse(test.module, limits()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestEveryPrefixIsRefused: a module that was cut off never passes.
func TestEveryPrefixIsRefused(t *testing.T) {
	whole := with(func(m *Module) {
		m.Tables = []Table{{Min: 1}}
		fn := m.Handle(nil, I32Const(0))
		m.Elem(fn)
		m.Data(0, []byte("hello"))
	})
	if _, err := wasm.Parse(whole, limits()); err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		m, err := wasm.Parse(whole[:n], limits())
		if err != nil {
			continue
		}
		// A cut between two sections can leave a module that is whole, but smaller.
		if _, ok := m.ExportedFunc("gw1_handle"); ok && len(m.Rewrite(wasm.Options{}).Data) == 1 {
			t.Errorf("the first %d of %d bytes passed as the whole", n, len(whole))
		}
	}
}

func TestSignatures(t *testing.T) {
	tests := []struct {
		in   wasm.FuncType
		want string
	}{
		{wasm.FuncType{}, "()"},
		{wasm.FuncType{Params: Types{I32, wasm.V128}, Results: Types{F64}}, "(i32, v128) -> f64"},
		{wasm.FuncType{Params: Types{wasm.FuncRef, wasm.ExternRef}, Results: Types{F32, I64}}, "(funcref, externref) -> (f32, i64)"},
		{wasm.FuncType{Params: Types{1}}, "(type 0x1)"},
	}
	for _, test := range tests {
		t.Run(test.want, func(t *testing.T) {
			if got := fmt.Sprint(test.in); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
