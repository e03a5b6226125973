package egress_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/internal/cputest"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

// BenchmarkRequest compares a request through the gate, with the token put into
// the path, with the same request through plain net/http. The difference is
// what the gate costs.
func BenchmarkRequest(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"ok":true}`)
	}))
	b.Cleanup(server.Close)
	addr := strings.TrimPrefix(server.URL, "http://")
	gate := egress.New(egress.Options{}).Client(egress.Policy{
		Name: "bench", Allow: allow(b, server.URL), Operator: []string{addr},
		Inject: []egress.Injection{{Placeholder: ph, Lease: lend(token)}},
	})
	plain := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 128}}
	b.Cleanup(gate.CloseIdleConnections)
	b.Cleanup(plain.CloseIdleConnections)
	for _, bb := range []struct {
		name, url string
		client    *http.Client
	}{
		{"plain", server.URL + "/bot" + token + "/sendMessage", plain},
		{"gate", server.URL + "/bot" + ph + "/sendMessage", gate},
	} {
		b.Run(bb.name, func(b *testing.B) {
			cputest.Loop(b, func() { send(b, bb.client, bb.url) })
		})
	}
}

func send(b *testing.B, client *http.Client, url string) {
	b.Helper()
	res, err := client.Post(url, "application/json", strings.NewReader(`{"chat_id":1,"text":"hello"}`))
	if err != nil {
		b.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
}

// BenchmarkDecision is the gate's work on a request that is then refused at the
// last rule: canonical form, destinations, method, header.
func BenchmarkDecision(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var all []string
			for i := range n {
				all = append(all, fmt.Sprintf("https://host%d.example", i))
			}
			client := egress.New(egress.Options{}).Client(egress.Policy{Name: "bench", Allow: allow(b, all...)})
			req, _ := http.NewRequest("POST", fmt.Sprintf("https://host%d.example/bot1/sendMessage", n-1), nil)
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Te", "x") // refused only after everything else was checked
			cputest.Loop(b, func() {
				if _, err := client.Transport.RoundTrip(req); err == nil { //nolint:bodyclose // refused
					b.Fatal("passed")
				}
			})
		})
	}
}
