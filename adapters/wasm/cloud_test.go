package wasm_test

import (
	"encoding/json"
	"testing"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/cloudtest"
	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/stagetest"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
)

// TestWhatsAppCloudConformance holds the guest to what the native adapter is held
// to, on the same stage and with the same goldens.
func TestWhatsAppCloudConformance(t *testing.T) {
	d := newDriver(t, "whatsapp-cloud")
	channeltest.Run(t, channeltest.Suite{
		Driver: d.For(json.RawMessage(`{"module":"whatsapp-cloud"}`)),
		New: func(_ testing.TB, public string) *channeltest.Harness {
			p := cloudtest.New(public)
			h := stagetest.Harness(p)
			h.Config = stagetest.Section(p, "module", "whatsapp-cloud")
			return h
		},
		Lacks:  stagetest.Lacks(),
		Golden: "../whatsapp/cloud/testdata/format",
	})
}
