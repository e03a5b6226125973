package main

import (
	"context"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/config"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/db/postgres"
	"github.com/gatehouse-chat/gatehouse/internal/db/sqlite"
	mempostgres "github.com/gatehouse-chat/gatehouse/memory/postgres"
	memsqlite "github.com/gatehouse-chat/gatehouse/memory/sqlite"
	"github.com/gatehouse-chat/gatehouse/memory/store"
)

// memoryEngine keeps the memory where the engine of the bus keeps the rest.
func (a *app) memoryEngine(ctx context.Context) store.Engine {
	switch e := a.engine.(type) {
	case interface{ DB() *sqlite.DB }:
		return memsqlite.New(e.DB())
	case interface{ DB() *postgres.DB }:
		m := mempostgres.New(e.DB())
		if ok, err := m.Guarded(ctx); err == nil && !ok {
			a.log.WarnContext(ctx, "the database's role is a superuser, or may bypass policies: those on the memory do not hold it, and only the queries keep scopes apart; use an ordinary role")
		}
		return m
	}
	return nil
}

// openMemory opens the memory. It makes no request.
func (a *app) openMemory(b *border, engine store.Engine) error {
	embedder, err := b.embedder(a.cfg.Memory)
	if err != nil {
		return err
	}
	b.memory = store.New(store.Options{
		Engine: engine, Embedder: embedder, ByRank: a.cfg.Memory.Fusion == config.FusionRank, Cut: chunker(a.cfg.Memory), Seals: a.vault, Seal: a.cfg.Encrypt == config.EncryptContent,
		Now: time.Now, Log: a.log,
	})
	return nil
}

// recall is what turns are given of memory before they begin.
func (b *border) recall(c config.Memory) agent.Recall {
	if b.memory == nil {
		return agent.Recall{}
	}
	return agent.Recall{Memory: b.memory, Tokens: c.Recall, HalfLife: config.Days(c.HalfLife)}
}

// forgetful ends what the memory holds of people and workspaces that are no more.
type forgetful struct{ memory *store.Store }

var (
	_ gateway.Offboarder = forgetful{}
	_ gateway.Shredder   = forgetful{}
	_ gateway.Eraser     = forgetful{}
)

// Offboard implements gateway.Offboarder: what was the member's alone goes.
func (f forgetful) Offboard(ctx context.Context, workspace, member string) error {
	return f.memory.Offboard(ctx, workspace, member)
}

// Shred implements gateway.Shredder.
func (f forgetful) Shred(ctx context.Context, workspace string) error {
	return f.memory.Shred(ctx, workspace)
}

// Erase implements gateway.Eraser: what they shared goes, too.
func (f forgetful) Erase(ctx context.Context, p identity.Departure) (string, int, error) {
	n, err := f.memory.Erase(ctx, p.Workspace, p.Member.ID)
	return "memory", n, err
}
