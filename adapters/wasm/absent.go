package wasm

import (
	"context"
	"encoding/json"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/link"
)

// absent is the driver of channels whose module is not installed. They wait for
// it, and what is to be sent there waits as well: the other channels run.
type absent struct{ why error }

var _ channels.Driver = absent{}

// Name implements channels.Driver.
func (absent) Name() string { return driverName }

// Schema implements channels.Driver.
func (absent) Schema() []byte { return []byte(ownSchema) }

// Check implements channels.Driver: what the keys should be is not known.
func (absent) Check(json.RawMessage) []channels.Fault { return nil }

// Edition differs from that of every module.
func (absent) Edition() string { return "absent" }

// Open implements channels.Driver.
func (a absent) Open(_ context.Context, h channels.Host, _ json.RawMessage) (channels.Channel, error) {
	return &waiting{h: h, why: a.why}, nil
}

// waiting is a channel without its module.
type waiting struct {
	h   channels.Host
	why error
}

var _ channels.Channel = (*waiting)(nil)

// Run implements channels.Channel.
func (w *waiting) Run(ctx context.Context, _ channels.Sink) error {
	health := link.Reporter{Host: w.h}
	health.Report(channels.Health{Phase: channels.Broken, Err: w.why, Fix: fixAbsent})
	<-ctx.Done()
	return nil
}

// Send implements channels.Channel.
func (w *waiting) Send(context.Context, channels.Part) (channels.Receipt, error) {
	return channels.Receipt{}, &channels.Error{
		Op: "send", Channel: w.h.ID(), Kind: channels.Transient, RetryAfter: firstPause, Err: w.why,
	}
}

// Features implements channels.Channel.
func (*waiting) Features(channels.Address) channels.Features { return channels.Features{} }
