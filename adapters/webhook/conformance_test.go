package webhook_test

import (
	"flag"
	"testing"

	"github.com/gatehouse-chat/gatehouse/adapters/webhook"
	"github.com/gatehouse-chat/gatehouse/adapters/webhook/stagetest"
	"github.com/gatehouse-chat/gatehouse/adapters/webhook/webhooktest"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
)

var update = flag.Bool("update", false, "write the goldens anew")

// secretRef names the secret of requests and callbacks.
const secretRef = stagetest.SecretRef

func TestConformance(t *testing.T) {
	channeltest.Run(t, channeltest.Suite{
		Driver: webhook.Driver{},
		New: func(_ testing.TB, public string) *channeltest.Harness {
			return stagetest.Harness(webhooktest.New(public))
		},
		Lacks:  stagetest.Lacks(),
		Update: *update,
	})
}
