package wasm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// call is the host of one call of the guest. Its methods are called by one
// goroutine.
type call struct {
	c     *channel
	outer context.Context          // the caller's: a saved response is read when the guest's call is over
	files map[string]channels.File // outgoing, by handle
	// sending is what goes out in this call; nil: nothing does.
	sending *channels.Part
	saved   map[string]io.ReadCloser
	// release frees the last request with a saved response from the guest's
	// call; false when the call is over already.
	release func() bool

	own     map[string]*bytes.Buffer // files that the guest put
	made    int64                    // bytes of them
	lent    int64                    // bytes of those that were kept to be lent
	reading map[string]io.ReadCloser

	timers  []wire.TimerSet // to be set when the call has succeeded
	closing bool            // the guest wants its connection to end

	cause error // of the last request that failed
	risky bool  // something was done on the platform, or may have been, that must not be done twice
}

var _ sandbox.Host = (*call)(nil)

// Do implements sandbox.Host.
func (h *call) Do(ctx context.Context, op sandbox.HostOp, in sandbox.Payload) (sandbox.Payload, error) {
	out, err := h.perform(ctx, op, in)
	if errors.Is(err, sandbox.Denied) && op != sandbox.HostHTTP { // of a request, denied has spoken
		h.overstepped(ctx, wish(op, in), h.unasked(op))
	}
	return out, err
}

func (h *call) perform(ctx context.Context, op sandbox.HostOp, in sandbox.Payload) (sandbox.Payload, error) {
	switch op { //nolint:exhaustive // what a channel has no use for is not granted
	case sandbox.HostHTTP:
		r, err := readRequest(in.Header)
		if err != nil {
			return sandbox.Payload{}, sandbox.Invalid
		}
		resp, body, err := h.exchange(ctx, r, in.Body)
		if err != nil {
			return sandbox.Payload{}, err
		}
		return sandbox.Payload{Header: writeResponse(resp), Body: body}, nil
	case sandbox.HostKVGet:
		return h.get(ctx, in)
	case sandbox.HostKVPut:
		return sandbox.Payload{}, h.putNow(ctx, in)
	case sandbox.HostKVList:
		return h.list(ctx, in)
	case sandbox.HostSecretExists:
		return sandbox.Payload{}, h.exists(ctx, in)
	case sandbox.HostSocketSend:
		return sandbox.Payload{}, h.say(ctx, in)
	case sandbox.HostSocketClose:
		return sandbox.Payload{}, h.hangUp()
	case sandbox.HostTimerSet:
		return sandbox.Payload{}, h.setTimer(in)
	case sandbox.HostAttachmentPut:
		return h.put(in)
	case sandbox.HostAttachmentRead:
		return h.readPart(ctx, in)
	case sandbox.HostAttachmentLink:
		return h.lend(ctx, in)
	}
	return sandbox.Payload{}, sandbox.Denied
}

func (h *call) get(ctx context.Context, in sandbox.Payload) (sandbox.Payload, error) {
	kv := h.c.g.pkg.Manifest.KV
	var k wire.Key
	switch {
	case kv == nil:
		return sandbox.Payload{}, sandbox.Denied
	case json.Unmarshal(in.Header, &k) != nil:
		return sandbox.Payload{}, sandbox.Invalid
	case climbs(k.Key):
		return sandbox.Payload{}, sandbox.Denied
	}
	v, err := h.c.h.State().Get(ctx, stateKey(kv.Prefix, k.Key))
	if err == nil && v == nil {
		err = sandbox.NotFound
	}
	return sandbox.Payload{Body: v}, err
}

// putNow answers a kv_put that does not wait for the end of the call.
func (h *call) putNow(ctx context.Context, in sandbox.Payload) error {
	b, err := h.batch(ctx, []sandbox.Effect{{Op: sandbox.HostKVPut, In: in}})
	switch {
	case errors.Is(err, errStore):
		return h.failed(err, sandbox.Quota)
	case err != nil:
		return h.failed(err, sandbox.Denied)
	}
	if err := h.c.h.State().Put(ctx, b.State...); err != nil {
		return h.failed(err, sandbox.Unavailable)
	}
	return nil
}

// list answers kv_list, with as much as an answer takes.
func (h *call) list(ctx context.Context, in sandbox.Payload) (sandbox.Payload, error) {
	const room = 1 << 20
	kv := h.c.g.pkg.Manifest.KV
	var l wire.KeyList
	switch {
	case kv == nil:
		return sandbox.Payload{}, sandbox.Denied
	case json.Unmarshal(in.Header, &l) != nil || l.Limit < 0:
		return sandbox.Payload{}, sandbox.Invalid
	case climbs(l.Prefix) || climbs(l.After):
		return sandbox.Payload{}, sandbox.Denied
	}
	own := stateKey(kv.Prefix, "")
	after := ""
	if l.After != "" {
		after = own + l.After
	}
	kept, err := h.c.h.State().List(ctx, own+l.Prefix, after, min(l.Limit, 1000))
	if err != nil {
		return sandbox.Payload{}, h.failed(err, sandbox.Unavailable)
	}
	out := wire.Kept{Keys: []string{}, Bytes: []int{}}
	var values []byte
	for _, w := range kept {
		if len(out.Keys) > 0 && len(values)+len(w.Value) > room {
			break
		}
		out.Keys, out.Bytes = append(out.Keys, strings.TrimPrefix(w.Key, own)), append(out.Bytes, len(w.Value))
		values = append(values, w.Value...)
	}
	header, err := json.Marshal(out)
	return sandbox.Payload{Header: header, Body: values}, err
}

// exists tells whether a secret can be used, and nothing else of it.
func (h *call) exists(ctx context.Context, in sandbox.Payload) error {
	var k struct {
		Name string `json:"name"`
	}
	if json.Unmarshal(in.Header, &k) != nil {
		return sandbox.Invalid
	}
	if _, ok := h.c.s.refs[k.Name]; !ok {
		return sandbox.Denied
	}
	if _, err := h.c.secret(ctx, k.Name); err != nil {
		return sandbox.NotFound
	}
	return nil
}

// Log implements sandbox.Host. What the guest writes is cut, and freed of what
// stands for secrets.
func (h *call) Log(ctx context.Context, level slog.Level, text string) {
	const most = 1000
	h.c.h.Log().Log(ctx, min(level, slog.LevelWarn), "the guest says", "module", h.c.g.pkg.Manifest.ID, "text", cut(h.c.scrub(ctx, text), most))
}

// denied notes a request that the manifest does not list.
func (h *call) denied(ctx context.Context, method string, u *url.URL) {
	h.cause = unlisted(method, u)
	h.overstepped(ctx, u.Host, h.unasked(sandbox.HostHTTP))
}

// save keeps a response's body under a handle, until the end of the call.
func (h *call) save(body io.ReadCloser) string {
	if h.saved == nil {
		h.saved = map[string]io.ReadCloser{}
	}
	handle := "saved" + strconv.Itoa(len(h.saved))
	h.saved[handle] = body
	return handle
}

// take is a saved response, which then is the caller's.
func (h *call) take(handle string) io.ReadCloser {
	body := h.saved[handle]
	delete(h.saved, handle)
	return body
}

// end closes what nobody took.
func (h *call) end() {
	for _, body := range h.saved {
		_ = body.Close()
	}
	for _, r := range h.reading {
		_ = r.Close()
	}
}

// scrub takes secrets out of a guest's text.
func (c *channel) scrub(ctx context.Context, text string) string {
	for name, ref := range c.s.refs {
		if ref != "" {
			text = strings.ReplaceAll(text, ref, "["+name+"]")
		}
		if s, err := c.h.Secret(ctx, ref); err == nil && !s.Empty() {
			text = strings.ReplaceAll(text, s.Reveal(), "["+name+"]")
		}
	}
	for _, w := range c.g.pkg.Manifest.Webhooks {
		if own, err := c.own(w.Verify.Secret); err == nil {
			text = strings.ReplaceAll(text, own, "["+w.Verify.Secret+"]")
		}
	}
	return text
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// invoke runs one operation of the guest. Its error is a *channels.Error, or
// that of ctx.
func (c *channel) invoke(ctx context.Context, op sandbox.Op, in wire.In, body []byte, h *call) (wire.Out, sandbox.Result, error) {
	var out wire.Out
	if c.g.barred != "" {
		return out, sandbox.Result{}, &channels.Error{
			Op: op.String(), Channel: c.h.ID(), Kind: channels.Transient, RetryAfter: firstPause, Err: barredError(c.g.barred),
		}
	}
	if wait := c.strikes.pause(); wait > 0 {
		return out, sandbox.Result{}, &channels.Error{
			Op: op.String(), Channel: c.h.ID(), Kind: channels.Transient, RetryAfter: wait, Err: errQuarantined,
		}
	}
	m, err := c.d.load(ctx, c.g.pkg)
	if err != nil {
		return out, sandbox.Result{}, c.fail(op, channels.Other, err)
	}
	header, err := c.header(in)
	if err != nil {
		return out, sandbox.Result{}, c.fail(op, channels.Rejected, err)
	}
	select {
	case c.room <- struct{}{}:
	case <-ctx.Done():
		return out, sandbox.Result{}, c.fail(op, channels.Transient, ctx.Err())
	}
	defer func() { <-c.room }()
	h.c, h.outer = c, ctx
	r, err := m.Call(ctx, op, sandbox.Payload{Header: header, Body: body}, h)
	if err == nil && r.Out.Header != nil {
		if out, err = readOut(r.Out.Header); err != nil {
			err = &sandbox.Fault{Module: c.g.pkg.Manifest.ID, Op: op, Kind: sandbox.KindABI, Detail: "its answer has an unknown form"}
		}
	}
	if err != nil {
		return out, r, c.explain(ctx, op, err, h)
	}
	c.strikes.clear()
	return out, r, nil
}

// explain turns the failure of a call into what happens next.
func (c *channel) explain(ctx context.Context, op sandbox.Op, err error, h *call) error {
	var said *sandbox.GuestError
	var fault *sandbox.Fault
	kind := channels.Other
	switch {
	case errors.As(err, &said):
		c.strikes.clear()
		return c.said(ctx, op, said, h.cause)
	case errors.As(err, &fault):
		c.struck(ctx, fault)
	case ctx.Err() != nil:
		kind = channels.Transient
	}
	if h.risky {
		kind = channels.Ambiguous
	}
	return c.fail(op, kind, err)
}

// said is what the guest itself reports, with the cause that the host knows.
func (c *channel) said(ctx context.Context, op sandbox.Op, g *sandbox.GuestError, cause error) error {
	kind := channels.Kind(g.Code)
	if !slices.Contains(kinds(), kind) {
		kind = channels.Other
	}
	const most = 200
	text := errors.New(cut(c.scrub(ctx, g.Message), most)) //nolint:err113 // the guest's words
	if cause != nil {
		text = fmt.Errorf("%w: %w", text, cause)
	}
	err := &channels.Error{Op: op.String(), Channel: c.h.ID(), Kind: kind, RetryAfter: milliseconds(g.RetryAfter), Err: text}
	if kind == channels.Unauthorized {
		if stop := c.refusal.Load(); stop != nil {
			(*stop)(err)
		}
	}
	return err
}

func kinds() []channels.Kind {
	return []channels.Kind{
		channels.Other, channels.Transient, channels.RateLimited, channels.Ambiguous, channels.Rejected,
		channels.Format, channels.Closed, channels.Unauthorized, channels.Gone,
	}
}

func (c *channel) fail(op sandbox.Op, kind channels.Kind, err error) error {
	return &channels.Error{Op: op.String(), Channel: c.h.ID(), Kind: kind, Err: err}
}
