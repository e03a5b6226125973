package channeltest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// rig is one platform and the process that serves a channel on it; boot starts
// the process, and may do so again after a halt.
type rig struct {
	t     testing.TB
	s     Suite
	hs    *Harness
	front *front

	host *Host
	sink *Sink
	ch   channels.Channel
	stop context.CancelFunc
	done chan error // what Run returned
	said int

	found   map[string][]byte // the state before the channel was opened
	revoked bool              // the case has revoked the credentials

	closing sync.Once
}

func newRig(t testing.TB, s Suite) *rig {
	t.Helper()
	r := &rig{t: t, s: s, front: newFront(t)}
	r.hs = s.New(t, r.front.srv.URL+"/hooks/test")
	t.Cleanup(r.close)
	return r
}

// close ends the platform, once.
func (r *rig) close() {
	r.closing.Do(func() {
		if r.hs.Close != nil {
			r.hs.Close()
		}
	})
}

// open opens the channel without running it.
func (r *rig) open(snap Snapshot) {
	r.t.Helper()
	opts := append([]HostOption{Restore(snap), WithPatience(r.s.patience()), WithPublic(r.front.srv.URL + "/hooks/test")}, r.hs.Host...)
	r.host = NewHost(r.t, opts...)
	r.sink = NewSink(r.host)
	r.found = maps.Clone(r.host.disk.state)
	ch, err := r.s.Driver.Open(r.t.Context(), r.host, r.hs.Config)
	if err != nil {
		r.t.Fatalf("open: %v", err)
	}
	r.ch = ch
}

// boot opens and runs the channel, and waits until it is connected.
func (r *rig) boot(snap Snapshot) {
	r.t.Helper()
	r.open(snap)
	r.run()
	r.host.WaitHealth(channels.Connected)
}

// run starts Run, which the end of the test stops, and which must then return nil.
func (r *rig) run() {
	if rec, ok := channels.As[channels.Receiver](r.ch); ok {
		r.front.serve(rec.Receive(r.sink))
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	ch, sink, done := r.ch, r.sink, make(chan error, 1)
	go func() { done <- ch.Run(ctx, sink) }()
	r.stop, r.done = cancel, done
	r.t.Cleanup(func() {
		if r.done != done {
			return // another process has taken over
		}
		err := r.halt()
		if err == nil || r.revoked && channels.KindOf(err) == channels.Unauthorized {
			return
		}
		r.t.Errorf("Run returned %v when its context ended; want nil", err)
	})
}

// halt ends Run and returns what it returned. It may be called again.
func (r *rig) halt() error {
	r.t.Helper()
	r.front.serve(nil)
	r.stop()
	err, ok := r.ended()
	if !ok {
		r.t.Errorf("Run did not return within %s after its context had ended", r.s.patience())
		return nil
	}
	return err
}

// ended waits for Run to return.
func (r *rig) ended() (result error, ok bool) {
	ctx, cancel := context.WithTimeout(context.Background(), r.s.patience())
	defer cancel()
	select {
	case err := <-r.done:
		r.done <- err
		if err != nil {
			r.host.watch("the error of Run", err.Error())
		}
		return err, true
	case <-ctx.Done():
		return nil, false
	}
}

// word is a word that this test has not used yet.
func (r *rig) word() string {
	r.said++
	return fmt.Sprintf("word%d", r.said)
}

// hear lets a person say something with a new word in it and waits for the event.
func (r *rig) hear(s Said) (channels.Event, channels.Message) {
	r.t.Helper()
	w := r.word()
	s.Text = strings.TrimSpace(s.Text + " " + w)
	r.hs.Say(s)
	return r.message(w)
}

// message waits for the event of a message with this word.
func (r *rig) message(word string) (channels.Event, channels.Message) {
	r.t.Helper()
	e := r.sink.WaitEvent("a message with "+word, func(e channels.Event) bool { return says(e, word) })
	return e, e.Content.(channels.Message)
}

// says looks for a whole word.
func says(e channels.Event, word string) bool {
	m, ok := e.Content.(channels.Message)
	return ok && hasWord(m.Text, word)
}

func hasWord(text, word string) bool {
	for _, w := range strings.FieldsFunc(text, func(r rune) bool { return r <= ' ' || r == ' ' }) {
		if w == word {
			return true
		}
	}
	return false
}

// send sends a part and checks what holds for every send.
func (r *rig) send(p channels.Part) (channels.Receipt, error) {
	ctx, cancel := context.WithTimeout(r.t.Context(), r.s.patience())
	defer cancel()
	return r.sendIn(ctx, p)
}

func (r *rig) sendIn(ctx context.Context, p channels.Part) (channels.Receipt, error) {
	if p.Key == "" {
		p.Key = "turn-" + r.word() + "/0"
	}
	rec, err := r.ch.Send(ctx, p)
	if err == nil {
		if rec.ID == "" || rec.At.IsZero() {
			r.t.Errorf("Send of %s: the receipt %+v lacks an id or a time", p.Key, rec)
		}
		return rec, nil
	}
	r.host.watch("an error of Send", err.Error())
	var e *channels.Error
	if !errors.As(err, &e) {
		r.t.Errorf("Send of %s failed with a %T, which is no *channels.Error: %v", p.Key, err, err)
	} else if e.Channel != r.host.ID() || e.Op == "" {
		r.t.Errorf("Send of %s: the error lacks its channel or operation: %v", p.Key, err)
	}
	return rec, err
}

// mustSend sends a text.
func (r *rig) mustSend(at channels.Address, text string) channels.Receipt {
	r.t.Helper()
	rec, err := r.send(channels.Part{To: at, Body: markup.Plain(text)})
	if err != nil {
		r.t.Fatalf("send: %v", err)
	}
	return rec
}

// shown is the bot's message with this id, as the platform shows it.
func (r *rig) shown(at channels.Address, id channels.MessageID) Shown {
	r.t.Helper()
	for _, m := range r.hs.Shown(at) {
		if m.ID == id {
			return m
		}
	}
	r.t.Fatalf("the platform shows no message %q in %+v", id, at)
	return Shown{}
}

// eventually polls something of the harness.
func (r *rig) eventually(what string, cond func() bool) {
	r.t.Helper()
	await(r.t.Context(), r.t, r.s.patience(), what, cond)
}

// capability is a capability that the suite has said to be there.
func capability[T any](r *rig) T {
	r.t.Helper()
	c, ok := channels.As[T](r.ch)
	if !ok {
		r.t.Fatalf("the channel does not implement %T", (*T)(nil))
	}
	return c
}

// check fails on an error of a capability.
func (r *rig) check(what string, err error) {
	r.t.Helper()
	if err != nil {
		r.host.watch("an error of "+what, err.Error())
		r.t.Fatalf("%s: %v", what, err)
	}
}

// front is the gateway's public listener. It answers 503 while no process is
// there.
type front struct {
	srv *httptest.Server

	mu sync.Mutex
	to http.Handler
}

func newFront(t testing.TB) *front {
	f := &front{}
	f.srv = httptest.NewServer(f)
	t.Cleanup(f.srv.Close)
	return f
}

func (f *front) serve(h http.Handler) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.to = h
}

// ServeHTTP implements http.Handler.
func (f *front) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	f.mu.Lock()
	to := f.to
	f.mu.Unlock()
	if to == nil {
		http.Error(w, "nobody is here", http.StatusServiceUnavailable)
		return
	}
	to.ServeHTTP(w, req)
}
