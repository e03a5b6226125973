package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/sqlite"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/vaulttest"
)

// pathChat answers by the path that came with the event, and cannot send
// while it is down.
type pathChat struct {
	*chat
	down bool
	got  chan channels.Part
}

func (c pathChat) Send(_ context.Context, p channels.Part) (channels.Receipt, error) {
	if c.down {
		return channels.Receipt{}, &channels.Error{Op: "send", Channel: "chat", Kind: channels.Transient}
	}
	c.got <- p
	return channels.Receipt{ID: "m", At: time.Now()}, nil
}

// process is a gateway on a real database with a real vault.
type process struct {
	gw    *gateway.Gateway
	store *sqlite.Engine
	log   *bytes.Buffer
	stop  func()
}

func startProcess(t *testing.T, folder string, key vault.KeySource, ch channels.Channel, run agent.Runner) *process {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(folder, "gatehouse.db"), sqlite.Options{Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	p := &process{store: store, log: &bytes.Buffer{}}
	log := slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	dir, err := identity.Open(t.Context(), store, "main", time.Now, log)
	if err != nil {
		t.Fatal(err)
	}
	p.gw = gateway.New(gateway.Options{
		Bus: store, Directory: dir, Seals: vaulttest.Open(t, store, key), Version: "test", Log: log,
		Agent: gateway.AgentSettings{Runner: run, Queue: gateway.Steer, DailySpend: -1},
	})
	cfg := gateway.ChannelConfig{ID: "chat", Driver: driver{ch}, Policy: open, Section: json.RawMessage("{}"), Stream: true}
	if err := p.gw.Apply(t.Context(), []gateway.ChannelConfig{cfg}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.gw.Run(ctx) }()
	p.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
	return p
}

// TestReplyPathsAreSealed: what lets its holder speak as the bot is nowhere on
// the disk, in the log or before the agent, and is there for the reply, after a
// restart as well.
func TestReplyPathsAreSealed(t *testing.T) {
	const token = "https://hooks.example.org/T1&B2/interaction-token"
	folder, key := t.TempDir(), vaulttest.NewKey(t)
	asked := make(chan agent.Turn, 4)
	run := runner(func(_ context.Context, turn agent.Turn, _ agent.Port) (agent.Result, error) {
		asked <- turn
		return reply("answer"), nil
	})
	first := startProcess(t, folder, key, pathChat{chat: newChat(), down: true}, run)
	e := said("anna", "1", "hello")
	// Each send that fails before the restart takes a use.
	e.Via = &channels.Via{Token: channels.NewSecret(token), Expires: time.Now().Add(time.Hour), Uses: 1000}
	e.Raw = json.RawMessage(`{"response_url":"https:\/\/hooks.example.org\/T1\u0026B2\/interaction-token","n":12345678901234567890}`)
	if err := first.gw.Sink("chat").Accept(t.Context(), channels.Batch{Events: []channels.Event{e}}); err != nil {
		t.Fatal(err)
	}
	turn := <-asked
	if turn.Events[0].Via != nil || turn.Events[0].Raw != nil {
		t.Errorf("the agent is shown %+v", turn.Events[0])
	}
	until(t, "the reply to wait in the outbox", func() bool {
		all, err := first.store.Replies(t.Context(), "chat", "")
		return err == nil && len(all) == 1
	})
	first.stop()
	searchFolder(t, folder, token, "interaction-token", "hello")
	if strings.Contains(first.log.String(), "interaction-token") {
		t.Errorf("the log shows the token:\n%s", first.log)
	}

	got := make(chan channels.Part, 4)
	second := startProcess(t, folder, key, pathChat{chat: newChat(), got: got}, run)
	part := <-got
	second.stop()
	if part.Via == nil || part.Via.Token.Reveal() != token {
		t.Errorf("the reply was sent by the path %v", part.Via)
	}
	searchFolder(t, folder, token, "interaction-token", "12345678901234567890")
}

// searchFolder looks that no file of a folder holds the token or a part of it,
// and that the search finds what is there.
func searchFolder(t *testing.T, folder, token, some, there string) {
	t.Helper()
	found := false
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, s := range []string{token, some, fmt.Sprintf("%q", token)} {
			if bytes.Contains(b, []byte(s)) {
				t.Errorf("%s holds %q", filepath.Base(path), s)
			}
		}
		found = found || bytes.Contains(b, []byte(there))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !found {
		t.Errorf("the search does not find %q; it shows nothing", there)
	}
}

// until polls a condition.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 12_000 {
		if cond() {
			return
		}
		<-tick.C
	}
	t.Fatalf("still waiting for %s", what)
}
