package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/guests"
	"github.com/gatehouse-chat/gatehouse/config"
	"github.com/gatehouse-chat/gatehouse/gateway/ingress/api"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// socketPath is where a running gateway listens for the command line. Whoever
// may open it is the person who runs the gateway: the file is theirs alone.
func socketPath(data string) string { return filepath.Join(data, "admin.sock") }

// listenSocket listens for the command line. The caller owns the data folder,
// so a socket that is there already is a dead process's.
func listenSocket(ctx context.Context, data string) (net.Listener, error) {
	path := socketPath(data)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("clear the old admin socket: %w", err)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on the admin socket (is the path of the data folder longer than 90 characters?): %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("close the admin socket to others: %w", err), l.Close())
	}
	return l, nil
}

// asOwner says that requests come from the owner: they came over the socket or
// from this process itself.
func (a *app) asOwner(r *http.Request) (scope.Scope, error) {
	return a.directory.In(r.Header.Get(api.Workspace)).Machine(r.Context())
}

// newOperator makes the operator of this app.
func (a *app) newOperator(running bool, console string) *operator.Operator {
	return operator.New(operator.Options{
		Gateway: a.gateway, Running: running, Bus: a.engine, Directory: a.directory, Vault: a.vault,
		Settings: a.settings, Logins: a.logins, Audit: a.audit, AuditFile: a.cfg.AuditFile(), Console: console, Try: a.settings.border.try, Now: time.Now,
		Memory: a.settings.border.memory, Egress: a.settings.border.gate.Uses,
		Modules: operator.Modules{
			Shelf: a.shelf, Prove: a.guests.Prove, Faults: a.guests.Faults, Fetch: a.settings.border.fetchModule, Shipped: module.Bundled(guests.Bundle()),
			Failures: func() map[string]int64 {
				all := map[string]int64{}
				for f, n := range a.guests.Failures() {
					all[f.Module] += n
				}
				return all
			},
		},
	})
}

// desk is a connection to a gateway: to the one that runs, or, when none does,
// to the data folder itself.
type desk struct {
	*api.Client
	running bool
	close   func() error
}

// dataFolder is where the flags, the environment or the configuration say that
// the gateway's data is. The running gateway keeps its last good configuration,
// and what it takes to find it does not depend on the mistakes of a bad one.
func dataFolder(f flags) (string, error) {
	cfg, err := whereabouts(f)
	return cfg.Data, err
}

// whereabouts is the configuration as far as it says where the data is.
func whereabouts(f flags) (config.Config, error) {
	s := &settings{flags: f, getenv: getenv, drivers: allDrivers()}
	s.path, s.explicit = f.path(getenv)
	cfg, _, err := s.read()
	if cfg.Data != "" {
		return cfg, nil
	}
	return cfg, err
}

// errNothingThere: no gateway has ever had its data there.
var errNothingThere = errors.New("no gateway was ever started there")

// begun checks that a gateway has had its data in a folder: a command that only
// looks makes none.
func begun(c config.Config) error {
	kept := c.Data
	if c.Store == "sqlite" {
		kept = filepath.Join(c.Data, "gatehouse.db")
	}
	if _, err := os.Stat(kept); !errors.Is(err, os.ErrNotExist) {
		return nil // there, or an error that opening it explains
	}
	return fmt.Errorf("%w: %s holds nothing of one. `gatehouse run` begins there; where it is elsewhere, name its folder with --data or GATEHOUSE_DATA", errNothingThere, c.Data)
}

// openToLook is openDesk for a command that changes nothing.
func openToLook(ctx context.Context, f flags) (*desk, error) {
	cfg, err := whereabouts(f)
	if err != nil {
		return nil, err
	}
	if err := begun(cfg); err != nil {
		return nil, err
	}
	return openDesk(ctx, f)
}

// openDesk finds the gateway that the flags mean.
func openDesk(ctx context.Context, f flags) (*desk, error) {
	data, err := dataFolder(f)
	if err != nil {
		return nil, err
	}
	if c := dialGateway(ctx, data); c != nil {
		c.Workspace = f.workspace
		return &desk{Client: c, running: true, close: func() error { return nil }}, nil
	}
	_, missing := os.Stat(data)
	a, err := openApp(ctx, f, asCommand())
	if errors.Is(err, errLocked) {
		return nil, fmt.Errorf("%w, but does not answer on %s: it may be starting or stopping; try again", err, socketPath(data))
	}
	if err != nil {
		return nil, err
	}
	if f.data != "" && errors.Is(missing, os.ErrNotExist) { // most likely it was meant to be another one
		fmt.Fprintf(os.Stderr, "gatehouse: there was no data folder %s; it is a new one, with nothing in it\n", data)
	}
	h := api.Handler(a.newOperator(false, ""), a.asOwner, nil)
	return &desk{Client: &api.Client{HTTP: &http.Client{Transport: within{h}}, Base: "http://gatehouse", Workspace: f.workspace}, close: a.close}, nil
}

// quietLogger keeps the store's and the vault's notes out of a command's output.
func quietLogger(_ config.Log, to io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{Level: slog.LevelError}))
}

// dialGateway returns a client of the running gateway, or nil when none runs.
func dialGateway(ctx context.Context, data string) *api.Client {
	path := socketPath(data)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	try, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	c, err := dial(try, "", "")
	if err != nil {
		return nil
	}
	_ = c.Close() // it was only to see that somebody listens
	return &api.Client{HTTP: &http.Client{Transport: &http.Transport{DialContext: dial}}, Base: "http://gatehouse"}
}

// within calls a handler in this process as if over a network.
type within struct{ h http.Handler }

// RoundTrip implements http.RoundTripper. The answer can be read while the
// handler still writes; closing it waits for the handler's end.
func (w within) RoundTrip(r *http.Request) (*http.Response, error) {
	out, in := io.Pipe()
	a := &answer{header: http.Header{}, status: http.StatusOK, begun: make(chan struct{}), ended: make(chan struct{}), in: in, out: out}
	go func() {
		defer close(a.ended)
		w.h.ServeHTTP(a, r)
		a.WriteHeader(http.StatusOK)
		_ = in.Close()
	}()
	<-a.begun
	return &http.Response{
		StatusCode: a.status, Status: http.StatusText(a.status), Header: a.header,
		Body: a, Request: r, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}

// answer passes on what a handler writes.
type answer struct {
	header http.Header
	once   sync.Once
	status int
	begun  chan struct{} // the status is known
	ended  chan struct{}
	in     *io.PipeWriter
	out    *io.PipeReader
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	a.once.Do(func() {
		a.status = status
		close(a.begun)
	})
}

// Write implements http.ResponseWriter.
func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.in.Write(b)
}

// Flush implements http.Flusher: nothing is held back.
func (a *answer) Flush() { a.WriteHeader(http.StatusOK) }

// Read implements io.Reader.
func (a *answer) Read(b []byte) (int, error) { return a.out.Read(b) }

// Close implements io.Closer.
func (a *answer) Close() error {
	err := a.out.Close()
	<-a.ended
	return err
}
