// Command telegramtest runs the Bot API emulator as a process of its own, so that
// it lives through the deaths of the bot it tests.
//
// When it is ready it prints one line of JSON with the address for the bot, the
// control address (see telegramtest.Dial) and the token:
//
//	{"url":"http://127.0.0.1:4001","control":"http://127.0.0.1:4002","token":"..."}
//
// It ends on SIGINT or SIGTERM and, with -until-eof, when its standard input
// ends, so that it does not outlive the test that started it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "telegramtest:", err)
		os.Exit(1)
	}
}

// flags are the command line.
type flags struct {
	listen, control, token, name, username string
	latency                                time.Duration
	limits, readAll, strictHooks, untilEOF bool
}

func parse(args []string) (flags, error) {
	var f flags
	set := flag.NewFlagSet("telegramtest", flag.ContinueOnError)
	set.StringVar(&f.listen, "listen", "127.0.0.1:0", "address for the bot")
	set.StringVar(&f.control, "control", "127.0.0.1:0", "address for the test; keep it on loopback")
	set.StringVar(&f.token, "token", "", "the bot's token, such as 123456:secret")
	set.StringVar(&f.name, "name", "Test Bot", "the bot's name")
	set.StringVar(&f.username, "username", "gatehouse_test_bot", "the bot's username")
	set.DurationVar(&f.latency, "latency", 0, "time that each call takes on its way")
	set.BoolVar(&f.limits, "limits", false, "enforce the platform's rate limits")
	set.BoolVar(&f.readAll, "no-privacy", false, "let the bot see every message of its groups")
	set.BoolVar(&f.strictHooks, "strict-webhooks", false, "take https webhooks on public ports only")
	set.BoolVar(&f.untilEOF, "until-eof", false, "end when the standard input ends")
	err := set.Parse(args)
	return f, err
}

func (f flags) options() []telegramtest.Option {
	opts := []telegramtest.Option{telegramtest.WithAddr(f.listen), telegramtest.WithBot(f.name, f.username)}
	if f.token != "" {
		opts = append(opts, telegramtest.WithToken(f.token))
	}
	if f.readAll {
		opts = append(opts, telegramtest.WithoutPrivacy())
	}
	if f.strictHooks {
		opts = append(opts, telegramtest.WithStrictWebhooks())
	}
	return opts
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	f, err := parse(args)
	if err != nil {
		return err
	}
	srv, err := telegramtest.Start(f.options()...)
	if err != nil {
		return err
	}
	defer srv.Close()
	srv.SetLatency(f.latency)
	if f.limits {
		srv.SetLimits(telegramtest.PlatformLimits())
	}
	listener, err := net.Listen("tcp", f.control)
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	control := &http.Server{Handler: srv.Control(), ReadHeaderTimeout: time.Minute}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if f.untilEOF {
		go func() {
			defer cancel()
			_, _ = io.Copy(io.Discard, stdin)
		}()
	}
	defer context.AfterFunc(ctx, func() { _ = control.Close() })()
	ready := map[string]string{"url": srv.URL(), "control": "http://" + listener.Addr().String(), "token": srv.Token()}
	if err := json.NewEncoder(stdout).Encode(ready); err != nil {
		return err
	}
	if err := control.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
