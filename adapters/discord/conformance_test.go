package discord_test

import (
	"flag"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/discord"
	"github.com/gatehouse-chat/gatehouse/adapters/discord/stagetest"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
)

var update = flag.Bool("update", false, "write the goldens anew")

// quick is a driver that waits less long than the platform asks for.
var quick = discord.Driver{Settle: 50 * time.Millisecond}

func TestConformance(t *testing.T) {
	channeltest.Run(t, channeltest.Suite{
		Driver: quick,
		New:    func(t testing.TB, _ string) *channeltest.Harness { return stagetest.New(t).Harness() },
		Lacks:  stagetest.Lacks(),
		Update: *update,
	})
}
