package e2e_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// module is where the commands are.
const module = "github.com/gatehouse-chat/gatehouse"

// binaries are built once for each run of the tests, and only when asked for.
type binaries struct {
	dir string

	mu    sync.Mutex
	built map[string]func() (string, error)
}

var built = &binaries{built: map[string]func() (string, error){}}

// waiting is how many tests a processor serves at a time.
const waiting = 3

func TestMain(m *testing.M) { os.Exit(runAll(m)) }

func runAll(m *testing.M) int {
	tracedMain()
	dir, err := os.MkdirTemp("", "gatehouse-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	built.dir = dir
	flag.Parse()
	if n := flag.Lookup("test.parallel"); n.Value.String() == n.DefValue {
		// These tests wait for other processes, and for outages to pass, most of
		// the time.
		if err := n.Value.Set(strconv.Itoa(waiting * runtime.GOMAXPROCS(0))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	code := m.Run()
	fmt.Print(&figures)
	return code
}

// build compiles a command and returns the path of its binary. name tells
// builds with different flags apart.
func (b *binaries) build(t testing.TB, name, pkg string, flags ...string) string {
	t.Helper()
	b.mu.Lock()
	once := b.built[name]
	if once == nil {
		once = sync.OnceValues(func() (string, error) { return compile(filepath.Join(b.dir, name), pkg, flags) })
		b.built[name] = once
	}
	b.mu.Unlock()
	path, err := once()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func compile(to, pkg string, flags []string) (string, error) {
	args := append([]string{"build", "-o", to}, flags...)
	out, err := exec.Command("go", append(args, module+"/"+pkg)...).CombinedOutput() //nolint:gosec,noctx // the flags are ours; the build ends by itself
	if err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return to, nil
}

// race are the flags that watch for races; see RACE in the Makefile.
var race = []string{"-race", "-gcflags=go.mau.fi/whatsmeow/socket=-race=false"}

// gateway is the binary as tests run it: with the race detector where they have it.
func gateway(t testing.TB) string {
	t.Helper()
	if raceEnabled {
		return built.build(t, "gatehouse-race", "cmd/gatehouse", race...)
	}
	return release(t)
}

// release is the binary as people get it.
func release(t testing.TB) string {
	t.Helper()
	return built.build(t, "gatehouse", "cmd/gatehouse", "-trimpath", "-ldflags=-s -w")
}

// armed is the binary whose failpoints can be armed.
func armed(t testing.TB) string {
	t.Helper()
	if raceEnabled {
		return built.build(t, "gatehouse-failpoint-race", "cmd/gatehouse", slices.Concat(race, []string{"-tags=failpoint"})...)
	}
	return built.build(t, "gatehouse-failpoint", "cmd/gatehouse", "-tags=failpoint")
}
