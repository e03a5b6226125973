package console

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/console/wire"
)

// push is one server-sent event.
type push struct {
	event string
	id    int64 // 0: none
	body  any
}

func jsonPush(event string, body any) push { return push{event: event, body: body} }
func draftPush(d wire.Draft) push          { return push{event: wire.EventDraft, body: d} }
func messagePush(m wire.Message) push      { return push{event: wire.EventMessage, id: m.Rev, body: m} }

func readyPush(rev int64) push { return push{event: wire.EventReady, body: wire.Ready{Rev: rev}} }

// The patience with a page.
const (
	heartbeat  = 15 * time.Second
	writeFor   = 20 * time.Second
	queueLimit = 256 // pushes that wait for a page
	lossyLimit = 32  // beyond it, what is lossy is left out
)

// stream is one connected page.
type stream struct {
	queue chan push
	ended chan struct{}
	once  sync.Once
}

func newStream() *stream {
	return &stream{queue: make(chan push, queueLimit), ended: make(chan struct{})}
}

func (s *stream) end() { s.once.Do(func() { close(s.ended) }) }

// push queues what must not be lost; false when the page cannot keep up.
func (s *stream) push(p push) bool {
	select {
	case s.queue <- p:
		return true
	default:
		return false
	}
}

// offer queues what may be lost.
func (s *stream) offer(p push) {
	if len(s.queue) < lossyLimit {
		s.push(p)
	}
}

// streams serves GET /chat/api/stream.
func (v *visit) stream(w http.ResponseWriter, r *http.Request) {
	after, err := cursor(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	s := newStream()
	defer s.end()
	missed, last, err := v.join(r, s, after)
	if err != nil {
		unavailable(w)
		return
	}
	defer v.chat.part(s)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // a proxy before us must not hold it back
	out := sse{w: w, c: http.NewResponseController(w), page: asPage(r)}
	out.raw("retry: 1000\n\n")
	for _, e := range missed {
		out.send(messagePush(e.message()))
	}
	out.send(readyPush(last))
	out.flush()
	out.follow(r, s)
}

// cursor is the last change that the client has seen; -1 when it names none.
func cursor(r *http.Request) (int64, error) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.URL.Query().Get("after")
	}
	if text == "" {
		return -1, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, errors.New("after must be a number")
	}
	return n, nil
}

// join connects a stream and returns what it has missed.
func (v *visit) join(r *http.Request, s *stream, after int64) ([]entry, int64, error) {
	if err := v.chat.enter(r.Context()); err != nil {
		return nil, 0, err
	}
	defer v.chat.leave()
	if err := v.chat.load(r.Context(), v.c.log); err != nil {
		return nil, 0, err
	}
	var missed []entry
	if after >= 0 && after < v.chat.last {
		var err error
		if missed, err = v.c.changes(r.Context(), v.chat.id, after); err != nil {
			return nil, 0, err
		}
	}
	return missed, v.chat.last, v.c.admit(v.chat, s)
}

// admit connects a stream unless the channel has stopped.
func (c *Channel) admit(ch *chat, s *stream) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errStopped
	}
	ch.join(s)
	return nil
}

// sse writes server-sent events. After a failure it writes nothing more.
type sse struct {
	w    http.ResponseWriter
	c    *http.ResponseController
	page bool // messages and drafts carry their HTML
	err  error
}

// follow writes what is pushed until one side ends.
func (o *sse) follow(r *http.Request, s *stream) {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for o.err == nil {
		select {
		case <-r.Context().Done():
			return
		case <-s.ended:
			return
		case <-beat.C:
			o.raw(": still here\n\n")
		case p := <-s.queue:
			o.send(p)
		}
		o.flush()
	}
}

func (o *sse) send(p push) {
	if o.page {
		p.body = withItem(p.body)
	}
	data, err := json.Marshal(p.body)
	if err != nil { // our own types encode
		o.err = err
		return
	}
	var b bytes.Buffer
	if p.id > 0 {
		fmt.Fprintf(&b, "id: %d\n", p.id)
	}
	fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", p.event, data)
	o.raw(b.String())
}

func (o *sse) raw(text string) {
	if o.err != nil {
		return
	}
	_ = o.c.SetWriteDeadline(time.Now().Add(writeFor)) // not every writer has deadlines
	_, o.err = o.w.Write([]byte(text))
}

func (o *sse) flush() {
	if o.err == nil {
		o.err = o.c.Flush()
	}
}
