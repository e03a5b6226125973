package sandbox_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
	. "github.com/gatehouse-chat/gatehouse/internal/sandbox/wasmtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newSandbox(tb testing.TB, o sandbox.Options) *sandbox.Sandbox {
	tb.Helper()
	s, err := sandbox.New(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(context.WithoutCancel(tb.Context())); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func load(tb testing.TB, s *sandbox.Sandbox, module []byte, cfg sandbox.Config) *sandbox.Module {
	tb.Helper()
	if cfg.Name == "" {
		cfg.Name = "test"
	}
	m, err := s.Load(tb.Context(), module, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { m.Close(context.WithoutCancel(tb.Context())) })
	return m
}

// guest is a module with the functions of "gw".
type guest struct {
	*Module
	input, result, output, call uint32
}

func newGuest(pages uint32) guest {
	m := New(pages)
	return guest{
		m,
		m.Import("gw", "input", Types{I32, I32}, Types{I32}),
		m.Import("gw", "result", Types{I32, I32}, Types{I32}),
		m.Import("gw", "output", Types{I32, I32}, nil),
		m.Import("gw", "call", Types{I32, I32, I32}, Types{I64}),
	}
}

// text puts bytes into the guest's memory and pushes address and length.
func (g guest) text(at int32, s []byte) []byte {
	g.Data(at, s)
	return append(I32Const(at), I32Const(int32(len(s)))...)
}

// frame is an encoded payload.
func frame(header, body string) []byte {
	p := sandbox.Payload{Body: []byte(body)}
	if header != "" {
		p.Header = json.RawMessage(header)
	}
	return p.Encode()
}

// echo answers with its input, word for word.
func echo() []byte {
	g := newGuest(2)
	g.Handle(nil, I32Const(1024), LocalGet(1), Call(g.input), Drop, I32Const(1024), LocalGet(1), Call(g.output), I32Const(0))
	return g.Bytes()
}

// asks makes a guest that asks its host one thing and answers with what it got,
// or with the refusal as an error of its own.
func asks(op sandbox.HostOp, header, body string) []byte {
	g := newGuest(2)
	request := g.text(0, frame(header, body))
	refusal := g.text(4096, frame(`{"code":"refused"}`, ""))
	g.Handle(Types{I64},
		I32Const(int32(op)), request, Call(g.call), LocalSet(2),
		LocalGet(2), I64Const(0), Op(0x53), If(), refusal, Call(g.output),
		I32Const(1), Op(0x0f), End(),
		I32Const(8192), LocalGet(2), I32Wrap, Call(g.result), Drop,
		I32Const(8192), LocalGet(2), I32Wrap, Call(g.output), I32Const(0))
	return g.Bytes()
}

// host is a Host made of functions.
type host struct {
	do   func(ctx context.Context, op sandbox.HostOp, in sandbox.Payload) (sandbox.Payload, error)
	mu   sync.Mutex
	logs []string
}

var _ sandbox.Host = (*host)(nil)

func (h *host) Do(ctx context.Context, op sandbox.HostOp, in sandbox.Payload) (sandbox.Payload, error) {
	return h.do(ctx, op, in)
}

func (h *host) Log(_ context.Context, level slog.Level, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.logs = append(h.logs, level.String()+" "+text)
}

// engines runs a test on both engines.
func engines(t *testing.T, f func(t *testing.T, cfg sandbox.Config)) {
	for name, interpreted := range map[string]bool{"compiled": false, "interpreted": true} {
		t.Run(name, func(t *testing.T) { f(t, sandbox.Config{Interpreted: interpreted}) })
	}
}

func TestCall(t *testing.T) {
	s := newSandbox(t, sandbox.Options{})
	engines(t, func(t *testing.T, cfg sandbox.Config) {
		m := load(t, s, echo(), cfg)
		in := sandbox.Payload{Header: json.RawMessage(`{"a":1}`), Body: []byte("body \xff")}
		r, err := m.Call(t.Context(), sandbox.OpSend, in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(in, r.Out); diff != "" {
			t.Error(diff)
		}
		if r.Fuel <= 0 || r.Fuel > 1000 {
			t.Errorf("burnt %d units", r.Fuel)
		}
	})
}

// TestNothingIsRemembered: memory, variables and growth of one call are gone in
// the next; what the initialisation left is there.
func TestNothingIsRemembered(t *testing.T) {
	s := newSandbox(t, sandbox.Options{})
	for name, pages := range map[string]uint32{"copied": 1, "mapped": 16} {
		t.Run(name, func(t *testing.T) {
			engines(t, func(t *testing.T, cfg sandbox.Config) {
				m := load(t, s, counter(pages), cfg)
				for round := range 40 {
					r, err := m.Call(t.Context(), sandbox.OpSend, sandbox.Payload{}, nil)
					if err != nil {
						t.Fatal(err)
					}
					if got := string(r.Out.Body); got != "+++" {
						t.Fatalf("round %d: %q, want +++: an earlier call shows", round, got)
					}
				}
			})
		})
	}
}

// counter has a variable, a byte of memory and its memory's size start at
// '*', '*' and pages+1, adds one to each and answers with them as characters.
func counter(pages uint32) []byte {
	g := newGuest(pages)
	v := g.Global(I32, 0)
	init := g.Func(nil, nil, nil, I32Const('*'), GlobalSet(v), I32Const(500), I32Const('*'), Store(), I32Const(1), MemoryGrow, Drop)
	g.Export("gw1_init", 0, init)
	g.Handle(nil,
		GlobalGet(v), I32Const(1), I32Add, GlobalSet(v),
		I32Const(500), I32Const(500), Load(), I32Const(1), I32Add, Store(),
		I32Const(4), GlobalGet(v), Store(),
		I32Const(5), I32Const(500), Load(), Store(),
		I32Const(1), MemoryGrow, Drop,
		I32Const(6), Op(0x3f, 0), I32Const(int32('+')-int32(pages)-2), I32Add, Store(), // memory.size
		I32Const(0), I32Const(0), Store(), // the header's length
		I32Const(0), I32Const(7), Call(g.output), I32Const(0))
	return g.Bytes()
}

func TestInitialisation(t *testing.T) {
	s := newSandbox(t, sandbox.Options{})
	g := newGuest(1)
	v := g.Global(I32, 0)
	add := func(digit int32) []byte {
		code := append(GlobalGet(v), I32Const(10)...)
		code = append(append(code, Op(0x6c)...), I32Const(digit)...)
		return append(append(code, I32Add...), GlobalSet(v)...)
	}
	g.Start = int(g.Func(nil, nil, nil, add(1))) + 1
	g.Export("_initialize", 0, g.Func(nil, nil, nil, add(2)))
	g.Export("gw1_init", 0, g.Func(nil, nil, nil, add(3)))
	g.Handle(nil, add(4), I32Const(4), GlobalGet(v), Store(), I32Const(0), I32Const(6), Call(g.output), I32Const(0))
	m := load(t, s, g.Bytes(), sandbox.Config{Warm: []sandbox.Warm{{Op: sandbox.OpProbe}}})
	r, err := m.Call(t.Context(), sandbox.OpSend, sandbox.Payload{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	// Start, _initialize, gw1_init, the warm-up and the call, in this order.
	if got := int(r.Out.Body[0]) | int(r.Out.Body[1])<<8; got != 12344 {
		t.Errorf("got %d, want 12344", got)
	}
}

func TestHostOperations(t *testing.T) {
	ok := func(_ context.Context, _ sandbox.HostOp, in sandbox.Payload) (sandbox.Payload, error) {
		return sandbox.Payload{Header: in.Header, Body: []byte("host: " + string(in.Body))}, nil
	}
	refuse := func(err error) func(context.Context, sandbox.HostOp, sandbox.Payload) (sandbox.Payload, error) {
		return func(context.Context, sandbox.HostOp, sandbox.Payload) (sandbox.Payload, error) {
			return sandbox.Payload{}, err
		}
	}
	tests := []struct {
		name         string
		op           sandbox.HostOp
		header, body string
		do           func(context.Context, sandbox.HostOp, sandbox.Payload) (sandbox.Payload, error)
		want         string // the body; "refused" for a refusal
	}{
		{"http", sandbox.HostHTTP, `{}`, "x", ok, "host: x"},
		{"kv get", sandbox.HostKVGet, `{"key":"k"}`, "", ok, "host: "},
		{"kv get without a key", sandbox.HostKVGet, `{}`, "", ok, "refused"},
		{"denied", sandbox.HostHTTP, `{}`, "", refuse(sandbox.Denied), "refused"},
		{"a failure", sandbox.HostHTTP, `{}`, "", refuse(errors.New("broken")), "refused"},
		{"an unknown operation", 99, `{}`, "", ok, "refused"},
		{"a header that is no JSON", sandbox.HostHTTP, `{`, "", ok, "refused"},
		{"a header that is no UTF-8", sandbox.HostHTTP, "\"\xff\"", "", ok, "refused"},
		{"too much random", sandbox.HostRandom, `{"bytes":5000}`, "", ok, "refused"},
		{"a response that is too large", sandbox.HostHTTP, `{}`, "", func(context.Context, sandbox.HostOp, sandbox.Payload) (sandbox.Payload, error) {
			return sandbox.Payload{Body: make([]byte, 4<<20)}, nil
		}, "refused"},
	}
	s := newSandbox(t, sandbox.Options{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := load(t, s, asks(test.op, test.header, test.body), sandbox.Config{})
			r, err := m.Call(t.Context(), sandbox.OpPoll, sandbox.Payload{}, &host{do: test.do})
			got := string(r.Out.Body)
			var own *sandbox.GuestError
			if errors.As(err, &own) {
				got = own.Code
			} else if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestAnsweredBySandbox(t *testing.T) {
	s := newSandbox(t, sandbox.Options{})
	call := func(op sandbox.HostOp, header, body string, h sandbox.Host) (sandbox.Result, error) {
		m := load(t, s, asks(op, header, body), sandbox.Config{})
		return m.Call(t.Context(), sandbox.OpPoll, sandbox.Payload{}, h)
	}
	t.Run("now", func(t *testing.T) {
		r, err := call(sandbox.HostNow, "", "", nil)
		var got struct {
			UnixMS int64 `json:"unix_ms"`
		}
		if err := errors.Join(err, json.Unmarshal(r.Out.Header, &got)); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(time.UnixMilli(got.UnixMS)); d < 0 || d > time.Minute {
			t.Errorf("it is %s off", d)
		}
	})
	t.Run("random", func(t *testing.T) {
		a, err := call(sandbox.HostRandom, `{"bytes":32}`, "", nil)
		b, err2 := call(sandbox.HostRandom, `{"bytes":32}`, "", nil)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		if len(a.Out.Body) != 32 || string(a.Out.Body) == string(b.Out.Body) {
			t.Errorf("%x and %x", a.Out.Body, b.Out.Body)
		}
	})
	t.Run("log", func(t *testing.T) {
		h := &host{}
		if _, err := call(sandbox.HostLog, `{"level":"WARN"}`, "one\ntwo \xff\n", h); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"WARN one", "WARN two \uFFFD"}, h.logs); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("emit", func(t *testing.T) {
		r, err := call(sandbox.HostEmit, `{"e":1}`, "raw", nil)
		if err != nil {
			t.Fatal(err)
		}
		want := []sandbox.Effect{{Op: sandbox.HostEmit, In: sandbox.Payload{Header: json.RawMessage(`{"e":1}`), Body: []byte("raw")}}}
		if diff := cmp.Diff(want, r.Effects); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a frame after the commit", func(t *testing.T) {
		r, err := call(sandbox.HostSocketSend, `{"after":"commit"}`, "frame", nil)
		if err != nil || len(r.Effects) != 1 {
			t.Errorf("%v, effects %v", err, r.Effects)
		}
	})
	t.Run("a frame at once", func(t *testing.T) {
		if _, err := call(sandbox.HostSocketSend, `{}`, "frame", nil); err == nil {
			t.Error("a host that denies everything sent a frame")
		}
	})
}

// TestOwnWrites: a call sees what it put itself, and the host is not asked.
// TestClocksAreCoarse: neither the host's clock nor WASI's tells less than a
// millisecond.
func TestClocksAreCoarse(t *testing.T) {
	s := newSandbox(t, sandbox.Options{})
	hosts := load(t, s, asks(sandbox.HostNow, "", ""), sandbox.Config{})
	m := New(1)
	output := m.Import("gw", "output", Types{I32, I32}, nil)
	clock := m.Import("wasi_snapshot_preview1", "clock_time_get", Types{I32, I64, I32}, Types{I32})
	m.Handle(nil, I32Const(0), I64Const(1), I32Const(8), Call(clock), Drop, // an answer without a header, whose body is the time
		I32Const(4), I32Const(12), Call(output), I32Const(0))
	wasi := load(t, s, m.Bytes(), sandbox.Config{})
	for range 20 { // one in a million moments is a whole millisecond by chance
		r, err := hosts.Call(t.Context(), sandbox.OpPoll, sandbox.Payload{}, nil)
		var now struct{ Text time.Time }
		if err := errors.Join(err, json.Unmarshal(r.Out.Header, &now)); err != nil {
			t.Fatal(err)
		}
		if now.Text.Nanosecond()%1e6 != 0 {
			t.Errorf("the host says that it is %v", now.Text)
		}
		r, err = wasi.Call(t.Context(), sandbox.OpPoll, sandbox.Payload{}, nil)
		if err != nil || len(r.Out.Body) != 8 {
			t.Fatalf("%v, %x", err, r.Out.Body)
		}
		if ns := binary.LittleEndian.Uint64(r.Out.Body); ns == 0 || ns%1e6 != 0 {
			t.Errorf("WASI says that it is %d", ns)
		}
	}
}

func TestOwnWrites(t *testing.T) {
	s := newSandbox(t, sandbox.Options{})
	g := newGuest(2)
	put := g.text(0, frame(`{"key":"k"}`, "mine"))
	get := g.text(100, frame(`{"key":"k"}`, ""))
	g.Handle(nil,
		I32Const(int32(sandbox.HostKVPut)), put, Call(g.call), Drop,
		I32Const(int32(sandbox.HostKVGet)), get, Call(g.call), Drop,
		I32Const(200), I32Const(8), Call(g.result), Drop,
		I32Const(200), I32Const(8), Call(g.output), I32Const(0))
	m := load(t, s, g.Bytes(), sandbox.Config{})
	r, err := m.Call(t.Context(), sandbox.OpPoll, sandbox.Payload{}, nil)
	if err != nil || string(r.Out.Body) != "mine" || len(r.Effects) != 1 {
		t.Errorf("%v, %q, %d effects", err, r.Out.Body, len(r.Effects))
	}
}

// TestFailureHasNoEffects: what a guest emitted before it failed does not count.
func TestFailureHasNoEffects(t *testing.T) {
	s := newSandbox(t, sandbox.Options{})
	for name, end := range map[string][]byte{"an error": I32Const(1), "a trap": Unreachable} {
		t.Run(name, func(t *testing.T) {
			g := newGuest(1)
			g.Handle(nil, I32Const(int32(sandbox.HostEmit)), g.text(0, frame(`{}`, "")), Call(g.call), Drop, end)
			m := load(t, s, g.Bytes(), sandbox.Config{})
			r, err := m.Call(t.Context(), sandbox.OpPoll, sandbox.Payload{}, nil)
			if err == nil || len(r.Effects) != 0 {
				t.Errorf("%v, effects %v", err, r.Effects)
			}
		})
	}
}

func TestGuestError(t *testing.T) {
	s := newSandbox(t, sandbox.Options{})
	g := newGuest(1)
	g.Handle(nil, g.text(0, frame(`{"code":"rate_limited","message":"slow down","retryable":true,"retry_after_ms":1500}`, "")), Call(g.output), I32Const(1))
	_, err := load(t, s, g.Bytes(), sandbox.Config{}).Call(t.Context(), sandbox.OpSend, sandbox.Payload{}, nil)
	var got *sandbox.GuestError
	if !errors.As(err, &got) {
		t.Fatal(err)
	}
	want := &sandbox.GuestError{Code: "rate_limited", Message: "slow down", Retryable: true, RetryAfter: 1500}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCache(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "compiled")
	for range 2 { // the second finds what the first left
		s := newSandbox(t, sandbox.Options{CacheDir: dir})
		if _, err := load(t, s, echo(), sandbox.Config{}).Call(t.Context(), sandbox.OpSend, sandbox.Payload{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, mode %v, want 0700", err, info.Mode())
	}
	found := 0
	_ = filepath.WalkDir(dir, func(_ string, e os.DirEntry, _ error) error {
		if !e.IsDir() {
			found++
		}
		return nil
	})
	if found != 2 {
		t.Errorf("%d files in the cache, want 2: the module with its meters, and compiled", found)
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // too open, on purpose
		t.Fatal(err)
	}
	if _, err := sandbox.New(t.Context(), sandbox.Options{CacheDir: dir}); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("a cache that others may enter: %v", err)
	}
}

func TestClose(t *testing.T) {
	s := newSandbox(t, sandbox.Options{})
	m := load(t, s, asks(sandbox.HostHTTP, `{}`, ""), sandbox.Config{})
	h := &host{do: func(context.Context, sandbox.HostOp, sandbox.Payload) (sandbox.Payload, error) {
		m.Close(t.Context()) // while a call runs
		return sandbox.Payload{Body: []byte("done")}, nil
	}}
	r, err := m.Call(t.Context(), sandbox.OpPoll, sandbox.Payload{}, h)
	if err != nil || string(r.Out.Body) != "done" {
		t.Errorf("the call that ran: %v, %q", err, r.Out.Body)
	}
	if _, err := m.Call(t.Context(), sandbox.OpPoll, sandbox.Payload{}, h); !errors.Is(err, sandbox.ErrClosed) {
		t.Errorf("a call after Close: %v", err)
	}
}

// TestFailedWarmUp: a warm-up that is cut short leaves nothing behind.
func TestFailedWarmUp(t *testing.T) {
	g := New(1)
	count := g.Global(I32, 0)
	g.Handle(nil,
		GlobalGet(count), If(), Op(0x00), End(), // it was called before: unreachable
		I32Const(1), GlobalSet(count),
		LocalGet(0), I32Const(int32(sandbox.OpProbe)), Op(0x46), If(), Op(0x00), End(),
		I32Const(0))
	m := load(t, newSandbox(t, sandbox.Options{}), g.Bytes(), sandbox.Config{Warm: []sandbox.Warm{{Op: sandbox.OpProbe}}})
	if _, err := m.Call(t.Context(), sandbox.OpSend, sandbox.Payload{}, nil); err != nil {
		t.Error("the next call finds what the one that failed has left:", err)
	}
}

// TestPrintedLines: a line of a standard stream is one line of the log, in however
// many pieces it is written.
func TestPrintedLines(t *testing.T) {
	g := New(1)
	fdWrite := g.Import("wasi_snapshot_preview1", "fd_write", Types{I32, I32, I32, I32}, Types{I32})
	g.Data(64, []byte("a line\nthe end"))
	for i, piece := range [][2]byte{{64, 3}, {67, 5}, {72, 6}} {
		g.Data(int32(8*i), []byte{piece[0], 0, 0, 0, piece[1], 0, 0, 0})
	}
	write := func(at int32) []byte {
		return bytes.Join([][]byte{I32Const(2), I32Const(at), I32Const(1), I32Const(32), Call(fdWrite), Op(0x1a)}, nil)
	}
	g.Handle(nil, write(0), write(8), write(16), I32Const(0))
	m := load(t, newSandbox(t, sandbox.Options{}), g.Bytes(), sandbox.Config{})
	h := &lines{}
	if _, err := m.Call(t.Context(), sandbox.OpSend, sandbox.Payload{}, h); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"a line", "the end"}, h.all); d != "" {
		t.Error(d)
	}
}

// lines is a host that keeps what the guest writes.
type lines struct{ all []string }

func (*lines) Do(context.Context, sandbox.HostOp, sandbox.Payload) (sandbox.Payload, error) {
	return sandbox.Payload{}, sandbox.Denied
}

func (l *lines) Log(_ context.Context, _ slog.Level, text string) { l.all = append(l.all, text) }

// metered finds the files of modules with their meters.
func metered(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "metered-*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestCacheOfMetered: what the cache has is what checking and metering gave; it is
// of one module with one set of limits, and a file that is damaged is as if it were not
// there.
func TestCacheOfMetered(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "compiled")
	answers := func(t *testing.T, module []byte, lim sandbox.Limits) {
		t.Helper()
		m := load(t, newSandbox(t, sandbox.Options{CacheDir: dir}), module, sandbox.Config{Limits: lim})
		r, err := m.Call(t.Context(), sandbox.OpSend, sandbox.Payload{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(r.Out.Body); got != "+++" {
			t.Errorf("the guest answers %q, want +++", got)
		}
	}
	module := counter(16)
	answers(t, module, sandbox.Limits{})
	first := metered(t, dir)
	if len(first) != 1 {
		t.Fatalf("the cache has %q, want one file", first)
	}
	whole, err := os.ReadFile(first[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"as it was": whole, "empty": nil, "cut": whole[:len(whole)/2], "changed": append(bytes.Clone(whole[:len(whole)-1]), whole[len(whole)-1]^1),
	} {
		if err := os.WriteFile(first[0], b, 0o600); err != nil {
			t.Fatal(err)
		}
		answers(t, module, sandbox.Limits{})
		if again, err := os.ReadFile(first[0]); err != nil || !bytes.Equal(again, whole) {
			t.Errorf("%s: the file is not whole afterwards (%v)", name, err)
		}
	}
	answers(t, module, sandbox.Limits{MemoryPages: 100})
	if _, err := newSandbox(t, sandbox.Options{CacheDir: dir}).Load(t.Context(), module, sandbox.Config{Limits: sandbox.Limits{MemoryPages: 8}}); err == nil {
		t.Error("a module was loaded that these limits refuse, because others did not")
	}
	if n := len(metered(t, dir)); n != 2 {
		t.Errorf("the cache has %d modules, want 2: one for each set of limits that allows it", n)
	}
}

// TestDeepCalls: a guest may nest calls up to the limit, again and again, and no
// deeper.
func TestDeepCalls(t *testing.T) {
	s := newSandbox(t, sandbox.Options{})
	const frame = 64 + 8 // of a function with one local
	levels := int32(1<<20) / frame
	for name, c := range map[string]struct {
		levels int32
		kind   sandbox.Kind
	}{
		"as deep as most": {1000, ""},
		"nearly too deep": {levels - 10, ""},
		"too deep":        {levels + 10, sandbox.KindDepth},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuest(1)
			down := g.Next()
			g.Func(Types{I32}, nil, nil, LocalGet(0), If(), LocalGet(0), I32Const(1), I32Sub, Call(down), End())
			g.Handle(nil, I32Const(c.levels), Call(down), I32Const(0))
			m := load(t, s, g.Bytes(), sandbox.Config{}) // the interpreter has a limit of its own, which is lower
			for range 3 {
				_, err := m.Call(t.Context(), sandbox.OpSend, sandbox.Payload{}, nil)
				var f *sandbox.Fault
				if errors.As(err, &f) != (c.kind != "") || f != nil && f.Kind != c.kind {
					t.Errorf("ended with %v, want kind %q", err, c.kind)
				}
			}
		})
	}
}
