package sqlite_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/gateway/bus/sqlite"
)

// TestPlans: the statements of the hot path find their rows by index, and sort
// nothing.
func TestPlans(t *testing.T) {
	e, err := sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "bus.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	for name, c := range map[string]struct{ query, want string }{
		"due": {
			`SELECT id, name, epoch, held, due, head, tail FROM bus_order
				WHERE queue = ? AND channel = ? AND due IS NOT NULL ORDER BY due, head`,
			"SEARCH bus_order USING INDEX bus_order_due (queue=? AND channel=? AND due>?)",
		},
		"records": {
			`SELECT seq, body FROM bus_record WHERE order_id = ? AND seq >= ? AND state = 2 ORDER BY seq`,
			"SEARCH bus_record USING INDEX bus_record_order (order_id=? AND seq>?)",
		},
		"mark": {
			`UPDATE bus_record SET state = 3 WHERE order_id = ? AND seq BETWEEN ? AND ? AND state = 2`,
			"SEARCH bus_record USING INDEX bus_record_order (order_id=? AND seq>? AND seq<?)",
		},
		"lanes": {
			`SELECT queue, channel, min(due) FROM bus_order WHERE due IS NOT NULL GROUP BY queue, channel`,
			"SCAN bus_order USING COVERING INDEX bus_order_due",
		},
		"parked": {
			`SELECT seq, order_id FROM bus_record WHERE state = 4 AND tag = ?`,
			"SEARCH bus_record USING INDEX bus_record_parked (tag=?)",
		},
		"replies": {
			`SELECT seq FROM bus_record r WHERE r.queue = 'outbox' AND r.channel = ? AND r.key >= ? AND r.key < ?`,
			"SEARCH r USING COVERING INDEX bus_record_key (queue=? AND channel=? AND key>? AND key<?)",
		},
		"list": {
			`SELECT key, version, value FROM bus_state WHERE space = ? AND key > ? AND key < ? ORDER BY key LIMIT ?`,
			"SEARCH bus_state USING PRIMARY KEY (space=? AND key>? AND key<?)",
		},
		"latest": {
			`SELECT key, version, value FROM bus_state WHERE space = ? AND key >= ? AND key < ? ORDER BY key DESC LIMIT ?`,
			"SEARCH bus_state USING PRIMARY KEY (space=? AND key>? AND key<?)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			rows, err := e.DB().Reader().Query("EXPLAIN QUERY PLAN "+c.query, make([]any, strings.Count(c.query, "?"))...)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			var plan []string
			for rows.Next() {
				var id, parent, unused int
				var detail string
				if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
					t.Fatal(err)
				}
				plan = append(plan, detail)
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(plan, "; "); got != c.want {
				t.Errorf("plan is\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}
