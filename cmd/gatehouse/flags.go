package main

import (
	"os"

	"github.com/spf13/pflag"

	"github.com/gatehouse-chat/gatehouse/config"
)

// flags are those that every command takes. A flag wins over the environment,
// which wins over the file.
type flags struct {
	config, data, key, listen, admin, store string

	workspace string // of the verbs that act in one; see inWorkspace
}

func (f *flags) bind(s *pflag.FlagSet) {
	s.StringVar(&f.config, "config", "", "configuration file (GATEHOUSE_CONFIG; default "+config.DefaultPath()+")")
	s.StringVar(&f.data, "data", "", "data folder (GATEHOUSE_DATA)")
	s.StringVar(&f.key, "key", "", "file with the vault's key (GATEHOUSE_KEY)")
	s.StringVar(&f.store, "store", "", "sqlite or a postgres:// URL (GATEHOUSE_STORE)")
	s.StringVar(&f.listen, "listen", "", "address for webhooks and health (GATEHOUSE_LISTEN)")
	s.StringVar(&f.admin, "admin", "", "address for console, API and metrics (GATEHOUSE_ADMIN)")
}

// override applies the environment and the flags over a file's values.
func (f flags) override(getenv func(string) (string, bool)) func(*config.Config) {
	return func(c *config.Config) {
		for _, o := range []struct {
			to        *string
			flag, env string
		}{
			{&c.Data, f.data, "GATEHOUSE_DATA"},
			{&c.Key.Path, f.key, "GATEHOUSE_KEY"},
			{&c.Store, f.store, "GATEHOUSE_STORE"},
			{&c.Listen, f.listen, "GATEHOUSE_LISTEN"},
			{&c.Admin, f.admin, "GATEHOUSE_ADMIN"},
		} {
			if v, ok := getenv(o.env); ok && v != "" {
				*o.to = v
			}
			if o.flag != "" {
				*o.to = o.flag
			}
		}
	}
}

// path is where the configuration is, and whether somebody said so.
func (f flags) path(getenv func(string) (string, bool)) (path string, explicit bool) {
	if f.config != "" {
		return f.config, true
	}
	if p, ok := getenv("GATEHOUSE_CONFIG"); ok && p != "" {
		return p, true
	}
	return config.DefaultPath(), false
}

func getenv(name string) (string, bool) { return os.LookupEnv(name) }
