package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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

// refused is a channel that ends at once with a reason, until it is let in.
type refused struct {
	*chat
	host channels.Host
	in   atomic.Bool
}

func (r *refused) Run(ctx context.Context, _ channels.Sink) error {
	r.host.Report(channels.Health{Phase: channels.Connecting})
	if !r.in.Load() {
		err := errors.New("the token is not valid")
		r.host.Report(channels.Health{Phase: channels.Broken, Err: err})
		return err
	}
	r.host.Report(channels.Health{Phase: channels.Connected})
	<-ctx.Done()
	return nil
}

type refusedDriver struct {
	driver
	c *refused
}

func (d refusedDriver) Open(_ context.Context, h channels.Host, _ json.RawMessage) (channels.Channel, error) {
	d.c.host = h
	return d.c, nil
}

// TestARefusedChannel is tried for hours with few lines in the log, and at once
// when somebody has mended why.
func TestARefusedChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		r := newRig(t, rigOptions{log: slog.New(slog.NewTextHandler(&log, nil))})
		c := &refused{chat: newChat()}
		if err := r.gw.Apply(t.Context(), []gateway.ChannelConfig{{ID: "x", Driver: refusedDriver{c: c}, Section: json.RawMessage("{}")}}); err != nil {
			t.Fatal(err)
		}
		<-time.After(5 * time.Hour)
		c.in.Store(true)
		r.gw.Mended()
		synctest.Wait()
		for _, s := range r.gw.Channels() {
			if s.ID == "x" && s.Phase != channels.Connected {
				t.Errorf("after it was mended it is %s", s.Phase)
			}
		}
		r.stop()
		_ = r.bus.Close()
		for want, n := range map[string]int{"channel=x kind=connecting": 0, "channel=x kind=broken": 1, "channel ended": 1, "channel=x kind=connected": 1} {
			if got := strings.Count(log.String(), want); got != n {
				t.Errorf("%q stands %d times in the log, want %d:\n%s", want, got, n, log.String())
			}
		}
	})
}
