package channeltest_test

import (
	"flag"
	"testing"

	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
)

var update = flag.Bool("update", false, "write the goldens anew")

func TestLoop(t *testing.T) {
	s := channeltest.LoopSuite()
	s.Update = *update
	channeltest.Run(t, s)
}
