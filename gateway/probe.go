package gateway

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// Probe opens a channel for a moment, without receiving, and asks its platform
// who it is. It works for channels that are not running.
func (g *Gateway) Probe(ctx context.Context, c ChannelConfig) (channels.Identity, error) {
	ch, err := c.Driver.Open(ctx, newHost(g, c), c.Section)
	if err != nil {
		return channels.Identity{}, err
	}
	p, ok := channels.As[channels.Prober](ch)
	if !ok {
		return channels.Identity{}, fmt.Errorf("%s cannot be probed: %w", c.Driver.Name(), errors.ErrUnsupported)
	}
	return p.Probe(ctx)
}

// StartLink makes a link that opens a chat with a running channel's bot and
// hands it a code; errors.ErrUnsupported where the platform has none.
func (g *Gateway) StartLink(ctx context.Context, id channels.ID, code string) (string, error) {
	l := g.line(id)
	if l == nil {
		return "", fmt.Errorf("channel %s is not running", id)
	}
	return startLink(ctx, l.ch, code)
}

// StartLinkOf does the same for a channel that is not running.
func (g *Gateway) StartLinkOf(ctx context.Context, c ChannelConfig, code string) (string, error) {
	ch, err := c.Driver.Open(ctx, newHost(g, c), c.Section)
	if err != nil {
		return "", err
	}
	return startLink(ctx, ch, code)
}

func startLink(ctx context.Context, ch channels.Channel, code string) (string, error) {
	s, ok := channels.As[channels.Starter](ch)
	if !ok {
		return "", errors.ErrUnsupported
	}
	return s.StartLink(ctx, code)
}
