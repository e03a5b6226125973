package gateway_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
	"github.com/gatehouse-chat/gatehouse/gateway/lent"
)

// lending is a platform that fetches a file with each message, whose name is the
// message.
type lending struct {
	*chat
	lend func(channels.Part)
}

func (l lending) Send(ctx context.Context, p channels.Part) (channels.Receipt, error) {
	l.lend(p)
	return l.chat.Send(ctx, p)
}

// lends makes everything that is sent go out with a link, for some time.
func lends(o *rigOptions, r **rig, keep time.Duration) {
	o.wrap = func(c *chat) channels.Channel {
		return lending{c, func(p channels.Part) {
			book := lent.Book{Store: (*r).bus, Now: time.Now}
			l := lent.Loan{File: channels.File{Name: markup.PlainText.Render(p.Body), Blob: strings.Repeat("ab", 32)}, To: p.To, Part: p.Key}
			if _, _, err := book.Lend(context.Background(), channels.NewSecret("key"), l, keep); err != nil {
				(*r).t.Error(err)
			}
		}}
	}
}

// lentOut are the names of what is lent.
func (r *rig) lentOut() string {
	r.t.Helper()
	rows, err := r.bus.List(context.WithoutCancel(r.t.Context()), lent.Space, "", "", 0)
	if err != nil {
		r.t.Fatal(err)
	}
	var names []string
	for _, e := range rows {
		var l lent.Loan
		if err := json.Unmarshal(e.Value, &l); err != nil {
			r.t.Fatal(err)
		}
		names = append(names, l.File.Name)
	}
	return strings.Join(names, "; ")
}

// TestErasureEndsLinks: with a person go the links to what was sent to them alone,
// and to what answered them in a room; those of others stay.
func TestErasureEndsLinks(t *testing.T) {
	var on *rig
	o := func() rigOptions {
		p := pairs()
		p.agent.Runner, p.policy.Mention = remembering, true
		lends(&p, &on, lent.Longest)
		return p
	}
	bubble(t, o, func(r *rig) {
		on = r
		id := lived(t, r)
		if got := r.lentOut(); !strings.Contains(got, "anna's secret") || !strings.Contains(got, "anna asks") {
			t.Fatalf("lent are %s", got)
		}
		done, err := r.gw.EraseMember(t.Context(), r.owner(), id)
		if err != nil || done.Erased["links to files"] < 2 {
			t.Fatal(done, err)
		}
		if got := r.lentOut(); strings.Contains(got, "anna") || !strings.Contains(got, "bob remains") || !strings.Contains(got, "bob asks") {
			t.Errorf("lent are %s", got)
		}
	})
}

// TestLinksAreForgotten: a link whose time is over leaves nothing behind.
func TestLinksAreForgotten(t *testing.T) {
	var on *rig
	o := func() (o rigOptions) {
		lends(&o, &on, time.Hour)
		return o
	}
	bubble(t, o, func(r *rig) {
		on = r
		r.accept(said("anna", "a1", "hello"))
		r.wait(1)
		r.after(59 * time.Minute)
		if r.lentOut() == "" {
			t.Error("it is gone too early")
		}
		r.after(30 * time.Minute)
		if got := r.lentOut(); got != "" {
			t.Errorf("%s is still lent", got)
		}
	})
}
