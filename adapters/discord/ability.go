package discord

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/bwmarrin/discordgo"

	"github.com/gatehouse-chat/gatehouse/adapters/discord/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/attempt"
)

// maxFetch is the largest file that is fetched, in bytes. The platform lets
// people who pay send larger ones.
const maxFetch = 50 << 20

// The permissions that the invitation asks for.
const permissions = discordgo.PermissionViewChannel | discordgo.PermissionSendMessages | discordgo.PermissionSendMessagesInThreads |
	discordgo.PermissionAttachFiles | discordgo.PermissionReadMessageHistory | discordgo.PermissionAddReactions

// invitation is the address at which an administrator of a server lets the bot
// in, with the permissions it needs.
func invitation(app string) string {
	return "https://discord.com/oauth2/authorize?client_id=" + app +
		"&scope=bot+applications.commands&permissions=" + strconv.FormatInt(permissions, 10)
}

// Flags of an application: whether it may read what is said in servers.
const (
	mayReadContent        = 1 << 18
	mayReadContentLimited = 1 << 19 // in fewer than 100 servers
)

// Probe implements channels.Prober.
func (c *Channel) Probe(ctx context.Context) (channels.Identity, error) {
	who, err := c.ask(ctx)
	if err != nil {
		return channels.Identity{}, err
	}
	out := channels.Identity{Account: channels.AccountID(who.ID), Name: who.Name, Handle: who.Name, Link: invitation(who.App)}
	var guilds []discordgo.UserGuild
	if err := c.api.get(ctx, "/users/@me/guilds?limit=1", &guilds); err != nil {
		return channels.Identity{}, err
	}
	if len(guilds) == 0 {
		out.Notes = append(out.Notes, "The bot is in no server yet, and people can write to it only when they share one with it. To invite it, open "+out.Link)
	}
	if c.cfg.MessageContent && who.flags&(mayReadContent|mayReadContentLimited) == 0 {
		out.Notes = append(out.Notes, "The Message Content intent is off, so the channel cannot connect. Switch it on at "+
			"https://discord.com/developers/applications/"+who.App+"/bot, or set message_content: false to read direct messages, mentions and commands only.")
	}
	return out, nil
}

// Register implements channels.Commander. The platform is asked only when the
// list has changed since it was last set for this bot.
func (c *Channel) Register(ctx context.Context, commands []channels.CommandSpec) error {
	self, err := c.self(ctx)
	if err != nil {
		return err
	}
	b, err := json.Marshal(described(commands))
	if err != nil {
		return c.api.fail("register", channels.Rejected, err)
	}
	sum := sha256.Sum256(b)
	key, hash := "commands/"+self.ID, hex.EncodeToString(sum[:])
	if old, err := c.host.State().Get(ctx, key); err == nil && string(old) == hash {
		return nil
	}
	call := codec.Call{
		Method: http.MethodPut, Path: "/applications/" + self.App + "/commands", Route: "PUT commands " + self.App, Body: b, Repeatable: true,
	}
	if _, err := c.api.invoke(ctx, call); err != nil {
		return err
	}
	if err := c.host.State().Put(ctx, channels.Write{Key: key, Value: []byte(hash)}); err != nil {
		return c.api.fail("register", channels.Other, fmt.Errorf("set, but not remembered: %w", err))
	}
	return nil
}

// described writes commands as the platform takes them: for servers and direct
// chats, each with at most one option, which takes what one would type.
func described(commands []channels.CommandSpec) []*discordgo.ApplicationCommand {
	contexts := []discordgo.InteractionContextType{discordgo.InteractionContextGuild, discordgo.InteractionContextBotDM}
	installs := []discordgo.ApplicationIntegrationType{discordgo.ApplicationIntegrationGuildInstall}
	list := make([]*discordgo.ApplicationCommand, 0, len(commands))
	for _, s := range commands {
		d := &discordgo.ApplicationCommand{
			Type: discordgo.ChatApplicationCommand, Name: strings.ToLower(s.Name), Description: cut(s.Help, s.Name),
			Contexts: &contexts, IntegrationTypes: &installs, Options: []*discordgo.ApplicationCommandOption{},
		}
		if s.Args != "" {
			d.Options = append(d.Options, &discordgo.ApplicationCommandOption{
				Type: discordgo.ApplicationCommandOptionString, Name: "text", Description: cut(s.Args, s.Name),
			})
		}
		list = append(list, d)
	}
	return list
}

// cut is a text of 1 to 100 characters.
func cut(s, otherwise string) string {
	const longest = 100
	s = strings.TrimSpace(s)
	if s == "" {
		s = otherwise
	}
	if r := []rune(s); len(r) > longest {
		return string(r[:longest-1]) + "…"
	}
	return s
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
	if f.Size > maxFetch {
		return nil, c.api.fail(op, channels.Rejected, errTooBigToFetch)
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

var errTooBigToFetch = errors.New("the file is larger than 50 MB")

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
		return &limited{ReadCloser: resp.Body, left: maxFetch}, nil
	}
	_ = resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusForbidden:
		return nil, a.fail(op, channels.Gone, errors.New("the file no longer exists"))
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode >= 500:
		return nil, a.fail(op, channels.Transient, fmt.Errorf("the file server answered with status %d", resp.StatusCode))
	}
	return nil, a.fail(op, channels.Rejected, fmt.Errorf("the file server answered with status %d", resp.StatusCode))
}

// limited fails a download that is longer than it should be.
type limited struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return n, errTooBigToFetch
	}
	return n, err
}
