package identity_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/open"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/cputest"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// BenchmarkJudge is the way from a sender to a scope: the gate's whole judgement
// of a member's message, on the embedded database as the gateway opens it.
func BenchmarkJudge(b *testing.B) {
	ctx := context.Background()
	e, err := open.Open(ctx, filepath.Join(b.TempDir(), "x.db"), open.Options{Exclusive: true})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	d, err := identity.Open(ctx, e, "main", time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	owner, err := d.Machine(ctx)
	if err != nil {
		b.Fatal(err)
	}
	code, _, err := d.Invite(ctx, owner, "Anna", scope.Ordinary)
	if err != nil {
		b.Fatal(err)
	}
	p := identity.Policy{DM: identity.DMPairing}
	j, err := d.Judge(ctx, direct(channels.Sender{ID: "anna"}, channels.Message{Text: code}), p)
	if err != nil {
		b.Fatal(err)
	}
	if err := e.Write(ctx, j.State...); err != nil {
		b.Fatal(err)
	}
	said := direct(channels.Sender{ID: "anna"}, channels.Message{ID: "1", Text: "hello"})
	cputest.Loop(b, func() {
		if j, err := d.Judge(ctx, said, p); err != nil || j.Do != identity.Run {
			b.Fatal(j, err)
		}
	})
}
