package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-chat/gatehouse/adapters/wasm"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

// usage keeps the day's use of the way out in the state. There is one entry for
// all, which is replaced when a day begins.
type usage struct{ state kv.Store }

var _ egress.Ledger = usage{}

const (
	usageSpace = "egress"
	usageKey   = "today"
	usageTries = 20 // against other gateways that write at the same time
)

// usageDay is what the entry holds.
type usageDay struct {
	Day  string                  `json:"day"`
	Used map[string]egress.Usage `json:"used"`
}

// Add implements egress.Ledger.
func (u usage) Add(ctx context.Context, day string, used map[string]egress.Usage) (map[string]egress.Usage, error) {
	for range usageTries {
		e, err := u.state.Get(ctx, usageSpace, usageKey)
		if err != nil {
			return nil, fmt.Errorf("read the use of the egress: %w", err)
		}
		var now usageDay
		if e.Version > 0 {
			if err := json.Unmarshal(e.Value, &now); err != nil {
				return nil, fmt.Errorf("read the use of the egress: %w", err)
			}
		}
		if now.Day < day {
			now = usageDay{Day: day}
		}
		if now.Used == nil {
			now.Used = map[string]egress.Usage{}
		}
		if len(used) == 0 || now.Day > day { // another gateway's clock is ahead
			return now.Used, nil
		}
		for name, more := range used {
			have := now.Used[name]
			now.Used[name] = egress.Usage{Requests: have.Requests + more.Requests, Bytes: have.Bytes + more.Bytes}
		}
		value, err := json.Marshal(now)
		if err != nil {
			return nil, err
		}
		w := kv.Write{Space: usageSpace, Key: usageKey, If: e.Version, Value: value}
		if e.Version == 0 {
			w.If = kv.Absent
		}
		if err := u.state.Write(ctx, w); !errors.Is(err, kv.ErrConflict) {
			return now.Used, err
		}
	}
	return nil, kv.ErrConflict
}

// traffic gives the figures of the way out.
type traffic struct{ gate *egress.Gate }

var (
	requestsDesc = prometheus.NewDesc("gatehouse_egress_requests_total",
		"Requests and connections to the outside, by what asked for them and what became of them.", []string{"policy", "outcome"}, nil)
	bytesDesc = prometheus.NewDesc("gatehouse_egress_bytes_total",
		"Bytes sent to the outside and received from there.", []string{"policy"}, nil)
)

// Describe implements prometheus.Collector.
func (traffic) Describe(c chan<- *prometheus.Desc) {
	c <- requestsDesc
	c <- bytesDesc
}

// Collect implements prometheus.Collector.
func (o traffic) Collect(c chan<- prometheus.Metric) {
	for policy, t := range o.gate.Totals() {
		for outcome, n := range map[string]int64{"allowed": t.Requests, "limited": t.Limited, "refused": t.Refused} {
			c <- prometheus.MustNewConstMetric(requestsDesc, prometheus.CounterValue, float64(n), policy, outcome)
		}
		c <- prometheus.MustNewConstMetric(bytesDesc, prometheus.CounterValue, float64(t.Bytes), policy)
	}
}

// faulty shows how modules failed, as metrics.
type faulty struct{ guests *wasm.Driver }

var (
	_ prometheus.Collector = faulty{}

	faultsDesc = prometheus.NewDesc("gatehouse_module_faults_total",
		"Calls of modules that ended in a fault, by the module and the kind of the fault.", []string{"module", "kind"}, nil)
)

// Describe implements prometheus.Collector.
func (faulty) Describe(c chan<- *prometheus.Desc) { c <- faultsDesc }

// Collect implements prometheus.Collector.
func (f faulty) Collect(c chan<- prometheus.Metric) {
	for x, n := range f.guests.Failures() {
		c <- prometheus.MustNewConstMetric(faultsDesc, prometheus.CounterValue, float64(n), x.Module, x.Kind)
	}
}
