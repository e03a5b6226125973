package gateway_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
)

func (r *rig) pause(id channels.ID) {
	r.t.Helper()
	if err := r.gw.Pause(r.t.Context(), id); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) resume(id channels.ID, held int) {
	r.t.Helper()
	if n, err := r.gw.Resume(r.t.Context(), id); err != nil || n != held {
		r.t.Errorf("resume %q: %d events were held back, want %d (%v)", id, n, held, err)
	}
	r.settle()
}

func (r *rig) parked() int {
	r.t.Helper()
	all, err := r.bus.Depths(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	n := 0
	for _, d := range all {
		if d.State == bus.Parked {
			n += d.Count
		}
	}
	return n
}

func TestWhatComesDuringAPauseIsAnsweredAfterIt(t *testing.T) {
	for _, id := range []channels.ID{"", "chat"} {
		bubble(t, func() rigOptions { return rigOptions{} }, func(r *rig) {
			r.pause(id)
			r.pause(id) // once more changes nothing
			r.accept(said("anna", "1", "one"), said("ben", "2", "two"))
			r.after(time.Minute)
			r.accept(said("anna", "3", "three"), ordered("anna", "4", "status", ""))
			r.settle()
			if got := sentTexts(r.chat.sent()); len(got) != 0 || r.parked() != 4 {
				t.Errorf("during the pause: %q was said, %d events wait", got, r.parked())
			}
			r.resume(id, 4)
			r.after(time.Second)
			got := strings.Join(sentTexts(r.chat.sent()), "\n")
			for _, want := range []string{"one", "two", "three"} {
				if !strings.Contains(got, want) {
					t.Errorf("%q was not answered:\n%s", want, got)
				}
			}
			if n := r.parked(); n != 0 {
				t.Errorf("%d events wait after the resumption", n)
			}
			r.resume(id, 0)
		})
	}
}

func TestPausesAreApart(t *testing.T) {
	bubble(t, func() rigOptions { return rigOptions{} }, func(r *rig) {
		r.pause("")
		r.pause("chat")
		r.accept(said("anna", "1", "one"))
		r.settle()
		r.resume("", 0)
		if n := r.parked(); n != 1 {
			t.Errorf("the channel's own pause is over: %d events wait", n)
		}
		r.resume("chat", 1)
		if got := sentTexts(r.chat.sent()); len(got) != 1 {
			t.Errorf("%q was said", got)
		}
	})
}

// TestAPauseSurvivesARestart, and what it held back knows for how long.
func TestAPauseSurvivesARestart(t *testing.T) {
	bubble(t, func() rigOptions { return rigOptions{} }, func(r *rig) {
		r.pause("")
		r.accept(said("anna", "1", "one"))
		r.settle()
		r.stop()
		next := newRig(t, rigOptions{engine: r.bus, agent: gateway.AgentSettings{Runner: runner(func(_ context.Context, t agent.Turn, _ agent.Port) (agent.Result, error) {
			return reply(t.Note), nil
		})}})
		next.accept(said("anna", "2", "two"))
		next.after(time.Hour)
		if got := sentTexts(next.chat.sent()); len(got) != 0 {
			t.Errorf("%q was said", got)
		}
		if s, err := next.gw.Status(t.Context()); err != nil || s.Paused.IsZero() || s.Channels[0].Paused.IsZero() {
			t.Errorf("the status does not say so: %+v, %v", s, err)
		}
		next.resume("", 2)
		next.after(time.Second)
		if got := strings.Join(sentTexts(next.chat.sent()), ""); !strings.Contains(got, "waited for 1h") {
			t.Errorf("said %q", got)
		}
		next.stop()
	})
}

// TestRunningTurnsEndDuringAPause: what was begun is answered.
func TestRunningTurnsEndDuringAPause(t *testing.T) {
	metrics := gateway.NewMetrics(prometheus.NewRegistry())
	bubble(t, func() rigOptions {
		return rigOptions{metrics: metrics, agent: gateway.AgentSettings{Runner: runner(func(ctx context.Context, t agent.Turn, _ agent.Port) (agent.Result, error) {
			select {
			case <-time.After(10 * time.Second):
				return reply("done"), nil
			case <-ctx.Done():
				return agent.Result{}, context.Cause(ctx)
			}
		})}}
	}, func(r *rig) {
		r.accept(said("anna", "1", "one"))
		r.after(time.Second)
		r.pause("")
		r.after(20 * time.Second)
		if got := strings.Join(sentTexts(r.chat.sent()), ""); !strings.Contains(got, "done") {
			t.Errorf("said %q", got)
		}
		r.resume("", 0)
		r.accept(said("anna", "2", "two"))
		r.after(time.Second)
		if n := r.gw.StopTurns(); n != 1 {
			t.Errorf("%d turns were stopped, want 1", n)
		}
		r.settle()
		if s, err := r.gw.Status(t.Context()); err != nil || s.Turns != 0 {
			t.Errorf("%d turns run (%v)", s.Turns, err)
		}
	})
}
