package trial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
	"github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// host answers a guest with what a test says.
type host struct {
	s     Subject
	t     module.Test
	next  int            // the exchange that is due
	made  int            // files that the guest made
	read  map[string]int // how far it has read each file
	fault error          // the first thing that the guest did otherwise
	// refuse takes the place of every exchange's answer; 0: nothing does.
	refuse sandbox.Refusal
	lax    bool // whatever the guest asks for is refused, and no fault
	said   []string
}

var _ sandbox.Host = (*host)(nil)

func newHost(s Subject, t module.Test) *host { return &host{s: s, t: t} }

// request is what of a guest's request can be looked at.
type request struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Save    bool              `json:"save"`
	Form    json.RawMessage   `json:"form"`
}

// Do implements sandbox.Host.
func (h *host) Do(_ context.Context, op sandbox.HostOp, in sandbox.Payload) (sandbox.Payload, error) {
	switch op { //nolint:exhaustive // a trial has nothing else to offer
	case sandbox.HostHTTP:
		return h.exchange(in)
	case sandbox.HostKVGet:
		var k struct {
			Key string `json:"key"`
		}
		if json.Unmarshal(in.Header, &k) != nil {
			return sandbox.Payload{}, sandbox.Invalid
		}
		v, ok := h.t.State[k.Key]
		if !ok {
			return sandbox.Payload{}, sandbox.NotFound
		}
		return sandbox.Payload{Body: []byte(v)}, nil
	case sandbox.HostKVList:
		return h.list(in)
	case sandbox.HostAttachmentPut:
		return h.put(in)
	case sandbox.HostAttachmentRead:
		return h.readPart(in)
	case sandbox.HostAttachmentLink:
		return h.link(in)
	case sandbox.HostSecretExists:
		return sandbox.Payload{}, nil
	case sandbox.HostTimerSet:
		return sandbox.Payload{}, nil
	case sandbox.HostSocketSend, sandbox.HostSocketClose:
		if len(h.s.Manifest.Sockets) > 0 {
			return sandbox.Payload{}, nil
		}
	}
	return sandbox.Payload{}, sandbox.Denied
}

// list answers kv_list with what the test says is kept.
func (h *host) list(in sandbox.Payload) (sandbox.Payload, error) {
	var l wire.KeyList
	if json.Unmarshal(in.Header, &l) != nil || l.Limit < 0 {
		return sandbox.Payload{}, sandbox.Invalid
	}
	out := wire.Kept{Keys: []string{}, Bytes: []int{}}
	var values []byte
	for _, key := range slices.Sorted(maps.Keys(h.t.State)) {
		if strings.HasPrefix(key, l.Prefix) && key > l.After && (l.Limit == 0 || len(out.Keys) < l.Limit) {
			out.Keys, out.Bytes = append(out.Keys, key), append(out.Bytes, len(h.t.State[key]))
			values = append(values, h.t.State[key]...)
		}
	}
	header, err := json.Marshal(out)
	return sandbox.Payload{Header: header, Body: values}, err
}

func (h *host) blame(format string, args ...any) error {
	if h.fault == nil && !h.lax {
		h.fault = fmt.Errorf(format, args...) //nolint:err113 // for people
	}
	return sandbox.Denied
}

func (h *host) exchange(in sandbox.Payload) (sandbox.Payload, error) {
	var r request
	if json.Unmarshal(in.Header, &r) != nil {
		return sandbox.Payload{}, sandbox.Invalid
	}
	if r.Method == "" {
		r.Method = "GET"
	}
	u, err := url.Parse(r.URL)
	if err != nil {
		return sandbox.Payload{}, h.blame("its request has the URL %q, which is none", r.URL)
	}
	var input struct {
		Config json.RawMessage `json:"config"`
	}
	_ = json.Unmarshal(h.t.In, &input) // the manifest is JSON
	if err := h.s.Lists(input.Config, r.Method, u); err != nil {
		return sandbox.Payload{}, h.blame("%w", err)
	}
	if h.next >= len(h.t.HTTP) {
		return sandbox.Payload{}, h.blame("it asks for %s %s; the test has %d entries under http and none for this", r.Method, r.URL, len(h.t.HTTP))
	}
	x := exchange(h.t.HTTP[h.next])
	h.next++
	if err := x.wants(r, in.Body); err != nil {
		return sandbox.Payload{}, h.blame("request %d: %w", h.next, err)
	}
	if h.refuse != 0 {
		return sandbox.Payload{}, h.refuse
	}
	return answer(x, r.Save)
}

// answer is what the platform of a test says.
func answer(x exchange, save bool) (sandbox.Payload, error) {
	if x.Refusal != 0 {
		return sandbox.Payload{}, sandbox.Refusal(x.Refusal)
	}
	status := x.Status
	if status == 0 {
		status = 200
	}
	head := map[string]any{"status": status, "headers": x.Headers}
	body := []byte(x.Answer)
	if save && status/100 == 2 {
		head["file"], body = "saved0", nil
	}
	header, err := json.Marshal(head)
	return sandbox.Payload{Header: header, Body: body}, err
}

// Log implements sandbox.Host.
func (h *host) Log(_ context.Context, _ slog.Level, text string) {
	const most = 40
	if len(h.said) < most {
		h.said = append(h.said, text)
	}
}

var errNothing = errors.New("the answer is empty")

// judge holds what came to what the test wants.
func (r ran) judge(t module.Test, err error) error {
	var said *sandbox.GuestError
	switch {
	case errors.As(err, &said):
		if t.Error == "" {
			return fmt.Errorf("it failed with %q: %s", said.Code, said.Message) //nolint:err113 // for people
		}
		if said.Code != t.Error {
			return fmt.Errorf("it failed with %q (%s), want %q", said.Code, said.Message, t.Error) //nolint:err113 // for people
		}
		return nil
	case err != nil:
		return err
	case t.Error != "":
		return fmt.Errorf("it succeeded, want the error %q", t.Error) //nolint:err113 // for people
	case r.host.next < len(t.HTTP):
		return fmt.Errorf("it made %d requests, want %d", r.host.next, len(t.HTTP)) //nolint:err113 // for people
	}
	if len(t.Out) > 0 && string(t.Out) != "{}" {
		if len(r.result.Out.Header) == 0 {
			return errNothing
		}
		if err := holds("out", t.Out, r.result.Out.Header); err != nil {
			return err
		}
	}
	if len(t.Answer) > 0 {
		if err := holds("answer", t.Answer, r.result.Out.Body); err != nil {
			return err
		}
	}
	if t.Events == nil {
		return nil
	}
	if len(r.events) != len(t.Events) {
		return fmt.Errorf("it handed in %d events, want %d", len(r.events), len(t.Events)) //nolint:err113 // for people
	}
	for i, want := range t.Events {
		if err := holds(fmt.Sprintf("events[%d]", i), want, r.events[i]); err != nil {
			return err
		}
	}
	return nil
}
