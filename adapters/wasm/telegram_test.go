package wasm_test

import (
	"encoding/json"
	"testing"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/stagetest"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
)

// TestTelegramConformance holds the guest to what the native adapter is held to,
// on the same stage and with the same goldens.
func TestTelegramConformance(t *testing.T) {
	d := newDriver(t, "telegram")
	for _, mode := range []string{"poll", "webhook"} {
		t.Run(mode, func(t *testing.T) {
			channeltest.Run(t, channeltest.Suite{
				Driver: d.For(json.RawMessage(`{"module":"telegram"}`)),
				New: func(t testing.TB, _ string) *channeltest.Harness {
					s := stagetest.New(t, mode)
					h := s.Harness()
					h.Config = s.Config("module", "telegram")
					return h
				},
				Lacks:  stagetest.Lacks(mode),
				Golden: "../telegram/testdata/format",
			})
		})
	}
}
