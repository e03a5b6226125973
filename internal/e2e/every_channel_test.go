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
)

// TestEveryChannelAtOnce: one gateway serves all platforms, a message on each is
// answered there and nowhere else, and so is the next one after it was killed.
func TestEveryChannelAtOnce(t *testing.T) {
	listen := freePort(t)
	slack, discord := slacktest.NewServer(t), discordtest.NewServer(t)
	team := slack.Team("T0MAIN000", "Main")
	wa := whatsapptest.NewServer(t)
	shop, program := cloudtest.New("http://"+listen+"/hooks/shop"), webhooktest.New("http://"+listen+"/hooks/hook")
	t.Cleanup(shop.Close)
	t.Cleanup(program.Close)
	var b strings.Builder
	open := "dm: open, groups: open, send_rate: unlimited, stream: \"off\""
	fmt.Fprintf(&b, "  team: {adapter: slack, %s, mode: socket, base_url: %q, token: %q, app_token: %q}\n", open, slack.URL(), team.Token(), slack.AppToken())
	fmt.Fprintf(&b, "  guild: {adapter: discord, %s, base_url: %q, token: %q}\n", open, discord.URL(), discord.Token())
	fmt.Fprintf(&b, "  wa: {adapter: whatsapp, send_rate: unlimited, base_url: %q, trust: %q}\n", wa.URL(), whatsapptest.Key())
	fmt.Fprintf(&b, "  shop: {adapter: whatsapp-cloud, dm: open, send_rate: unlimited, base_url: %q, media_url: %q, phone_number_id: %q, app_id: %q, business_id: %q, token: %q, app_secret: %q}\n",
		shop.URL(), shop.URL(), cloudtest.Number, cloudtest.App, cloudtest.Business, cloudtest.Token, cloudtest.AppSecret)
	fmt.Fprintf(&b, "  hook: {adapter: webhook, verify: {kind: standard-webhooks, secret: %q}, sender: \"{{ .sender }}\", callback_url: %q, callback_secret: %q}\n",
		webhooktest.Secret, program.URL(), webhooktest.Secret)
	fmt.Fprintf(&b, "public_url: http://%s\n", listen)
	r := newRig(t, settings{listen: listen, extra: b.String()})

	phone := &waRig{t: t, wa: wa, model: r.model, dir: r.dir}
	phone.link()
	cloud, hook := &cloudRig{r, shop}, &hookRig{r, program}
	tg, chat := r.person(1001)
	ada, dee := team.User("U0ADA0000", "Ada"), discord.User("Dee")
	direct, dms := team.Direct(ada), discord.DM(dee)
	says := map[string]struct {
		say      func(text string)
		answered func(text string) bool
	}{
		"telegram": {func(s string) { chat.Say(tg, s) }, func(s string) bool { return has(texts(r.bot.Delivered()), s) }},
		"slack": {func(s string) { direct.Say(ada, s) }, func(s string) bool {
			for _, l := range direct.Transcript() {
				if l.User == team.BotUser && strings.Contains(l.Text, s) {
					return true
				}
			}
			return false
		}},
		"discord": {func(s string) { dms.Say(dee, s) }, func(s string) bool {
			for _, m := range dms.Transcript() {
				if m.Author == discord.Bot() && strings.Contains(discordtest.Read(m.Content), s) {
					return true
				}
			}
			return false
		}},
		"whatsapp": {func(s string) { wa.Say(wa.Owner(), wa.Self(), s) }, func(s string) bool { return phone.answers(wa.Self())[s] == 1 }},
		"cloud": {func(s string) { shop.Say(cloudtest.Said{By: "15550002222", Text: s}) }, func(s string) bool {
			n, _ := cloud.answers("15550002222", strings.TrimPrefix(s, "echo: "))
			return n == 1
		}},
		"webhook": {func(s string) {
			program.Say(webhooktest.Message{Conversation: "c", Sender: "c", Text: s})
		}, func(s string) bool { return hook.answered("c", strings.TrimPrefix(s, "echo: ")) }},
	}
	for _, round := range []string{"first", "after a kill"} {
		logins := wa.Logins()
		r.up()
		if !eventually(patience, func() bool { return discord.Online() && wa.Logins() > logins }) {
			t.Fatalf("not everything is connected\n%s", r.verb("status"))
		}
		for name, p := range says {
			p.say(name + " " + round)
		}
		for name, p := range says {
			if !eventually(patience, func() bool { return p.answered("echo: " + name + " " + round) }) {
				t.Errorf("%s: %s is not answered\n%s", name, round, r.verb("status"))
			}
		}
		if said := r.verb("status"); strings.Contains(said, "retrying") || strings.Contains(said, "broken") {
			t.Error(said)
		}
		r.kill()
	}
	for name := range says {
		for _, text := range texts(r.bot.Delivered()) {
			if name != "telegram" && strings.Contains(text, name) {
				t.Errorf("%q came to Telegram", text)
			}
		}
	}
}

func has(all []string, part string) bool {
	return strings.Contains(strings.Join(all, "\n"), part)
}
