package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-chat/gatehouse/adapters/guests"
	"github.com/gatehouse-chat/gatehouse/adapters/wasm"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/module/practice"
	"github.com/gatehouse-chat/gatehouse/internal/module/project"
	"github.com/gatehouse-chat/gatehouse/internal/module/shelf"
)

// lookEvery is how often a project is looked at for changes.
const lookEvery = 150 * time.Millisecond

func devCommand(f *flags) *cobra.Command {
	watch, into := false, false
	c := &cobra.Command{
		Use: "dev [FOLDER]", Short: "Compile and test a project, and again at every change", Args: args(cobra.MaximumNArgs(1)),
		Long: "Compile a project and make its tests; with --watch again at every change, until you\n" +
			"stop it. With --install each one that passes is put into the gateway, without a\n" +
			"signature and with all that its manifest wants: do that on a machine of your own.",
	}
	c.Flags().BoolVar(&watch, "watch", false, "go on, and do it again at every change")
	c.Flags().BoolVar(&into, "install", false, "put each one that passes into the gateway (as with --dev)")
	c.RunE = func(c *cobra.Command, a []string) error {
		d := newBench()
		defer d.Close() //nolint:errcheck // the process ends
		p, err := project.Open(folder(a), guests.Engine)
		if err != nil {
			return err
		}
		b := &bench{flags: *f, project: p, driver: d, out: c.OutOrStdout(), into: into}
		for {
			seen, err := p.Modified()
			if err != nil {
				return err
			}
			err = b.round(c.Context())
			switch {
			case !watch || c.Context().Err() != nil:
				return err
			case err != nil:
				fmt.Fprintln(b.out, failure(err))
			}
			if b.changed(c.Context(), seen) != nil {
				return nil // told to stop
			}
		}
	}
	return c
}

// bench is where a project is tried out.
type bench struct {
	flags   flags
	project project.Project
	driver  *wasm.Driver
	out     io.Writer
	into    bool
}

// round compiles and tests the project once.
func (b *bench) round(ctx context.Context) error {
	began := time.Now()
	code, err := b.project.Build(ctx, b.out, true)
	if err != nil {
		return err
	}
	built := time.Since(began)
	pkg, m, err := b.project.Pack(code)
	if err != nil {
		return err
	}
	all, err := b.driver.Quick(ctx, pkg)
	if err != nil {
		return unloaded(err, b.project.Dir)
	}
	failed := 0
	for _, r := range all {
		if r.Err != nil {
			failed++
		}
	}
	printResults(b.out, all, b.project.Dir, false)
	if failed > 0 {
		return fmt.Errorf("%w: %d of %d tests failed", errTests, failed, len(all))
	}
	where := ""
	if b.into {
		how, err := b.install(ctx, pkg, m)
		if err != nil {
			return err
		}
		where = ", " + how
	}
	fmt.Fprintf(b.out, "%s  %s %s: built in %s, %d tests pass%s; %s in all\n", time.Now().Format("15:04:05"), m.ID, m.Version,
		rounded(built), len(all), where, rounded(time.Since(began)))
	return nil
}

func rounded(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }

// install puts what was built into the gateway, unless it is there already, and
// says which.
func (b *bench) install(ctx context.Context, pkg []byte, m *module.Manifest) (how string, err error) {
	defer func() { err = ofFullDisk(err, b.flags) }()
	d, err := openDesk(ctx, b.flags)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if same, err := installed(ctx, d, pkg, m.ID); same || err != nil {
		return "unchanged in the gateway", err
	}
	plan, err := d.PlanModule(ctx, pkg, true)
	if err != nil {
		return "", err
	}
	printLines(b.out, "it is granted in addition:", "  + ", plan.More)
	in, err := d.InstallModule(ctx, pkg, plan.Sum, true)
	if err == nil && m.Tool != nil && plan.From == "" {
		fmt.Fprint(b.out, offered(m.ID))
	}
	if err == nil && m.Tool == nil && len(in.Channels) == 0 {
		fmt.Fprintf(b.out, "`gatehouse channels add %s` makes a channel of it\n", m.ID)
	}
	return "in the gateway", err
}

// installed reports whether the module that is in use is this package.
func installed(ctx context.Context, d *desk, pkg []byte, id string) (bool, error) {
	all, err := d.Modules(ctx)
	return slices.ContainsFunc(all, func(m operator.Module) bool { return m.ID == id && m.Current.Sum == shelf.Sum(pkg) }), err
}

// changed waits for a change of the project since it was seen. Its error is
// that of ctx.
func (b *bench) changed(ctx context.Context, seen project.State) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if now, err := b.project.Modified(); err == nil && now != seen {
			return nil
		}
	}
}

func practiceCommand() *cobra.Command {
	at, token := "", ""
	c := &cobra.Command{
		Use: "practice", Short: "Run a small chat platform, and talk to your channel on it", Args: args(cobra.NoArgs),
		Long: "Run a small chat platform on this machine: the one that a new project speaks to.\n" +
			"What you type is said to the bot, and what the bot answers is shown. Nothing is\n" +
			"kept.",
	}
	c.Flags().StringVar(&at, "listen-on", "127.0.0.1:8099", "where it listens")
	c.Flags().StringVar(&token, "token", "", "the bot's token (default: a new one, which is shown)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if token == "" {
			token = rand.Text()
		}
		l, err := (&net.ListenConfig{}).Listen(c.Context(), "tcp", at)
		if err != nil {
			return fmt.Errorf("listen (another address: --listen-on): %w", err)
		}
		return rehearse(c, l, practice.New(token), token)
	}
	return c
}

// rehearse serves the platform, has the person say what is typed, and shows what the
// bot answers.
func rehearse(c *cobra.Command, l net.Listener, p *practice.Platform, token string) error {
	out := c.OutOrStdout()
	fmt.Fprintf(out, "base_url  http://%s\ntoken     %s\nType what you want to say to the bot; Ctrl-C ends it.\n", l.Addr(), token)
	group, ctx := errgroup.WithContext(c.Context())
	server := &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	group.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
	group.Go(func() error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		for n := 0; ; {
			said, err := p.Said(ctx, n)
			if err != nil {
				return nil
			}
			n += len(said)
			for _, m := range said {
				mark := "bot: "
				if m.Edited {
					mark = "bot, in place of that: "
				}
				fmt.Fprintln(out, mark+printable(m.Text))
			}
		}
	})
	// A read from a terminal cannot be taken back: it ends with the process.
	go func() {
		for lines := bufio.NewScanner(c.InOrStdin()); lines.Scan(); {
			if lines.Text() != "" {
				p.Say("you", lines.Text())
			}
		}
	}()
	return group.Wait()
}
