//go:build !nowhatsapp

package main

import (
	"os"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/adapters/console"
	"github.com/gatehouse-chat/gatehouse/adapters/discord"
	"github.com/gatehouse-chat/gatehouse/adapters/slack"
	"github.com/gatehouse-chat/gatehouse/adapters/telegram"
	"github.com/gatehouse-chat/gatehouse/adapters/webhook"
	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp"
	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud"
	"github.com/gatehouse-chat/gatehouse/channels"
)

// TestPlatformsPageTellsWhatEachCan: the table at the top of docs/channels.md says
// yes where an adapter has the capability, and nothing else where it has not.
func TestPlatformsPageTellsWhatEachCan(t *testing.T) {
	adapters := []channels.Channel{
		(*telegram.Channel)(nil), (*slack.Channel)(nil), (*discord.Channel)(nil), (*whatsapp.Channel)(nil),
		(*cloud.Channel)(nil), (*webhook.Channel)(nil), (*console.Channel)(nil),
	}
	page, err := os.ReadFile("../../docs/channels.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][]string{}
	for line := range strings.Lines(string(page)) {
		if cells := strings.Split(strings.Trim(line, "|\n "), " | "); len(cells) == 1+len(adapters) {
			rows[cells[0]] = cells[1:]
		}
	}
	for row, can := range map[string]func(channels.Channel) bool{
		"files from people":               func(c channels.Channel) bool { _, ok := c.(channels.Fetcher); return ok },
		"changes its messages":            func(c channels.Channel) bool { _, ok := c.(channels.Editor); return ok },
		"deletes its messages":            func(c channels.Channel) bool { _, ok := c.(channels.Deleter); return ok },
		"reacts":                          func(c channels.Channel) bool { _, ok := c.(channels.Reactor); return ok },
		"shows that it is at work":        func(c channels.Channel) bool { _, ok := c.(channels.Typer); return ok },
		"commands in the platform's menu": func(c channels.Channel) bool { _, ok := c.(channels.Commander); return ok },
	} {
		cells := rows[row]
		if cells == nil {
			t.Errorf("the table has no row %q", row)
			continue
		}
		for i, a := range adapters {
			if says := cells[i] == "yes"; says != can(a) {
				t.Errorf("%q of %T: the page says %q, the adapter %v", row, a, cells[i], can(a))
			}
		}
	}
}
