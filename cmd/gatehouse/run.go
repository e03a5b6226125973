package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"github.com/gatehouse-chat/gatehouse/config"
)

func runCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Start the gateway",
		Long: "Start the gateway and run until it is told to stop.\n\n" +
			"Without a configuration it makes its data folder and its key, listens on\n" +
			"loopback only and prints a link to the console.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return run(c.Context(), *f) },
	}
}

func run(ctx context.Context, f flags) error {
	a, err := openApp(ctx, f, newLogger)
	if err != nil {
		return err
	}
	defer a.close() //nolint:errcheck // the process ends
	for _, w := range a.warnings {
		a.log.Warn("configuration", "err", w.String())
	}
	return a.serve(ctx)
}

// newLogger writes to standard error, for people on a terminal and for
// programs elsewhere.
func newLogger(l config.Log) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(l.Level)) // checked with the configuration
	o := &slog.HandlerOptions{Level: level}
	text := l.Format == "text" || l.Format == "auto" && term.IsTerminal(int(os.Stderr.Fd()))
	if text {
		return slog.New(slog.NewTextHandler(os.Stderr, o))
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, o))
}

// serve runs the gateway and its listeners until ctx ends.
func (a *app) serve(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.gateway.Run(ctx) })
	group.Go(func() error { return a.reloads(ctx) })
	return group.Wait()
}

// reloads applies the configuration file again on SIGHUP and when it changes.
func (a *app) reloads(ctx context.Context) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last := modified(a.settings.path)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
		case <-tick.C:
			now := modified(a.settings.path)
			if now.Equal(last) {
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

func modified(path string) time.Time {
	i, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return i.ModTime()
}

// listen serves HTTP on a listener until ctx ends, then lets requests finish.
func listen(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	done := make(chan error, 1)
	go func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		done <- s.Shutdown(grace)
	}()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", l.Addr(), err)
	}
	return <-done
}
