package e2e_test

import (
	"crypto/ed25519"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/internal/db/pgtest"
	guests "github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/module/shelf"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
	. "github.com/gatehouse-chat/gatehouse/internal/sandbox/wasmtest"
)

// edition packs a version of a module. more is for its manifest.
func edition(t *testing.T, key ed25519.PrivateKey, version string, code []byte, more ...string) []byte {
	t.Helper()
	b, err := guests.Pack(fmt.Appendf(nil, `{"id": "courier", "version": %q, "abi": "gw1", "kind": ["channel"], "sha256": %q,
		"poll": {"min_interval": "1s"}%s}`, version, shelf.Sum(code), strings.Join(more, "")), code, key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// withCourier is a gateway with a second channel, of a module that is installed.
func withCourier(t *testing.T, set settings) (*rig, ed25519.PrivateKey) {
	t.Helper()
	set.channel = []string{"\n  second:\n    adapter: wasm\n    module: courier\n    dm: open"}
	r := newRig(t, set)
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	r.verb("adapter", "trust", "add", guests.Publisher(public).String())
	r.verb("adapter", "install", r.keep("courier-1.0.0.gwm", edition(t, key, "1.0.0", newAsker(1).handles())), "--yes")
	return r, key
}

// keep writes a file and returns its path.
func (r *rig) keep(name string, b []byte) string {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// TestBrokenUpgrade: a version that breaks when its channels start is taken back
// without anybody's help, and people are told.
func TestBrokenUpgrade(t *testing.T) {
	t.Parallel()
	r, key := withCourier(t, settings{})
	r.up()
	connected := func() bool { return strings.HasPrefix(r.statuses()["second"], "connected") }
	if !eventually(patience, connected) {
		t.Fatalf("the channel is %s", r.statuses()["second"])
	}
	r.verb("adapter", "upgrade", r.keep("broken.gwm", edition(t, key, "1.1.0", newAsker(1).handles(Unreachable))), "--yes")
	told := func() bool { return strings.Contains(r.verb("adapter", "list"), "version 1.1.0 broke at its start") }
	if !eventually(2*patience, told) || !eventually(patience, connected) {
		t.Errorf("the channel is %s, and the modules are\n%s", r.statuses()["second"], r.verb("adapter", "list"))
	}
	r.audited(func(said string) bool { return strings.Contains(said, "module rolled back") }, "--kind", "admin", "--on", "courier 1.0.0")
	r.term()
}

// TestQuarantineLosesNothing: what somebody said before their channel's module broke
// is answered when it is mended: once, and until then it can be seen to wait.
func TestQuarantineLosesNothing(t *testing.T) {
	t.Parallel()
	answer := make(chan struct{})
	r, key := withCourier(t, settings{script: func(q *agenttest.Request) agenttest.Answer {
		<-answer
		return agenttest.Echo(q)
	}})
	const wants = `, "kv": {"max_bytes": 1000}, "emit": {"rate": 1}, "features": {"dialect": "plain", "max_text": 2000}`
	breaks := newAsker(1)
	r.verb("adapter", "upgrade", r.keep("breaks.gwm", edition(t, key, "1.1.0", breaks.handles(
		LocalGet(0), I32Const(int32(sandbox.OpPoll)), I32Eq, If(),
		breaks.ask(sandbox.HostKVGet, `{"key":"told"}`, ""), I64Const(0), Op(0x59), If(), Unreachable, End(), // it has told already
		breaks.ask(sandbox.HostKVPut, `{"key":"told"}`, "yes"), Drop,
		breaks.ask(sandbox.HostEmit, `{"v":1,"key":"k1","type":"message","at":"2026-01-02T03:04:05Z","account":"bot","who":{"id":"u1","name":"Uma"},
			"room":{"direct":true},"addressed":true,"where":{"channel":"second","account":"bot","conversation":"u1"},"content":{"id":"1","text":"hi"}}`, ""), Drop,
		End(),
		LocalGet(0), I32Const(int32(sandbox.OpSend)), I32Eq, If(), Unreachable, End()), wants)), "--yes")
	r.up()
	if !eventually(patience, func() bool {
		return strings.Contains(r.statuses()["second"], "trap: unreachable") && strings.HasPrefix(r.statuses()["second"], "broken")
	}) {
		t.Fatalf("it is not left alone: %s", r.statuses()["second"])
	}
	close(answer)
	if !eventually(patience, func() bool { return r.waits("outbox", "second") == 1 }) {
		t.Fatalf("its answer does not wait\n%s", r.verb("status", "--json"))
	}
	if !strings.Contains(r.proc.log.lines(), "module=courier") || !strings.Contains(r.proc.log.lines(), "trap: unreachable") {
		t.Errorf("the log does not say what module fails, and how\n%s", r.proc.log)
	}
	mended := newAsker(1)
	r.verb("adapter", "upgrade", r.keep("mended.gwm", edition(t, key, "1.2.0", mended.handles(
		LocalGet(0), I32Const(int32(sandbox.OpSend)), I32Eq, If(),
		mended.ask(sandbox.HostLog, `{}`, sendsIt), Drop,
		mended.payload(`{"receipt":{"id":"m1"}}`, ""), Call(mended.output), I32Const(0), Op(0x0f), End()), wants)), "--yes")
	if !eventually(patience, func() bool { return r.proc.log.contains(sendsIt) && r.waits("outbox", "second") == 0 }) {
		t.Errorf("it is not answered\n%s", r.verb("status", "--json"))
	}
	r.term()
	if n := strings.Count(r.proc.log.lines(), sendsIt); n != 1 || len(r.model.Requests()) != 1 {
		t.Errorf("it is answered %d times, and the model was asked %d times", n, len(r.model.Requests()))
	}
}

// waits is how much of a channel is not done with yet in a queue.
func (r *rig) waits(queue, channel string) (n int) {
	r.t.Helper()
	var s struct {
		Depths []struct {
			Queue, Channel string
			State          bus.State
			Count          int
		} `json:"depths"`
	}
	if err := json.Unmarshal([]byte(r.verb("status", "--json")), &s); err != nil {
		r.t.Fatal(err)
	}
	for _, d := range s.Depths {
		if d.Queue == queue && d.Channel == channel && (d.State == bus.Ready || d.State == bus.Leased) {
			n += d.Count
		}
	}
	return n
}

// TestReplicaFollowsUpgrade: a gateway hears of what another one installed in the
// database that they share.
func TestReplicaFollowsUpgrade(t *testing.T) {
	t.Parallel()
	r, key := withCourier(t, settings{store: pgtest.DSN(t)})
	r.up()
	other := r.replica()
	other.start()
	// A replica that polls nothing says what it does in its log alone.
	says := func(text string) {
		t.Helper()
		if !eventually(2*patience, func() bool { return other.proc.log.contains(text) }) {
			t.Fatalf("the replica does not say %q\n%s", text, other.proc.log)
		}
	}
	says("gatehouse is up")
	r.verb("adapter", "upgrade", r.keep("next.gwm", edition(t, key, "1.1.0", newAsker(1).handles())), "--yes")
	says("the installed modules have changed")
	other.term()
	r.term()
}

// TestInstallFromURL: a package comes over https, if it is what was pinned.
func TestInstallFromURL(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	pkg := edition(t, key, "1.0.0", newAsker(1).handles())
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/courier.gwm":
			_, _ = w.Write(pkg)
		case "/moved.gwm":
			http.Redirect(w, req, "/courier.gwm", http.StatusFound)
		default:
			http.NotFound(w, req)
		}
	}))
	t.Cleanup(srv.Close)
	roots := filepath.Join(dir, "roots.pem")
	if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, settings{env: []string{"SSL_CERT_FILE=" + roots, "SSL_CERT_DIR=" + dir}})
	r.verb("adapter", "trust", "add", guests.Publisher(public).String())
	r.up() // the download is the gateway's, through its egress
	pinned := func(path, sum string) string { return fmt.Sprintf("%s/%s#sha256=%s", srv.URL, path, sum) }
	for _, bad := range []struct{ url, want string }{
		{pinned("courier.gwm", strings.Repeat("0", 64)), "nothing was installed"},
		{pinned("moved.gwm", shelf.Sum(pkg)), "302"},
		{pinned("nowhere.gwm", shelf.Sum(pkg)), "404"},
		{srv.URL + "/courier.gwm", "sha256="},
	} {
		if out := r.refused("adapter", "install", bad.url, "--yes"); !strings.Contains(out, bad.want) {
			t.Errorf("%s: %s, want %q", bad.url, out, bad.want)
		}
	}
	if got := r.verb("adapter", "list"); strings.Contains(got, "courier") {
		t.Errorf("something was installed: %s", got)
	}
	r.verb("adapter", "install", pinned("courier.gwm", shelf.Sum(pkg)), "--yes")
	if got := r.verb("adapter", "list"); !strings.Contains(got, "courier") {
		t.Errorf("the modules are\n%s", got)
	}
	r.term()
}
