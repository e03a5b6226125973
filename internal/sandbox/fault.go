package sandbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tetratelabs/wazero/sys"
)

// Kind says how a guest failed.
type Kind string

// The kinds of faults.
const (
	KindFuel   Kind = "fuel"        // it computed too long
	KindWall   Kind = "wall clock"  // it took too long, waiting included
	KindDepth  Kind = "depth"       // calls within calls
	KindTrap   Kind = "trap"        // unreachable, a division by zero, memory out of bounds, ...
	KindExit   Kind = "exit"        // it ended itself
	KindRange  Kind = "range"       // it gave the host an address outside of its memory
	KindOutput Kind = "output"      // too large
	KindCalls  Kind = "host calls"  // too many
	KindLog    Kind = "log"         // too much
	KindABI    Kind = "abi"         // it broke the interface: a wrong result, a header that is no JSON
	KindHost   Kind = "host failed" // the host panicked; not the guest's fault
)

// Fault is the failure of a guest. The instance is gone; the module can be
// called again.
type Fault struct {
	Module string // as Load was told
	Op     Op     // 0 while it was loaded
	Kind   Kind
	Detail string   // for people; no content of messages
	Trace  []string // the guest's functions, innermost first, without what ended it; may be empty
	// Places are where in the module's code section its functions were, innermost
	// first, if Options.Places asked for that.
	Places []uint32
	// Said is what the module wrote before, if it failed while it was loaded: up to
	// 40 lines, untrusted.
	Said []string
}

func (f *Fault) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "guest %s: ", f.Module)
	if f.Op != 0 {
		fmt.Fprintf(&b, "%s: ", f.Op)
	}
	fmt.Fprintf(&b, "%s: %s", f.Kind, f.Detail)
	if len(f.Trace) > 0 {
		fmt.Fprintf(&b, " (in %s)", strings.Join(f.Trace, " < "))
	}
	if len(f.Said) > 0 {
		const longest = 200
		fmt.Fprintf(&b, "; it wrote %.*q", longest, f.Said[0])
	}
	return b.String()
}

// GuestError is what a guest reported itself.
type GuestError struct {
	Code       string `json:"code"`
	Message    string `json:"message"`
	Retryable  bool   `json:"retryable"`
	RetryAfter int64  `json:"retry_after_ms"` // milliseconds; 0: unknown
}

func (e *GuestError) Error() string { return fmt.Sprintf("guest error %q: %s", e.Code, e.Message) }

// stop is the panic by which a host function ends a guest.
type stop struct {
	kind   Kind
	detail string
}

func (s *stop) Error() string { return s.detail }

func stopf(kind Kind, format string, args ...any) *stop {
	return &stop{kind, fmt.Sprintf(format, args...)}
}

// fault classifies what the runtime returned. It returns ctx's error where the
// caller gave up.
func (c *call) fault(err error) error {
	f := &Fault{Module: c.module, Op: c.op, Trace: trace(err)}
	if c.origins != nil {
		f.Places = c.origins(offsets(err))
	}
	var s *stop
	var exit *sys.ExitError
	switch {
	case errors.As(err, &s):
		f.Kind, f.Detail = s.kind, s.detail
	case errors.Is(err, errGivenUp):
		return context.Cause(c.Context)
	case errors.As(err, &exit):
		f.Kind, f.Detail = KindExit, fmt.Sprintf("exit code %d", exit.ExitCode())
	default:
		f.Kind, f.Detail = KindTrap, strings.TrimPrefix(firstLine(err), "wasm error: ")
		if f.Detail == "stack overflow" {
			f.Kind = KindDepth
		}
	}
	return f
}

// errGivenUp is the panic that ends a guest whose caller does not wait any more.
var errGivenUp = errors.New("the caller gave up")

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// trace takes the guest's functions from the runtime's text, which is its only
// form: one line each, after a title, as "\t.name(i32,i32) i32".
func trace(err error) []string {
	const most = 8
	_, text, ok := strings.Cut(err.Error(), "wasm stack trace:\n")
	if !ok {
		return nil
	}
	var found []string
	for line := range strings.Lines(text) {
		line, ok := strings.CutPrefix(line, "\t")
		if !ok {
			break
		}
		name, _, isFunc := strings.Cut(line, "(")
		if _, name, ok = strings.Cut(strings.TrimSpace(name), "."); !ok || !isFunc {
			continue
		}
		if name = readable(strings.ToValidUTF8(name, "?")); !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	found = ofAuthor(found)
	return found[:min(most, len(found))]
}

// offsets are where in the code section of what runs the frames were, which
// the runtime writes below each of them, as "\t\t0x1a3: -".
func offsets(err error) []uint32 {
	_, text, _ := strings.Cut(err.Error(), "wasm stack trace:\n")
	var found []uint32
	for line := range strings.Lines(text) {
		digits, _, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok || !strings.HasPrefix(digits, "0x") {
			continue
		}
		if at, err := strconv.ParseUint(digits[2:], 16, 32); err == nil {
			found = append(found, uint32(at))
		}
	}
	return found
}
