package gateway

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// opened is the running channel with this configuration, or else one that is
// opened for a moment, without receiving.
func (g *Gateway) opened(ctx context.Context, c ChannelConfig) (channels.Channel, error) {
	if l := g.line(c.ID); l != nil && l.fits(c) {
		return l.ch, nil
	}
	return c.Driver.Open(ctx, newHost(g, c), c.Section)
}

// Link connects an account to a channel by a person's hand, and blocks until
// that is done, has failed, or ctx ends. show gets each code: the content of a QR
// code, or with a phone's number what is to be typed into it.
func (g *Gateway) Link(ctx context.Context, c ChannelConfig, number string, show func(code string)) error {
	ch, err := g.opened(ctx, c)
	if err != nil {
		return err
	}
	if number != "" {
		if p, ok := channels.As[channels.PhoneLinker](ch); ok {
			return p.LinkPhone(ctx, number, show)
		}
		return fmt.Errorf("%s cannot be linked by a phone's number: %w", c.Driver.Name(), errors.ErrUnsupported)
	}
	l, ok := channels.As[channels.Linker](ch)
	if !ok {
		return fmt.Errorf("%s has nothing to link: %w", c.Driver.Name(), errors.ErrUnsupported)
	}
	return l.Link(ctx, show)
}

// Probe asks a channel's platform who it is. It works for channels that are not
// running.
func (g *Gateway) Probe(ctx context.Context, c ChannelConfig) (channels.Identity, error) {
	ch, err := g.opened(ctx, c)
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
