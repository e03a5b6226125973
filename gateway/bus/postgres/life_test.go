package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/internal/db/pgtest"
)

// TestDeadReplica: what an engine was working on when it died is leased to
// another one long before the lease runs out; what a living one works on is not.
func TestDeadReplica(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dsn := pgtest.DSN(t)
	engine := func() bus.Engine {
		e, err := open(ctx, dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() })
		return e
	}
	lease := func(e bus.Engine, noWait bool) []*bus.Lease {
		l, err := e.Lease(ctx, bus.Want{Queue: bus.Inbox, For: time.Hour, NoWait: noWait})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	dying, living, heir := engine(), engine(), engine()
	for _, key := range []string{"a", "b"} {
		err := heir.Publish(ctx, bus.Batch{Records: []bus.Record{{Queue: bus.Inbox, Channel: "c", Key: key, Order: key, Body: []byte("1")}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	lost, kept := lease(dying, false), lease(living, false)
	if len(lost) != 1 || len(kept) != 1 {
		t.Fatalf("leased %d and %d", len(lost), len(kept))
	}
	if err := dying.Close(); err != nil {
		t.Fatal(err)
	}
	got := lease(heir, false)
	if len(got) != 1 || got[0].Order != lost[0].Order || got[0].Records[0].Attempt != 2 {
		t.Fatalf("the heir leased %+v", got)
	}
	if more := lease(heir, true); len(more) != 0 {
		t.Errorf("a living engine lost %s", more[0].Order)
	}
	if err := living.Settle(ctx, kept[0], bus.Outcome{Verdicts: map[string]bus.Verdict{kept[0].Records[0].Key: {Fate: bus.Ack}}}); err != nil {
		t.Errorf("settle what was never lost: %v", err)
	}
}
