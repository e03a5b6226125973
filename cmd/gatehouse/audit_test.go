package main

import (
	"context"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gatehouse-chat/gatehouse/gateway/bus/open"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

// scriptTamper removes one entry of the audit log, as somebody would who got
// hold of the database.
func scriptTamper(ts *testscript.TestScript, _ bool, _ []string) {
	ctx := context.Background()
	store, err := open.Open(ctx, filepath.Join(ts.Getenv("GATEHOUSE_DATA"), "gatehouse.db"), open.Options{})
	ts.Check(err)
	all, err := store.List(ctx, "audit", "", "", 1)
	ts.Check(err)
	ts.Check(store.Write(ctx, kv.Write{Space: "audit", Key: all[0].Key}))
	ts.Check(store.Close())
}
