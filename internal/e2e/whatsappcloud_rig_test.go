package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/cloudtest"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
	"github.com/gatehouse-chat/gatehouse/internal/porttest"
)

// cloudRig is a gateway with a WhatsApp number beside the Telegram bot.
type cloudRig struct {
	*rig
	shop *cloudtest.Server
}

// newCloudRig writes the channel "shop" below the rig's own.
func newCloudRig(t *testing.T, set settings, guest bool) *cloudRig {
	t.Helper()
	adapter := "adapter: whatsapp-cloud"
	if guest {
		adapter, set.binary = "adapter: wasm, module: whatsapp-cloud", withGuests(t)
	}
	set.listen = porttest.Keep(t)
	p := cloudtest.New("http://" + set.listen + "/hooks/shop")
	t.Cleanup(p.Close)
	policy := set.policy
	if policy == "" {
		policy = "open"
	}
	set.extra += fmt.Sprintf(`  shop: {%s, dm: %s, send_rate: unlimited, base_url: %q, media_url: %q, phone_number_id: %q, app_id: %q, business_id: %q, token: %q, app_secret: %q}
public_url: http://%s
`, adapter, policy, p.URL(), p.URL(), cloudtest.Number, cloudtest.App, cloudtest.Business, cloudtest.Token, cloudtest.AppSecret, set.listen)
	r := &cloudRig{newRig(t, set), p}
	if guest {
		shareCompiled(t, r.dir)
	}
	return r
}

// answers are what a person was sent that answers a text, and how many of them
// say that they may be repetitions.
func (r *cloudRig) answers(who, text string) (all, marked int) {
	for _, m := range r.shop.Shown(who) {
		if strings.Contains(m.Text, "echo: "+text) {
			all++
			if !strings.HasPrefix(m.Text, "echo: ") {
				marked++
			}
		}
	}
	return all, marked
}

// ask says something and waits until it is answered.
func (r *cloudRig) ask(who, text string) {
	r.t.Helper()
	r.shop.Say(cloudtest.Said{By: who, Text: text})
	r.awaitAnswer(who, text)
}

func (r *cloudRig) awaitAnswer(who, text string) {
	r.t.Helper()
	if !eventually(patience, func() bool { n, _ := r.answers(who, text); return n > 0 }) {
		r.t.Errorf("%q is not answered; shown: %+v; problems: %q", text, r.shop.Shown(who), r.shop.Problems())
	}
}

// delayed answers after a moment, so that there is something to die in.
func delayed(d time.Duration) agenttest.Script {
	return func(q *agenttest.Request) agenttest.Answer {
		a := agenttest.Echo(q)
		a.Delay = d
		return a
	}
}
