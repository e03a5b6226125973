package e2e_test

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
	"github.com/gatehouse-chat/gatehouse/internal/db/pgtest"
)

// TestReplicas: two gateways on one database and one bot's token. One polls,
// both answer; whichever dies, the other one goes on by itself, and the
// platform never meets two that poll.
func TestReplicas(t *testing.T) {
	t.Parallel() // it waits until the dead are known to be dead
	replicas(t, campaign{chats: 6, each: 8, kills: 2, terms: 1})
}

// TestSoakReplicas is the long form.
func TestSoakReplicas(t *testing.T) {
	if os.Getenv("GATEHOUSE_SOAK") == "" {
		t.Skip("replicas are killed for minutes with GATEHOUSE_SOAK=1 (make soak); TestReplicas is the short form")
	}
	replicas(t, campaign{chats: 20, each: 40, kills: 12, terms: 6})
}

func replicas(t *testing.T, how campaign) {
	c := &crash{campaign: how, said: ledger{}, rig: newRig(t, settings{store: pgtest.DSN(t), script: closed(agenttest.Echo)})}
	c.watch = watching(t, c.bot)
	for i := range c.chats {
		u, room := c.person(int64(1001 + i))
		c.people, c.rooms = append(c.people, u), append(c.rooms, room)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	c.up()
	both := []*rig{c.rig, c.replica()}
	both[1].start()
	var writing sync.WaitGroup
	writing.Go(func() { writeOneOpen(ctx, c) })
	for i := range c.kills + c.terms {
		c.goOn(ctx)
		dies := both[i%2] // the one that polls: the other one took over when it died before
		if i%3 == 2 {
			dies.term()
		} else {
			dies.kill()
			c.inFlight += len(c.remains().sends) // those of the living one, too
		}
		c.goOn(ctx)
		dies.start()
		c.deaths.Add(1)
	}
	writing.Wait()
	both[1].term()
	c.finish(ctx) // with the other one
	c.conclude(both)
}

// goOn waits until everybody could have got an answer.
func (c *crash) goOn(ctx context.Context) {
	c.t.Helper()
	want := c.watch.closed() + c.chats
	if !eventually(patience, func() bool { return c.watch.closed() >= want || ctx.Err() != nil }) {
		c.t.Fatalf("no answers for %s", patience)
	}
}

// conclude looks at what people got from several gateways.
func (c *crash) conclude(all []*rig) {
	c.t.Helper()
	f := judge(c.said, c.bot.Delivered())
	for _, fault := range f.Faults {
		c.t.Error(fault)
	}
	if f.Repeated+f.Doubted > c.inFlight {
		c.t.Errorf("%+v, with %d sends under way at the kills", f, c.inFlight)
	}
	for _, refusal := range c.bot.Refused() {
		if strings.Contains(refusal.Description, "other getUpdates") {
			c.t.Errorf("two gateways polled: %s", refusal.Description)
		}
	}
	c.t.Logf("%d messages in the lives of %d gateways, %d sends under way at the kills: %d came twice, marked; %d once, marked",
		f.Said, len(all), c.inFlight, f.Repeated, f.Doubted)
}
