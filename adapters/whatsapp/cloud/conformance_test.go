package cloud_test

import (
	"flag"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud"
	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/cloudtest"
	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/stagetest"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
)

var update = flag.Bool("update", false, "write the goldens anew")

func TestConformance(t *testing.T) {
	channeltest.Run(t, channeltest.Suite{
		Driver: cloud.Driver{Watch: 200 * time.Millisecond},
		New: func(_ testing.TB, public string) *channeltest.Harness {
			return stagetest.Harness(cloudtest.New(public))
		},
		Lacks: stagetest.Lacks(), Update: *update,
	})
}
