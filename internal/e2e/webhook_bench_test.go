package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// BenchmarkWebhook sends signed requests at a steady rate, whether those before
// are answered or not, and measures until the sender is told that they are kept.
// The gateway works on what it has accepted meanwhile.
func BenchmarkWebhook(b *testing.B) {
	const rate, lasts = 500, 10 * time.Second
	for _, c := range []struct{ name, policy string }{
		{"webhooks at 500/s, each answered by the model", "open"},
		{"webhooks at 500/s, accepted only", "disabled"},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := newStage(b, 0, 0)
			path := filepath.Join(s.dir, "gatehouse.yaml")
			text, err := os.ReadFile(path)
			if err != nil {
				b.Fatal(err)
			}
			text = fmt.Appendf(text, "  hook: {adapter: webhook, dm: %s, verify: {kind: bearer, secret: %s}}\n", c.policy, hookToken)
			if err := os.WriteFile(path, text, 0o600); err != nil {
				b.Fatal(err)
			}
			s.up()
			s.post(rate, time.Second) // to get warm
			cpu := s.cpu()
			b.ResetTimer()
			waits := s.post(rate, lasts)
			b.StopTimer()
			cpu = s.cpu() - cpu
			p50, p99 := quantile(waits, 0.5), quantile(waits, 0.99)
			b.ReportMetric(ms(p50), "p50-ms")
			b.ReportMetric(ms(p99), "p99-ms")
			b.ReportMetric(0, "ns/op")
			figures.add(c.name, "p99 under 10 ms", "p50 %.1f ms, p99 %.1f ms, %.0f %% of a core", ms(p50), ms(p99), 100*cpu.Seconds()/lasts.Seconds())
		})
	}
}

// post sends requests of 50 conversations at a rate, and returns how long each
// took to be acknowledged.
func (s *stage) post(rate int, lasts time.Duration) []time.Duration {
	s.tb.Helper()
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	defer client.CloseIdleConnections()
	var all sync.WaitGroup
	var mu sync.Mutex
	var waits []time.Duration
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for n := range int(lasts.Seconds()) * rate {
		<-tick.C
		all.Go(func() {
			began := time.Now()
			r, err := http.NewRequest(http.MethodPost, "http://"+s.ports.listen+"/hooks/hook", //nolint:noctx // the client has a limit
				strings.NewReader(fmt.Sprintf(`{"conversation":"place %d","text":"something happened"}`, n%50)))
			if err != nil {
				s.tb.Error(err)
				return
			}
			r.Header.Set("Authorization", "Bearer "+hookToken)
			resp, err := client.Do(r)
			if err != nil {
				s.tb.Error(err)
				return
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusAccepted {
				s.tb.Errorf("status %d", resp.StatusCode)
			}
			mu.Lock()
			defer mu.Unlock()
			waits = append(waits, time.Since(began))
		})
	}
	all.Wait()
	return waits
}
