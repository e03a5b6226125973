package ingress_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-chat/gatehouse/adapters/console"
	"github.com/gatehouse-chat/gatehouse/adapters/telegram"
	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/audit"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/gateway/ingress"
	"github.com/gatehouse-chat/gatehouse/gateway/login"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/porttest"
	"github.com/gatehouse-chat/gatehouse/memory/sqlite/sqlitetest"
	"github.com/gatehouse-chat/gatehouse/memory/store"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/vaulttest"
)

// house is a gateway with its console on a loopback port. It can be stopped and
// started again on what it kept.
type house struct {
	memory  *store.Store // of tests of the memory
	t       testing.TB
	bus     bus.Engine
	dir     *identity.Directory
	vault   *vault.Store
	addr    string
	run     runner
	now     func() time.Time        // of the console
	logins  []ingress.Authenticator // beside its sessions
	proxies []netip.Prefix
	queue   gateway.QueueMode // "": steer

	modules operator.Modules // of tests of modules

	gw       *gateway.Gateway
	admin    *ingress.Admin
	settings *fakeSettings
	server   *httptest.Server
	stop     func()
}

// runner is an agent in a function.
type runner func(ctx context.Context, t agent.Turn, p agent.Port) (agent.Result, error)

func (f runner) Run(ctx context.Context, t agent.Turn, p agent.Port) (agent.Result, error) {
	return f(ctx, t, p)
}

var echo runner = func(_ context.Context, t agent.Turn, _ agent.Port) (agent.Result, error) {
	return reply("echo: " + said(t)), nil
}

func reply(text string) agent.Result { return agent.Result{Replies: []agent.Reply{{Markdown: text}}} }

func said(t agent.Turn) string {
	var all []string
	for _, e := range t.Events {
		if m, ok := e.Content.(channels.Message); ok {
			all = append(all, m.Text)
		}
	}
	return strings.Join(all, " | ")
}

func newHouse(t testing.TB, run runner) *house {
	t.Helper()
	h := &house{t: t, run: run, addr: porttest.Keep(t), bus: inprocess.New(inprocess.Options{})}
	h.settings = &fakeSettings{}
	var err error
	if h.dir, err = identity.Open(t.Context(), h.bus, "main", time.Now, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	h.vault = vaulttest.Open(t, h.bus, vaulttest.NewKey(t))
	if strings.Contains(t.Name(), "Memory") {
		h.memory = sqlitetest.Open(t)
	}
	if strings.Contains(t.Name(), "Module") {
		h.modules = testModules(h.bus)
	}
	h.start()
	t.Cleanup(func() {
		h.stop()
		_ = h.bus.Close()
	})
	return h
}

// start begins a process; the address stays the same.
func (h *house) start() {
	h.t.Helper()
	log := slog.New(slog.DiscardHandler)
	l, err := net.Listen("tcp", h.addr)
	if err != nil {
		h.t.Fatal(err)
	}
	h.gw = gateway.New(gateway.Options{
		Bus: h.bus, Directory: h.dir, Seals: h.vault, Version: "0.1.0", Log: log,
		Agent: gateway.AgentSettings{Runner: h.run, Queue: cmp.Or(h.queue, gateway.Steer), Model: "default", Models: []string{"default"}, DailySpend: 5, Describe: h.settings.describe},
	})
	h.settings.gw = h.gw
	if err := h.settings.apply(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	op := operator.New(operator.Options{
		Gateway: h.gw, Running: true, Bus: h.bus, Directory: h.dir, Vault: h.vault, Settings: h.settings, Logins: login.NewBook(h.bus, h.now), Audit: audit.Open(audit.Options{Store: h.bus}), Console: "http://" + h.addr, Now: time.Now, Memory: h.memory, Modules: h.modules,
	})
	if h.admin, err = ingress.NewAdmin(ingress.Options{
		Gateway: h.gw, Operator: op, Directory: h.dir, Book: login.NewBook(h.bus, h.now), Base: "http://" + h.addr, Encrypted: true,
		Metrics: prometheus.NewRegistry(), Version: "0.1.0", Log: log, Now: h.now, Logins: h.logins, Proxies: h.proxies,
	}); err != nil {
		h.t.Fatal(err)
	}
	h.server = &httptest.Server{Listener: l, Config: &http.Server{Handler: h.admin, ReadHeaderTimeout: time.Minute}}
	h.server.Start()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	gw := h.gw
	go func() { done <- gw.Run(ctx) }()
	var once sync.Once
	h.stop = func() {
		once.Do(func() {
			cancel()
			h.server.CloseClientConnections()
			h.server.Close()
			if err := <-done; err != nil {
				h.t.Errorf("run: %v", err)
			}
		})
	}
}

func (h *house) link() string {
	h.t.Helper()
	l, err := h.admin.NewLink(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return l
}

// browser is a client with cookies that follows no redirects.
func (h *house) browser() *http.Client {
	jar, _ := cookiejar.New(nil)
	c := &http.Client{Jar: jar, Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	h.t.Cleanup(c.CloseIdleConnections)
	return c
}

// loggedIn is a browser with a session.
func (h *house) loggedIn() *http.Client {
	h.t.Helper()
	c := h.browser()
	if resp := h.redeem(c, h.link()); resp.StatusCode != http.StatusSeeOther {
		h.t.Fatalf("the login was answered with %s", resp.Status)
	}
	return c
}

func (h *house) redeem(c *http.Client, link string) answer {
	h.t.Helper()
	_, token, _ := strings.Cut(link, "#")
	return h.post(c, "/login", url.Values{"token": {token}})
}

func (h *house) post(c *http.Client, path string, form url.Values) answer {
	h.t.Helper()
	return h.do(c, http.MethodPost, path, form.Encode(), map[string]string{
		"Content-Type": "application/x-www-form-urlencoded", "Origin": "http://" + h.addr,
	})
}

func (h *house) get(c *http.Client, path string) answer {
	h.t.Helper()
	return h.do(c, http.MethodGet, path, "", nil)
}

// do sends a request; a header "Host" replaces the host.
func (h *house) do(c *http.Client, method, path, body string, header map[string]string) answer {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, "http://"+h.addr+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	for k, v := range header {
		if k == "Host" {
			r.Host = v
		}
		r.Header.Set(k, v)
	}
	resp, err := c.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return answer{StatusCode: resp.StatusCode, Status: resp.Status, Header: resp.Header, Body: string(b), Cookies: resp.Cookies()}
}

// answer is a response that was read.
type answer struct {
	StatusCode int
	Status     string
	Header     http.Header
	Body       string
	Cookies    []*http.Cookie
}

// fakeSettings is a configuration in memory.
type fakeSettings struct {
	gw *gateway.Gateway

	mu     sync.Mutex
	extra  []gateway.ChannelConfig
	models []operator.Model
}

var consoleConfig = gateway.ChannelConfig{
	ID: console.ChannelID, Driver: console.Driver{}, Section: json.RawMessage("{}"),
	Policy: identity.Policy{DM: identity.DMAllowlist, Authenticated: true},
}

func (s *fakeSettings) all() []gateway.ChannelConfig {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]gateway.ChannelConfig{consoleConfig}, s.extra...)
}

func (s *fakeSettings) apply(ctx context.Context) error { return s.gw.Apply(ctx, s.all()) }

func (s *fakeSettings) Channels() []gateway.ChannelConfig { return s.all() }

func (s *fakeSettings) Channel(id channels.ID, adapter string, _ map[string]any) (gateway.ChannelConfig, error) {
	if adapter == "phone" {
		return gateway.ChannelConfig{ID: id, Driver: phoneDriver{}, Section: json.RawMessage("{}"), Policy: identity.Policy{DM: identity.DMSelf}}, nil
	}
	if adapter != "telegram" {
		return gateway.ChannelConfig{}, errors.New("there is no such adapter")
	}
	return gateway.ChannelConfig{
		ID: id, Driver: fakeDriver{}, Section: json.RawMessage("{}"), Policy: identity.Policy{DM: identity.DMPairing, Groups: identity.GroupsAllowlist, Mention: true},
	}, nil
}

func (s *fakeSettings) AddChannel(ctx context.Context, id channels.ID, adapter string, section map[string]any) error {
	c, err := s.Channel(id, adapter, section)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.extra = append(s.extra, c)
	s.mu.Unlock()
	return s.apply(ctx)
}

func (s *fakeSettings) RemoveChannel(ctx context.Context, id channels.ID) error {
	s.mu.Lock()
	for i, c := range s.extra {
		if c.ID == id {
			s.extra = append(s.extra[:i], s.extra[i+1:]...)
			break
		}
	}
	s.mu.Unlock()
	return s.apply(ctx)
}

func (s *fakeSettings) Models() []operator.Model {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]operator.Model(nil), s.models...)
}

func (s *fakeSettings) SetModel(_ context.Context, m operator.Model, def bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.Default = def
	s.models = []operator.Model{m}
	return nil
}

const goodKey = "sk-a-key-that-works"

func (s *fakeSettings) Check(_ context.Context, m operator.Model, key string) ([]string, error) {
	if m.Provider == "openai" && key != goodKey && !(key == "" && m.Keyed) {
		return nil, fmt.Errorf("%w: OpenAI does not accept this key (401). Make a new one at platform.openai.com/api-keys and paste all of it", operator.ErrInvalid)
	}
	return []string{"gpt-5-mini", "gpt-5", "gpt-5-nano"}, nil
}

func (*fakeSettings) Renew(context.Context) error                { return nil }
func (s *fakeSettings) Reload(context.Context) ([]string, error) { return nil, nil }

func (s *fakeSettings) Platforms() []operator.Platform {
	return []operator.Platform{
		{Adapter: "telegram", Guide: telegram.Driver{}.Guide()},
		{Adapter: "phone", Guide: phoneDriver{}.Guide()},
		{Adapter: "other", Guide: channels.Guide{
			Title: "Another platform", Paste: "{\"manifest\": true}", PasteTitle: "The manifest",
			Steps: []string{"Open https://example.org/apps, and paste what stands below."},
			Asks: []channels.Ask{
				{Key: "mode", Label: "Mode", Choices: []string{"socket", "events"}},
				{Key: "verify.secret", Label: "Signing secret", Secret: true, Only: "mode=events"},
			},
		}},
	}
}

func (s *fakeSettings) Providers() []operator.Provider {
	return []operator.Provider{
		{Name: "openai", Title: "OpenAI", KeysURL: "https://platform.openai.com/api-keys", NeedKey: true, Model: "gpt-5-mini"},
		{Name: "anthropic", Title: "Anthropic", NeedKey: true, Model: "claude"},
		{Name: "ollama", Title: "Ollama, on this machine"},
		{Name: "compatible", Title: "Another OpenAI-compatible endpoint", NeedURL: true},
	}
}

func (s *fakeSettings) describe(string) string {
	if all := s.Models(); len(all) > 0 {
		return all[0].Model + " (" + all[0].Provider + ")"
	}
	return "none"
}

// fakeDriver stands for Telegram.
type fakeDriver struct{}

func (fakeDriver) Name() string                           { return "telegram" }
func (fakeDriver) Schema() []byte                         { return []byte("{}") }
func (fakeDriver) Check(json.RawMessage) []channels.Fault { return nil }
func (fakeDriver) Open(_ context.Context, h channels.Host, _ json.RawMessage) (channels.Channel, error) {
	return fakeChannel{h}, nil
}

type fakeChannel struct{ host channels.Host }

func (c fakeChannel) Features(channels.Address) channels.Features {
	return channels.Features{Dialect: markup.PlainText}
}

func (c fakeChannel) Run(ctx context.Context, _ channels.Sink) error {
	c.host.Report(channels.Health{Phase: channels.Connected, As: "@hall_bot"})
	c.host.Heard()
	<-ctx.Done()
	return nil
}

func (c fakeChannel) Send(_ context.Context, p channels.Part) (channels.Receipt, error) {
	if strings.Contains(markup.PlainText.Render(p.Body), "undeliverable") {
		return channels.Receipt{}, &channels.Error{Op: "send", Channel: c.host.ID(), Kind: channels.Gone, Err: errors.New("the bot was blocked by the user")}
	}
	return channels.Receipt{ID: "1", At: time.Now()}, nil
}

func (c fakeChannel) Probe(context.Context) (channels.Identity, error) {
	return channels.Identity{Account: "1", Name: "Hall", Handle: "hall_bot"}, nil
}

func (c fakeChannel) StartLink(_ context.Context, code string) (string, error) {
	return "https://t.me/hall_bot?start=" + code, nil
}

func (c fakeChannel) Receive(sink channels.Sink) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			return
		}
		w.Header().Set("X-Read", fmt.Sprint(len(b)))
	})
}
