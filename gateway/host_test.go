package gateway_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
)

// TestTroubleIsLogged: whoever reads the log alone learns each phase of a channel
// and each reason once, however often it is reported.
func TestTroubleIsLogged(t *testing.T) {
	var log bytes.Buffer
	d := &hosted{driver: driver{newChat()}}
	r := newRig(t, rigOptions{log: slog.New(slog.NewTextHandler(&log, nil))})
	if err := r.gw.Apply(t.Context(), []gateway.ChannelConfig{{ID: "x", Driver: d, Section: json.RawMessage("{}")}}); err != nil {
		t.Fatal(err)
	}
	for _, why := range []string{"refused", "refused", "reset", "reset", "refused"} {
		d.host.Report(channels.Health{Phase: channels.Retrying, Err: errors.New(why)})
	}
	r.stop()
	for want, n := range map[string]int{"kind=retrying err=refused": 2, "kind=retrying err=reset": 1} {
		if got := strings.Count(log.String(), want); got != n {
			t.Errorf("%q stands %d times in the log, want %d:\n%s", want, got, n, log.String())
		}
	}
}
