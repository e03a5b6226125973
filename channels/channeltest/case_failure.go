package channeltest

import (
	"context"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

func failureCases() []Case {
	out := []Case{
		{Name: "failure/a send that is given up is ambiguous", Needs: []Ability{Stalls}, run: givenUp},
		{Name: "failure/revoked credentials", Needs: []Ability{Revocation}, run: revoked},
	}
	for _, x := range []struct {
		fault Fault
		kind  channels.Kind
		taken bool // whether the platform has the message
	}{
		{Throttled, channels.RateLimited, false},
		{Unavailable, channels.Transient, false},
		{LostAnswer, channels.Ambiguous, true},
		{BadFormat, channels.Format, false},
		{ShutOut, channels.Gone, false},
		{Refused, channels.Rejected, false},
	} {
		out = append(out, Case{
			Name: "failure/" + string(x.fault), Needs: []Ability{Ability(x.fault)},
			run: func(r *rig) { fails(r, x.fault, x.kind, x.taken) },
		})
	}
	return out
}

// throttle is the wait that the platform asks for: whole seconds, which every
// platform can say.
const throttle = 7 * time.Second

// fails lets one send meet with a fault and looks at its kind. The channel must
// not have tried again by itself.
func fails(r *rig, f Fault, want channels.Kind, taken bool) {
	e, _ := r.hear(Said{})
	r.hs.Fail(f, throttle)
	body := markup.Parse("some **text**")
	_, err := r.send(channels.Part{Key: "turn-failing/0", To: e.Where, Body: body})
	if got := channels.KindOf(err); got != want {
		r.t.Errorf("the kind is %q, want %q: %v", got, want, err)
	}
	if wait := channels.RetryAfter(err); f == Throttled && (wait < throttle || wait > throttle+time.Second) {
		r.t.Errorf("RetryAfter is %s, want %s", wait, throttle)
	}
	n := len(r.hs.Shown(e.Where))
	if (n == 1) != taken || n > 1 {
		r.t.Errorf("the platform shows %d messages after it", n)
	}
	if f == ShutOut {
		return // for good
	}
	if _, err := r.send(channels.Part{To: e.Where, Body: body}); err != nil {
		r.t.Errorf("the next send fails too: %v", err)
	}
}

func givenUp(r *rig) {
	e, _ := r.hear(Said{})
	release := r.hs.Stall()
	defer release()
	ctx, cancel := context.WithCancel(r.t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := r.sendIn(ctx, channels.Part{Key: "given-up/0", To: e.Where, Body: markup.Plain("hello?")})
		done <- err
	}()
	r.eventually("the send to reach the platform", func() bool { return len(r.hs.Shown(e.Where)) == 1 })
	cancel()
	if err := <-done; channels.KindOf(err) != channels.Ambiguous {
		r.t.Errorf("the kind is %q, want %q: %v", channels.KindOf(err), channels.Ambiguous, err)
	}
}

// revoked wants the channel to say that it needs its owner: Run ends with an
// error, or its health is broken.
func revoked(r *rig) {
	e, _ := r.hear(Said{})
	r.hs.Revoke()
	_, err := r.send(channels.Part{To: e.Where, Body: markup.Plain("hello?")})
	if channels.KindOf(err) != channels.Unauthorized {
		r.t.Errorf("the kind is %q, want %q: %v", channels.KindOf(err), channels.Unauthorized, err)
	}
	r.eventually("Run to end, or the channel to be broken", func() bool {
		hs := r.host.Health()
		return len(r.done) > 0 || hs[len(hs)-1].Phase == channels.Broken
	})
	r.revoked = true // so Run may end with an error, now or later
}
