package console_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/console"
	"github.com/gatehouse-chat/gatehouse/adapters/console/consoleclient"
	"github.com/gatehouse-chat/gatehouse/adapters/console/wire"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

var update = flag.Bool("update", false, "write the goldens anew")

func TestConformance(t *testing.T) {
	channeltest.Run(t, channeltest.Suite{
		Driver: hosted{}, New: newHouse, Update: *update,
		Lacks: []channeltest.Ability{
			// One private chat for each member, and nothing else.
			channeltest.Rooms, channeltest.Threads, channeltest.JoinedThreads, channeltest.Quoting,
			channeltest.Edits, channeltest.Deletions, channeltest.Reactions, channeltest.Reacting,
			// The platform is the gateway: there is no far side that could fail, and no credential.
			channeltest.Outages, channeltest.Revocation, channeltest.Stalls, channeltest.Secrets,
			channeltest.Throttles, channeltest.Unavailables, channeltest.LostAnswers, channeltest.BadFormats,
			channeltest.ShutOuts, channeltest.Refusals,
		},
	})
}

// hosted is the driver of the console with a front door: the suite knows
// webhooks, so members' requests come in as such, and a header says who is
// logged in.
type hosted struct{ console.Driver }

func (d hosted) Open(ctx context.Context, h channels.Host, cfg json.RawMessage) (channels.Channel, error) {
	c, err := d.Driver.Open(ctx, h, cfg)
	return frontDoor{c}, err
}

type frontDoor struct{ channels.Channel }

// Unwrap lets the suite find the console's capabilities.
func (f frontDoor) Unwrap() channels.Channel { return f.Channel }

// Receive implements channels.Receiver.
func (f frontDoor) Receive(sink channels.Sink) http.Handler {
	v, _ := channels.As[channels.Visited](f.Channel)
	inside := v.Visit(sink)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = strings.TrimPrefix(r.URL.Path, "/hooks/test")
		who := channels.Visitor{ID: r.Header.Get("X-Member"), Name: r.Header.Get("X-Member")}
		inside.ServeHTTP(w, r.WithContext(channels.WithVisitor(r.Context(), who)))
	})
}

// house is the people at their browsers. Each has a queue of what is to be
// sent, and tries until it is taken, as the page does.
type house struct {
	t      testing.TB
	public string
	ctx    context.Context //nolint:containedctx // the life of the house
	leave  context.CancelFunc
	all    sync.WaitGroup
	http   *http.Client

	mu      sync.Mutex
	people  map[string]*person
	taken   map[string]bool
	pressed int
	typed   map[string]int
	ready   map[string]bool
	drops   []context.CancelFunc
}

type person struct {
	name  string
	queue chan func()
}

func newHouse(t testing.TB, public string) *channeltest.Harness {
	h := &house{
		t: t, public: public, http: &http.Client{Transport: &http.Transport{}},
		people: map[string]*person{}, taken: map[string]bool{}, typed: map[string]int{}, ready: map[string]bool{},
	}
	h.ctx, h.leave = context.WithCancel(context.Background())
	return &channeltest.Harness{
		Config: json.RawMessage(`{}`), Push: true,
		Say: h.say, Acked: h.acked, Shown: h.shown, Again: h.again, Press: h.press, Drop: h.drop,
		Answered: func() int { h.mu.Lock(); defer h.mu.Unlock(); return h.pressed },
		Typed: h.arrived(func(at channels.Address) int {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.typed[string(at.Conversation)]
		}),
		Commands: h.commands, Close: h.close,
	}
}

func (h *house) close() {
	h.leave()
	h.all.Wait()
	h.http.CloseIdleConnections()
}

func (h *house) client(who string) *consoleclient.Client {
	return &consoleclient.Client{HTTP: &http.Client{Transport: member{who, h.http.Transport}}, Base: h.public}
}

type member struct {
	name string
	next http.RoundTripper
}

func (m member) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Member", m.name)
	return m.next.RoundTrip(r)
}

// person begins to listen and to send.
func (h *house) person(name string) *person {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.people[name]; p != nil {
		return p
	}
	p := &person{name: name, queue: make(chan func(), 100)}
	h.people[name] = p
	h.all.Go(func() {
		for {
			select {
			case f := <-p.queue:
				f()
			case <-h.ctx.Done():
				return
			}
		}
	})
	h.all.Go(func() { h.listen(name) })
	return p
}

// listen counts what only the stream tells.
func (h *house) listen(name string) {
	for h.ctx.Err() == nil {
		ctx, cancel := context.WithCancel(h.ctx)
		h.mu.Lock()
		h.drops = append(h.drops, cancel)
		h.mu.Unlock()
		for e, err := range h.client(name).Stream(ctx, -1) {
			h.mu.Lock()
			h.ready[name] = err == nil
			switch e.(type) {
			case wire.Typing:
				h.typed[name]++
			case wire.Pressed:
				h.pressed++
			}
			h.mu.Unlock()
		}
		cancel()
		h.pause(5 * time.Millisecond)
	}
}

func (h *house) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-h.ctx.Done():
	}
}

// insist tries until a request is answered with success.
func (h *house) insist(f func() error) {
	for h.ctx.Err() == nil && f() != nil {
		h.pause(10 * time.Millisecond)
	}
}

var errAway = errors.New("not connected")

func (h *house) listening(who string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.ready[who] {
		return errAway
	}
	return nil
}

// arrived waits a while for a count to become positive: what is pushed takes a moment.
func (h *house) arrived(count func(channels.Address) int) func(channels.Address) int {
	return func(at channels.Address) int {
		for range 400 {
			if count(at) > 0 {
				break
			}
			h.pause(5 * time.Millisecond)
		}
		return count(at)
	}
}

func (h *house) say(s channeltest.Said) channels.MessageID {
	if s.By == "" {
		s.By = channeltest.Alice
	}
	key := consoleclient.NewKey()
	h.post(s.By, key, s.Text, s.Files...)
	return channels.MessageID(key)
}

func (h *house) post(who, key, text string, files ...channeltest.Upload) {
	h.person(who).queue <- func() {
		h.insist(func() error { return h.listening(who) }) // the page sends once it is connected
		var keys []string
		for _, f := range files {
			keys = append(keys, consoleclient.NewKey())
			h.insist(func() error {
				_, err := h.client(who).Upload(h.ctx, keys[len(keys)-1], f.Name, int64(len(f.Body)), bytes.NewReader(f.Body))
				return err
			})
		}
		h.insist(func() error {
			_, err := h.client(who).Say(h.ctx, key, text, keys...)
			var f *consoleclient.Error
			if errors.As(err, &f) && f.Status == http.StatusUnprocessableEntity {
				return nil // the page says so and goes on
			}
			return err
		})
		h.mu.Lock()
		h.taken[key] = h.ctx.Err() == nil
		h.mu.Unlock()
	}
}

func (h *house) acked(id channels.MessageID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.taken[string(id)]
}

func (h *house) again(id channels.MessageID) {
	for _, m := range h.messages(channeltest.Alice) {
		if m.ID == string(id) {
			h.post(channeltest.Alice, m.ID, m.Text)
		}
	}
}

func (h *house) messages(who string) []wire.Message {
	p, err := h.client(who).Latest(h.ctx, 0)
	if err != nil {
		h.t.Fatalf("messages: %v", err)
	}
	return p.Messages
}

func (h *house) shown(at channels.Address) []channeltest.Shown {
	var out []channeltest.Shown
	for _, m := range h.messages(string(at.Conversation)) {
		if m.From != wire.Bot || m.Deleted {
			continue
		}
		s := channeltest.Shown{ID: channels.MessageID(m.ID), Native: m.Text, Text: m.Text}
		if !m.Plain {
			s.Native = markup.WebHTML.Render(markup.Parse(m.Text))
			s.Text = markup.PlainText.Render(markup.Parse(m.Text))
		}
		if m.Edited {
			s.Edits = 1
		}
		for _, f := range m.Files {
			s.Files = append(s.Files, channeltest.Upload{Name: f.Name, MIME: f.MIME, Body: h.content(string(at.Conversation), f)})
		}
		for _, b := range m.Buttons {
			s.Buttons = append(s.Buttons, channels.Button{Label: b.Label, Data: b.Data, URL: b.URL})
		}
		out = append(out, s)
	}
	return out
}

func (h *house) content(who string, f wire.File) []byte {
	r, err := h.client(who).File(h.ctx, f)
	if err != nil {
		h.t.Errorf("open %s: %v", f.Name, err)
		return nil
	}
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(r)
	if err != nil {
		h.t.Errorf("read %s: %v", f.Name, err)
	}
	return b
}

func (h *house) press(id channels.MessageID, label string) {
	key := consoleclient.NewKey()
	i := slices.IndexFunc(h.messages(channeltest.Alice), func(m wire.Message) bool { return m.ID == string(id) })
	if i < 0 {
		h.t.Fatalf("there is no message %q", id)
	}
	for _, b := range h.messages(channeltest.Alice)[i].Buttons {
		if b.Label != label {
			continue
		}
		h.person(channeltest.Alice).queue <- func() {
			h.insist(func() error {
				return h.client(channeltest.Alice).Press(h.ctx, wire.Press{Key: key, ID: string(id), Data: b.Data})
			})
		}
	}
}

func (h *house) drop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, cut := range h.drops {
		cut()
	}
	h.drops = nil
}

func (h *house) commands() []channels.CommandSpec {
	all, err := h.client(channeltest.Alice).Commands(h.ctx)
	if err != nil {
		h.t.Fatalf("commands: %v", err)
	}
	var out []channels.CommandSpec
	for _, c := range all {
		out = append(out, channels.CommandSpec{Name: c.Name, Help: c.Help, Args: c.Args})
	}
	return out
}
