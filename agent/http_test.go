package agent_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
	"github.com/gatehouse-chat/gatehouse/agent/provider"
)

func client(t testing.TB) *http.Client {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// served opens a real provider against the scripted server.
func served(t testing.TB, kind string, s *agenttest.Server) agent.Model {
	t.Helper()
	k, ok := provider.Find(kind)
	if !ok {
		t.Fatalf("no kind %s", kind)
	}
	p, err := k.Open(provider.Config{BaseURL: s.OpenAI(), Client: client(t), Stall: 500 * time.Millisecond, First: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return agent.Model{Provider: p, Kind: k.Name, Title: k.Title, Secret: k.Name, Name: "scripted", Price: provider.Price(kind, "gpt-5-mini")}
}

// TestOverTheWire runs turns through both SDKs.
func TestOverTheWire(t *testing.T) {
	for _, kind := range []string{"openai", "anthropic", "mistral", "ollama"} {
		t.Run(kind, func(t *testing.T) {
			srv := agenttest.NewServer(t, agenttest.Directed)
			o := agent.Options{
				Models: map[string]agent.Model{"default": served(t, kind, srv)},
				Tools:  []agent.Tool{&tool{name: "weather", effect: agent.ReadLocal, text: "rain"}},
				Limits: agent.Limits{RetryFor: 50 * time.Millisecond, Backoff: time.Millisecond},
			}
			for say, want := range map[string]string{
				"hello":             "echo: hello",
				"!tool weather {}":  "tool said: rain",
				"!401":              "key was refused",
				"!404":              "does not know the model `scripted`",
				"!quota":            "no credit left",
				"!long":             "more than the model `scripted` can take",
				"!500":              "overloaded or has a fault",
				"!429 3600":         "in 60 minutes",
				"!cut":              "one \n\n*The answer broke off here.* The connection to",
				"!finish":           "one \n\n*The answer broke off here.* The connection to",
				"!stall":            "one \n\n*The answer broke off here.*",
				"!empty":            "empty answer",
				"!words 300":        strings.TrimSpace(strings.Repeat("word ", 300)),
				"!unknown, so echo": "echo: !unknown, so echo",
			} {
				res := run(t, o, turn(say), &port{})
				if got := text(res); !strings.Contains(got, want) || len(res.Replies) != 1 {
					t.Errorf("%s: reply %q", say, got)
				}
				if res.Failed == nil && len(res.Usage) == 0 {
					t.Errorf("%s: no usage", say)
				}
				if _, err := json.Marshal(res); err != nil {
					t.Errorf("%s: the result cannot be kept: %v", say, err)
				}
			}
		})
	}
}

// TestFailoverAcrossDialects hands a turn with tools from one provider to the other.
func TestFailoverAcrossDialects(t *testing.T) {
	first := agenttest.NewServer(t, agenttest.In(agenttest.Use("call:with/odd.id", "weather", `{"city":"Köln"}`), agenttest.Refuse(401, "")))
	second := agenttest.NewServer(t, agenttest.Directed)
	m := served(t, "openai", first)
	m.Fallbacks = []string{"spare"}
	o := agent.Options{
		Models: map[string]agent.Model{"default": m, "spare": served(t, "anthropic", second)},
		Tools:  []agent.Tool{&tool{name: "weather", effect: agent.ReadLocal, text: "rain"}},
	}
	if res := run(t, o, turn("weather?"), &port{}); text(res) != "tool said: rain" {
		t.Errorf("reply %q", text(res))
	}
	if n := first.Calls(); n != 2 {
		t.Errorf("%d calls of the first", n)
	}
}

func BenchmarkTurnInProcess(b *testing.B) {
	a := agent.New(one(agenttest.NewModel(nil)))
	tn := turn("hello")
	tn.History = long(10)
	p := &silent{}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Run(b.Context(), tn, p); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTurnOverLoopback includes the work of the scripted server.
func BenchmarkTurnOverLoopback(b *testing.B) {
	srv := agenttest.NewServer(b, nil)
	a := agent.New(agent.Options{Models: map[string]agent.Model{"default": served(b, "openai", srv)}})
	tn := turn("hello")
	tn.History = long(10)
	p := &silent{}
	b.ReportAllocs()
	for b.Loop() {
		res, err := a.Run(b.Context(), tn, p)
		if err != nil || res.Failed != nil {
			b.Fatal(err, res.Failed)
		}
	}
}

type silent struct{ port }

func (*silent) Draft(string) {}
