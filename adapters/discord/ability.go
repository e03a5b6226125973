package discord

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/gatehouse-chat/gatehouse/adapters/discord/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/attempt"
)

// Probe implements channels.Prober.
func (c *Channel) Probe(ctx context.Context) (channels.Identity, error) {
	who, err := c.ask(ctx)
	if err != nil {
		return channels.Identity{}, err
	}
	out := channels.Identity{Account: channels.AccountID(who.ID), Name: who.Name, Handle: who.Name, Link: codec.Invitation(who.App)}
	var guilds []struct{}
	if err := c.api.get(ctx, "/users/@me/guilds?limit=1", &guilds); err != nil {
		return channels.Identity{}, err
	}
	var gate codec.Gate
	if err := c.api.get(ctx, "/gateway/bot", &gate); err != nil {
		return channels.Identity{}, err
	}
	out.Notes = append(who.app.Notes(len(guilds), c.cfg.MessageContent), gate.Notes()...)
	return out, nil
}

// Register implements channels.Commander. The platform is asked only when the
// list has changed since it was last set for this bot.
func (c *Channel) Register(ctx context.Context, commands []channels.CommandSpec) error {
	self, err := c.self(ctx)
	if err != nil {
		return err
	}
	var list []codec.Offer
	for _, s := range commands {
		list = append(list, codec.Offer{Name: s.Name, Help: s.Help, Args: s.Args})
	}
	call, err := codec.Commands(self.App, list)
	if err != nil {
		return c.api.fail("register", channels.Rejected, err)
	}
	sum := sha256.Sum256(call.Body)
	key, hash := "commands/"+self.ID, hex.EncodeToString(sum[:])
	if old, err := c.host.State().Get(ctx, key); err == nil && string(old) == hash {
		return nil
	}
	if _, err := c.api.invoke(ctx, call); err != nil {
		return err
	}
	if err := c.host.State().Put(ctx, channels.Write{Key: key, Value: []byte(hash)}); err != nil {
		return c.api.fail("register", channels.Other, fmt.Errorf("set, but not remembered: %w", err))
	}
	return nil
}

// Reload implements channels.Reloader. Only the reaction changes in place.
func (c *Channel) Reload(_ context.Context, cfg []byte) error {
	s, faults := parse(cfg)
	if len(faults) > 0 {
		return fmt.Errorf("%s %s", faults[0].Path, faults[0].Text)
	}
	was := c.cfg
	was.AckReaction = s.AckReaction
	if was != s {
		return errors.ErrUnsupported
	}
	c.ack.Store(&s.AckReaction)
	return nil
}

// Fetch implements channels.Fetcher. The file is streamed. An attachment's
// address is good for a day, so a new one is asked for each time.
func (c *Channel) Fetch(ctx context.Context, f channels.File) (io.ReadCloser, error) {
	const op = "fetch"
	ref := strings.Split(f.Ref, "/")
	if len(ref) != 3 {
		return nil, c.api.fail(op, channels.Rejected, errors.New("the file has no reference"))
	}
	if f.Size > codec.MaxFetch {
		return nil, c.api.fail(op, channels.Rejected, codec.ErrTooBigToFetch)
	}
	call, err := codec.Message(channels.Address{Conversation: channels.ConversationID(ref[0])}, channels.MessageID(ref[1]))
	if err != nil {
		return nil, c.api.fail(op, channels.Rejected, err)
	}
	message, err := c.api.invoke(ctx, call)
	if err != nil {
		return nil, err
	}
	at := codec.Located(message, ref[2])
	if at == "" {
		return nil, c.api.fail(op, channels.Gone, errors.New("the message no longer has the file"))
	}
	return c.api.download(ctx, at)
}

// download opens a file of the platform. The caller closes it.
func (a *api) download(ctx context.Context, at string) (io.ReadCloser, error) {
	const op = "download"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
	if err != nil {
		return nil, a.fail(op, channels.Rejected, errors.New("the file's address is not a URL"))
	}
	req.Header.Set("User-Agent", agent)
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, a.fail(op, channels.Transient, attempt.Cause(err))
	}
	if resp.StatusCode == http.StatusOK {
		return attempt.AtMost(resp.Body, codec.MaxFetch, codec.ErrTooBigToFetch), nil
	}
	_ = resp.Body.Close()
	return nil, a.refused(op, codec.ClassifyDownload(resp.StatusCode))
}
