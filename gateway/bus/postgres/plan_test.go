package postgres_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-chat/gatehouse/gateway/bus/postgres"
	"github.com/gatehouse-chat/gatehouse/internal/db/pgtest"
)

// TestDuePlan: the time that a lease asks for is a condition of the index, so a
// lease reads what is due and not what waits.
func TestDuePlan(t *testing.T) {
	ctx := context.Background()
	e, err := postgres.Open(ctx, pgtest.DSN(t), postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	for name, query := range postgres.DueQueries {
		t.Run(name, func(t *testing.T) {
			tx, err := e.DB().Pool().Begin(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback(ctx) }()
			if _, err := tx.Exec(ctx, `SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off`); err != nil {
				t.Fatal(err)
			}
			args := []any{"inbox", int64(0)}
			if strings.Contains(query, "$3") {
				args = append(args, []string{"c"})
			}
			rows, err := tx.Query(ctx, `EXPLAIN `+query, args...)
			if err != nil {
				t.Fatal(err)
			}
			lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				t.Fatal(err)
			}
			plan := strings.Join(lines, "\n")
			condition := ""
			for _, l := range lines {
				if strings.Contains(l, "Index Cond") {
					condition = l
				}
			}
			if !strings.Contains(condition, "due <=") {
				t.Errorf("the time is no condition of the index:\n%s", plan)
			}
		})
	}
}
