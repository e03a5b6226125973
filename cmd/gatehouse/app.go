package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/gatehouse-chat/gatehouse/adapters/console"
	"github.com/gatehouse-chat/gatehouse/adapters/discord"
	"github.com/gatehouse-chat/gatehouse/adapters/guests"
	"github.com/gatehouse-chat/gatehouse/adapters/slack"
	"github.com/gatehouse-chat/gatehouse/adapters/telegram"
	"github.com/gatehouse-chat/gatehouse/adapters/wasm"
	"github.com/gatehouse-chat/gatehouse/adapters/webhook"
	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud"
	"github.com/gatehouse-chat/gatehouse/config"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/audit"
	"github.com/gatehouse-chat/gatehouse/gateway/blob"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/open"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/sealed"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/gateway/login"
	"github.com/gatehouse-chat/gatehouse/gateway/session"
	"github.com/gatehouse-chat/gatehouse/internal/db/sqlite"
	"github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/module/shelf"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
	"github.com/gatehouse-chat/gatehouse/vault/kek"
	"github.com/gatehouse-chat/gatehouse/vault/leak"
)

// workspace is the one that is there from the start.
const workspace = "home"

// app is everything that stands on an open data folder.
type app struct {
	cfg      config.Config
	warnings config.Faults
	log      *slog.Logger
	patience kek.Patience // with the system's keyring
	engine   bus.Engine
	content  *sealed.Engine // the engine, where content is encrypted; else nil
	blobs    blob.Shelf     // nil: in the state
	// convertFiles encrypts or decrypts the files that are kept; nil: they are in
	// the state.
	convertFiles func(context.Context) error
	gate         *egress.Gate
	vault        *vault.Store
	keepKey      func(context.Context) error // keeps the source of the vault's key alive; nil: nothing to do
	directory    *identity.Directory
	logins       *login.Book
	audit        *audit.Log
	gateway      *gateway.Gateway
	settings     *settings
	read         stamps       // of the files as they were read at the start
	shelf        *shelf.Shelf // installed modules
	guests       *wasm.Driver
	registry     *prometheus.Registry
	leaks        *leak.Guard
	closers      []func() error
}

// openApp reads the configuration and opens the data folder, which this process
// then owns. Nothing runs yet.
func openApp(ctx context.Context, f flags, as manner) (_ *app, err error) {
	a := &app{registry: prometheus.NewRegistry()}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()
	if a.leaks, err = leak.New(); err != nil {
		return nil, err
	}
	a.settings = &settings{flags: f, getenv: getenv, drivers: allDrivers()}
	a.settings.path, a.settings.explicit = f.path(getenv)
	var faults config.Faults
	a.read.config = stampOf(a.settings.path) // before it is read, so that no later change is missed
	if a.cfg, faults, err = a.settings.read(); err != nil {
		return nil, err
	}
	a.read.policy = stampOf(a.cfg.Policy)
	a.warnings = faults.Warnings()
	a.log = as.log(a.cfg.Log, a.leaks.Writer(os.Stderr))
	a.patience = as.keyring(a.log)
	if err := a.openFolder(ctx); err != nil {
		return nil, err
	}
	if err := a.openModules(); err != nil {
		return nil, err
	}
	a.openAudit()
	if a.gate, err = a.openGate(); err != nil {
		return nil, err
	}
	a.registry.MustRegister(traffic{a.gate}, faulty{a.guests},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := a.openVault(ctx, a.gate); err != nil {
		return nil, err
	}
	remembers := a.memoryEngine(ctx) // it seals by itself
	if err := a.openContent(ctx); err != nil {
		return nil, err
	}
	if a.directory, err = identity.Open(ctx, a.engine, workspace, time.Now, a.log); err != nil {
		return nil, err
	}
	a.logins = login.NewBook(a.engine, time.Now)
	b := &border{gate: a.gate, vault: a.vault, state: a.engine, workspace: workspace, leaks: a.leaks, ollama: ollama(getenv), guests: a.guests, near: a.cfg.Egress.Secrets, log: a.log, report: a.reportEgress}
	if err := a.openMemory(b, remembers); err != nil {
		return nil, err
	}
	a.gateway = gateway.New(gateway.Options{
		Bus: a.engine, Directory: a.directory, Outside: b.channel, Seals: a.vault, Agent: gateway.AgentSettings{MaxTurns: a.cfg.Agent.MaxTurns},
		Offboard: []gateway.Offboarder{leavers{a.vault, a.logins}, forgetful{b.memory}},
		Shred:    append(a.shredders(), forgetful{b.memory}), Erase: []gateway.Eraser{auditEraser{a.audit}, forgetful{b.memory}},
		Retention: retention(a.cfg.Retention), Replicas: open.IsPostgres(a.cfg.Store),
		Version: version, Log: a.log, Metrics: gateway.NewMetrics(a.registry), Leaks: a.leaks, Audit: a.audit,
		Blobs: a.blobs, Memory: b.memory,
	})
	a.settings.border, a.settings.gateway, a.settings.directory = b, a.gateway, a.directory
	return a, a.settings.start(ctx, a.cfg)
}

func retention(c config.Retention) gateway.Retention {
	return gateway.Retention{
		Retention: bus.Retention{Bodies: config.Days(c.Bodies), Dead: config.Days(c.Dead), Keys: config.Days(c.Keys)},
		Turns:     config.Days(c.Turns), Spending: config.Days(c.Spending),
		Sessions: session.Keep{Idle: config.Days(c.Sessions), Replaced: config.Days(c.Replaced)},
	}
}

func (a *app) openFolder(ctx context.Context) error {
	if err := makeFolder(a.cfg.Data); err != nil {
		return err
	}
	unlock, err := lockFolder(a.cfg.Data)
	if err != nil {
		return err
	}
	a.closers = append(a.closers, func() error { unlock(); return nil })
	store := a.cfg.Store
	if store == "sqlite" {
		store = filepath.Join(a.cfg.Data, "gatehouse.db")
	}
	a.engine, err = open.Open(ctx, store, open.Options{Log: a.log, Exclusive: true})
	if err != nil {
		return err
	}
	a.closers = append(a.closers, a.engine.Close)
	if e, ok := a.engine.(interface{ DB() *sqlite.DB }); ok {
		a.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "gatehouse_store_commits_total", Help: "Transactions that the embedded database has committed.",
		}, func() float64 { return float64(e.DB().Commits()) }))
	}
	return nil
}

// vaultOptions makes the sources of the vault's key that a configuration names.
func vaultOptions(c config.Config, gate *egress.Gate, log *slog.Logger, p kek.Patience) (o vault.Options, keep func(context.Context) error, err error) {
	o = vault.Options{Log: log, Exchange: exchanges(gate, c.Egress.Secrets), Strict: c.Vault.Strict}
	if o.Key, keep, err = keySource(c.Key, c.Data, gate, log, p); err != nil {
		return o, nil, err
	}
	if c.KeyFrom.Set() {
		o.From, _, err = keySource(c.KeyFrom, c.Data, gate, log, p)
	}
	return o, keep, err
}

func (a *app) openVault(ctx context.Context, gate *egress.Gate) error {
	o, keep, err := vaultOptions(a.cfg, gate, a.log, a.patience)
	if err != nil {
		return err
	}
	a.keepKey, o.State, o.Leaks, o.Audit, o.Relocked = keep, a.engine, a.leaks, a.reportLease, a.reportKey
	a.vault, err = vault.Open(ctx, o)
	if err == nil {
		// The first use of the workspace's key makes it, and the file that
		// unlocks it: a person should find both after the first start.
		_, err = a.vault.Derive(ctx, workspace, "start")
	}
	if errors.Is(err, vault.ErrRolledBack) {
		return fmt.Errorf("%w; if you put it back on purpose: gatehouse restore --accept-older", err)
	}
	if err != nil {
		return fmt.Errorf("open the vault: %w", err)
	}
	if a.cfg.KeyFrom.Set() {
		a.log.WarnContext(ctx, "the vault is locked with 'key' now; take 'key_from' out of the configuration, and keep a copy of the new key")
	}
	return a.signAudit(ctx)
}

// close releases everything, in the opposite order of opening.
func (a *app) close() error {
	var errs []error
	for i := len(a.closers) - 1; i >= 0; i-- {
		errs = append(errs, a.closers[i]())
	}
	a.closers = nil
	return errors.Join(errs...)
}

// allDrivers are the adapters of this build, for commands that run no channel.
// They do not know what is installed.
func allDrivers() drivers { return driversWith(newGuests(wasm.Options{})) }

func driversWith(g *wasm.Driver) drivers {
	return append(drivers{console.Driver{}, telegram.Driver{}, slack.Driver{}, discord.Driver{}, webhook.Driver{}, cloud.Driver{}, g}, linkedDevices()...)
}

// newGuests is the driver of channels that are guests.
func newGuests(o wasm.Options) *wasm.Driver {
	o.Shipped = func(name string) ([]byte, error) { return module.Unbundle(guests.Bundle(), name) }
	o.Names = module.Bundled(guests.Bundle())
	return wasm.NewDriver(o)
}
