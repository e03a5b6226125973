package wasm

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// oversteps remembers what a guest was refused lately, so that one which asks
// again and again does not fill the log and the audit. The zero value is ready.
type oversteps struct {
	mu    sync.Mutex
	noted map[string]time.Time
}

// How long a refusal is known, and how many are.
const (
	overstepKnown = 10 * time.Minute
	mostOversteps = 100
)

// fresh reports whether a refusal was not noted lately, and notes it.
func (o *oversteps) fresh(what string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	if at, ok := o.noted[what]; ok && now.Sub(at) < overstepKnown {
		return false
	}
	if o.noted == nil || len(o.noted) >= mostOversteps {
		o.noted = map[string]time.Time{}
	}
	o.noted[what] = now
	return true
}

// overstepped notes that a guest asked for something that its manifest does not
// list, or that a channel is not given at all.
func (h *call) overstepped(ctx context.Context, what, why string) {
	if !h.c.oversteps.fresh(what) {
		return
	}
	h.c.h.Log().WarnContext(ctx, "a request of the guest was refused", "module", h.c.g.pkg.Manifest.ID, "what", what, "err", why)
	if r, ok := h.c.h.(channels.Recorder); ok {
		r.Refused(ctx, what, why)
	}
}

// unasked says why something was refused that a manifest can list, or cannot.
func (h *call) unasked(op sandbox.HostOp) string {
	id := h.c.g.pkg.Manifest.ID
	if keys := op == sandbox.HostKVGet || op == sandbox.HostKVList || op == sandbox.HostKVPut; keys && h.c.g.pkg.Manifest.KV != nil {
		return "module " + id + " has the state of its own channel, and of no other"
	}
	if op == sandbox.HostToolInvoke {
		return "module " + id + " is a channel: tools are called in a turn, for the person who speaks in it, and by the agent alone"
	}
	return "the manifest of module " + id + " does not list it"
}

// wish names what a guest asked for, with the name that it gave.
func wish(op sandbox.HostOp, in sandbox.Payload) string {
	const most = 100
	var named struct{ Key, Name, Handle string }
	_ = json.Unmarshal(in.Header, &named) // what has no name is named by its operation alone
	for _, name := range []string{named.Key, named.Name, named.Handle} {
		if name != "" {
			return fmt.Sprintf("%s %q", op, cut(name, most))
		}
	}
	return op.String()
}
