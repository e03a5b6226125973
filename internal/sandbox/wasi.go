package sandbox

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"log/slog"
	"time"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"
)

// The part of WASI preview 1 that compilers link in: clocks, randomness, output
// as a log, an end. There are no files and variables, and nothing waits. The
// arguments are those of the manifest: code that several modules share learns
// from them which one it is.

// errno is a result of WASI.
type errno = uint64

const (
	wasiOK    errno = 0
	wasiBadF  errno = 8
	wasiInval errno = 28
	wasiNoSys errno = 52
)

// tick is the resolution of the clocks that a guest sees. Finer ones tell
// more about the machine than a guest has to know.
const tick = time.Millisecond

func wasiFuncs() []hostFunc {
	always := func(e errno) func(*call, memory, []uint64) {
		return func(_ *call, _ memory, s []uint64) { s[0] = e }
	}
	i := types("i")
	return []hostFunc{
		{"args_sizes_get", types("ii"), i, argSizes},
		{"args_get", types("ii"), i, argGet},
		{"environ_sizes_get", types("ii"), i, noStrings},
		{"environ_get", types("ii"), i, always(wasiOK)},
		{"clock_res_get", types("ii"), i, clockResolution},
		{"clock_time_get", types("ili"), i, clockTime},
		{"random_get", types("ii"), i, randomGet},
		{"sched_yield", nil, i, always(wasiOK)},
		{"poll_oneoff", types("iiii"), i, pollAtOnce},
		{"proc_exit", i, nil, func(_ *call, _ memory, s []uint64) { panic(sys.NewExitError(uint32(s[0]))) }}, //nolint:gosec // the low half
		{"fd_write", types("iiii"), i, fdWrite},
		{"fd_fdstat_get", types("ii"), i, fdStat},
		{"fd_fdstat_set_flags", types("ii"), i, always(wasiOK)},
		{"fd_close", i, i, always(wasiBadF)},
		{"fd_filestat_get", types("ii"), i, always(wasiBadF)},
		{"fd_prestat_get", types("ii"), i, always(wasiBadF)},
		{"fd_prestat_dir_name", types("iii"), i, always(wasiBadF)},
		{"fd_read", types("iiii"), i, always(wasiBadF)},
		{"fd_seek", types("ilii"), i, always(wasiBadF)},
		{"path_open", types("iiiiillii"), i, always(wasiNoSys)},
	}
}

func noStrings(_ *call, m memory, s []uint64) {
	clear(m.bytes(s[0], 4))
	clear(m.bytes(s[1], 4))
	s[0] = wasiOK
}

// argv is a guest's own name, and the arguments that its manifest gives it.
func (c *call) argv() []string { return append([]string{c.module}, c.args...) }

func argSizes(c *call, m memory, s []uint64) {
	all, size := c.argv(), 0
	for _, a := range all {
		size += len(a) + 1
	}
	binary.LittleEndian.PutUint32(m.bytes(s[0], 4), uint32(len(all))) //nolint:gosec // a few
	binary.LittleEndian.PutUint32(m.bytes(s[1], 4), uint32(size))
	s[0] = wasiOK
}

// argGet writes the arguments one after the other, each ended by a zero, and
// where each begins.
func argGet(c *call, m memory, s []uint64) {
	list, at := uint32(s[0]), uint32(s[1]) //nolint:gosec // the low halves
	for _, a := range c.argv() {
		text := m.bytes(uint64(at), uint64(len(a)+1))
		text[copy(text, a)] = 0
		binary.LittleEndian.PutUint32(m.bytes(uint64(list), 4), at)
		list, at = list+4, at+uint32(len(text)) //nolint:gosec // within the memory
	}
	s[0] = wasiOK
}

func clockResolution(_ *call, m memory, s []uint64) {
	binary.LittleEndian.PutUint64(m.bytes(s[1], 8), uint64(tick))
	s[0] = wasiOK
}

// clockTime gives the wall clock for all clocks: a monotonic one that began
// with an instance would tell nothing.
func clockTime(_ *call, m memory, s []uint64) {
	const clocks = 4
	if clock := uint32(s[0]); clock >= clocks { //nolint:gosec // the low half
		s[0] = wasiInval
		return
	}
	now := time.Now().Truncate(tick).UnixNano()
	binary.LittleEndian.PutUint64(m.bytes(s[2], 8), uint64(now))
	s[0] = wasiOK
}

func randomGet(c *call, m memory, s []uint64) {
	b := m.bytes(s[0], s[1])
	c.charge(4 * len(b))
	_, _ = rand.Read(b) // it never fails
	s[0] = wasiOK
}

// fdWrite takes what a guest writes to its standard streams as its log.
func fdWrite(c *call, m memory, s []uint64) {
	const stdout, stderr, most = 1, 2, 64
	level := slog.LevelInfo
	switch uint32(s[0]) { //nolint:gosec // the low half
	case stdout:
	case stderr:
		level = slog.LevelWarn
	default:
		s[0] = wasiBadF
		return
	}
	n := uint32(s[2]) //nolint:gosec // the low half
	if n > most {
		s[0] = wasiInval
		return
	}
	var text []byte
	for list := m.bytes(s[1], 8*uint64(n)); len(list) > 0; list = list[8:] {
		part := m.bytes(uint64(binary.LittleEndian.Uint32(list)), uint64(binary.LittleEndian.Uint32(list[4:])))
		c.charge(len(part))
		if len(text)+len(part) > c.lim.Log {
			panic(stopf(KindLog, "logged more than %d bytes", c.lim.Log))
		}
		text = append(text, part...)
	}
	c.print(level, text)
	binary.LittleEndian.PutUint32(m.bytes(s[3], 4), uint32(len(text))) //nolint:gosec // at most the limit
	s[0] = wasiOK
}

// print keeps what a guest writes to a standard stream until a line is whole:
// runtimes write a message of death in pieces.
func (c *call) print(level slog.Level, text []byte) {
	const longest = 4096
	c.line, c.lineLevel = append(c.line, text...), level
	end := bytes.LastIndexByte(c.line, '\n') + 1
	if len(c.line)-end > longest {
		end = len(c.line)
	}
	if end > 0 {
		whole := c.line[:end]
		c.line = c.line[end:]
		c.log(level, whole)
	}
}

// flushLog logs the line that was not ended.
func (c *call) flushLog() {
	rest := c.line
	if c.line = nil; len(rest) > 0 && c.host != nil && c.logged+len(rest) <= c.lim.Log {
		c.log(c.lineLevel, rest)
	}
}

// fdStat says that the standard streams are terminals that can be written to.
func fdStat(_ *call, m memory, s []uint64) {
	if uint32(s[0]) > 2 { //nolint:gosec // the low half
		s[0] = wasiBadF
		return
	}
	const terminal, write = 2, 1 << 6
	stat := m.bytes(s[1], 24)
	clear(stat)
	stat[0] = terminal
	binary.LittleEndian.PutUint64(stat[8:], write)
	s[0] = wasiOK
}

// pollAtOnce says of each clock that its time has come: a guest cannot wait.
func pollAtOnce(_ *call, m memory, s []uint64) {
	const subscription, event, most = 48, 32, 16
	n := uint64(uint32(s[2])) //nolint:gosec // the low half
	if n == 0 || n > most {
		s[0] = wasiInval
		return
	}
	in, out := m.bytes(s[0], n*subscription), m.bytes(s[1], n*event)
	events := make([]byte, n*event) // the two may overlap
	for k := range n {
		sub, ev := in[k*subscription:], events[k*event:]
		copy(ev, sub[:8]) // what the guest knows it by
		const kind = 8
		ev[10] = sub[kind]
		if sub[kind] != 0 { // not a clock
			ev[8] = byte(wasiBadF)
		}
	}
	copy(out, events)
	binary.LittleEndian.PutUint32(m.bytes(s[3], 4), uint32(n))
	s[0] = wasiOK
}

// scriptFuncs are what AssemblyScript's compiler links in from "env".
func scriptFuncs() []hostFunc {
	return []hostFunc{
		{"abort", types("iiii"), nil, func(_ *call, _ memory, s []uint64) {
			panic(stopf(KindTrap, "abort at line %d, column %d", uint32(s[2]), uint32(s[3]))) //nolint:gosec // the low halves
		}},
		{"seed", nil, types("d"), func(_ *call, _ memory, s []uint64) {
			var b [8]byte
			_, _ = rand.Read(b[:]) // it never fails
			s[0] = api.EncodeF64(float64(binary.LittleEndian.Uint64(b[:]) >> 11))
		}},
	}
}
