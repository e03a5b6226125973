package sqlite_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/sqlite"
	db "github.com/gatehouse-chat/gatehouse/internal/db/sqlite"
)

// pages limits the size of the file: SQLite then behaves as on a full disk.
func pages(t *testing.T, e *sqlite.Engine, n int) {
	t.Helper()
	err := e.DB().Write(t.Context(), func(tx *db.Tx) error {
		_, _, err := tx.One(fmt.Sprintf("PRAGMA max_page_count = %d", n))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func bulky(key string) bus.Record {
	return bus.Record{
		Channel: "c", Queue: bus.Inbox, Key: key, Order: "o/" + key,
		Body: json.RawMessage(`"` + strings.Repeat("x", 20_000) + `"`),
	}
}

// TestFullDisk: a full disk is an error of the calls that need space, nothing of
// them is kept, and everything goes on when there is space again.
func TestFullDisk(t *testing.T) {
	ctx := t.Context()
	e, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "bus.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	pages(t, e, 60)

	accepted := 0
	for err == nil {
		state := []bus.Write{{Space: "s", Key: "accepted", Value: fmt.Append(nil, accepted+1)}}
		err = e.Publish(ctx, bus.Batch{Records: []bus.Record{bulky(fmt.Sprint(accepted))}, State: state})
		if err == nil {
			accepted++
		}
		if accepted > 100 {
			t.Fatal("the limit does not hold")
		}
	}
	if !strings.Contains(err.Error(), "full") {
		t.Errorf("error is %v, want one that says full", err)
	}

	// Many at once: each is refused on its own.
	refused := make(chan error, 8)
	for i := range cap(refused) {
		go func() {
			refused <- e.Publish(ctx, bus.Batch{Records: []bus.Record{bulky(fmt.Sprintf("late/%d", i))}})
		}()
	}
	for range cap(refused) {
		if <-refused == nil {
			t.Error("accepted on a full disk")
		}
	}
	x, err := e.Get(ctx, "s", "accepted")
	if err != nil || string(x.Value) != fmt.Sprint(accepted) {
		t.Errorf("state says %q, %v; want %d", x.Value, err, accepted)
	}

	pages(t, e, 100_000)
	if err := e.Publish(ctx, bus.Batch{Records: []bus.Record{bulky("after")}}); err != nil {
		t.Fatalf("with space again: %v", err)
	}
	ls, err := e.Lease(ctx, bus.Want{Queue: bus.Inbox, N: 1000, NoWait: true})
	if err != nil || len(ls) != accepted+1 {
		t.Errorf("leased %d orders, %v; want %d", len(ls), err, accepted+1)
	}
}

// TestDrainOnFullDisk: a lease and a settlement overwrite what is there, so a
// full disk can be worked empty.
func TestDrainOnFullDisk(t *testing.T) {
	ctx := t.Context()
	e, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "bus.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	if err := e.Publish(ctx, bus.Batch{Records: []bus.Record{bulky("1")}}); err != nil {
		t.Fatal(err)
	}
	pages(t, e, 1) // SQLite takes the present size as the limit
	ls, err := e.Lease(ctx, bus.Want{Queue: bus.Inbox})
	if err != nil || len(ls) != 1 {
		t.Fatalf("lease on a full disk: %d, %v", len(ls), err)
	}
	if err := e.Settle(ctx, ls[0], bus.Outcome{Verdicts: map[string]bus.Verdict{"1": {Fate: bus.Ack}}}); err != nil {
		t.Errorf("settle on a full disk: %v", err)
	}
}
