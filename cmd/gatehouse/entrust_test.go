package main

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/gatehouse-chat/gatehouse/adapters/discord"
	"github.com/gatehouse-chat/gatehouse/gateway"
)

// TestDiscordTokenGoesWhereSessionsResume: the platform chooses the first label
// of the host at which a session is resumed; the token may go there, and
// nowhere else that is not named in full.
func TestDiscordTokenGoesWhereSessionsResume(t *testing.T) {
	all := bindings(nil, []gateway.ChannelConfig{{ID: "team", Driver: discord.Driver{}, Section: json.RawMessage(`{"token":"secret://bot"}`)}})
	if len(all) != 1 {
		t.Fatalf("%+v", all)
	}
	want := []string{"cdn.discordapp.com:443", "discord.com:443", "gateway.discord.gg:443", "*.discord.gg:443"}
	got := slices.Clone(all[0].Hosts)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
