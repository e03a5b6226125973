package open_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/open"
	"github.com/gatehouse-chat/gatehouse/internal/db/pgtest"
)

func TestOpen(t *testing.T) {
	for _, c := range []struct {
		name  string
		store func(t *testing.T) string
	}{
		{"sqlite", func(t *testing.T) string { return filepath.Join(t.TempDir(), "a b?c%20#.db") }},
		{"postgres", func(t *testing.T) string { return pgtest.DSN(t) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := context.Background()
			store := c.store(t)
			e, err := open.Open(ctx, store, open.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Write(ctx, bus.Write{Space: "s", Key: "k", Value: []byte("v")}); err != nil {
				t.Fatal(err)
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			if e, err = open.Open(ctx, store, open.Options{}); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = e.Close() }()
			x, err := e.Get(ctx, "s", "k")
			if err != nil || string(x.Value) != "v" {
				t.Errorf("got %q, %v after opening again", x.Value, err)
			}
		})
	}
}

func TestOpenFaults(t *testing.T) {
	for _, store := range []string{
		"", "mysql://root:hush@localhost/x", "postgres://u:hush@127.0.0.1:1/x?connect_timeout=1",
		"postgres://u:hush@[::1/x", filepath.Join(t.TempDir(), "missing", "x.db"),
	} {
		e, err := open.Open(context.Background(), store, open.Options{})
		if err == nil {
			_ = e.Close()
			t.Errorf("%q was opened", store)
			continue
		}
		if strings.Contains(err.Error(), "hush") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}
