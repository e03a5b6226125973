package main

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/agent/provider"
	"github.com/gatehouse-chat/gatehouse/config"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

func environment(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

// TestOverride: a flag wins over the environment, which wins over the file.
func TestOverride(t *testing.T) {
	env := environment(map[string]string{
		"GATEHOUSE_DATA": "/env/data", "GATEHOUSE_KEY": "/env/key", "GATEHOUSE_STORE": "", "GATEHOUSE_LISTEN": "127.0.0.1:1",
	})
	f := flags{data: "/flag/data", admin: "127.0.0.1:2"}
	got := config.Config{Data: "/file/data", Key: config.Key{Path: "/file/key"}, Store: "sqlite", Listen: "127.0.0.1:3", Admin: "127.0.0.1:4"}
	f.override(env)(&got)
	want := config.Config{Data: "/flag/data", Key: config.Key{Path: "/env/key"}, Store: "sqlite", Listen: "127.0.0.1:1", Admin: "127.0.0.1:2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPath(t *testing.T) {
	for _, c := range []struct {
		name     string
		flags    flags
		env      map[string]string
		path     string
		explicit bool
	}{
		{"a flag", flags{config: "a.yaml"}, map[string]string{"GATEHOUSE_CONFIG": "b.yaml"}, "a.yaml", true},
		{"the environment", flags{}, map[string]string{"GATEHOUSE_CONFIG": "b.yaml"}, "b.yaml", true},
		{"an empty variable", flags{}, map[string]string{"GATEHOUSE_CONFIG": ""}, config.DefaultPath(), false},
		{"nothing", flags{}, nil, config.DefaultPath(), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if path, explicit := c.flags.path(environment(c.env)); path != c.path || explicit != c.explicit {
				t.Errorf("%s, %v", path, explicit)
			}
		})
	}
}

// TestFindModel: the configuration first, then each provider's variable in
// turn, then nothing.
func TestFindModel(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel() // a model server that happens to run on this machine is not asked
	b := &border{gate: egress.New(egress.Options{})}
	c := config.Default()
	all := map[string]string{}
	kinds := provider.Kinds()
	for i := len(kinds) - 1; i >= 0; i-- {
		k := kinds[i]
		if k.Env == "" {
			continue
		}
		all[k.Env] = " key-of-" + k.Name + "\n"
		f := b.findModel(gone, c, environment(all))
		want := map[string]config.Model{"default": {Provider: k.Name, Model: k.Model, APIKey: "key-of-" + k.Name}}
		if diff := cmp.Diff(want, f.models); diff != "" {
			t.Errorf("%s: %s", k.Env, diff)
		}
		if f.env != k.Env {
			t.Errorf("found in %q, want %q", f.env, k.Env)
		}
	}
	configured := c
	configured.Models = map[string]config.Model{"default": {Provider: "ollama", Model: "x"}}
	if f := b.findModel(gone, configured, environment(all)); f.models["default"].Model != "x" || f.env != "" {
		t.Errorf("the configuration did not win: %+v", f)
	}
	for name, env := range map[string]map[string]string{"nothing": {}, "an empty variable": {"OPENAI_API_KEY": " "}} {
		if f := b.findModel(gone, c, environment(env)); len(f.models) != 0 {
			t.Errorf("%s: found %+v", name, f)
		}
	}
}
