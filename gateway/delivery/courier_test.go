package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/gateway/delivery"
)

// TestCrashesLoseAndDoubleNothing kills the process at every boundary of the
// delivery of an answer of three parts, and starts another. Every part arrives,
// in order; at most one copy of one part is unmarked, and at most one marked
// repetition is sent.
func TestCrashesLoseAndDoubleNothing(t *testing.T) {
	points := 0
	for n := 1; ; n++ {
		done := false
		synctest.Test(t, func(t *testing.T) {
			b := inprocess.New(inprocess.Options{})
			p := &platform{feat: smallParts()}
			first := &mortal{Engine: b, left: n}
			stop := start(first, mortalPlatform{p, first}, &outcomes{})
			put(t, b, "t/r000", delivery.Outbound{Markdown: paragraphs(3)})
			<-time.After(time.Minute)
			stop()
			done = !first.dead()
			stop = start(b, p, &outcomes{})
			<-time.After(5 * time.Minute)
			stop()
			count := map[string]int{}
			var order []string
			for _, x := range p.texts() {
				text := strings.TrimPrefix(x, repeatMark+"\n\n")
				name, _, _ := strings.Cut(text, " x")
				if text != x {
					name += " again"
				} else {
					order = append(order, name)
				}
				count[name]++
			}
			again := 0
			for name, c := range count {
				if strings.HasSuffix(name, "again") {
					again += c
				} else if c != 1 {
					t.Errorf("killed at %d: %q was sent %d times, unmarked", n, name, c)
				}
			}
			for _, want := range []string{"part 0", "part 1", "part 2"} {
				if count[want] == 0 && count[want+" again"] == 0 {
					t.Errorf("killed at %d: %q is lost", n, want)
				}
			}
			if again > 1 {
				t.Errorf("killed at %d: %d repetitions", n, again)
			}
			if !slices.IsSorted(order) {
				t.Errorf("killed at %d: the parts came in the order %q", n, order)
			}
		})
		if done {
			break
		}
		points++
	}
	if points < 10 {
		t.Errorf("only %d places to die were found", points)
	}
}

// TestProgressThatCannotBeKept: when the progress of an answer cannot be
// stored between two parts, the parts that arrived are not sent again.
func TestProgressThatCannotBeKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &stubborn{Engine: inprocess.New(inprocess.Options{})}
		p := &platform{feat: smallParts()}
		stop := start(b, p, &outcomes{})
		put(t, b, "t/r000", delivery.Outbound{Markdown: paragraphs(3)})
		<-time.After(time.Minute)
		stop()
		if got := len(p.texts()); got != 3 {
			t.Errorf("%d messages were sent, want 3", got)
		}
	})
}

// stubborn refuses the first Hold.
type stubborn struct {
	bus.Engine
	held int
}

func (s *stubborn) Hold(ctx context.Context, l *bus.Lease, h bus.Hold) ([]bus.Record, error) {
	if s.held++; s.held == 1 {
		return nil, errors.New("disk full")
	}
	return s.Engine.Hold(ctx, l, h)
}

const inDoubt = "I tried twice to send you an answer, and cannot tell whether it reached you. If it did not, please ask again. The person who runs this bot can see it."

func TestFailures(t *testing.T) {
	type answer struct {
		arrived bool
		err     error
	}
	no := func(k channels.Kind) answer { return answer{false, failure(k, 0)} }
	lost := "I had an answer for you, but it could not be delivered here. The person who runs this bot can see why."
	rest := "The rest of my answer could not be delivered here. The person who runs this bot can see why."
	tests := []struct {
		name    string
		answers []answer // of the first calls; then all is well
		want    []string
		dead    int
	}{
		{"the first part is rejected", []answer{no(channels.Rejected)}, []string{lost}, 1},
		{"the second part is rejected", []answer{{true, nil}, no(channels.Rejected)}, []string{"part 0", rest}, 1},
		{"in doubt twice", []answer{no(channels.Ambiguous), no(channels.Ambiguous)}, []string{inDoubt}, 1},
		{"the notice is rejected, too", []answer{no(channels.Rejected), no(channels.Rejected)}, nil, 2},
		{"the notice is in doubt", []answer{no(channels.Rejected), no(channels.Ambiguous), no(channels.Ambiguous)}, nil, 2},
		{"the second part is late", []answer{{true, nil}, no(channels.Transient), no(channels.RateLimited)}, []string{"part 0", "part 1", "part 2"}, 0},
		{"plain sticks", []answer{{true, nil}, no(channels.Format)}, []string{"part 0", "plain part 1", "plain part 2"}, 0},
		{"the second part is in doubt", []answer{{true, nil}, {true, failure(channels.Ambiguous, 0)}}, []string{"part 0", "part 1", "again part 1", "part 2"}, 0},
		{"the bot was shut out", []answer{no(channels.Gone)}, nil, 1},
		{"the window is closed", []answer{{true, nil}, no(channels.Closed)}, []string{"part 0"}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p *platform
			bubble(t, func() channels.Channel {
				p = &platform{feat: smallParts()}
				p.answer = func(n int, _ channels.Part) (bool, error) {
					if n > len(tt.answers) {
						return true, nil
					}
					return tt.answers[n-1].arrived, tt.answers[n-1].err
				}
				return p
			}, func(r *rig) {
				r.put("t/r000", delivery.Outbound{Markdown: paragraphs(3)})
				r.after(10 * time.Minute)
				var got []string
				for _, x := range p.parts() {
					text, again := strings.CutPrefix(markup.PlainText.Render(x.Body), repeatMark+"\n\n")
					name, _, _ := strings.Cut(text, " x")
					if x.Plain && name != lost && name != rest && name != inDoubt {
						name = "plain " + name
					}
					if again {
						name = "again " + name
					}
					got = append(got, name)
				}
				if d := cmp.Diff(tt.want, got); d != "" {
					t.Error(d)
				}
				if n := len(r.dead()); n != tt.dead {
					t.Errorf("%d dead letters, want %d", n, tt.dead)
				}
			})
		})
	}
}

// TestPatience: how long each kind of failure is tried when it never ends.
func TestPatience(t *testing.T) {
	tests := []struct {
		kind  channels.Kind
		least time.Duration
		most  time.Duration
	}{
		{channels.Transient, 24 * time.Hour, 25 * time.Hour},
		{channels.Unauthorized, 24 * time.Hour, 25 * time.Hour},
		{channels.Other, time.Second, 10 * time.Minute},
		{channels.Rejected, 0, time.Second},
	}
	for _, tt := range tests {
		t.Run(string(tt.kind), func(t *testing.T) {
			var p *platform
			bubble(t, func() channels.Channel {
				p = &platform{feat: plainFeatures(), answer: func(int, channels.Part) (bool, error) {
					return false, failure(tt.kind, 30*time.Second)
				}}
				return p
			}, func(r *rig) {
				began := time.Now()
				r.put("t/r000", delivery.Outbound{Markdown: "hello"})
				for len(r.dead()) == 0 && time.Since(began) < 48*time.Hour {
					r.after(time.Minute)
				}
				if d := time.Since(began); d < tt.least || d > tt.most+time.Minute {
					t.Errorf("it was given up after %v, want %v to %v", d, tt.least, tt.most)
				}
			})
		})
	}
}

// TestEditThatStaysInDoubtEnds: an edit may be repeated without harm, but not
// for ever.
func TestEditThatStaysInDoubtEnds(t *testing.T) {
	var p *platform
	bubble(t, func() channels.Channel {
		p = &platform{feat: plainFeatures()}
		p.answer = func(_ int, part channels.Part) (bool, error) {
			if part.Replaces != "" {
				return false, failure(channels.Ambiguous, 0)
			}
			return true, nil
		}
		return p
	}, func(r *rig) {
		r.put("t/0", delivery.Outbound{Markdown: "so far", Turn: "t", Stage: delivery.Draft})
		r.after(time.Second)
		r.put("t/r000", delivery.Outbound{Markdown: "all", Turn: "t", Stage: delivery.Final})
		r.after(26 * time.Hour)
		if n := len(r.dead()); n != 1 {
			t.Errorf("%d dead letters, want 1", n)
		}
	})
}

func TestReconciler(t *testing.T) {
	tests := []struct {
		name    string
		arrived bool
		err     error // of the reconciler
		want    []string
	}{
		{"it arrived", true, nil, []string{"hello"}},
		{"it did not arrive", false, nil, []string{"hello"}},
		{"it cannot be asked", true, failure(channels.Transient, 0), []string{"hello", repeatMark + "\n\nhello"}},
		{"it cannot tell", true, fmt.Errorf("a file: %w", channels.ErrCannotTell), []string{"hello", repeatMark + "\n\nhello"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var k *knowing
			bubble(t, func() channels.Channel {
				k = &knowing{platform: &platform{feat: plainFeatures()}, err: tt.err}
				k.answer = func(n int, _ channels.Part) (bool, error) {
					if n == 1 {
						return tt.arrived, failure(channels.Ambiguous, 0)
					}
					return true, nil
				}
				return k
			}, func(r *rig) {
				r.put("t/r000", delivery.Outbound{Markdown: "hello"})
				r.after(10 * time.Minute)
				if d := cmp.Diff(tt.want, k.texts()); d != "" {
					t.Error(d)
				}
				if k.asked == 0 {
					t.Error("nobody asked")
				}
			})
		})
	}
}

// TestASendStillOnItsWay: what a process sent before it died arrives while the
// next one asks for it.
func TestASendStillOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inprocess.New(inprocess.Options{})
		put(t, b, "t/r000", delivery.Outbound{Markdown: "hello"})
		if ls, err := b.Lease(t.Context(), bus.Want{Queue: bus.Outbox, NoWait: true}); err != nil || len(ls) != 1 {
			t.Fatal(ls, err)
		}
		<-time.After(time.Hour) // its owner has died
		k := &knowing{platform: &platform{feat: plainFeatures()}}
		stop := start(b, k, &outcomes{})
		<-time.After(time.Second)
		k.mu.Lock()
		asked := k.asked
		k.took = append(k.took, channels.Part{Key: "t/r000#0", Body: markup.Plain("hello")})
		k.mu.Unlock()
		<-time.After(time.Minute)
		stop()
		if asked == 0 {
			t.Error("nobody asked before it arrived")
		}
		if d := cmp.Diff([]string{"hello"}, k.texts()); d != "" {
			t.Error(d)
		}
	})
}

func TestAdapterThatPanics(t *testing.T) {
	var p *platform
	bubble(t, func() channels.Channel {
		p = &platform{feat: plainFeatures()}
		p.answer = func(n int, part channels.Part) (bool, error) {
			if strings.Contains(markup.PlainText.Render(part.Body), "bad") {
				panic("boom")
			}
			return true, nil
		}
		return p
	}, func(r *rig) {
		r.put("t/r000", delivery.Outbound{Markdown: "bad"})
		r.put("t/r001", delivery.Outbound{Markdown: "good"})
		r.after(10 * time.Minute)
		if d := cmp.Diff([]string{"good", inDoubt}, p.texts()); d != "" {
			t.Error(d)
		}
		if n := len(r.dead()); n != 1 {
			t.Errorf("%d dead letters, want 1", n)
		}
	})
}

// nervous panics when it is asked about its features while it runs.
type nervous struct {
	*platform
	asked int
}

func (n *nervous) Features(a channels.Address) channels.Features {
	if n.asked++; n.asked > 1 {
		panic("boom")
	}
	return n.platform.Features(a)
}

func TestChannelThatPanicsElsewhere(t *testing.T) {
	var n *nervous
	bubble(t, func() channels.Channel {
		n = &nervous{platform: &platform{feat: plainFeatures()}}
		return n
	}, func(r *rig) {
		r.put("t/r000", delivery.Outbound{Markdown: "hello"})
		r.after(10 * time.Minute)
		// The answer, and the notice of it, but no notice of the notice.
		if n := len(r.dead()); n != 2 {
			t.Errorf("%d dead letters, want 2", n)
		}
	})
}

func TestUnreadableRecordsAreSetAside(t *testing.T) {
	var p *platform
	bubble(t, func() channels.Channel { p = &platform{feat: plainFeatures()}; return p }, func(r *rig) {
		rec := bus.Record{Workspace: "w", Queue: bus.Outbox, Channel: "c", Account: "a", Key: "x", Order: here.Order(), Body: []byte(`[]`)}
		if err := r.bus.Publish(r.t.Context(), bus.Batch{Records: []bus.Record{rec}}); err != nil {
			t.Fatal(err)
		}
		r.put("t/r000", delivery.Outbound{Markdown: "hello"})
		r.after(time.Second)
		if d := cmp.Diff([]string{"hello"}, p.texts()); d != "" {
			t.Error(d)
		}
		if n := len(r.dead()); n != 1 {
			t.Errorf("%d dead letters, want 1", n)
		}
	})
}

// TestReplay: what an operator replays goes on after the parts that arrived,
// and a crash of the replay is in doubt as any other.
func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inprocess.New(inprocess.Options{})
		p := &platform{feat: smallParts()}
		p.answer = func(n int, _ channels.Part) (bool, error) {
			switch n {
			case 2, 3:
				return false, failure(channels.Transient, 0)
			case 4:
				return false, failure(channels.Rejected, 0)
			}
			return true, nil
		}
		seen := &outcomes{}
		stop := start(b, p, seen)
		put(t, b, "t/r000", delivery.Outbound{Markdown: paragraphs(2)})
		<-time.After(time.Minute)
		stop()
		dead, err := b.DeadLetters(t.Context(), bus.Outbox, 0, 0)
		if err != nil || len(dead) != 1 {
			t.Fatalf("dead letters %+v, %v", dead, err)
		}
		if _, err := b.Replay(t.Context(), dead[0].Seq); err != nil {
			t.Fatal(err)
		}
		life := &mortal{Engine: b, left: 3} // lease, call, answer
		stop = start(life, mortalPlatform{p, life}, seen)
		<-time.After(time.Minute)
		stop()
		stop = start(b, p, seen)
		<-time.After(5 * time.Minute)
		stop()
		var got []string
		for _, x := range p.texts() {
			name, _, _ := strings.Cut(x, " x")
			got = append(got, name)
		}
		// The apology came between; the replayed part arrived and was repeated, marked.
		want := []string{"part 0", got[1], "part 1", repeatMark + "\n\npart 1"}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	})
}

// TestStopKeepsWhatIsKnown: a send that is cut off when the gateway stops is
// settled all the same, so that the conversation is free at once.
func TestStopKeepsWhatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inprocess.New(inprocess.Options{})
		stop := start(b, slow{&platform{feat: plainFeatures()}}, &outcomes{})
		put(t, b, "t/r000", delivery.Outbound{Markdown: "hello"})
		<-time.After(time.Second)
		stop()
		ls, err := b.Lease(t.Context(), bus.Want{Queue: bus.Outbox, NoWait: true})
		if err != nil {
			t.Fatal(err)
		}
		if len(ls) == 0 {
			<-time.After(2 * time.Second) // the pause before the next try
			if ls, err = b.Lease(t.Context(), bus.Want{Queue: bus.Outbox, NoWait: true}); err != nil || len(ls) != 1 {
				t.Fatalf("the conversation is still leased: %v, %v", ls, err)
			}
		}
	})
}

// slow sends until its context ends.
type slow struct{ *platform }

func (slow) Send(ctx context.Context, _ channels.Part) (channels.Receipt, error) {
	<-ctx.Done()
	return channels.Receipt{}, failure(channels.Ambiguous, 0)
}

// TestStopLeavesNoDoubt: what is under way when the gateway stops comes to its
// end, no further part begins, and the next courier goes on without a mark.
func TestStopLeavesNoDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inprocess.New(inprocess.Options{})
		p := &platform{feat: smallParts()}
		stop := start(b, late{p, 12 * time.Second}, &outcomes{})
		put(t, b, "t/r000", delivery.Outbound{Markdown: paragraphs(3)})
		<-time.After(time.Second)
		stop()
		if n := len(p.parts()); n != 1 {
			t.Errorf("%d parts had arrived when the courier ended, want the one that was under way", n)
		}
		stop = start(b, p, &outcomes{})
		<-time.After(time.Minute)
		stop()
		if got := heads(p.texts()); !slices.Equal(got, []string{"part 0", "part 1", "part 2"}) {
			t.Errorf("delivered %q", got)
		}
	})
}

// late answers only after a while.
type late struct {
	*platform
	after time.Duration
}

func (l late) Send(ctx context.Context, p channels.Part) (channels.Receipt, error) {
	select {
	case <-time.After(l.after):
		return l.platform.Send(ctx, p)
	case <-ctx.Done():
		return channels.Receipt{}, failure(channels.Ambiguous, 0)
	}
}

// TestSettlementThatFails: a send that arrived is not repeated because the
// database was slow or full when that was to be kept.
func TestSettlementThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &forgetful{Engine: inprocess.New(inprocess.Options{}), until: time.Now().Add(30 * time.Second)}
		p := &platform{feat: plainFeatures()}
		stop := start(b, p, &outcomes{})
		put(t, b, "t/r000", delivery.Outbound{Markdown: "hello"})
		<-time.After(5 * time.Minute)
		stop()
		if got := p.texts(); !slices.Equal(got, []string{"hello"}) {
			t.Errorf("delivered %q", got)
		}
	})
}

// forgetful cannot settle for a while.
type forgetful struct {
	bus.Engine
	until time.Time
}

func (f *forgetful) Settle(ctx context.Context, l *bus.Lease, o bus.Outcome) error {
	if time.Now().Before(f.until) {
		<-ctx.Done()
		return ctx.Err()
	}
	return f.Engine.Settle(ctx, l, o)
}

// heads are texts of paragraphs without their filling.
func heads(texts []string) []string {
	out := make([]string, len(texts))
	for i, s := range texts {
		out[i], _, _ = strings.Cut(s, " x")
	}
	return out
}
