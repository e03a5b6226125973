package slack_test

import (
	"flag"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/slack"
	"github.com/gatehouse-chat/gatehouse/adapters/slack/stagetest"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
)

var update = flag.Bool("update", false, "write the formatting goldens anew")

func TestConformance(t *testing.T) {
	for _, mode := range []string{"socket", "events"} {
		t.Run(mode, func(t *testing.T) {
			channeltest.Run(t, channeltest.Suite{
				Driver: slack.Driver{Watch: 100 * time.Millisecond},
				New: func(t testing.TB, public string) *channeltest.Harness {
					return stagetest.New(t, mode, public).Harness()
				},
				Lacks:  stagetest.Lacks(mode),
				Update: *update,
			})
		})
	}
}
