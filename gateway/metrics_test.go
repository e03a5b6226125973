package gateway_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestMetrics: the names and labels that dashboards rely on, and that no id of
// a person or a conversation becomes a label.
func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		r := newRig(t, rigOptions{metrics: gateway.NewMetrics(reg), policy: identity.Policy{DM: identity.DMAllowlist, Allow: []string{"anna"}}})
		r.chat.fail(false, &channels.Error{Kind: channels.Transient})
		r.accept(said("anna", "1", "hello"), said("mallory", "2", "hello"))
		r.wait(1)
		if err := r.gw.Sink("chat").Accept(t.Context(), channels.Batch{Events: []channels.Event{said("anna", "3", "x")}}); err != nil {
			t.Fatal(err)
		}
		r.after(time.Minute)
		r.stop()
		got := map[string][]string{}
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				var labels []string
				for _, l := range m.GetLabel() {
					labels = append(labels, fmt.Sprintf("%s=%s", l.GetName(), l.GetValue()))
				}
				got[f.GetName()] = append(got[f.GetName()], strings.Join(labels, ","))
			}
			slices.Sort(got[f.GetName()])
		}
		want := map[string][]string{
			"gatehouse_accept_duration_seconds": {""},
			"gatehouse_bus_lag_seconds":         {"queue=inbox", "queue=outbox", "queue=urgent"},
			"gatehouse_channel_paused":          {"channel=chat"},
			"gatehouse_channel_ready":           {"channel=chat"},
			"gatehouse_events_accepted_total":   {"channel=chat"},
			"gatehouse_events_ignored_total":    {"channel=chat,kind=message"},
			"gatehouse_sends_total":             {"channel=chat,outcome=delayed", "channel=chat,outcome=sent"},
			"gatehouse_turn_duration_seconds":   {""},
			"gatehouse_turns_running":           {""},
			"gatehouse_turns_total":             {"outcome=answered"},
		}
		delete(got, "gatehouse_bus_records") // as there are records
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	})
}
