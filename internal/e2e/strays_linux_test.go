//go:build !nowhatsapp

package e2e_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
)

// tunnels is a proxy that knows a few names.
type tunnels struct {
	to map[string]string // address by host:port

	mu    sync.Mutex
	asked map[string]int
}

// ServeHTTP implements http.Handler.
func (p *tunnels) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked[r.Host]++
	p.mu.Unlock()
	there, err := net.Dial("tcp", p.to[r.Host]) //nolint:noctx // on this machine
	if r.Method != http.MethodConnect || err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer there.Close()
	here, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer here.Close()
	_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		_, _ = io.Copy(there, here)
		_ = there.Close()
	}()
	_, _ = io.Copy(here, there)
}

func (p *tunnels) count(host string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[host]
}

// TestInvariant09OneWayOut: with a proxy in `egress`, the whole process, with every
// platform's library, the model's and a tool, connects and sends to the proxy, to
// the emulators that the configuration puts on this machine, and nowhere else: to no
// server of names, and to nobody who counts installations. A proxy that only the
// environment names is not used.
func TestInvariant09OneWayOut(t *testing.T) {
	t.Parallel()
	w, page := &traffic{}, httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "from the page") }))
	t.Cleanup(page.Close)
	p := &tunnels{to: map[string]string{}, asked: map[string]int{}}
	proxy := httptest.NewServer(p)
	t.Cleanup(proxy.Close)
	e := newEverywhere(t, settings{
		launch: w.launch, policy: "allowlist", channel: []string{`allow: ["1001", "1002"]`},
		agent: []string{"tools: [http_request]", `hosts: ["http://page.example.com"]`},
		extra: fmt.Sprintf("egress: {proxy: %q}\n", proxy.URL),
		env:   []string{"HTTP_PROXY=http://127.0.0.9:9", "HTTPS_PROXY=http://127.0.0.9:9", "ALL_PROXY=http://127.0.0.9:9"},
		script: func(q *agenttest.Request) agenttest.Answer {
			all := q.Messages()
			last := all[len(all)-1]
			switch {
			case last.Role == agent.ToolRole:
				return agenttest.Say("read: " + last.Text)
			case strings.Contains(last.Text, "look it up"):
				return agenttest.Use("c1", "http_request", `{"url":"http://page.example.com/x"}`)
			}
			return agenttest.Echo(q)
		},
	})
	// Telegram, the model and the page lie outside, behind the proxy.
	text, err := os.ReadFile(e.configPath())
	if err != nil {
		t.Fatal(err)
	}
	config := string(text)
	for name, at := range map[string]string{"telegram.example.com": e.bot.URL(), "model.example.com": e.model.URL, "page.example.com": page.URL} {
		config = strings.ReplaceAll(config, at, "http://"+name)
		p.to[name+":80"] = strings.TrimPrefix(at, "http://")
	}
	if err := os.WriteFile(e.configPath(), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	e.connect()
	e.talk(e.exchanges(), "hello")
	ben, chat := e.person(1002)
	chat.Say(ben, "look it up")
	e.awaitText(chat, "from the page")
	e.term()

	for host := range p.to {
		if p.count(host) == 0 {
			t.Errorf("nothing went to %s by way of the proxy", host)
		}
	}
	seen := w.seen()
	for what, at := range map[string]string{
		"the proxy": proxy.URL, "Slack": e.slack.URL(), "Discord": e.discord.URL(), "WhatsApp": e.wa.URL(),
		"WhatsApp's Cloud API": e.shop.URL(), "a program": e.program.URL(),
	} {
		u, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		if seen[u.Host] == 0 {
			t.Errorf("nothing connected to %s at %s", what, u.Host)
		}
		delete(seen, u.Host)
	}
	if len(seen) > 0 {
		t.Errorf("the process went to %v\n%s", seen, e.proc.log)
	}
}
