package ingress_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/console/consoleclient"
	"github.com/gatehouse-chat/gatehouse/adapters/console/wire"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/gateway/ingress"
	"github.com/gatehouse-chat/gatehouse/gateway/login"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

func TestInvariant10LoginLinkWorksOnce(t *testing.T) {
	h := newHouse(t, echo)
	link := h.link()
	if u, err := url.Parse(link); err != nil || u.Fragment == "" || u.RawQuery != "" || len(u.Fragment) < 43 {
		t.Fatalf("the secret of %q is not in its fragment, or too short", link)
	}
	// A preview fetches the link as often as it likes.
	for range 3 {
		if resp := h.get(h.browser(), "/login"); resp.StatusCode != http.StatusOK {
			t.Fatalf("a preview gets %s", resp.Status)
		}
	}
	c := h.browser()
	if resp := h.redeem(c, link); resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/" {
		t.Fatalf("the first use: %s to %q", resp.Status, resp.Header.Get("Location"))
	}
	if resp := h.get(c, "/status"); resp.StatusCode != http.StatusOK {
		t.Errorf("a page after the login: %s", resp.Status)
	}
	if resp := h.redeem(h.browser(), link); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("the second use: %s", resp.Status)
	}
	if resp := h.redeem(h.browser(), "/login#"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("an empty secret: %s", resp.Status)
	}
}

// TestInvariant10LoginLinkRace lets many use one link at the same moment.
func TestInvariant10LoginLinkRace(t *testing.T) {
	h := newHouse(t, echo)
	link := h.link()
	var mu sync.Mutex
	var all sync.WaitGroup
	in := 0
	for range 16 {
		c := h.browser()
		all.Go(func() {
			_, token, _ := strings.Cut(link, "#")
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+h.addr+"/login", strings.NewReader(url.Values{"token": {token}}.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			resp, err := c.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			mu.Lock()
			defer mu.Unlock()
			if resp.StatusCode == http.StatusSeeOther {
				in++
			}
		})
	}
	all.Wait()
	if in != 1 {
		t.Errorf("%d browsers were logged in by one link", in)
	}
}

func TestNothingSecretIsStored(t *testing.T) {
	h := newHouse(t, echo)
	link := h.link()
	_, token, _ := strings.Cut(link, "#")
	c := h.browser()
	pending := stored(t, h.bus)
	h.redeem(c, link)
	u, _ := url.Parse("http://" + h.addr)
	cookies := c.Jar.Cookies(u)
	if len(cookies) != 1 {
		t.Fatalf("there are %d cookies", len(cookies))
	}
	all := pending + stored(t, h.bus)
	for _, secret := range []string{token, cookies[0].Value} {
		if len(secret) < 43 || strings.Contains(all, secret) {
			t.Errorf("a secret of %d characters is short, or stored in the clear", len(secret))
		}
	}
}

// stored is everything that ingress keeps, as text.
func stored(t *testing.T, s kv.Store) string {
	t.Helper()
	rows, err := s.List(t.Context(), "login", "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, r := range rows {
		b.WriteString(r.Key + " " + string(r.Value) + "\n")
	}
	return b.String()
}

func TestSessionCookie(t *testing.T) {
	h := newHouse(t, echo)
	resp := h.redeem(h.browser(), h.link())
	c := resp.Cookies[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Secure {
		t.Errorf("the cookie over http is %+v", c)
	}
	a, err := ingress.NewAdmin(ingress.Options{Gateway: h.gw, Directory: h.dir, Book: login.NewBook(h.bus, h.now), Base: "https://gate.example.org", Encrypted: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	link, err := a.NewLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, token, _ := strings.Cut(link, "#")
	r := httptest.NewRequest(http.MethodPost, "https://gate.example.org/login", strings.NewReader(url.Values{"token": {token}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	if all := w.Result().Cookies(); len(all) != 1 || !all[0].Secure || !strings.HasPrefix(all[0].Name, "__Host-") {
		t.Errorf("the cookie over https: %d %v", w.Code, all)
	}
}

// clock is a time that the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }
func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestLoginsEnd(t *testing.T) {
	day := 24 * time.Hour
	tests := []struct {
		name  string
		steps []time.Duration // between visits, from the login on
		in    bool
	}{
		{"at once", []time.Duration{0}, true},
		{"after six days", []time.Duration{6 * day}, true},
		{"after seven idle days", []time.Duration{7 * day}, false},
		{"in use for 29 days", []time.Duration{6 * day, 6 * day, 6 * day, 6 * day, 5 * day}, true},
		{"in use for 30 days", []time.Duration{6 * day, 6 * day, 6 * day, 6 * day, 6 * day}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHouse(t, echo)
			c := &clock{now: time.Now()}
			h.now = c.Now
			h.stop()
			h.start()
			b := h.loggedIn()
			status := 0
			for _, d := range tt.steps {
				c.add(d)
				status = h.get(b, "/people/badge").StatusCode
			}
			if in := status == http.StatusOK; in != tt.in {
				t.Errorf("the last visit was answered with %d", status)
			}
		})
	}
	t.Run("a link after ten minutes", func(t *testing.T) {
		h := newHouse(t, echo)
		c := &clock{now: time.Now()}
		h.now = c.Now
		h.stop()
		h.start()
		link := h.link()
		c.add(10 * time.Minute)
		if resp := h.redeem(h.browser(), link); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("it still works: %s", resp.Status)
		}
	})
}

func TestSessionSurvivesARestartAndEndsWithLogout(t *testing.T) {
	h := newHouse(t, echo)
	c := h.loggedIn()
	h.stop()
	h.start()
	if resp := h.get(c, "/status"); resp.StatusCode != http.StatusOK {
		t.Fatalf("after a restart: %s", resp.Status)
	}
	u, _ := url.Parse("http://" + h.addr)
	old := c.Jar.Cookies(u)
	if resp := h.post(c, "/logout", nil); resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("log out: %s", resp.Status)
	}
	c.Jar.SetCookies(u, old) // somebody has kept it
	if resp := h.get(c, "/status"); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("after logging out: %s", resp.Status)
	}
}

// TestStrangersGetNothing asks for every path without a login.
func TestStrangersGetNothing(t *testing.T) {
	h := newHouse(t, echo)
	for _, path := range []string{"/", "/chat", "/chat/api/messages", "/chat/api/stream", "/status", "/channels", "/models", "/modules", "/people", "/people/badge", "/dead", "/dead/1", "/secrets", "/api/status", "/nowhere"} {
		resp := h.get(h.browser(), path)
		switch resp.StatusCode {
		case http.StatusSeeOther:
			if to := resp.Header.Get("Location"); to != "/login" {
				t.Errorf("%s leads to %q", path, to)
			}
		case http.StatusUnauthorized:
		default:
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	for _, path := range []string{"/channels", "/models", "/modules", "/secrets", "/people/X/approve", "/dead/1/drop", "/chat/api/messages", "/api/reload"} {
		if resp := h.post(h.browser(), path, nil); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("POST %s: %s", path, resp.Status)
		}
	}
}

// TestInvariant10OtherSites sends what the pages of other sites could make a browser send,
// with the owner's cookie.
func TestInvariant10OtherSites(t *testing.T) {
	h := newHouse(t, echo)
	c := h.loggedIn()
	own := "http://" + h.addr
	tests := []struct {
		name         string
		method, path string
		header       map[string]string
		status       int
	}{
		{"own form", "POST", "/secrets", map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "null"}, 422},
		{"own form, old browser", "POST", "/secrets", map[string]string{"Origin": own}, 422},
		{"no origin at all", "POST", "/secrets", nil, 403},
		{"foreign form", "POST", "/secrets", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Origin": "https://evil.example"}, 403},
		{"foreign form, old browser", "POST", "/secrets", map[string]string{"Origin": "https://evil.example"}, 403},
		{"a sandboxed frame", "POST", "/secrets", map[string]string{"Origin": "null"}, 403},
		{"another port of this machine", "POST", "/secrets", map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:1"}, 403},
		{"typed into the address bar", "POST", "/secrets", map[string]string{"Sec-Fetch-Site": "none"}, 403},
		{"foreign API call", "PUT", "/api/models", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403},
		{"foreign chat", "POST", "/chat/api/messages", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403},
		{"foreign stream", "GET", "/chat/api/stream", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Origin": "https://evil.example"}, 403},
		{"foreign stream, old browser", "GET", "/chat/api/stream", map[string]string{"Origin": "https://evil.example"}, 403},
		{"foreign script tag", "GET", "/api/status", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403},
		{"a link from elsewhere", "GET", "/status", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200},
		{"a rebound name", "GET", "/status", map[string]string{"Host": "evil.example:8485"}, 421},
		{"a rebound name that looks like ours", "GET", "/status", map[string]string{"Host": "127.0.0.1.evil.example"}, 421},
		{"localhost", "GET", "/login", map[string]string{"Host": "localhost:9000"}, 200},
		{"IPv6 loopback", "GET", "/login", map[string]string{"Host": "[::1]:9000"}, 200},
		{"no host", "GET", "/login", map[string]string{"Host": " "}, 421},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.header["Host"] == " " {
				r := httptest.NewRequest(tt.method, tt.path, nil)
				r.Host = ""
				w := httptest.NewRecorder()
				h.admin.ServeHTTP(w, r)
				if w.Code != tt.status {
					t.Errorf("answered with %d, want %d", w.Code, tt.status)
				}
				return
			}
			if resp := h.do(c, tt.method, tt.path, "", tt.header); resp.StatusCode != tt.status {
				t.Errorf("answered with %s, want %d", resp.Status, tt.status)
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	h := newHouse(t, echo)
	c := h.loggedIn()
	want := map[string]string{
		"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "Server": "",
	}
	for _, path := range []string{"/login", "/chat", "/status", "/secrets", "/nowhere", "/api/status"} {
		resp := h.get(c, path)
		got := map[string]string{}
		for k := range want {
			got[k] = resp.Header.Get(k)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s:\n%s", path, d)
		}
		policy := resp.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "script-src 'self';") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: the policy is %q", path, policy)
		}
		page := resp.Body
		for _, bad := range []string{" style=", " onclick=", "<script>", "javascript:", "hx-on"} {
			if strings.Contains(page, bad) {
				t.Errorf("%s holds %q", path, bad)
			}
		}
	}
}

func TestMetricsAreForThisMachine(t *testing.T) {
	h := newHouse(t, echo)
	tests := []struct {
		name   string
		peer   string
		header map[string]string
		host   string
		status int
	}{
		{"a collector here", "127.0.0.1:5000", nil, "127.0.0.1:8485", 200},
		{"a collector here, by name", "[::1]:5000", nil, "localhost:8485", 200},
		{"a machine elsewhere", "192.0.2.7:5000", nil, "localhost", 401},
		{"a proxy here", "127.0.0.1:5000", map[string]string{"X-Forwarded-For": "192.0.2.7"}, "localhost", 401},
		{"a socket without an address", "@", nil, "localhost", 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
			r.RemoteAddr, r.Host = tt.peer, tt.host
			for k, v := range tt.header {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			h.admin.ServeHTTP(w, r)
			if w.Code != tt.status {
				t.Errorf("answered with %d, want %d", w.Code, tt.status)
			}
		})
	}
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.RemoteAddr, r.Host = "192.0.2.7:5000", "localhost"
	for _, c := range h.redeem(h.browser(), h.link()).Cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	if h.admin.ServeHTTP(w, r); w.Code != http.StatusOK {
		t.Errorf("logged in from elsewhere: %d", w.Code)
	}
}

// TestMembersWhoDoNotAdminister lets an ordinary member in, as a later kind of
// login will.
func TestMembersWhoDoNotAdminister(t *testing.T) {
	h := newHouse(t, echo)
	b, _ := json.Marshal(identity.Member{ID: "m-1", Name: "Mia", Role: scope.Ordinary})
	if err := h.bus.Write(t.Context(), kv.Write{Space: "identity", Key: "main/member/m-1", Value: b}); err != nil {
		t.Fatal(err)
	}
	h.logins = []ingress.Authenticator{byHeader{}}
	h.stop()
	h.start()
	as := map[string]string{"X-Test-Member": "m-1", "Sec-Fetch-Site": "same-origin"}
	page := h.do(h.browser(), http.MethodGet, "/chat", "", as)
	if html := page.Body; page.StatusCode != http.StatusOK || !strings.Contains(html, "Mia") || strings.Contains(html, "/secrets") {
		t.Errorf("the chat of a member: %s", page.Status)
	}
	for _, path := range []string{"/status", "/channels", "/models", "/modules", "/people", "/dead", "/secrets", "/api/status", "/people/badge", "/audit", "/workspaces", "/logins", "/approvals"} {
		if resp := h.do(h.browser(), http.MethodGet, path, "", as); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	as["X-Test-Member"] = "m-gone"
	if resp := h.do(h.browser(), http.MethodGet, "/chat", "", as); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("a member who was removed: %s", resp.Status)
	}
}

type byHeader struct{}

func (byHeader) Member(r *http.Request) (string, error) {
	if m := r.Header.Get("X-Test-Member"); m != "" {
		return m, nil
	}
	return "", login.ErrNobody
}

func TestSecretsGoInAndNeverComeOut(t *testing.T) {
	h := newHouse(t, echo)
	c := h.loggedIn()
	const value = "the-value-of-a-secret"
	resp := h.post(c, "/secrets", url.Values{"name": {"weather"}, "value": {value}})
	if page := resp.Body; resp.StatusCode != http.StatusOK || !strings.Contains(page, "weather was kept") || strings.Contains(page, value) {
		t.Errorf("set: %s", resp.Status)
	}
	resp = h.post(c, "/secrets", url.Values{"name": {"Not A Name"}, "value": {value}})
	if page := resp.Body; resp.StatusCode != http.StatusUnprocessableEntity || strings.Contains(page, value) || !strings.Contains(page, `value="Not A Name"`) {
		t.Errorf("a bad name: %s", resp.Status)
	}
	resp = h.post(c, "/secrets/weather/delete", nil)
	if page := resp.Body; resp.StatusCode != http.StatusOK || !strings.Contains(page, "The vault is empty") {
		t.Errorf("delete: %s", resp.Status)
	}
	if resp = h.post(c, "/secrets/weather/delete", nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("delete again: %s", resp.Status)
	}
}

func TestPublic(t *testing.T) {
	h := newHouse(t, echo)
	if err := h.settings.AddChannel(t.Context(), "support", "telegram", nil); err != nil {
		t.Fatal(err)
	}
	public := ingress.Public(h.gw)
	tests := []struct {
		method, path string
		body         int
		status       int
	}{
		{"GET", "/healthz", 0, 200},
		{"GET", "/readyz", 0, 200},
		{"GET", "/readyz?verbose", 0, 200},
		{"POST", "/healthz", 0, 405},
		{"POST", "/hooks/support", 10, 200},
		{"POST", "/hooks/support/deeper", 10, 200},
		{"POST", "/hooks/support", 5 << 20, 413},
		{"POST", "/hooks/nobody", 10, 404},
		{"POST", "/hooks/console", 10, 404}, // the console takes no webhooks
		{"POST", "/hooks/", 10, 404},
		{"GET", "/chat", 0, 404},
		{"GET", "/api/status", 0, 404},
		{"GET", "/login", 0, 404},
		{"GET", "/metrics", 0, 404},
		{"GET", "/", 0, 404},
	}
	for _, tt := range tests {
		w := httptest.NewRecorder()
		public.ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, bytes.NewReader(make([]byte, tt.body))))
		if w.Code != tt.status {
			t.Errorf("%s %s of %d bytes: %d, want %d", tt.method, tt.path, tt.body, w.Code, tt.status)
		}
		if strings.HasPrefix(tt.path, "/readyz") && strings.Contains(w.Body.String(), "support") {
			t.Errorf("%s names a channel: %s", tt.path, w.Body)
		}
		if s := w.Header().Get("Server"); s != "" {
			t.Errorf("%s says %q", tt.path, s)
		}
	}
}

// TestReadyNamesChannelsToMembers: who is logged in is told which channel it is.
func TestReadyNamesChannelsToMembers(t *testing.T) {
	h := newHouse(t, echo)
	if err := h.settings.AddChannel(t.Context(), "support", "telegram", nil); err != nil {
		t.Fatal(err)
	}
	got := h.get(h.loggedIn(), "/readyz?verbose").Body
	var is gateway.Readiness
	if err := json.Unmarshal([]byte(got), &is); err != nil || !is.Ready {
		t.Fatalf("%v: %s", err, got)
	}
	if !slices.ContainsFunc(is.Channels, func(c gateway.ChannelReady) bool { return c.ID == "support" }) {
		t.Errorf("it does not name the channel: %s", got)
	}
}

func TestSocketSpeaksForTheOwner(t *testing.T) {
	h := newHouse(t, echo)
	who := func(r *http.Request) (scope.Scope, error) { return h.dir.Operator(r.Context(), identity.OwnerID) }
	srv := httptest.NewServer(h.admin.Socket(who))
	t.Cleanup(srv.Close)
	c := &consoleclient.Client{HTTP: srv.Client(), Base: srv.URL}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	key := consoleclient.NewKey()
	sent, err := c.Say(ctx, key, "hi")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.Say(ctx, key, "hi"); err != nil || again.Seq != sent.Seq {
		t.Fatalf("the same key again: %+v %v", again, err)
	}
	for e, err := range c.Stream(ctx, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if m, ok := e.(wire.Message); ok && m.From == wire.Bot {
			if m.Text != "echo: hi" {
				t.Errorf("the answer is %q", m.Text)
			}
			break
		}
	}
	p, err := c.Latest(ctx, 0)
	if err != nil || len(p.Messages) != 2 {
		t.Errorf("the chat has %d messages, want 2: %v", len(p.Messages), err)
	}
	for _, path := range []string{"/chat", "/status", "/login", "/"} {
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+path, nil)
		resp, err := srv.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s on the socket: %s", path, resp.Status)
		}
	}
}

func TestDeadLettersHideReplyTokens(t *testing.T) {
	h := newHouse(t, echo)
	if err := h.settings.AddChannel(t.Context(), "support", "telegram", nil); err != nil {
		t.Fatal(err)
	}
	const token = "a-token-that-replies"
	e := channels.Event{
		Key: "1", At: time.Now(), Where: channels.Address{Channel: "support", Conversation: "1"}, Room: channels.Room{Direct: true},
		Who: channels.Sender{ID: "7"}, Addressed: true, Content: channels.Message{ID: "1", Text: "undeliverable"},
		Via: &channels.Via{Token: channels.NewSecret(token)},
	}
	if err := h.gw.Sink("support").Accept(t.Context(), channels.Batch{Events: []channels.Event{e}}); err != nil {
		t.Fatal(err)
	}
	c := h.loggedIn()
	var asked []identity.Pairing
	wait(t, "a request to be let in", func() bool {
		asked, _ = h.dir.Pairings(t.Context())
		return len(asked) == 1
	})
	h.post(c, "/people/"+asked[0].ID+"/approve", nil)
	var seq string
	wait(t, "a dead letter", func() bool {
		_, after, ok := strings.Cut(h.get(c, "/dead").Body, `href="/dead/`)
		seq, _, _ = strings.Cut(after, `"`)
		return ok
	})
	page := h.get(c, "/dead/"+seq).Body
	if strings.Contains(page, token) || !strings.Contains(page, "[secret]") || !strings.Contains(page, "undeliverable") {
		t.Errorf("the letter shows its token, or not what it holds:\n%s", page)
	}
}

// wait polls a condition.
func wait(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		if cond() {
			return
		}
	}
	t.Fatalf("waited in vain for %s", what)
}
