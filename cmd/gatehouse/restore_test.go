package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/db/pgtest"
	"github.com/gatehouse-chat/gatehouse/vault"
)

// TestPostgresThatWasPutBack: whoever restores a database by its own tools gets a
// vault that refuses it, and a command that accepts it.
func TestPostgresThatWasPutBack(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "gatehouse.yaml")
	if err := os.WriteFile(config, []byte("channels: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := flags{config: config, data: filepath.Join(dir, "data"), key: filepath.Join(dir, "key"), store: pgtest.DSN(t)}

	inApp(t, f, func(ctx context.Context, a *app) {
		setSecret(ctx, t, a, "first")
		before := vaultRows(ctx, t, a)
		setSecret(ctx, t, a, "second")
		putBack(ctx, t, a, before)
	})
	if _, err := openApp(t.Context(), f, asCommand()); !errors.Is(err, vault.ErrRolledBack) || !strings.Contains(err.Error(), "restore --accept-older") {
		t.Fatalf("the older database: %v", err)
	}

	call := func(a ...string) error {
		root := rootCommand()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetErr(&out)
		root.SetArgs(append(a, "--config", f.config, "--data", f.data, "--key", f.key, "--store", f.store))
		return root.ExecuteContext(t.Context())
	}
	if err := call("restore", "x.age", "--identity", "x.key"); err == nil || !strings.Contains(err.Error(), "pg_restore") {
		t.Errorf("a file for Postgres: %v", err)
	}
	if err := call("restore", "--accept-older"); err != nil {
		t.Fatal(err)
	}
	inApp(t, f, func(ctx context.Context, a *app) {
		all, err := a.vault.List(ctx, workspace)
		if err != nil {
			t.Fatal(err)
		}
		names := []string{}
		for _, m := range all {
			names = append(names, m.Name)
		}
		if d := cmp.Diff([]string{"first"}, names); d != "" {
			t.Errorf("the secrets (-want +got):\n%s", d)
		}
	})
}

func inApp(t *testing.T, f flags, do func(context.Context, *app)) {
	t.Helper()
	a, err := openApp(t.Context(), f, asCommand())
	if err != nil {
		t.Fatal(err)
	}
	do(t.Context(), a)
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
}

func setSecret(ctx context.Context, t *testing.T, a *app, name string) {
	t.Helper()
	if _, err := a.vault.Set(ctx, workspace, name, []byte("a-value-of-some-length"), []string{"api.example.org"}); err != nil {
		t.Fatal(err)
	}
}

func vaultRows(ctx context.Context, t *testing.T, a *app) []kv.Entry {
	t.Helper()
	all, err := a.engine.List(ctx, "vault", "", "", 1000)
	if err != nil || len(all) == 0 {
		t.Fatalf("%d rows of the vault: %v", len(all), err)
	}
	return all
}

// putBack makes the vault's rows what they were.
func putBack(ctx context.Context, t *testing.T, a *app, before []kv.Entry) {
	t.Helper()
	var w []kv.Write
	for _, e := range vaultRows(ctx, t, a) {
		if !slices.ContainsFunc(before, func(old kv.Entry) bool { return old.Key == e.Key }) {
			w = append(w, kv.Write{Space: "vault", Key: e.Key})
		}
	}
	for _, e := range before {
		w = append(w, kv.Write{Space: "vault", Key: e.Key, Value: e.Value})
	}
	if err := a.engine.Write(ctx, w...); err != nil {
		t.Fatal(err)
	}
}
