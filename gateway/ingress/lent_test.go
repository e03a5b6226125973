package ingress_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/audit"
	"github.com/gatehouse-chat/gatehouse/gateway/blob"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/gateway/ingress"
	"github.com/gatehouse-chat/gatehouse/gateway/lent"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

// lendingRig is a gateway with one channel, whose host the test has in hand.
type lendingRig struct {
	t      testing.TB
	bus    bus.Engine
	gw     *gateway.Gateway
	host   channels.Host
	shelf  *heldShelf
	folder string
	server *httptest.Server

	mu       sync.Mutex
	now      time.Time
	recorded []audit.Entry
}

// heldShelf opens nothing while it is held.
type heldShelf struct {
	blob.Shelf
	opened chan struct{}
	hold   chan struct{} // nil: it opens at once
}

func (s *heldShelf) Open(ctx context.Context, id blob.ID) (io.ReadCloser, error) {
	if s.hold != nil {
		s.opened <- struct{}{}
		<-s.hold
	}
	return s.Shelf.Open(ctx, id)
}

// derives gives a channel keys, and nothing else of the outside.
type derives struct {
	gateway.Outside
	id channels.ID
}

func (d derives) Derive(purpose string) channels.Secret {
	return channels.NewSecret("of " + string(d.id) + " for " + purpose)
}

type lendingDriver struct {
	fakeDriver
	r *lendingRig
}

func (d lendingDriver) Open(ctx context.Context, h channels.Host, section json.RawMessage) (channels.Channel, error) {
	if h.ID() == "line" {
		d.r.host = h
	}
	c, err := d.fakeDriver.Open(ctx, h, section)
	return struct{ channels.Channel }{c}, err // it takes no webhooks
}

func (r *lendingRig) Record(e audit.Entry) { r.recorded = append(r.recorded, e) }

func (r *lendingRig) Keep(_ context.Context, all ...audit.Entry) error {
	r.recorded = append(r.recorded, all...)
	return nil
}

func newLendingRig(t testing.TB, public string) *lendingRig {
	t.Helper()
	r := &lendingRig{t: t, now: time.Now(), bus: inprocess.New(inprocess.Options{}), folder: t.TempDir()}
	clock := func() time.Time { r.mu.Lock(); defer r.mu.Unlock(); return r.now }
	folder, err := blob.NewFolder(r.folder, clock, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.shelf = &heldShelf{Shelf: folder, opened: make(chan struct{}, 100)}
	log := slog.New(slog.DiscardHandler)
	dir, err := identity.Open(t.Context(), r.bus, "main", time.Now, log)
	if err != nil {
		t.Fatal(err)
	}
	r.gw = gateway.New(gateway.Options{
		Bus: r.bus, Directory: dir, Blobs: r.shelf, Version: "0.1.0", Log: log, Now: clock, Audit: r,
		Outside: func(c gateway.ChannelConfig) gateway.Outside { return derives{id: c.ID} },
		Agent:   gateway.AgentSettings{Runner: echo, Queue: gateway.Steer},
	})
	both := []gateway.ChannelConfig{
		{ID: "line", Driver: lendingDriver{r: r}, Section: json.RawMessage("{}"), Public: public},
		{ID: "other", Driver: lendingDriver{r: r}, Section: json.RawMessage("{}"), Public: public},
	}
	if err := r.gw.Apply(t.Context(), both); err != nil {
		t.Fatal(err)
	}
	r.server = httptest.NewServer(ingress.Public(r.gw))
	t.Cleanup(func() {
		r.server.Close()
		_ = r.bus.Close()
	})
	return r
}

// lend keeps a content and lends it for an hour. It returns the link's path.
func (r *lendingRig) lend(name, mime string, content []byte) string {
	r.t.Helper()
	id, n, err := r.shelf.Put(r.t.Context(), bytes.NewReader(content), 1<<30)
	if err != nil {
		r.t.Fatal(err)
	}
	lender, ok := r.host.(channels.Lender)
	if !ok {
		r.t.Fatal("the gateway's host lends nothing")
	}
	part := channels.Part{Key: "turn/r000#0", To: channels.Address{Channel: "line", Conversation: "U1"}}
	link, err := lender.Lend(r.t.Context(), part, channels.File{Name: name, MIME: mime, Size: n, Blob: string(id)}, time.Hour)
	if err != nil || link.Until.Before(r.now.Add(time.Hour-time.Second)) {
		r.t.Fatal(link, err)
	}
	path, ok := strings.CutPrefix(link.URL, "https://gate.example.org")
	if !ok {
		r.t.Fatalf("the link is %s", link.URL)
	}
	return path
}

const lendingPublic = "https://gate.example.org/hooks/line"

type fetched struct {
	status int
	header http.Header
	body   string
	err    error // of the body
}

func (r *lendingRig) fetch(method, path string, header ...string) fetched {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.server.URL+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := r.server.Client().Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return fetched{resp.StatusCode, resp.Header, string(body), err}
}

// TestLentFile: a platform fetches a file, whole or in pieces, and is told what
// it is.
func TestLentFile(t *testing.T) {
	r := newLendingRig(t, lendingPublic)
	content := strings.Repeat("0123456789", 30000)
	path := r.lend("a\"b/ä.mp4", "video/mp4", []byte(content))
	got := r.fetch(http.MethodGet, path+"?openExternalBrowser=1")
	if got.status != http.StatusOK || got.body != content {
		t.Fatalf("%d, %d bytes", got.status, len(got.body))
	}
	head := map[string]string{}
	for _, name := range []string{"Content-Type", "Content-Disposition", "X-Content-Type-Options", "Content-Security-Policy", "Cache-Control", "Accept-Ranges", "Content-Length", "X-Robots-Tag", "Referrer-Policy"} {
		head[name] = got.header.Get(name)
	}
	want := map[string]string{
		"Content-Type": "video/mp4", "Content-Disposition": "inline; filename*=utf-8''%C3%A4.mp4", "X-Content-Type-Options": "nosniff",
		"Content-Security-Policy": "default-src 'none'; sandbox", "Cache-Control": "private, no-store", "Accept-Ranges": "bytes", "Content-Length": "300000",
		"X-Robots-Tag": "noindex, nofollow", "Referrer-Policy": "no-referrer",
	}
	if d := cmp.Diff(want, head); d != "" {
		t.Error(d)
	}
	if got := r.fetch(http.MethodHead, path); got.status != http.StatusOK || got.body != "" || got.header.Get("Content-Length") != "300000" {
		t.Errorf("HEAD: %d, %q", got.status, got.body)
	}
	etag := got.header.Get("ETag")
	for _, tt := range []struct {
		ranges, match string
		status        int
		body          string
	}{
		{"bytes=0-3", "", 206, "0123"},
		{"bytes=100003-100005", "", 206, "345"},
		{"bytes=299998-", "", 206, "89"},
		{"bytes=-4", "", 206, "6789"},
		{"bytes=5-7", etag, 206, "567"},
		{"bytes=5-7", `"another"`, 200, content},
		{"bytes=300000-", "", 416, "invalid range: failed to overlap\n"},
		{"bytes=7-5", "", 416, "invalid range\n"},
		{"bytes=0-0,299999-299999,0-1", "", 200, content}, // each piece would be read from the start
		{"lines=1-2", "", 416, "invalid range\n"},
	} {
		header := []string{"Range", tt.ranges}
		if tt.match != "" {
			header = append(header, "If-Range", tt.match)
		}
		if got := r.fetch(http.MethodGet, path, header...); got.status != tt.status || got.body != tt.body {
			t.Errorf("%s, %s: %d, %d bytes", tt.ranges, tt.match, got.status, len(got.body))
		}
	}
}

// TestLentFileRunsNothing: nothing that can hold a script is given out as what it
// says that it is.
func TestLentFileRunsNothing(t *testing.T) {
	r := newLendingRig(t, lendingPublic)
	for _, tt := range []struct{ name, mime, kind, disposition string }{
		{"a.html", "text/html", "application/octet-stream", "attachment; filename=a.html"},
		{"a.svg", "image/svg+xml", "application/octet-stream", "attachment; filename=a.svg"},
		{"a.xml", "application/xhtml+xml; charset=x", "application/octet-stream", "attachment; filename=a.xml"},
		{"a.pdf", "application/pdf", "application/pdf", "attachment; filename=a.pdf"},
		{"a.png", "image/png", "image/png", "inline; filename=a.png"},
		{"a.m4a", "audio/mp4", "audio/mp4", "inline; filename=a.m4a"},
		{"a\r\nX-A: b", "text/plain", "text/plain", "attachment; filename*=utf-8''a%0D%0AX-A%3A%20b"},
		{"../..", "no type", "application/octet-stream", "attachment; filename=file"},
		{"", "", "application/octet-stream", "attachment; filename=file"},
	} {
		got := r.fetch(http.MethodGet, r.lend(tt.name, tt.mime, []byte("<script>1</script>")))
		if kind, how := got.header.Get("Content-Type"), got.header.Get("Content-Disposition"); kind != tt.kind || how != tt.disposition || got.status != http.StatusOK {
			t.Errorf("%q, %s: %d %s %s", tt.name, tt.mime, got.status, kind, how)
		}
	}
}

// TestLentFileIsNobodysElse: whatever is wrong with a link, it is answered like a
// path that there is not.
func TestLentFileIsNobodysElse(t *testing.T) {
	r := newLendingRig(t, lendingPublic)
	path := r.lend("a.txt", "text/plain", []byte("content"))
	token := path[strings.LastIndexByte(path, '/')+1:]
	nowhere := r.fetch(http.MethodGet, "/nowhere")
	none := func(what, method, path string) {
		t.Helper()
		if got := r.fetch(method, path); got.status != http.StatusNotFound || method != http.MethodHead && got.body != nowhere.body {
			t.Errorf("%s: %d %q", what, got.status, got.body)
		}
	}
	none("nothing", http.MethodGet, "/hooks/line/-/")
	none("the folder", http.MethodGet, "/hooks/line/-")
	none("a guess", http.MethodGet, "/hooks/line/-/"+strings.Repeat("A", len(token)))
	none("another channel", http.MethodGet, "/hooks/other/-/"+token)
	none("a channel that there is not", http.MethodGet, "/hooks/nobody/-/"+token)
	none("more path", http.MethodGet, path+"/x")
	none("another end", http.MethodGet, path[:len(path)-1]+"-")
	none("a hidden slash", http.MethodGet, "/hooks/line/-/..%2f"+token)
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		none(method, method, path)
	}
	if got := r.fetch(http.MethodGet, path); got.body != "content" {
		t.Fatalf("the link itself: %d", got.status)
	}
	rows, err := r.bus.List(t.Context(), lent.Space, "", "", 0)
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	r.mu.Lock()
	r.now = r.now.Add(time.Hour)
	r.mu.Unlock()
	none("an hour later", http.MethodGet, path)
	none("an hour later", http.MethodHead, path)

	path = r.lend("b.txt", "text/plain", []byte("content"))
	if err := r.bus.Write(t.Context(), kv.Write{Space: lent.Space, Key: rows[0].Key}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.shelf.Remove(t.Context(), idOf("content"), r.now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	none("a file that is gone", http.MethodGet, path)
	none("a file that is gone", http.MethodHead, path)
}

func idOf(content string) blob.ID {
	sum := sha256.Sum256([]byte(content))
	return blob.ID(hex.EncodeToString(sum[:]))
}

// TestLentFileDamaged: who fetches a file that was damaged does not take it for
// the whole.
func TestLentFileDamaged(t *testing.T) {
	r := newLendingRig(t, lendingPublic)
	path := r.lend("a.bin", "", bytes.Repeat([]byte("x"), 100_000))
	id := string(idOf(strings.Repeat("x", 100_000)))
	found, err := filepath.Glob(filepath.Join(r.folder, "*", id))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	for what, content := range map[string][]byte{
		"changed": bytes.Repeat([]byte("y"), 100_000), "shorter": bytes.Repeat([]byte("x"), 50_000), "longer": bytes.Repeat([]byte("x"), 100_001),
	} {
		if err := os.WriteFile(found[0], content, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := r.fetch(http.MethodGet, path); got.err == nil {
			t.Errorf("%s: %d, %d bytes", what, got.status, len(got.body))
		}
	}
}

// TestLentFileLimits: one link is not followed without end, and not too many at
// a time.
func TestLentFileLimits(t *testing.T) {
	r := newLendingRig(t, lendingPublic)
	path, other := r.lend("a.txt", "", []byte("a")), r.lend("b.txt", "", []byte("b"))
	status := http.StatusOK
	for n := 0; status == http.StatusOK; n++ {
		if n == 10_000 {
			t.Fatal("it is followed without end")
		}
		status = r.fetch(http.MethodHead, path).status
	}
	if got := r.fetch(http.MethodGet, other); status != http.StatusTooManyRequests || got.body != "b" {
		t.Errorf("%d; the other link: %d", status, got.status)
	}

	r.shelf.hold = make(chan struct{})
	var all sync.WaitGroup
	const most = 32
	slow := make([]string, most)
	for i := range slow {
		slow[i] = r.lend("c.txt", "", []byte("c"))
	}
	for _, path := range slow {
		all.Go(func() { r.fetch(http.MethodGet, path) })
		<-r.shelf.opened
	}
	if got := r.fetch(http.MethodGet, other); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("one more: %d", got.status)
	}
	close(r.shelf.hold)
	all.Wait()
	if got := r.fetch(http.MethodGet, other); got.status != http.StatusOK {
		t.Errorf("afterwards: %d", got.status)
	}
}

// TestLendingIsRecorded: the audit log says that a file can be fetched from
// outside, and neither its name nor the link; without a public address nothing is
// lent, and the error says what to do.
func TestLendingIsRecorded(t *testing.T) {
	r := newLendingRig(t, lendingPublic)
	path := r.lend("their words.txt", "text/plain", []byte("content"))
	if len(r.recorded) != 1 {
		t.Fatalf("recorded are %+v", r.recorded)
	}
	e := r.recorded[0]
	text, _ := json.Marshal(e)
	if e.Kind != audit.Egress || e.Do != "lent" || e.For != "channel line" || e.To != "gate.example.org" || e.Facts["bytes"] != "7" || e.Facts["until"] == "" {
		t.Errorf("recorded is %s", text)
	}
	if strings.Contains(string(text), "words") || strings.Contains(string(text), path[len(path)-20:]) {
		t.Errorf("recorded is %s", text)
	}

	r = newLendingRig(t, "")
	lender, _ := r.host.(channels.Lender)
	_, err := lender.Lend(t.Context(), channels.Part{}, channels.File{Blob: string(idOf("x"))}, time.Hour)
	if !errors.Is(err, channels.ErrNoPublic) || !strings.Contains(err.Error(), "public_url") || len(r.recorded) != 0 {
		t.Errorf("without a public address: %v, %+v", err, r.recorded)
	}
}
