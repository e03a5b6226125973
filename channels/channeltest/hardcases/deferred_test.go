package hardcases_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
)

// A slash command arrives by HTTP at one replica, must be acknowledged within
// seconds, and is repeated to the other replica. Its answer may use a reply path
// that came with it, five times within half an hour, from whichever replica.

// workspace is the platform: a reply path that stops after five uses, and an
// ordinary way to post.
type workspace struct {
	token  string
	uses   int
	direct []string // by the reply path
	posts  []string // by the ordinary way
}

func (w *workspace) reply(token, text string) error {
	if token != w.token {
		return errors.New("unknown reply path")
	}
	if w.uses++; w.uses > 5 {
		return errors.New("used up")
	}
	w.direct = append(w.direct, text)
	return nil
}

// slash is a channel that receives commands by HTTP.
type slash struct {
	channels.Channel // what this case does not call
	host             channels.Host
	at               *workspace
	now              func() time.Time
}

var (
	_ channels.Channel  = (*slash)(nil)
	_ channels.Receiver = (*slash)(nil)
)

// Receive acknowledges with an empty answer, which is what defers the reply,
// once the command is durable.
func (s *slash) Receive(sink channels.Sink) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Trigger string `json:"trigger_id"`
			Command string `json:"command"`
			URL     string `json:"response_url"`
		}
		if json.NewDecoder(r.Body).Decode(&in) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		e := event("command/"+in.Trigger, channels.Command{Name: strings.TrimPrefix(in.Command, "/")})
		e.Via = &channels.Via{Token: channels.NewSecret(in.URL), Expires: s.now().Add(30 * time.Minute), Uses: 5}
		e.Raw = encode(map[string]string{"trigger_id": in.Trigger, "command": in.Command})
		if sink.Accept(r.Context(), channels.Batch{Events: []channels.Event{e}}) != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
}

// Send takes the reply path where the part has one.
func (s *slash) Send(_ context.Context, p channels.Part) (channels.Receipt, error) {
	text := markup.Mrkdwn.Render(p.Body)
	if p.Via == nil {
		s.at.posts = append(s.at.posts, text)
		return channels.Receipt{ID: channels.MessageID(fmt.Sprint("p", len(s.at.posts))), At: s.now()}, nil
	}
	if err := s.at.reply(p.Via.Token.Reveal(), text); err != nil {
		return channels.Receipt{}, &channels.Error{Op: "send", Channel: s.host.ID(), Kind: channels.Closed, Err: err}
	}
	return channels.Receipt{ID: channels.MessageID(fmt.Sprint("d", s.at.uses)), At: s.now()}, nil
}

// spend takes one use of a reply path, durably and for all replicas, before the
// send that uses it. false: there is none left. A crash after it wastes a use,
// and never takes one too many.
func spend(ctx context.Context, b bus.Engine, l *bus.Lease, turn string, v *channels.Via, now time.Time) (bool, error) {
	for {
		e, err := b.Get(ctx, "via", turn)
		if err != nil {
			return false, err
		}
		used := 0
		if e.Version != 0 {
			if err := json.Unmarshal(e.Value, &used); err != nil {
				return false, err
			}
		}
		if used >= v.Uses || !now.Before(v.Expires) {
			return false, nil
		}
		cond := e.Version
		if cond == 0 {
			cond = bus.Absent
		}
		_, err = b.Hold(ctx, l, bus.Hold{State: []bus.Write{{Space: "via", Key: turn, If: cond, Value: encode(used + 1)}}})
		if !errors.Is(err, bus.ErrConflict) {
			return err == nil, err
		}
	}
}

// reply is what the outbox holds.
type reply struct {
	Text string
	Via  *channels.Via
}

// replica is one process: the channel, its listener and its delivery.
type replica struct {
	ch  *slash
	srv *httptest.Server
	bus bus.Engine
}

func newReplica(t *testing.T, b bus.Engine, w *workspace, now func() time.Time) *replica {
	t.Helper()
	ch := &slash{host: channeltest.NewHost(t, channeltest.WithID("c")), at: w, now: now}
	r := &replica{ch: ch, bus: b, srv: httptest.NewServer(ch.Receive(intake{b}))}
	t.Cleanup(r.srv.Close)
	return r
}

func (r *replica) command(t *testing.T, trigger string) {
	t.Helper()
	body := fmt.Sprintf(`{"trigger_id":%q,"command":"/report","response_url":"https://hooks.example.org/x1"}`, trigger)
	resp, err := http.Post(r.srv.URL, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || len(b) > 0 {
		t.Fatalf("answered %d %q; want an empty 200", resp.StatusCode, b)
	}
}

// turn runs what is due and puts n replies into the outbox.
func (r *replica) turn(t *testing.T, n int) bool {
	t.Helper()
	l := lease(t, r.bus, bus.Inbox)
	if l == nil {
		return false
	}
	e := decode[channels.Event](t, l.Records[0].Body)
	var emit []bus.Record
	for i := range n {
		rec := outbound(fmt.Sprintf("turn/%d", i), "")
		rec.Body = encode(reply{Text: fmt.Sprint("part ", i), Via: e.Via})
		emit = append(emit, rec)
	}
	settle(t, r.bus, l, bus.Outcome{Verdicts: verdict(l, bus.Verdict{Fate: bus.Ack}), Emit: emit})
	return true
}

// deliver sends one record; the lease is returned unsettled when settled is false.
func (r *replica) deliver(t *testing.T, now time.Time) bool {
	t.Helper()
	l := lease(t, r.bus, bus.Outbox)
	if l == nil {
		return false
	}
	done := map[string]bus.Verdict{}
	for _, rec := range l.Records {
		out := decode[reply](t, rec.Body)
		part := channels.Part{Key: rec.Key, To: place, Body: markup.Plain(out.Text), Via: out.Via}
		ok, err := spend(t.Context(), r.bus, l, "turn", out.Via, now)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			part.Via = nil // the ordinary way
		}
		if _, err := r.ch.Send(t.Context(), part); err != nil {
			t.Fatal(err)
		}
		done[rec.Key] = bus.Verdict{Fate: bus.Ack}
	}
	settle(t, r.bus, l, bus.Outcome{Verdicts: done})
	return true
}

func TestDeferredCommandOnTwoReplicas(t *testing.T) {
	e, clock := newEngine(t)
	w := &workspace{token: "https://hooks.example.org/x1"}
	a, b := newReplica(t, e, w, clock.Now), newReplica(t, e, w, clock.Now)
	a.command(t, "1")
	b.command(t, "1") // the platform's retry meets the other replica
	if !b.turn(t, 7) || a.turn(t, 7) {
		t.Fatal("one command must make one turn")
	}
	for a.deliver(t, clock.Now()) || b.deliver(t, clock.Now()) {
	}
	if d := cmp.Diff([]string{"part 0", "part 1", "part 2", "part 3", "part 4"}, w.direct); d != "" {
		t.Errorf("by the reply path:\n%s", d)
	}
	if d := cmp.Diff([]string{"part 5", "part 6"}, w.posts); d != "" {
		t.Errorf("by the ordinary way:\n%s", d)
	}
}

// TestReplyPathExpires: the turn took longer than the path lasts.
func TestReplyPathExpires(t *testing.T) {
	e, clock := newEngine(t)
	w := &workspace{token: "https://hooks.example.org/x1"}
	a := newReplica(t, e, w, clock.Now)
	a.command(t, "1")
	a.turn(t, 1)
	clock.forward(31 * time.Minute)
	a.deliver(t, clock.Now())
	if len(w.direct) != 0 || len(w.posts) != 1 {
		t.Errorf("%d by the expired path, %d by the ordinary way", len(w.direct), len(w.posts))
	}
}

// TestFrozenReplicaIsFenced: a replica freezes before its send, past its lease;
// when it wakes up, it must not send.
func TestFrozenReplicaIsFenced(t *testing.T) {
	e, clock := newEngine(t)
	w := &workspace{token: "https://hooks.example.org/x1"}
	a, b := newReplica(t, e, w, clock.Now), newReplica(t, e, w, clock.Now)
	a.command(t, "1")
	a.turn(t, 1)
	frozen := mustLease(t, e, bus.Outbox)
	clock.forward(time.Minute)
	if !b.deliver(t, clock.Now()) {
		t.Fatal("nobody took over")
	}
	via := decode[reply](t, frozen.Records[0].Body).Via
	if ok, err := spend(t.Context(), e, frozen, "turn", via, clock.Now()); ok || !errors.Is(err, bus.ErrLeaseLost) {
		t.Errorf("the frozen replica may send: %v, %v", ok, err)
	}
	if err := e.Settle(t.Context(), frozen, bus.Outcome{Verdicts: verdict(frozen, bus.Verdict{Fate: bus.Ack})}); !errors.Is(err, bus.ErrLeaseLost) {
		t.Errorf("settled by the frozen replica: %v", err)
	}
	if d := cmp.Diff([]string{"part 0"}, w.direct); d != "" {
		t.Error(d)
	}
}

// TestReplyPathIsHidden: the token is in no log, in no raw form, and whole in
// what is sealed.
func TestReplyPathIsHidden(t *testing.T) {
	h := channeltest.NewHost(t, channeltest.WithID("c"))
	s := channeltest.NewSink(h)
	clock := &clock{now: time.Now()}
	srv := httptest.NewServer((&slash{host: h, at: &workspace{}, now: clock.Now}).Receive(s))
	t.Cleanup(srv.Close)
	(&replica{srv: srv}).command(t, "9")
	e := s.WaitEvents(1)[0]
	if strings.Contains(fmt.Sprintf("%+v", e), "hooks.example.org") || strings.Contains(string(e.Raw), "hooks.example.org") {
		t.Error("the reply path shows")
	}
	if e.Via.Token.Reveal() != "https://hooks.example.org/x1" {
		t.Error("the reply path is lost")
	}
}
