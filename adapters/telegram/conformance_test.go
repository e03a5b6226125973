package telegram_test

import (
	"flag"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram"
	"github.com/gatehouse-chat/gatehouse/adapters/telegram/stagetest"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
)

var update = flag.Bool("update", false, "write the formatting goldens anew")

func TestConformance(t *testing.T) {
	for _, mode := range []string{"poll", "webhook"} {
		t.Run(mode, func(t *testing.T) {
			channeltest.Run(t, channeltest.Suite{
				Driver: telegram.Driver{Watch: time.Second},
				New:    func(t testing.TB, _ string) *channeltest.Harness { return stagetest.New(t, mode).Harness() },
				Lacks:  stagetest.Lacks(mode),
				Update: *update,
			})
		})
	}
}
