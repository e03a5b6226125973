package channeltest

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

func lifeCases() []Case {
	return []Case{
		{Name: "life/a dropped connection", Needs: []Ability{Drops}, run: dropped},
		{Name: "life/an outage", Needs: []Ability{Outages}, run: outage},
		{Name: "life/progress is reported", run: progress},
		{Name: "life/a shutdown leaves no goroutine", bare: shutdown},
		{Name: "life/a shutdown finishes sends", Needs: []Ability{Stalls}, run: shutdownWhileSending},
		{Name: "life/no secret is left behind", Needs: []Ability{Secrets}, run: noSecretLeft},
	}
}

func dropped(r *rig) {
	first := r.word()
	r.hs.Say(Said{Text: first})
	r.message(first)
	r.hs.Drop()
	w := r.word()
	r.hs.Say(Said{Text: w})
	e, _ := r.message(w)
	r.once(first)
	r.once(w)
	r.mustSend(e.Where, "still here")
}

// outage wants the health to tell the truth, and nothing lost over it.
func outage(r *rig) {
	e, _ := r.hear(Said{})
	up := r.hs.Down()
	if h := r.host.WaitHealth(channels.Retrying); h.Err == nil {
		r.t.Errorf("the channel retries and does not say why")
	}
	w := r.word()
	r.hs.Say(Said{Text: w})
	_, err := r.send(channels.Part{To: e.Where, Body: markup.Plain("anyone?")})
	if k := channels.KindOf(err); k != channels.Transient && k != channels.Ambiguous {
		r.t.Errorf("a send during the outage is %q: %v", k, err)
	}
	up()
	if h := r.host.WaitHealth(channels.Connected); h.Err != nil {
		r.t.Errorf("connected, with the error %v", h.Err)
	}
	r.message(w)
	r.mustSend(e.Where, "back again")
}

func progress(r *rig) {
	before := r.host.HeardCount()
	r.hear(Said{})
	r.eventually("Heard to be called after a message", func() bool { return r.host.HeardCount() > before })
	hs := r.host.Health()
	if h := hs[len(hs)-1]; h.Phase != channels.Connected || h.Err != nil {
		r.t.Errorf("a channel that receives has the health %q with error %v", h.Phase, h.Err)
	}
}

// winding is how long goroutines may take to end when nothing needs them any more.
const winding = 10 * time.Second

func shutdown(t testing.TB, s Suite) {
	here := goleak.IgnoreCurrent()
	r := newRig(t, s)
	r.boot(Snapshot{})
	e, _ := r.hear(Said{})
	r.mustSend(e.Where, "bye")
	if err := r.halt(); err != nil {
		t.Errorf("Run returned %v when its context ended; want nil", err)
	}
	r.host.Client("").CloseIdleConnections()
	r.close()
	r.front.srv.Close()
	var err error
	if !poll(t.Context(), winding, func() bool { err = goleak.Find(here); return err == nil }) {
		t.Errorf("goroutines are left: %v", err)
	}
}

func shutdownWhileSending(r *rig) {
	e, _ := r.hear(Said{})
	release := r.hs.Stall()
	done := make(chan error, 1)
	go func() {
		_, err := r.send(channels.Part{Key: "last/0", To: e.Where, Body: markup.Plain("my last words")})
		done <- err
	}()
	r.eventually("the send to reach the platform", func() bool { return len(r.hs.Shown(e.Where)) == 1 })
	r.front.serve(nil)
	r.stop()
	release()
	if err := <-done; err != nil {
		r.t.Errorf("the end of Run took a send with it: %v", err)
	}
}

// noSecretLeft provokes errors and log lines and looks at what is durable. The
// host and the sink look at everything else in every case.
func noSecretLeft(r *rig) {
	e, _ := r.hear(Said{})
	r.mustSend(e.Where, "fine")
	if r.hs.Down != nil {
		up := r.hs.Down()
		defer up()
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	_, _ = r.sendIn(ctx, channels.Part{To: e.Where, Body: markup.Plain("nobody hears this")})
	cancel()
	_, _ = r.sendIn(ctx, channels.Part{To: e.Where, Body: markup.Plain("nor this")})
	if p, ok := channels.As[channels.Prober](r.ch); ok {
		if _, err := p.Probe(ctx); err != nil {
			r.host.watch("an error of Probe", err.Error())
		}
	}
	for k, v := range r.host.Snapshot().d.state {
		r.host.watch("the state "+k, k+" "+string(v))
	}
	for _, x := range r.sink.Events() {
		r.host.watch("the raw form of "+x.Key, string(x.Raw))
	}
}
