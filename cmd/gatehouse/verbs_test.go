package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var (
	callIn   = regexp.MustCompile(`^(?:! )?(?:exec|exits \d+|eventually '[^']*'|eventually \S+) gatehouse (.+)$`)
	gatewayC = regexp.MustCompile(`^run .*&(\w+)&$|^run &(\w+)&$`)
)

// TestEveryVerbRunningAndStopped: there is no verb that the scripts call in only
// one of the two.
func TestEveryVerbRunningAndStopped(t *testing.T) {
	called := map[bool][]string{}
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, name := range scripts {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		gateway := "" // which runs
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "-- ") {
				break
			}
			if gateway != "" && line == "wait "+gateway {
				gateway = ""
			}
			m := callIn.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			if g := gatewayC.FindStringSubmatch(m[1]); g != nil {
				gateway = g[1] + g[2]
				continue
			}
			called[gateway != ""] = append(called[gateway != ""], m[1]+" ")
		}
	}
	for _, v := range verbsOf(rootCommand()) {
		for running, calls := range called {
			if !slices.ContainsFunc(calls, func(c string) bool { return strings.HasPrefix(c, v+" ") }) {
				t.Errorf("no script calls `gatehouse %s` %s; everyverb.txtar is the place for it", v, map[bool]string{true: "while a gateway runs", false: "while none runs"}[running])
			}
		}
	}
}

// verbsOf are the commands that do something; run is what makes the difference.
func verbsOf(c *cobra.Command) []string {
	var all []string
	for _, s := range c.Commands() {
		switch {
		case s.Name() == "run" || s.Hidden || s.Name() == "help" || s.Name() == "completion":
		case s.HasSubCommands():
			all = append(all, verbsOf(s)...)
		default:
			all = append(all, strings.TrimPrefix(s.CommandPath(), "gatehouse "))
		}
	}
	return all
}
