package delivery_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/gateway/delivery"
)

func TestNothingEmptyIsSent(t *testing.T) {
	tests := []struct {
		name string
		out  delivery.Outbound
		want []string
	}{
		{"no text", delivery.Outbound{}, nil},
		{"blanks", delivery.Outbound{Markdown: " \n\t\n"}, nil},
		{"plain blanks", delivery.Outbound{Markdown: " \n", Plain: true}, nil},
		{"markup that shows nothing", delivery.Outbound{Markdown: "[x]: https://example.org"}, []string{"[x]: https://example.org"}},
		{"a file alone", delivery.Outbound{Files: []channels.File{{Kind: channels.Photo, Ref: "f"}}}, []string{""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p *platform
			bubble(t, func() channels.Channel { p = &platform{feat: plainFeatures()}; return p }, func(r *rig) {
				r.put("t/r000", tt.out)
				r.put("t/r001", delivery.Outbound{Markdown: "next"})
				r.after(time.Second)
				if d := cmp.Diff(append(tt.want, "next"), p.texts()); d != "" {
					t.Error(d)
				}
			})
		})
	}
}

func TestWhatGoesOnWhichPart(t *testing.T) {
	var p *platform
	bubble(t, func() channels.Channel {
		p = &platform{feat: smallParts()}
		p.feat.MaxCaption = 420
		return p
	}, func(r *rig) {
		r.put("t/r000", delivery.Outbound{
			Markdown: paragraphs(3), ReplyTo: "q", Files: []channels.File{{Kind: channels.Photo, Ref: "f"}},
			Buttons: []channels.Button{
				{Label: "1", Data: "a"},
				{Label: "too long", Data: strings.Repeat("x", 65)},
				{Label: "2", Data: "b"},
				{Label: "3", Data: "c"},
				{Label: "too many", Data: "d"},
			},
		})
		r.after(time.Second)
		type shape struct {
			Key     string
			ReplyTo channels.MessageID
			Files   int
			Buttons []string
		}
		var got []shape
		for _, x := range p.parts() {
			s := shape{Key: x.Key, ReplyTo: x.ReplyTo, Files: len(x.Files)}
			for _, b := range x.Buttons {
				s.Buttons = append(s.Buttons, b.Label)
			}
			got = append(got, s)
		}
		want := []shape{{"t/r000#0", "q", 1, nil}, {"t/r000#1", "", 0, nil}, {"t/r000#2", "", 0, nil}, {"t/r000#3", "", 0, []string{"1", "2", "3"}}}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	})
}

// TestRepetitionsFit: the mark of a repetition never makes a part longer than
// the platform takes.
func TestRepetitionsFit(t *testing.T) {
	for _, limit := range []int{64, 200, 1024, 4096} {
		var p *platform
		bubble(t, func() channels.Channel {
			p = &platform{feat: plainFeatures()}
			p.feat.MaxText = limit
			p.answer = func(n int, _ channels.Part) (bool, error) {
				if n%2 == 1 {
					return true, failure(channels.Ambiguous, 0)
				}
				return true, nil
			}
			return p
		}, func(r *rig) {
			r.put("t/r000", delivery.Outbound{Markdown: strings.Repeat("word ", limit)})
			r.after(time.Hour)
			for _, x := range p.parts() {
				if n := markup.PlainText.Measure(x.Body); n > limit {
					t.Errorf("a part has %d characters, the limit is %d", n, limit)
				}
			}
			if len(p.parts()) < 4 {
				t.Errorf("only %d parts", len(p.parts()))
			}
		})
	}
}

func TestLateAnswersSaySo(t *testing.T) {
	for age, late := range map[time.Duration]bool{14 * time.Minute: false, 16 * time.Minute: true} {
		var p *platform
		bubble(t, func() channels.Channel { p = &platform{feat: smallParts()}; return p }, func(r *rig) {
			made := time.Now()
			<-time.After(age)
			r.put("t/r000", delivery.Outbound{Markdown: paragraphs(2), Made: made})
			r.after(time.Second)
			n := strings.Count(strings.Join(p.texts(), "\n"), "(Delayed: this is from "+made.UTC().Format("2 January, 15:04")+" UTC.)")
			if late != (n == 1) || n > 1 {
				t.Errorf("after %v it says %d times that it is late", age, n)
			}
		})
	}
}

// TestLateStaysAsItBegan: an answer that becomes late between its parts is
// split as it was at first.
func TestLateStaysAsItBegan(t *testing.T) {
	var p *platform
	bubble(t, func() channels.Channel {
		p = &platform{feat: smallParts()}
		p.answer = func(n int, _ channels.Part) (bool, error) {
			if n == 2 {
				return false, failure(channels.RateLimited, 20*time.Minute)
			}
			return true, nil
		}
		return p
	}, func(r *rig) {
		r.put("t/r000", delivery.Outbound{Markdown: paragraphs(3)})
		r.after(time.Hour)
		if got := p.texts(); len(got) != 3 || strings.Contains(strings.Join(got, ""), "Delayed") {
			t.Errorf("got %q", got)
		}
	})
}

func TestDrafts(t *testing.T) {
	type seen struct{ Text, Replaces string }
	draft := delivery.Outbound{Markdown: "so far", Turn: "t", Stage: delivery.Draft}
	final := delivery.Outbound{Markdown: "all of it", Turn: "t", Stage: delivery.Final}
	tests := []struct {
		name   string
		answer func(n int, p channels.Part) (bool, error)
		want   []seen
	}{
		{"the final takes its place", nil, []seen{{"so far", ""}, {"all of it", "m1"}}},
		{"it was refused", func(n int, _ channels.Part) (bool, error) {
			if n == 1 {
				return false, failure(channels.Rejected, 0)
			}
			return true, nil
		}, []seen{{"all of it", ""}}},
		{"its markup was refused", func(n int, _ channels.Part) (bool, error) {
			if n == 1 {
				return false, failure(channels.Format, 0)
			}
			return true, nil
		}, []seen{{"so far", ""}, {"all of it", "m2"}}},
		{"somebody removed it", func(_ int, p channels.Part) (bool, error) {
			if p.Replaces != "" {
				return false, failure(channels.Gone, 0)
			}
			return true, nil
		}, []seen{{"so far", ""}, {"all of it", ""}}},
		{"it is too old to be edited", func(_ int, p channels.Part) (bool, error) {
			if p.Replaces != "" {
				return false, failure(channels.Rejected, 0)
			}
			return true, nil
		}, []seen{{"so far", ""}, {"all of it", ""}}},
		{"the edit is in doubt", func(n int, _ channels.Part) (bool, error) {
			if n == 2 {
				return true, failure(channels.Ambiguous, 0)
			}
			return true, nil
		}, []seen{{"so far", ""}, {"all of it", "m1"}, {"all of it", "m1"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p *platform
			bubble(t, func() channels.Channel { p = &platform{feat: plainFeatures(), answer: tt.answer}; return p }, func(r *rig) {
				r.put("t/0", draft)
				r.after(time.Second)
				r.put("t/r000", final)
				r.after(time.Minute)
				var got []seen
				for _, x := range p.parts() {
					got = append(got, seen{markup.PlainText.Render(x.Body), string(x.Replaces)})
				}
				if d := cmp.Diff(tt.want, got); d != "" {
					t.Error(d)
				}
				if left, err := r.bus.List(t.Context(), "draft", "", "", 0); err != nil || len(left) != 0 {
					t.Errorf("%d drafts are still known, %v", len(left), err)
				}
			})
		})
	}
}

// TestDraftThatACrashCut: where the platform can be asked, a draft that was
// sent and not recorded is found; elsewhere the final is a message of its own.
func TestDraftThatACrashCut(t *testing.T) {
	for _, tells := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := inprocess.New(inprocess.Options{})
			p := &platform{feat: plainFeatures()}
			life := &mortal{Engine: b, left: 3} // it dies when the platform has the draft
			stop := start(life, mortalPlatform{p, life}, &outcomes{})
			put(t, b, "t/0", delivery.Outbound{Markdown: "so far", Turn: "t", Stage: delivery.Draft})
			<-time.After(time.Second)
			stop()
			var next channels.Channel = p
			if tells {
				next = &knowing{platform: p}
			}
			stop = start(b, next, &outcomes{})
			put(t, b, "t/r000", delivery.Outbound{Markdown: "all", Turn: "t", Stage: delivery.Final})
			<-time.After(5 * time.Minute)
			stop()
			want := channels.MessageID("")
			if tells {
				want = "known"
			}
			all := p.parts()
			if len(all) != 2 || all[1].Replaces != want {
				t.Errorf("asked %v: %d messages, the last replaces %q, want 2 and %q", tells, len(all), all[len(all)-1].Replaces, want)
			}
		})
	}
}

// TestViaIsNeverUsedTooOften: whatever fails, a reply path is used as often as
// it allows and not once more, and not after its time; then the ordinary way is
// taken.
func TestViaIsNeverUsedTooOften(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		uses := rapid.IntRange(1, 4).Draw(rt, "uses")
		parts := rapid.IntRange(1, 6).Draw(rt, "parts")
		kinds := rapid.SliceOfN(rapid.SampledFrom([]channels.Kind{
			"", "", channels.Transient, channels.Ambiguous, channels.Format, channels.RateLimited,
		}), 0, 8).Draw(rt, "kinds")
		dies := rapid.IntRange(0, 20).Draw(rt, "dies")
		synctest.Test(t, func(t *testing.T) {
			b := inprocess.New(inprocess.Options{})
			used := 0
			var calm atomic.Bool // nothing fails any more
			p := &platform{feat: smallParts()}
			p.answer = func(n int, x channels.Part) (bool, error) {
				var kind channels.Kind
				if n <= len(kinds) && !calm.Load() {
					kind = kinds[n-1]
				}
				if x.Via != nil && kind != channels.Transient { // which says that nothing was done
					used++
				}
				if kind != "" {
					return kind == channels.Ambiguous, failure(kind, 0)
				}
				return true, nil
			}
			life := &mortal{Engine: b, left: dies}
			stop := start(life, mortalPlatform{p, life}, &outcomes{})
			via := sealed(t, channels.Via{Token: channels.NewSecret("t"), Expires: time.Now().Add(time.Hour), Uses: uses})
			put(t, b, "t/r000", delivery.Outbound{Markdown: paragraphs(parts), Via: via})
			put(t, b, "t/r001", delivery.Outbound{Markdown: "more", Via: via})
			<-time.After(2 * time.Minute)
			stop()
			stop = start(b, p, &outcomes{})
			<-time.After(50 * time.Minute)
			synctest.Wait()
			before := used
			calm.Store(true)
			<-time.After(time.Hour)
			put(t, b, "t/r002", delivery.Outbound{Markdown: "late", Via: via})
			<-time.After(time.Minute)
			stop()
			if used > uses || used != before {
				t.Errorf("the path was used %d times, %d of them in time; it may be used %d times", used, before, uses)
			}
			if last := p.texts(); len(last) == 0 || !strings.HasSuffix(last[len(last)-1], "late") {
				t.Errorf("the ordinary way was not taken: %d messages", len(last))
			}
		})
	})
}

// TestAUseIsGivenBack: a send that certainly did nothing does not use a path
// up; one that may have arrived does.
func TestAUseIsGivenBack(t *testing.T) {
	for kind, want := range map[channels.Kind]bool{channels.Transient: true, channels.Ambiguous: false, channels.RateLimited: false} {
		t.Run(string(kind), func(t *testing.T) {
			p := &platform{feat: plainFeatures()}
			p.answer = func(n int, _ channels.Part) (bool, error) {
				if n <= 3 {
					return false, failure(kind, 0)
				}
				return true, nil
			}
			bubble(t, func() channels.Channel { return p }, func(r *rig) {
				if kind == channels.Ambiguous { // it is repeated once only
					p.calls = 2
				}
				r.put("1", delivery.Outbound{Markdown: "1", Via: sealed(t, channels.Via{
					Token: channels.NewSecret("token"), Expires: time.Now().Add(time.Hour), Uses: 1,
				})})
				r.after(10 * time.Minute)
			})
			if got := p.parts(); len(got) != 1 || (got[0].Via != nil) != want {
				t.Errorf("%d messages, the first through the path: %v, want %v", len(got), len(got) > 0 && got[0].Via != nil, want)
			}
		})
	}
}

func TestUnmeteredViaIsUsedUntilItExpires(t *testing.T) {
	var p *platform
	bubble(t, func() channels.Channel { p = &platform{feat: plainFeatures()}; return p }, func(r *rig) {
		via := sealed(t, channels.Via{Token: channels.NewSecret("token"), Expires: time.Now().Add(time.Minute)})
		for _, k := range []string{"1", "2", "3"} {
			r.put(k, delivery.Outbound{Markdown: k, Via: via})
			r.after(25 * time.Second)
		}
		r.put("4", delivery.Outbound{Markdown: "4", Via: via})
		r.after(time.Second)
		var got []bool
		for _, x := range p.parts() {
			got = append(got, x.Via != nil)
			if x.Via != nil && (x.Via.Token.Reveal() != "token" || x.Via.Sealed != nil) {
				t.Errorf("the path was sent as %q", x.Via.Token.Reveal())
			}
		}
		if d := cmp.Diff([]bool{true, true, true, false}, got); d != "" {
			t.Error(d)
		}
	})
}

// TestRates: one at a time for each kind of place, and for the whole token.
func TestRates(t *testing.T) {
	tests := []struct {
		name   string
		rate   channels.Rate
		direct bool
		places int
		want   time.Duration // for six messages
	}{
		{"no rate", channels.Rate{}, false, 1, 0},
		{"direct", channels.Rate{Direct: channels.PerSecond{N: 1, Burst: 1}}, true, 1, 5 * time.Second},
		{"a direct rate is not for rooms", channels.Rate{Direct: channels.PerSecond{N: 1, Burst: 1}}, false, 1, 0},
		{"room", channels.Rate{Room: channels.PerSecond{N: 0.5, Burst: 2}}, false, 1, 8 * time.Second},
		{"places do not wait for each other", channels.Rate{Room: channels.PerSecond{N: 1, Burst: 1}}, false, 6, 0},
		{"token", channels.Rate{Token: channels.PerSecond{N: 2, Burst: 2}}, false, 6, 2 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p *platform
			var last time.Time
			bubble(t, func() channels.Channel {
				p = &platform{feat: plainFeatures()}
				p.feat.Rate = tt.rate
				p.answer = func(int, channels.Part) (bool, error) { last = time.Now(); return true, nil }
				return p
			}, func(r *rig) {
				began := time.Now()
				for i := range 6 {
					at := here
					at.Conversation += channels.ConversationID(rune('a' + i%tt.places))
					r.put(string(rune('0'+i)), delivery.Outbound{Markdown: "x", To: at, Direct: tt.direct})
				}
				r.after(time.Minute)
				if len(p.parts()) != 6 {
					t.Fatalf("%d were sent", len(p.parts()))
				}
				if d := last.Sub(began); d < tt.want || d > tt.want+time.Second {
					t.Errorf("it took %v, want %v", d, tt.want)
				}
			})
		})
	}
}

// TestRefusalHoldsTheConversation: what the platform asked to wait holds for
// that conversation, whoever sends next, and for no other.
func TestRefusalHoldsTheConversation(t *testing.T) {
	var p *platform
	when := map[string]time.Duration{}
	bubble(t, func() channels.Channel {
		p = &platform{feat: plainFeatures()}
		began := time.Now()
		p.answer = func(n int, x channels.Part) (bool, error) {
			if n == 1 {
				return false, failure(channels.RateLimited, 30*time.Second)
			}
			when[markup.PlainText.Render(x.Body)] = time.Since(began).Round(time.Second)
			return true, nil
		}
		return p
	}, func(r *rig) {
		other := here
		other.Conversation = "other"
		r.put("1", delivery.Outbound{Markdown: "one"})
		r.put("2", delivery.Outbound{Markdown: "two"})
		r.after(0)
		r.put("3", delivery.Outbound{Markdown: "elsewhere", To: other})
		r.after(time.Minute)
		want := map[string]time.Duration{"one": 30 * time.Second, "two": 30 * time.Second, "elsewhere": 0}
		if d := cmp.Diff(want, when); d != "" {
			t.Error(d)
		}
	})
}

// FuzzRecord: no body and no progress make a courier panic or stop.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"to":{"channel":"c"},"markdown":"x"}`), []byte(`{"next":1,"attempt":1}`))
	f.Add([]byte(`{"to":{"channel":"c"},"markdown":"x","stage":"draft"}`), []byte(`{"next":-3,"attempt":-1}`))
	f.Add([]byte(`{"markdown":"`+"\u202e"+`","stage":"final","via":{"uses":3}}`), []byte(`{"doubt":99}`))
	f.Add([]byte(`null`), []byte(`[]`))
	f.Fuzz(func(t *testing.T, body, progress []byte) {
		synctest.Test(t, func(t *testing.T) {
			b := inprocess.New(inprocess.Options{})
			rec := bus.Record{Workspace: "w", Queue: bus.Outbox, Channel: "c", Account: "a", Key: "k", Order: here.Order(), Body: body}
			if err := b.Publish(t.Context(), bus.Batch{Records: []bus.Record{rec}}); err != nil {
				return
			}
			ls, err := b.Lease(t.Context(), bus.Want{Queue: bus.Outbox})
			if err != nil {
				t.Fatal(err)
			}
			v := map[string]bus.Verdict{"k": {Fate: bus.Retry, Progress: progress}}
			if err := b.Settle(t.Context(), ls[0], bus.Outcome{Verdicts: v}); err != nil {
				t.Fatal(err)
			}
			stop := start(b, &platform{feat: plainFeatures()}, &outcomes{})
			<-time.After(time.Hour)
			stop()
			left, err := b.Lease(context.Background(), bus.Want{Queue: bus.Outbox, NoWait: true})
			if err != nil || len(left) > 0 {
				t.Errorf("it is still there: %v, %v", left, err)
			}
		})
	})
}

// TestViaThatCannotBeOpened: a path of another account, or one whose key is
// gone, costs nobody their answer.
func TestViaThatCannotBeOpened(t *testing.T) {
	var p *platform
	bubble(t, func() channels.Channel { p = &platform{feat: plainFeatures()}; return p }, func(r *rig) {
		via := sealed(t, channels.Via{Token: channels.NewSecret("token")})
		elsewhere := here
		elsewhere.Account = "b"
		r.put("1", delivery.Outbound{Markdown: "1", Via: via, To: elsewhere})
		r.put("2", delivery.Outbound{Markdown: "2", Via: &channels.Via{Sealed: []byte("garbage"), Uses: 1}})
		r.after(time.Second)
		all := p.parts()
		if len(all) != 2 || all[0].Via != nil || all[1].Via != nil {
			t.Errorf("sent: %+v", all)
		}
	})
}

func TestUnsealedViaIsNotKept(t *testing.T) {
	via := &channels.Via{Token: channels.NewSecret("token-in-the-open")}
	_, err := delivery.Record("w", "k", delivery.Outbound{To: here, Markdown: "x", Via: via})
	if err == nil || strings.Contains(err.Error(), "token-in-the-open") {
		t.Errorf("Record said %v", err)
	}
}
