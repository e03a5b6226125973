//go:build !nowhatsapp

package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/adapters/discord/discordtest"
	"github.com/gatehouse-chat/gatehouse/adapters/slack/slacktest"
	"github.com/gatehouse-chat/gatehouse/adapters/webhook/webhooktest"
	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/cloudtest"
	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/whatsapptest"
	"github.com/gatehouse-chat/gatehouse/internal/porttest"
)

// everywhere is a gateway on all platforms, of which each has an emulator.
type everywhere struct {
	*rig
	slack   *slacktest.Server
	team    *slacktest.Team
	discord *discordtest.Server
	wa      *whatsapptest.Server
	phone   *waRig
	shop    *cloudtest.Server
	program *webhooktest.Server
}

func newEverywhere(t *testing.T, set settings) *everywhere {
	t.Helper()
	set.listen = porttest.Keep(t)
	e := &everywhere{slack: slacktest.NewServer(t), discord: discordtest.NewServer(t), wa: whatsapptest.NewServer(t)}
	e.team = e.slack.Team("T0MAIN000", "Main")
	e.shop, e.program = cloudtest.New("http://"+set.listen+"/hooks/shop"), webhooktest.New("http://"+set.listen+"/hooks/hook")
	t.Cleanup(e.shop.Close)
	t.Cleanup(e.program.Close)
	var b strings.Builder
	open := "dm: open, groups: open, send_rate: unlimited, stream: \"off\""
	fmt.Fprintf(&b, "  team: {adapter: slack, %s, mode: socket, base_url: %q, token: %q, app_token: %q}\n", open, e.slack.URL(), e.team.Token(), e.slack.AppToken())
	fmt.Fprintf(&b, "  guild: {adapter: discord, %s, base_url: %q, token: %q}\n", open, e.discord.URL(), e.discord.Token())
	fmt.Fprintf(&b, "  wa: {adapter: whatsapp, send_rate: unlimited, base_url: %q, trust: %q}\n", e.wa.URL(), whatsapptest.Key())
	fmt.Fprintf(&b, "  shop: {adapter: whatsapp-cloud, dm: open, send_rate: unlimited, base_url: %q, media_url: %q, phone_number_id: %q, app_id: %q, business_id: %q, token: %q, app_secret: %q}\n",
		e.shop.URL(), e.shop.URL(), cloudtest.Number, cloudtest.App, cloudtest.Business, cloudtest.Token, cloudtest.AppSecret)
	fmt.Fprintf(&b, "  hook: {adapter: webhook, verify: {kind: standard-webhooks, secret: %q}, sender: \"{{ .sender }}\", callback_url: %q, callback_secret: %q}\n",
		webhooktest.Secret, e.program.URL(), webhooktest.Secret)
	fmt.Fprintf(&b, "public_url: http://%s\n", set.listen)
	set.extra = b.String() + set.extra
	e.rig = newRig(t, set)
	e.phone = &waRig{t: t, wa: e.wa, model: e.model, dir: e.dir}
	e.phone.link()
	return e
}

// connect starts the gateway and waits until all platforms are connected.
func (e *everywhere) connect() {
	e.t.Helper()
	logins := e.wa.Logins()
	e.up()
	if !eventually(patience, func() bool { return e.discord.Online() && e.wa.Logins() > logins }) {
		e.t.Fatalf("not everything is connected\n%s", e.verb("status"))
	}
}

// exchange says something on a platform, and reports whether it was answered there.
type exchange struct {
	say      func(text string)
	answered func(text string) bool
}

func (e *everywhere) exchanges() map[string]exchange {
	cloud, hook := &cloudRig{e.rig, e.shop}, &hookRig{e.rig, e.program}
	tg, chat := e.person(1001)
	ada, dee := e.team.User("U0ADA0000", "Ada"), e.discord.User("Dee")
	direct, dms := e.team.Direct(ada), e.discord.DM(dee)
	return map[string]exchange{
		"telegram": {func(s string) { chat.Say(tg, s) }, func(s string) bool { return has(texts(e.bot.Delivered()), s) }},
		"slack": {func(s string) { direct.Say(ada, s) }, func(s string) bool {
			for _, l := range direct.Transcript() {
				if l.User == e.team.BotUser && strings.Contains(l.Text, s) {
					return true
				}
			}
			return false
		}},
		"discord": {func(s string) { dms.Say(dee, s) }, func(s string) bool {
			for _, m := range dms.Transcript() {
				if m.Author == e.discord.Bot() && strings.Contains(discordtest.Read(m.Content), s) {
					return true
				}
			}
			return false
		}},
		"whatsapp": {func(s string) { e.wa.Say(e.wa.Owner(), e.wa.Self(), s) }, func(s string) bool { return e.phone.answers(e.wa.Self())[s] == 1 }},
		"cloud": {func(s string) { e.shop.Say(cloudtest.Said{By: "15550002222", Text: s}) }, func(s string) bool {
			n, _ := cloud.answers("15550002222", strings.TrimPrefix(s, "echo: "))
			return n == 1
		}},
		"webhook": {func(s string) {
			e.program.Say(webhooktest.Message{Conversation: "c", Sender: "c", Text: s})
		}, func(s string) bool { return hook.answered("c", strings.TrimPrefix(s, "echo: ")) }},
	}
}

// talk says something on each platform and waits for its echo there.
func (e *everywhere) talk(all map[string]exchange, what string) {
	e.t.Helper()
	for name, p := range all {
		p.say(name + " " + what)
	}
	for name, p := range all {
		if !eventually(patience, func() bool { return p.answered("echo: " + name + " " + what) }) {
			e.t.Errorf("%s: %s is not answered\n%s", name, what, e.verb("status"))
		}
	}
}

// TestEveryChannelAtOnce: one gateway serves all platforms, a message on each is
// answered there and nowhere else, and so is the next one after it was killed.
func TestEveryChannelAtOnce(t *testing.T) {
	e := newEverywhere(t, settings{})
	all := e.exchanges()
	for _, round := range []string{"first", "after a kill"} {
		e.connect()
		e.talk(all, round)
		if said := e.verb("status"); strings.Contains(said, "retrying") || strings.Contains(said, "broken") {
			t.Error(said)
		}
		e.kill()
	}
	for name := range all {
		for _, text := range texts(e.bot.Delivered()) {
			if name != "telegram" && strings.Contains(text, name) {
				t.Errorf("%q came to Telegram", text)
			}
		}
	}
}

func has(all []string, part string) bool {
	return strings.Contains(strings.Join(all, "\n"), part)
}
