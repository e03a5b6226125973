package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
	"github.com/gatehouse-chat/gatehouse/internal/porttest"
)

// stage is what the benchmarks measure: the gateway as people get it, in a
// process of its own. The emulator, the model and the people share the process
// of the benchmark, so that what they need among themselves costs no exchange
// over a socket, which would count as the gateway's.
type stage struct {
	tb    testing.TB
	dir   string
	bot   *telegramtest.Server
	model string // base URL
	seen  int    // deliveries that have been read
	gate  *process
	ports struct{ listen, admin string }
}

// newStage starts the emulator and the model; delay is what the model takes for
// an answer, latency what a call of the Bot API takes.
func newStage(tb testing.TB, delay, latency time.Duration) *stage {
	tb.Helper()
	oneThread(tb)
	s := &stage{tb: tb, dir: tb.TempDir(), bot: telegramtest.NewServer(tb)}
	s.bot.SetLatency(latency)
	s.model = agenttest.NewServer(tb, agenttest.Slow(agenttest.Echo, delay, 0, 1)).OpenAI()
	s.configure()
	return s
}

// oneThread keeps what is around the gateway from looking for work on both
// processors while there is none: it is the gateway that is measured, and that
// would be taken from it.
func oneThread(tb testing.TB) {
	before := runtime.GOMAXPROCS(1)
	tb.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

func (s *stage) configure() {
	s.tb.Helper()
	s.ports.listen, s.ports.admin = porttest.Keep(s.tb), porttest.Keep(s.tb)
	text := fmt.Sprintf(`listen: %s
admin: %s
data: %q
key: %q
log: {level: warn, format: text}
models:
  default: {provider: compatible, model: scripted, base_url: %q, api_key: "sk-test-123456789"}
agent: {daily_spend: -1}
channels:
  support: {adapter: telegram, base_url: %q, token: %q, dm: open, send_rate: unlimited}
`, s.ports.listen, s.ports.admin, filepath.Join(s.dir, "data"), filepath.Join(s.dir, "key"), s.model, s.bot.URL(), s.bot.Token())
	if err := os.WriteFile(filepath.Join(s.dir, "gatehouse.yaml"), []byte(text), 0o600); err != nil {
		s.tb.Fatal(err)
	}
}

// up starts the gateway, waits until it is ready and returns how long that took
// from the start of its process.
func (s *stage) up() time.Duration {
	s.tb.Helper()
	path := release(s.tb)
	began := time.Now()
	s.gate = launch(s.tb, path, bare(s.dir), "run", "--config", filepath.Join(s.dir, "gatehouse.yaml"))
	client := &http.Client{Timeout: time.Second}
	for s.gate.running() && time.Since(began) < patience {
		resp, err := client.Get("http://" + s.ports.listen + "/readyz") //nolint:noctx // the client has a limit
		if err != nil {
			<-time.After(500 * time.Microsecond) // the resolution of what is measured
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return time.Since(began)
		}
	}
	s.tb.Fatalf("the gateway is not ready\n%s", s.gate.log)
	return 0
}

// metric reads one of the gateway's own figures: the sum over its labels.
func (s *stage) metric(name string) float64 {
	s.tb.Helper()
	sum := 0.0
	for _, l := range s.metrics() {
		key, value, ok := strings.Cut(l, " ")
		if base, _, _ := strings.Cut(key, "{"); !ok || base != name {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			s.tb.Fatal(err)
		}
		sum += v
	}
	return sum
}

func (s *stage) metrics() []string {
	s.tb.Helper()
	resp, err := http.Get("http://" + s.ports.admin + "/metrics") //nolint:noctx // loopback
	if err != nil {
		s.tb.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		s.tb.Fatalf("metrics: %s %v", resp.Status, err)
	}
	return strings.Split(string(text), "\n")
}

// quantile reads a quantile out of a histogram, as the upper bound of the
// bucket that holds it.
func (s *stage) quantile(name string, q float64) string {
	total := s.metric(name + "_count")
	for _, l := range s.metrics() {
		rest, ok := strings.CutPrefix(l, name+`_bucket{le="`)
		if !ok {
			continue
		}
		bound, count, _ := strings.Cut(rest, `"} `)
		if n, err := strconv.ParseFloat(count, 64); err == nil && n >= q*total {
			return bound
		}
	}
	return ""
}

// cpu is what the gateway has used, as the kernel counts it.
func (s *stage) cpu() time.Duration {
	s.tb.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.gate.cmd.Process.Pid))
	if err != nil {
		s.tb.Skip("the processor time of a running process is read from /proc")
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] { // utime, stime
		n, _ := strconv.ParseInt(f, 10, 64)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// resident is the gateway's memory in MiB.
func (s *stage) resident() float64 {
	s.tb.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.gate.cmd.Process.Pid))
	if err != nil {
		s.tb.Skip("the memory of a running process is read from /proc")
	}
	for l := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(l, "VmRSS:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1024
		}
	}
	return 0
}
