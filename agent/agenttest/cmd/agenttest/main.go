// Command agenttest serves a scripted model on loopback, for tests that need it
// in a process of its own. It prints one line, "listening on URL", and serves
// until it is told to end.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "agenttest:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	f := flag.NewFlagSet("agenttest", flag.ContinueOnError)
	addr := f.String("listen", "127.0.0.1:0", "address to listen on")
	key := f.String("key", "", "refuse every other key")
	delay := f.Duration("delay", 0, "before the first byte of each answer")
	each := f.Duration("each", 0, "before each piece of an answer")
	pieces := f.Int("pieces", 1, "into how many pieces an answer is streamed")
	models := f.String("models", "scripted,scripted-mini", "models to list, with commas between them")
	directed := f.Bool("directed", false, `obey texts that begin with "!", such as "!429 2", "!cut" or "!stall"`)
	if err := f.Parse(args); err != nil {
		return err
	}
	script := agenttest.Script(agenttest.Echo)
	if *directed {
		script = agenttest.Directed
	}
	if *delay > 0 || *each > 0 || *pieces > 1 {
		script = slow(script, *delay, *each, *pieces)
	}
	s, err := agenttest.Start(agenttest.Config{Script: script, Key: *key, Addr: *addr, Models: strings.Split(*models, ",")})
	if err != nil {
		return err
	}
	defer s.Close()
	fmt.Println("listening on", s.URL)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
	return nil
}

func slow(s agenttest.Script, delay, each time.Duration, pieces int) agenttest.Script {
	return func(r *agenttest.Request) agenttest.Answer {
		a := s(r)
		if a.Pieces == 0 || pieces > 1 {
			a.Pieces = pieces
		}
		a.Delay, a.Each = delay, each
		return a
	}
}
