package inprocess_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/bustest"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	bustest.Run(t, func(testing.TB) bustest.Harness {
		var clock bustest.Clock
		return bustest.Harness{
			Open: func(_ testing.TB, limit int) bus.Engine {
				return inprocess.New(inprocess.Options{Now: clock.Now, Limit: limit})
			},
			Now: clock.Now, Advance: clock.Advance,
		}
	})
}
