package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
)

// TestBurstKeepsTheCap: 32 people who write at the same time get an answer or
// are told of the cap, and all that was spent stays within it.
func TestBurstKeepsTheCap(t *testing.T) {
	t.Parallel()
	const people, limit, price = 32, 2.0, 0.155 // USD; what one answer costs
	r := newRig(t, settings{
		spend: "2", priced: ", max_output: 150, price_in: 100, price_out: 1000",
		script: func(req *agenttest.Request) agenttest.Answer {
			a := agenttest.Echo(req)
			a.Usage = agenttest.Tokens{Input: 50, Output: 150}
			a.Pieces, a.Each = 4, 100*time.Millisecond // so that they meet
			return a
		},
	})
	r.up()
	for i := range people {
		user, chat := r.person(int64(2001 + i))
		chat.Say(user, "hello")
	}
	log := r.await("an answer for everybody", func(log telegramtest.Log) bool {
		return len(log.Of(telegramtest.Sent)) >= people
	})
	answered, told := 0, 0
	for _, d := range log.Of(telegramtest.Sent) {
		if strings.Contains(d.Text, "daily spending cap is reached") {
			told++
		} else {
			answered++
		}
	}
	if answered+told != people || float64(answered)*price > limit || float64(answered+2)*price < limit {
		t.Errorf("%d were answered and %d told of the cap; each answer costs %v of %v", answered, told, price, limit)
	}
	var s struct{ Spent struct{ USD float64 } }
	if err := json.Unmarshal([]byte(r.verb("status", "--json")), &s); err != nil {
		t.Fatal(err)
	}
	if s.Spent.USD > limit || s.Spent.USD < float64(answered)*price-0.001 {
		t.Errorf("%v is said to be spent of %v", s.Spent.USD, limit)
	}
}
