package wasm_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/wasm"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// talkPackage builds the guest whose platform speaks over a socket, once.
var talkPackage = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "guest-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	to := filepath.Join(dir, "talk.gwm")
	build := exec.Command("go", "run", "./internal/module/pack", "-o", to, "./adapters/wasm/testdata/talk")
	build.Dir, build.Stderr = "../..", os.Stderr
	if err := build.Run(); err != nil {
		return nil, err
	}
	return os.ReadFile(to)
})

// word is what the platform and its clients say to each other.
type word struct {
	Op      string          `json:"op"`
	Seq     int             `json:"s,omitempty"`
	Session string          `json:"session,omitempty"`
	Text    string          `json:"text,omitempty"`
	Every   int             `json:"every,omitempty"`
	Key     string          `json:"key,omitempty"`
	File    string          `json:"file,omitempty"`
	Size    int             `json:"size,omitempty"`
	D       json.RawMessage `json:"d,omitempty"`
}

// hub is the platform: a stream of events, who may resume where, and files.
type hub struct {
	srv   *httptest.Server
	token string

	mu      sync.Mutex
	log     []word
	seen    []string // what clients sent: "op place"
	conns   []*websocket.Conn
	file    []byte // that a person sent
	upload  bytes.Buffer
	tickets bool // every connection needs one
	changed chan struct{}
}

func newHub(t *testing.T) *hub {
	b := &hub{token: `a "real" token`, changed: make(chan struct{})}
	b.srv = httptest.NewServer(b)
	t.Cleanup(b.srv.Close)
	return b
}

func (b *hub) change(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
	close(b.changed)
	b.changed = make(chan struct{})
}

// wait blocks until ok holds.
func (b *hub) wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	late := time.After(time.Minute)
	for {
		b.mu.Lock()
		done, changed := ok(), b.changed
		b.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("no %s", what)
		}
	}
}

func (b *hub) count(prefix string) (n int) {
	for _, s := range b.seen {
		if strings.HasPrefix(s, prefix) {
			n++
		}
	}
	return n
}

func (b *hub) say(text string) {
	b.change(func() {
		w := word{Op: "event", Seq: len(b.log) + 1, Text: text}
		if b.file != nil {
			w.File, w.Size = "file", len(b.file)
		}
		b.log = append(b.log, w)
		if n := len(b.conns); n > 0 {
			b.push(b.conns[n-1], w)
		}
	})
}

func (b *hub) push(c *websocket.Conn, w word) {
	m, _ := json.Marshal(w)
	_ = c.Write(context.Background(), websocket.MessageText, m)
}

// ServeHTTP implements http.Handler.
func (b *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "" {
		b.talk(w, r)
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+b.token {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	switch r.URL.Path {
	case "/ticket":
		_ = json.NewEncoder(w).Encode(map[string]string{"url": "ws" + strings.TrimPrefix(b.srv.URL, "http") + "/socket?ticket=t1"})
	case "/upload":
		body, _ := io.ReadAll(r.Body)
		b.change(func() { b.upload.Write(body) })
	case "/file":
		from := 0
		most := len(b.file)
		if n, _ := fmt.Sscan(r.URL.Query().Get("from"), &from); n == 1 {
			most = min(from+2<<20, most)
		}
		_, _ = w.Write(b.file[from:most])
	}
}

func (b *hub) talk(w http.ResponseWriter, r *http.Request) {
	if b.tickets && r.URL.Query().Get("ticket") != "t1" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = c.CloseNow() }()
	b.push(c, word{Op: "hello", Every: 100})
	for {
		_, m, err := c.Read(r.Context())
		if err != nil {
			return
		}
		var v word
		if json.Unmarshal(m, &v) != nil || !b.take(c, v) {
			_ = c.Close(4004, "no")
			return
		}
	}
}

// take is what the platform does with a word of a client; false for one that may
// not speak.
func (b *hub) take(c *websocket.Conn, v word) (ok bool) {
	b.change(func() {
		b.seen = append(b.seen, fmt.Sprintf("%s %d%s", v.Op, v.Seq, v.Text))
		ok = true
		if v.Op != "identify" && v.Op != "resume" {
			return
		}
		var d struct {
			Token string      `json:"token"`
			Big   json.Number `json:"big"`
		}
		if json.Unmarshal(v.D, &d) != nil || d.Token != b.token || d.Big != "12345678901234567890" {
			ok = false
			return
		}
		from := v.Seq
		if v.Op == "identify" {
			b.push(c, word{Op: "ready", Session: "s1"})
			from = len(b.log)
		}
		for _, missed := range b.log[from:] {
			b.push(c, missed)
		}
		b.conns = append(b.conns, c)
	})
	return ok
}

// talker is one life of the channel.
type talker struct {
	host *channeltest.Host
	sink *channeltest.Sink
	ch   channels.Channel
	stop context.CancelFunc
	done chan error
}

func newTalkDriver(t *testing.T) *wasm.Driver {
	t.Helper()
	d := wasm.NewDriver(wasm.Options{CacheDir: cacheDir(t), Shipped: func(string) ([]byte, error) { return talkPackage() }, Names: []string{"talk"}})
	t.Cleanup(func() { _ = d.Close() })
	if err := d.Ready(t.Context(), json.RawMessage(`{"module":"talk"}`)); err != nil {
		t.Fatal(err)
	}
	return d
}

func (b *hub) start(t *testing.T, d *wasm.Driver, snap channeltest.Snapshot, more map[string]any) *talker {
	t.Helper()
	h := channeltest.NewHost(t, channeltest.WithID("c"), channeltest.Restore(snap), channeltest.WithSecret("secret://bot", b.token))
	section := map[string]any{
		"module": "talk", "token": "secret://bot", "base_url": b.srv.URL,
	}
	for k, v := range more {
		section[k] = v
	}
	cfg, _ := json.Marshal(section)
	ch, err := d.For(cfg).Open(t.Context(), h, cfg)
	if err != nil {
		t.Fatal(err)
	}
	x := &talker{host: h, sink: channeltest.NewSink(h), ch: ch, done: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	x.stop = cancel
	go func() { x.done <- ch.Run(ctx, x.sink) }()
	t.Cleanup(cancel)
	return x
}

func (x *talker) end(t *testing.T) {
	t.Helper()
	x.stop()
	if err := <-x.done; err != nil {
		t.Errorf("Run returned %v", err)
	}
}

func said(es []channels.Event) (out []string) {
	for _, e := range es {
		out = append(out, e.Key+" "+e.Content.(channels.Message).Text)
	}
	return out
}

// TestSocketGuest: the guest identifies with a secret that it never sees, hears,
// answers, beats, connects again when the platform asks, and says goodbye.
func TestSocketGuest(t *testing.T) {
	b := newHub(t)
	x := b.start(t, newTalkDriver(t), channeltest.Snapshot{}, nil)
	x.host.WaitHealth(channels.Connected)
	b.wait(t, "identify", func() bool {
		return b.count("identify") == 1 && len(b.conns) == 1 && strings.HasPrefix(b.seen[0], "first ")
	})
	b.say("one")
	b.say("two")
	if d := cmp.Diff([]string{"s1/1 one", "s1/2 two"}, said(x.sink.WaitEvents(2))); d != "" {
		t.Error(d)
	}
	b.wait(t, "acknowledgement after the commit", func() bool { return b.count("ack 2") == 1 })
	rec, err := x.ch.Send(t.Context(), channels.Part{Key: "k1", Body: markup.Plain("hi there")})
	if err != nil || rec.ID != "sent-k1" {
		t.Errorf("send: %+v, %v", rec, err)
	}
	b.wait(t, "answer", func() bool { return b.count("say 0hi there") == 1 })
	b.wait(t, "beats", func() bool { return b.count("beat 2") >= 3 })
	b.mu.Lock()
	b.push(b.conns[0], word{Op: "reconnect"})
	b.mu.Unlock()
	b.wait(t, "the first word of the next connection", func() bool { return b.count("first") == 2 })
	b.wait(t, "resume", func() bool { return b.count("resume 2") == 1 && len(b.conns) == 2 })
	b.say("three")
	if d := cmp.Diff([]string{"s1/1 one", "s1/2 two", "s1/3 three"}, said(x.sink.WaitEvents(3))); d != "" {
		t.Error(d)
	}
	x.end(t)
	if v, err := x.host.State().Get(t.Context(), "kv/stopped"); err != nil || string(v) != "yes" {
		t.Errorf("shutdown left %q, %v", v, err)
	}
	if _, err := x.ch.Send(t.Context(), channels.Part{Key: "k2", Body: markup.Plain("late")}); channels.KindOf(err) != channels.Transient {
		t.Errorf("a send without a connection: %v", err)
	}
}

// TestSocketGuestCrashes: what was durable is not heard twice, and what was not
// comes again, wherever the process dies.
func TestSocketGuestCrashes(t *testing.T) {
	d := newTalkDriver(t)
	for _, committed := range []bool{false, true} {
		t.Run(fmt.Sprintf("with the commit made: %v", committed), func(t *testing.T) {
			b := newHub(t)
			x := b.start(t, d, channeltest.Snapshot{}, nil)
			b.wait(t, "connection", func() bool { return len(b.conns) == 1 })
			b.say("one")
			x.sink.WaitEvents(1)
			b.wait(t, "acknowledgement", func() bool { return b.count("ack 1") == 1 })
			hold := x.sink.Block
			if committed {
				hold = x.sink.BlockCommitted
			}
			held := hold()
			b.say("two")
			held.Wait()
			b.wait(t, "beats while an Accept is slow", func() bool { return b.count("beat") >= 3 })
			b.say("three")
			snap := x.host.Crash()
			x.stop()
			if err := <-x.done; err != nil {
				t.Errorf("Run returned %v", err)
			}
			x = b.start(t, d, snap, nil)
			b.say("four")
			want := []string{"s1/1 one", "s1/2 two", "s1/3 three", "s1/4 four"}
			if d := cmp.Diff(want, said(x.sink.WaitEvents(4))); d != "" {
				t.Errorf("events (-said +kept):\n%s", d)
			}
			at := map[bool]string{false: "resume 1", true: "resume 2"}[committed]
			b.wait(t, at, func() bool { return b.count(at) == 1 })
			x.end(t)
		})
	}
}

// TestSocketGuestIsRefused: by the platform, by the manifest, and for want of a
// ticket.
func TestSocketGuestIsRefused(t *testing.T) {
	d := newTalkDriver(t)
	t.Run("wrong token", func(t *testing.T) {
		b := newHub(t)
		x := b.start(t, d, channeltest.Snapshot{}, nil)
		b.wait(t, "connection", func() bool { return len(b.conns) == 1 })
		b.change(func() { b.token = "another"; _ = b.conns[0].CloseNow() })
		if err := <-x.done; channels.KindOf(err) != channels.Unauthorized {
			t.Errorf("Run returned %v", err)
		}
	})
	t.Run("a URL that is not listed", func(t *testing.T) {
		for _, url := range []string{"wss://evil.example/socket", "ws://169.254.169.254/socket", "ws://127.0.0.1:1/socket", "http://x"} {
			b := newHub(t)
			x := b.start(t, d, channeltest.Snapshot{}, map[string]any{"elsewhere": url})
			if h := x.host.WaitHealth(channels.Retrying); !strings.Contains(h.Err.Error(), "the manifest does not list") {
				t.Errorf("%s: %v", url, h.Err)
			}
			x.end(t)
		}
	})
	t.Run("with a ticket", func(t *testing.T) {
		b := newHub(t)
		b.tickets = true
		x := b.start(t, d, channeltest.Snapshot{}, map[string]any{"ticket": true})
		b.wait(t, "connection", func() bool { return len(b.conns) == 1 })
		for _, l := range x.host.Logs() {
			if strings.Contains(l.String(), "t1") {
				t.Errorf("the log has the ticket: %s", l)
			}
		}
		x.end(t)
	})
	t.Run("without a ticket", func(t *testing.T) {
		b := newHub(t)
		b.tickets = true
		x := b.start(t, d, channeltest.Snapshot{}, nil)
		if h := x.host.WaitHealth(channels.Retrying); !strings.Contains(h.Err.Error(), "403") {
			t.Errorf("the health says %v", h.Err)
		}
		x.end(t)
	})
}

// TestGuestFiles: 20 MB in both directions, streamed past the guest and piece by
// piece through it.
func TestGuestFiles(t *testing.T) {
	d := newTalkDriver(t)
	content := make([]byte, 20<<20+7)
	_, _ = rand.Read(content)
	for _, parts := range []bool{false, true} {
		t.Run(fmt.Sprintf("in parts: %v", parts), func(t *testing.T) {
			b := newHub(t)
			b.file = content
			x := b.start(t, d, channeltest.Snapshot{}, map[string]any{"parts": parts})
			b.wait(t, "connection", func() bool { return len(b.conns) == 1 })
			b.say("look at this")
			file := x.sink.WaitEvents(1)[0].Content.(channels.Message).Files[0]
			fetcher, _ := channels.As[channels.Fetcher](x.ch)
			r, err := fetcher.Fetch(t.Context(), file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err = errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, content) {
				t.Errorf("fetched %d bytes of %d, %v", len(got), len(content), err)
			}
			_, err = x.ch.Send(t.Context(), channels.Part{Key: "k", Body: markup.Plain("here"), Files: []channels.File{{
				Name: "x", Size: int64(len(content)),
				Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
			}}})
			if err != nil || !bytes.Equal(b.upload.Bytes(), content) {
				t.Errorf("uploaded %d bytes of %d, %v", b.upload.Len(), len(content), err)
			}
			x.end(t)
		})
	}
}
