package sqlite_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/sqlite"
)

// TestHandedOutAsRead: a record that is handed out with the commit that
// published it is the one that would be read from the file.
func TestHandedOutAsRead(t *testing.T) {
	for name, bodies := range map[string][]json.RawMessage{
		"one":     {json.RawMessage(`{"n":1}`)},
		"several": {json.RawMessage(`1`), json.RawMessage(`2`), json.RawMessage(`3`)},
		"none":    {nil},
		"empty":   {json.RawMessage{}},
	} {
		for _, exclusive := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				var batch bus.Batch
				for i, body := range bodies {
					batch.Records = append(batch.Records, bus.Record{
						Workspace: "home", Channel: "c", Account: "a", Queue: bus.Inbox, Key: string(rune('k' + i)), Order: "o", Body: body,
					})
				}
				// What is not due ends the lease, wherever it is found.
				batch.Records = append(batch.Records, bus.Record{
					Channel: "c", Queue: bus.Inbox, Key: "later", Order: "o", NotBefore: time.Now().Add(time.Hour),
				})
				if d := cmp.Diff(leased(t, batch, exclusive, false), leased(t, batch, exclusive, true)); d != "" {
					t.Errorf("%s, exclusive %t: read (-), handed out at once (+)\n%s", name, exclusive, d)
				}
			})
		}
	}
}

// leased publishes a batch and leases its order: a lease that waits is served
// by the commit that publishes.
func leased(t *testing.T, b bus.Batch, exclusive, waits bool) *bus.Lease {
	t.Helper()
	ctx := context.Background()
	e, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "bus.db"), sqlite.Options{Exclusive: exclusive})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	out := make(chan *bus.Lease, 1)
	lease := func() {
		all, err := e.Lease(ctx, bus.Want{Queue: bus.Inbox})
		if err != nil || len(all) != 1 {
			t.Errorf("%d leases, %v", len(all), err)
			all = []*bus.Lease{{}}
		}
		out <- all[0]
	}
	if waits {
		go lease()
		synctest.Wait()
	}
	if err := e.Publish(ctx, b); err != nil {
		t.Fatal(err)
	}
	if !waits {
		lease()
	}
	l := <-out
	if err := e.Settle(ctx, l, bus.Outcome{}); err != nil { // as it was
		t.Error(err)
	}
	return l
}
