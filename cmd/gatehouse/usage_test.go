package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/config"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

func TestUsageOfADay(t *testing.T) {
	u := usage{inprocess.New(inprocess.Options{})}
	of := func(n int64) map[string]egress.Usage {
		return map[string]egress.Usage{"tool x": {Requests: n, Bytes: 10 * n}}
	}
	for _, tt := range []struct {
		name, day string
		used      map[string]egress.Usage
		want      map[string]egress.Usage
	}{
		{"nothing yet", "2030-05-06", nil, map[string]egress.Usage{}},
		{"the first", "2030-05-06", of(2), of(2)},
		{"more", "2030-05-06", of(3), of(5)},
		{"only asked", "2030-05-06", nil, of(5)},
		{"another day", "2030-05-07", of(1), of(1)},
		{"a clock that is behind changes nothing", "2030-05-06", of(7), of(1)},
	} {
		got, err := u.Add(t.Context(), tt.day, tt.used)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

func TestUsageOfSeveralGateways(t *testing.T) {
	u := usage{inprocess.New(inprocess.Options{})}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 5 {
				if _, err := u.Add(context.Background(), "2030-05-06", map[string]egress.Usage{"x": {Requests: 1}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if got, err := u.Add(t.Context(), "2030-05-06", nil); err != nil || got["x"].Requests != 20 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestTermsOfPolicies(t *testing.T) {
	of, err := terms(config.Egress{
		Tools: map[string]config.Way{"http_request": {
			RequestsPerMinute: 7, MegabytesMinute: -1, Inside: []string{"git.corp:443 10.1.2.0/24 fd00:1::/64"}, Proxy: config.Off,
		}},
		Channels: map[string]config.Way{"support": {RequestsPerDay: 9, Proxy: "socks5://127.0.0.1:1080"}},
		Models:   map[string]config.Way{"default": {MegabytesDay: 3}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for policy, want := range map[string]egress.Terms{
		"tool http_request": {
			Limits: egress.Limits{RequestsPerMinute: 7, RequestsPerDay: 2000, BytesPerMinute: -1_000_000, BytesPerDay: 1_000_000_000},
			Proxy:  &egress.Proxy{},
			Inside: []egress.Inside{{Host: "git.corp:443", Within: []netip.Prefix{netip.MustParsePrefix("10.1.2.0/24"), netip.MustParsePrefix("fd00:1::/64")}}},
		},
		"tool another": {Limits: egress.Limits{
			RequestsPerMinute: 60, RequestsPerDay: 2000, BytesPerMinute: 100_000_000, BytesPerDay: 1_000_000_000,
		}},
		"channel support":  {Limits: egress.Limits{RequestsPerDay: 9}, Proxy: &egress.Proxy{Scheme: "socks5", Addr: "127.0.0.1:1080"}},
		"channel other":    {},
		"provider default": {Limits: egress.Limits{BytesPerDay: 3_000_000}},
		"proxy login":      {},
	} {
		if diff := cmp.Diff(want, of(policy), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("%s: %s", policy, diff)
		}
	}
	for name, w := range map[string]config.Way{"a file": {CA: []string{"/nowhere.pem"}}, "a proxy": {Proxy: "ftp://x:1"}, "a place": {Inside: []string{"x"}}} {
		if _, err := terms(config.Egress{Tools: map[string]config.Way{"x": w}}); err == nil {
			t.Errorf("%s that is none passes", name)
		}
	}
}

func TestFiguresOfTheWayOut(t *testing.T) {
	gate := egress.New(egress.Options{})
	_, err := gate.Client(egress.Policy{Name: "channel support"}).Get("https://api.example.com/") //nolint:bodyclose // refused
	if err == nil {
		t.Fatal("it passed")
	}
	r := prometheus.NewRegistry()
	r.MustRegister(traffic{gate})
	all, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range all {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue()
		}
	}
	want := map[string]float64{
		"gatehouse_egress_bytes_total channel support":            0,
		"gatehouse_egress_requests_total allowed channel support": 0, "gatehouse_egress_requests_total limited channel support": 0,
		"gatehouse_egress_requests_total refused channel support": 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A limit of our own makes a channel and a model wait as long as it says.
func TestLimitsMakeOthersWait(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	gate := egress.New(egress.Options{Terms: func(string) egress.Terms {
		return egress.Terms{Limits: egress.Limits{RequestsPerDay: 1}}
	}})
	to, err := egress.ParseDestination(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	o := &outside{b: &border{gate: gate}, id: "support", to: []egress.Destination{to}, addr: []string{hostPort(server.URL)}}
	o.rebuildLocked()
	model := gate.Client(egress.Policy{Name: ofModel + "default", Allow: o.to, Operator: o.addr})
	send := func(rt http.RoundTripper) error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := rt.RoundTrip(req)
		if err == nil {
			err = res.Body.Close()
		}
		return err
	}
	k := keyed{next: model.Transport, provider: "openai", model: "m"}
	for _, rt := range []http.RoundTripper{o, k} {
		if err := send(rt); err != nil {
			t.Fatal(err)
		}
	}
	var c *channels.Error
	if err := send(o); !errors.As(err, &c) || c.Kind != channels.RateLimited || c.RetryAfter <= 0 || c.RetryAfter > 24*time.Hour {
		t.Errorf("the channel: %v", err)
	}
	var m *agent.Error
	if err := send(k); !errors.As(err, &m) || m.Kind != agent.RateLimited || m.RetryAfter <= 0 || m.RetryAfter > 24*time.Hour {
		t.Errorf("the model: %v", err)
	}
	model.CloseIdleConnections()
	o.current.Load().CloseIdleConnections()
}
