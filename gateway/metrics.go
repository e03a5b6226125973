package gateway

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/delivery"
)

// Metrics are the gateway's figures. A nil *Metrics keeps none. Labels come
// from closed sets: configured channels, queues, states and outcomes.
type Metrics struct {
	acceptedTotal *prometheus.CounterVec
	acceptSeconds prometheus.Histogram
	refusedTotal  *prometheus.CounterVec
	ignoredTotal  *prometheus.CounterVec
	sendsTotal    *prometheus.CounterVec
	turnsTotal    *prometheus.CounterVec
	turnSeconds   prometheus.Histogram
	running       prometheus.Gauge
	depth         *prometheus.GaugeVec
	lag           *prometheus.GaugeVec
	ready         *prometheus.GaugeVec
	paused        *prometheus.GaugeVec
}

// NewMetrics registers the figures.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gatehouse_" + name, Help: help}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "gatehouse_" + name, Help: help}, labels)
	}
	m := &Metrics{
		acceptedTotal: counter("events_accepted_total", "Events made durable.", "channel"),
		acceptSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gatehouse_accept_duration_seconds", Help: "Time until a batch of events was durable.",
			Buckets: []float64{.0005, .001, .002, .003, .004, .006, .008, .01, .015, .025, .05, .1, .5, 2.5},
		}),
		refusedTotal: counter("events_refused_total", "Batches that could not be made durable and were not acknowledged.", "channel", "reason"),
		ignoredTotal: counter("events_ignored_total", "Events that started no turn.", "channel", "kind"),
		sendsTotal:   counter("sends_total", "Sends to a platform, by how they ended.", "channel", "outcome"),
		turnsTotal:   counter("turns_total", "Turns, by how they ended.", "outcome"),
		turnSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gatehouse_turn_duration_seconds", Help: "Time from the start of a turn to its result.",
			Buckets: []float64{.005, .025, .1, .5, 1, 2.5, 5, 10, 30, 60, 180, 600},
		}),
		running: prometheus.NewGauge(prometheus.GaugeOpts{Name: "gatehouse_turns_running", Help: "Turns that run now."}),
		depth:   gauge("bus_records", "Records in the bus.", "queue", "channel", "state"),
		lag:     gauge("bus_lag_seconds", "Age of the oldest record that is due and not done.", "queue"),
		ready:   gauge("channel_ready", "1 while a channel receives, or has been away for less than its grace.", "channel"),
		paused:  gauge("channel_paused", "1 while a channel's events wait, by itself or with the workspace.", "channel"),
	}
	r.MustRegister(m.acceptedTotal, m.acceptSeconds, m.refusedTotal, m.ignoredTotal, m.sendsTotal, m.turnsTotal, m.turnSeconds, m.running, m.depth, m.lag, m.ready, m.paused)
	return m
}

// accepted counts a batch of n events that took d to become durable.
func (m *Metrics) accepted(c channels.ID, n int, d time.Duration) {
	if m != nil && n > 0 {
		m.acceptedTotal.WithLabelValues(string(c)).Add(float64(n))
		m.acceptSeconds.Observe(d.Seconds())
	}
}

func (m *Metrics) refused(c channels.ID, reason string) {
	if m != nil {
		m.refusedTotal.WithLabelValues(string(c), reason).Inc()
	}
}

func (m *Metrics) ignored(c channels.ID, kind string) {
	if m != nil {
		m.ignoredTotal.WithLabelValues(string(c), kind).Inc()
	}
}

// Send implements delivery.Observer.
func (m *Metrics) Send(c channels.ID, o delivery.Outcome) {
	if m != nil {
		m.sendsTotal.WithLabelValues(string(c), string(o)).Inc()
	}
}

func (m *Metrics) turn(d time.Duration, failed *agent.Error) {
	if m == nil {
		return
	}
	outcome := "answered"
	if failed != nil {
		outcome = string(failed.Kind)
	}
	m.turnsTotal.WithLabelValues(outcome).Inc()
	m.turnSeconds.Observe(d.Seconds())
}

func (m *Metrics) depths(all []bus.Depth, running int, now time.Time) {
	if m == nil {
		return
	}
	m.running.Set(float64(running))
	m.depth.Reset()
	lag := map[string]float64{bus.Inbox: 0, bus.Urgent: 0, bus.Outbox: 0}
	for _, d := range all {
		m.depth.WithLabelValues(d.Queue, d.Channel, string(d.State)).Set(float64(d.Count))
		if (d.State == bus.Ready || d.State == bus.Leased) && !d.Oldest.IsZero() {
			lag[d.Queue] = max(lag[d.Queue], now.Sub(d.Oldest).Seconds())
		}
	}
	for q, s := range lag {
		m.lag.WithLabelValues(q).Set(s)
	}
}

// lines shows which channels receive, and which are paused.
func (m *Metrics) lines(ready []ChannelReady, all []ChannelStatus) {
	if m == nil {
		return
	}
	m.ready.Reset()
	for _, c := range ready {
		m.ready.WithLabelValues(string(c.ID)).Set(one(c.Ready))
	}
	m.paused.Reset()
	for _, c := range all {
		m.paused.WithLabelValues(string(c.ID)).Set(one(!c.Paused.IsZero()))
	}
}

// one is how a gauge says yes.
func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
