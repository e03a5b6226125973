package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"github.com/gatehouse-chat/gatehouse/config"
	"github.com/gatehouse-chat/gatehouse/gateway/ingress"
)

func runCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Start the gateway",
		Long: "Start the gateway and run until it is told to stop.\n\n" +
			"Without a configuration it makes its data folder and its key, listens on\n" +
			"loopback only and prints a link to the console.",
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return run(c.Context(), *f) },
	}
}

// ballast counts as living in the heap and is never touched, so that it is only
// addresses and no memory. What really lives there is some 5 to 12 MiB, so that
// garbage would be collected dozens of times a second under load; with this it
// is when there are 32 MiB more of it. A higher percentage would do the same to
// a small heap, and let a large one grow out of proportion.
const ballast = 32 << 20

// settled is when the start is over, whatever a channel does at first.
const settled = 3 * time.Second

// heldFor is how long another process may have the data folder at the start.
const heldFor = 10 * time.Second

// onceFree opens the data folder. A command may hold it for a moment, and a
// gateway that stops until it has stopped; only one that answers is not waited
// for.
func onceFree(ctx context.Context, open func() error, answers func() bool) error {
	for until := time.Now().Add(heldFor); ; {
		err := open()
		if !errors.Is(err, errLocked) || answers() || time.Now().After(until) {
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func run(ctx context.Context, f flags) error {
	_, pace := os.LookupEnv("GOGC")
	if _, limit := os.LookupEnv("GOMEMLIMIT"); !pace && !limit { // else the operator decides
		defer runtime.KeepAlive(make([]byte, ballast))
	}
	var a *app
	data, _ := dataFolder(f) // a mistake in the configuration is told by openApp
	_, missing := os.Stat(data)
	err := onceFree(ctx, func() (err error) {
		a, err = openApp(ctx, f, asGateway())
		return err
	}, func() bool {
		data, err := dataFolder(f)
		return err != nil || dialGateway(ctx, data) != nil
	})
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // told to stop while it was starting
	}
	if errors.Is(err, errLocked) {
		return fmt.Errorf("%w; see gatehouse status, stop it there, or give this one a folder of its own with --data", err)
	}
	if err != nil {
		return err
	}
	defer a.close() //nolint:errcheck // the process ends
	if f.data != "" && errors.Is(missing, os.ErrNotExist) {
		// Perhaps it was meant to be another one.
		a.log.Warn("there was no data folder; it is a new one, with nothing in it", "data", data)
	}
	for _, w := range a.warnings {
		a.log.Warn("configuration", "err", w.String())
	}
	return a.serve(ctx)
}

// newLogger writes to standard error, for people on a terminal and for
// programs elsewhere.
func newLogger(l config.Log, to io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(l.Level)) // checked with the configuration
	o := &slog.HandlerOptions{Level: level}
	text := l.Format == "text" || l.Format == "auto" && term.IsTerminal(int(os.Stderr.Fd()))
	if text {
		return slog.New(slog.NewTextHandler(to, o))
	}
	return slog.New(slog.NewJSONHandler(to, o))
}

// listeners are where the gateway is reached.
type listeners struct{ public, admin, socket net.Listener }

func (a *app) listen(ctx context.Context) (l listeners, err error) {
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	if l.public, err = (&net.ListenConfig{}).Listen(ctx, "tcp", a.cfg.Listen); err != nil {
		return l, fmt.Errorf("listen for webhooks (another address: `listen:` or --listen): %w", err)
	}
	if l.admin, err = (&net.ListenConfig{}).Listen(ctx, "tcp", a.cfg.Admin); err != nil {
		return l, fmt.Errorf("listen for the console (another address: `admin:` or --admin): %w", err)
	}
	if err := a.encrypt(&l); err != nil {
		return l, err
	}
	l.socket, err = listenSocket(ctx, a.cfg.Data)
	return l, err
}

// encrypt puts TLS on the listeners that the configuration says.
func (a *app) encrypt(l *listeners) error {
	if !a.cfg.TLS.On() {
		return nil
	}
	c, err := ingress.NewCertificate(a.cfg.TLS.Cert, a.cfg.TLS.Key, time.Now, a.log)
	if err != nil {
		return err
	}
	l.admin = tls.NewListener(l.admin, c.Config())
	if a.cfg.TLS.Webhooks {
		l.public = tls.NewListener(l.public, c.Config())
	}
	return nil
}

func (l listeners) close() {
	for _, x := range []net.Listener{l.public, l.admin, l.socket} {
		if x != nil {
			_ = x.Close()
		}
	}
}

// serve runs the gateway and its listeners until ctx ends.
func (a *app) serve(ctx context.Context) error {
	l, err := a.listen(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	base := a.cfg.ConsoleURL(l.admin.Addr().String())
	admin, err := ingress.NewAdmin(ingress.Options{
		Gateway: a.gateway, Operator: a.newOperator(true, base), Directory: a.directory, Book: a.logins,
		Base: base, Hosts: []string{hostname(l.admin.Addr())}, Proxies: a.cfg.Proxies(), Encrypted: a.cfg.TLS.On(),
		Logins: a.proxyLogin(), Metrics: a.registry, Version: version, Log: a.log,
	})
	if err != nil {
		return err
	}
	if st, err := a.gateway.Status(ctx); err == nil && !st.Paused.IsZero() {
		a.log.Warn("everything is paused: what comes in waits for `gatehouse resume`", "since", st.Paused)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.gateway.Run(ctx) })
	group.Go(func() error { return a.audit.Run(ctx) })
	group.Go(func() error { return a.gate.Run(ctx, usage{a.engine}) })
	group.Go(func() error { return a.convertContent(ctx) })
	group.Go(func() error { return a.serveHTTP(ctx, l.public, ingress.Public(a.gateway)) })
	group.Go(func() error { return a.serveHTTP(ctx, l.admin, admin) })
	group.Go(func() error { return a.serveHTTP(ctx, l.socket, admin.Socket(a.asOwner)) })
	group.Go(func() error { return a.reloads(ctx) })
	group.Go(func() error { return a.attendModules(ctx) })
	defer time.AfterFunc(settled, dropStart).Stop()
	if a.keepKey != nil {
		group.Go(func() error { return a.keepKey(ctx) })
	}
	if err := a.greet(ctx, admin, l); err != nil && ctx.Err() == nil {
		a.log.Error("greet", "err", err)
	}
	return group.Wait()
}

// hostname is the address that a listener is bound to, without its port.
func hostname(a net.Addr) string {
	host, _, _ := net.SplitHostPort(a.String()) // a listener's address has a port
	return host
}

// greet tells the person who started the gateway where it is and what it
// found. The login link is for a terminal only: logs are kept and read by others.
func (a *app) greet(ctx context.Context, admin *ingress.Admin, l listeners) error {
	st, err := a.gateway.Status(ctx)
	if err != nil {
		return err
	}
	a.log.Info("gatehouse is up", "listen", l.public.Addr().String(), "admin", l.admin.Addr().String(),
		"data", a.cfg.Data, "model", st.Model, "from", a.settings.modelSource())
	if !term.IsTerminal(int(os.Stdout.Fd())) {
		return nil
	}
	link, err := admin.NewLink(ctx)
	if err != nil {
		return err
	}
	model := plainly(st.Model)
	if from := a.settings.modelSource(); from != noModel {
		model += ", " + from
	}
	if !st.Paused.IsZero() {
		model += "\n  Paused   nobody is answered; `gatehouse resume` goes on"
	}
	_, err = fmt.Fprintf(os.Stdout, "\n  Model    %s\n  Console  %s\n           (opens once, within ten minutes; `gatehouse login` prints a new link)\n\n",
		model, link)
	return err
}

// reloads applies the configuration file again on SIGHUP and when it changes.
func (a *app) reloads(ctx context.Context) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last := a.read
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
		case <-tick.C:
			now := a.settings.stamps()
			if now.same(last) {
				continue
			}
			last = now
		}
		a.reload(ctx)
	}
}

func (a *app) reload(ctx context.Context) {
	warnings, err := a.settings.Reload(ctx)
	if err != nil {
		a.log.Error("the changed configuration is refused; the last good one stays", "err", err)
		return
	}
	for _, w := range warnings {
		a.log.Warn("configuration", "err", w)
	}
	a.log.Info("configuration applied")
}
