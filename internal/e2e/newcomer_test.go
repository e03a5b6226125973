package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
	"github.com/gatehouse-chat/gatehouse/internal/module/practice"
)

// withKits is a gateway that has the engine for JavaScript in it.
func withKits(t testing.TB) string {
	t.Helper()
	if err := buildEngine(); err != nil {
		t.Fatal(err)
	}
	return built.build(t, "gatehouse-kits", "cmd/gatehouse")
}

// buildEngine makes the engine, as `make guests` does, if it is not there.
var buildEngine = sync.OnceValue(func() error {
	const to = "../../adapters/guests/dist/quickjs.wasm"
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	cmd := exec.Command("./build", "../../../../../adapters/guests/dist/quickjs.wasm") //nolint:noctx // it ends by itself
	cmd.Dir, cmd.Stderr = "../../channels/guest/kits/js/engine", os.Stderr
	return cmd.Run()
})

// in runs a verb in a folder, with something on its standard input.
func (r *rig) in(t *testing.T, dir, stdin string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // compilers take what they take
	defer cancel()
	cmd := exec.CommandContext(ctx, r.set.binary, args...) //nolint:gosec // a binary of ours
	cmd.Dir, cmd.Env, cmd.Stdin = dir, r.author(), strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// author is the environment of somebody who has compilers.
func (r *rig) author() []string {
	env := slices.Concat(r.env, []string{"GATEHOUSE_CONFIG=" + r.configPath()})
	for _, name := range []string{"PATH", "CARGO_HOME", "RUSTUP_HOME", "GOPATH", "GOMODCACHE", "GOCACHE", "GOPROXY", "GOFLAGS"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	home, err := os.UserHomeDir()
	if err != nil {
		r.t.Fatal(err)
	}
	return append(env, "HOME="+home)
}

var knockCode = regexp.MustCompile("Your code is `(\\w{8})`")

// heard waits until the bot has said something that matches, and returns what
// stands in the parentheses.
func heard(t *testing.T, p *practice.Platform, want *regexp.Regexp) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	for n := 0; ; {
		said, err := p.Said(ctx, n)
		if err != nil {
			t.Fatalf("the bot never said %s: %v", want, err)
		}
		for _, s := range said {
			if m := want.FindStringSubmatch(s.Text); m != nil {
				return m[len(m)-1]
			}
		}
		n += len(said)
	}
}

// TestNewcomers: the first minutes of an author, in each language: a project, its
// tests, a package with a signature, granted and installed in a gateway that runs,
// and a message answered.
func TestNewcomers(t *testing.T) {
	if os.Getenv("GATEHOUSE_TEST_KITS") == "skip" {
		t.Skip("GATEHOUSE_TEST_KITS=skip")
	}
	t.Parallel()
	var tools []string
	for _, lang := range []string{"go", "rust", "c", "as", "js", "ts"} {
		tools = append(tools, strconv.Quote("module:words-"+lang))
	}
	r := newRig(t, settings{binary: withKits(t), script: counting, agent: []string{"tools: [" + strings.Join(tools, ", ") + "]"}})
	r.up()
	keygen := r.in(t, r.dir, "", "adapter", "keygen", "--out", filepath.Join(r.dir, "publisher.key"))
	publisher := regexp.MustCompile(`you publish as (\S+);`).FindStringSubmatch(keygen)
	if publisher == nil {
		t.Fatal(keygen)
	}
	r.verb("adapter", "trust", "add", publisher[1])
	for _, lang := range []string{"rust", "c", "as", "js", "ts"} { // Go's are in cmd/gatehouse's newproject.txtar
		t.Run(lang, func(t *testing.T) { r.newcomer(t, lang) })
	}
	t.Run("a change is seen", r.watchesProject)
	t.Run("go tool", func(t *testing.T) {
		platform, srv := r.practise(t)
		r.in(t, r.dir, practiceToken+"\n", "channels", "add", "chat-js", "--id", "for-go", "--set", "base_url="+srv.URL, "--config", r.configPath())
		r.letIn(t, platform)
		r.newTool(t, platform, "go")
	})
	r.term()
}

const practiceToken = "practice-token-of-the-bot" //nolint:gosec // of a platform in this process

// practise starts the platform that new projects speak to.
func (r *rig) practise(t *testing.T) (*practice.Platform, *httptest.Server) {
	platform := practice.New(practiceToken)
	srv := httptest.NewServer(platform)
	t.Cleanup(func() {
		srv.CloseClientConnections() // the gateway polls
		srv.Close()
	})
	return platform, srv
}

// letIn has ada admitted.
func (r *rig) letIn(t *testing.T, p *practice.Platform) {
	p.Say("ada", "may I come in")
	r.verb("pair", "approve", heard(t, p, knockCode))
}

// counting calls the tool that a text names: "!words-go one two".
func counting(r *agenttest.Request) agenttest.Answer {
	all := r.Messages()
	last := all[len(all)-1]
	if last.Role == agent.ToolRole {
		return agenttest.Say("it says: " + last.Text)
	}
	name, text, ok := strings.Cut(strings.TrimPrefix(last.Text, "!"), " ")
	if !ok || !strings.HasPrefix(last.Text, "!words-") {
		return agenttest.Echo(r)
	}
	args, err := json.Marshal(map[string]string{"text": text})
	if err != nil {
		return agenttest.Refuse(http.StatusInternalServerError, "")
	}
	return agenttest.Use(fmt.Sprintf("call_%d", r.N), strings.ReplaceAll(name, "-", "_"), string(args))
}

// newTool makes a tool in a language, which the model then calls in the gateway
// that runs. It uses what the channel's project has fetched.
func (r *rig) newTool(t *testing.T, p *practice.Platform, lang string) {
	name := "words-" + lang
	dir := filepath.Join(r.dir, name)
	r.in(t, r.dir, "", "adapter", "new", "--lang", lang, "--kind", "tool", name)
	if err := os.Rename(filepath.Join(r.dir, "chat-"+lang, "node_modules"), filepath.Join(dir, "node_modules")); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if out := r.in(t, dir, "", "adapter", "test"); !strings.Contains(out, "all 8 passed") {
		t.Fatalf("its tests say\n%s", out)
	}
	r.in(t, dir, "", "adapter", "pack")
	r.in(t, dir, "", "adapter", "sign", ".", "--key", filepath.Join(r.dir, "publisher.key"))
	if out := r.in(t, dir, "", "adapter", "install", ".", "--yes", "--config", r.configPath()); !strings.Contains(out, `tools: ["module:`+name+`"]`) {
		t.Errorf("installed, it says\n%s", out)
	}
	p.Say("ada", "!"+name+" one two three four")
	heard(t, p, regexp.MustCompile("(?s)it says: .*4 words"))
}

func (r *rig) newcomer(t *testing.T, lang string) {
	platform, srv := r.practise(t)
	name := "chat-" + lang
	dir := filepath.Join(r.dir, name)
	r.in(t, r.dir, "", "adapter", "new", "--lang", lang, name)
	if out := r.in(t, dir, "", "adapter", "test"); !strings.Contains(out, "passed") {
		t.Fatalf("its tests say\n%s", out)
	}
	r.breaks(t, dir, lang)
	r.in(t, dir, "", "adapter", "pack")
	r.in(t, dir, "", "adapter", "sign", ".", "--key", filepath.Join(r.dir, "publisher.key"))
	if out := r.in(t, dir, "", "adapter", "inspect", "."); !strings.Contains(out, `with the secret "token" put in by the gateway`) {
		t.Errorf("inspected, it is\n%s", out)
	}
	r.in(t, dir, practiceToken+"\n", "adapter", "install", ".", "--yes", "--channel", name, "--set", "base_url="+srv.URL, "--config", r.configPath())
	r.letIn(t, platform)
	platform.Say("ada", "hello from "+lang)
	heard(t, platform, regexp.MustCompile("echo: hello from "+lang))
	r.newTool(t, platform, lang)
}

// breaks puts a mistake into a project, whose tests then say where it is, and
// takes it out again.
func (r *rig) breaks(t *testing.T, dir, lang string) {
	mistake, ok := map[string]struct{ file, at, put, want string }{
		"c":  {"main.c", "static int send(payload c) {\n", "    __builtin_trap();\n", `at main.c:72, in send\b`},
		"as": {"assembly/index.ts", "function send(call: Payload): i32 {\n", "  if ([call.header][1] == '') return 1;\n", `at assembly/index.ts:73\b`},
		"js": {"main.js", "// A request", "missing.name;\n", `at main.js:3\b`},
	}[lang]
	if !ok {
		return
	}
	file := filepath.Join(dir, mistake.file)
	good, err := os.ReadFile(file) //nolint:gosec // in the test's folder
	if err != nil {
		t.Fatal(err)
	}
	before, after, _ := strings.Cut(string(good), mistake.at)
	text := before + mistake.at + mistake.put + after
	if lang == "js" {
		text = before + mistake.put + mistake.at + after
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(r.set.binary, "adapter", "test") //nolint:gosec,noctx // it ends by itself
	cmd.Dir, cmd.Env = dir, r.author()
	out, err := cmd.CombinedOutput()
	if err == nil || !regexp.MustCompile(mistake.want).Match(out) {
		t.Errorf("with a mistake its tests say %v, want %s\n%s", err, mistake.want, out)
	}
	if err := os.WriteFile(file, good, 0o600); err != nil {
		t.Fatal(err)
	}
}

// watchesProject: `adapter dev --watch --install` compiles and tests what was
// changed, and puts it into the gateway if it is not there.
func (r *rig) watchesProject(t *testing.T) {
	r.in(t, r.dir, "", "adapter", "new", "--lang", "js", "watched")
	dir := filepath.Join(r.dir, "watched")
	cmd := exec.Command(r.set.binary, "adapter", "dev", "--watch", "--install") //nolint:gosec,noctx // killed below
	out := &tail{}
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, r.author(), out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	rounds := func(n int) func() bool {
		return func() bool { return strings.Count(out.String(), "built in") == n }
	}
	if !eventually(patience, rounds(1)) || !strings.Contains(out.String(), "pass, in the gateway") {
		t.Fatalf("it was not built\n%s", out)
	}
	touched := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "main.js"), touched, touched); err != nil {
		t.Fatal(err)
	}
	if !eventually(patience, rounds(2)) || !strings.Contains(out.String(), "pass, unchanged in the gateway") {
		t.Fatalf("a file that was only touched:\n%s", out)
	}
	f, err := os.OpenFile(filepath.Join(dir, "main.js"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := f.WriteString("\n// a change\n"); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	if !eventually(patience, rounds(3)) {
		t.Fatalf("the change was not seen\n%s", out)
	}
	t.Logf("a change was seen, built and tested in %s", time.Since(began).Round(time.Millisecond))
}
