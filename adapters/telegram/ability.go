package telegram

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-telegram/bot/models"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/attempt"
)

func (c *Channel) getMe(ctx context.Context) (models.User, error) {
	var u models.User
	if err := c.api.invoke(ctx, "getMe", struct{}{}, &u); err != nil {
		return u, err
	}
	if u.ID == 0 || u.Username == "" {
		return u, c.api.fail("getMe", channels.Transient, errors.New("the answer names no bot"))
	}
	return u, nil
}

// Probe implements channels.Prober.
func (c *Channel) Probe(ctx context.Context) (channels.Identity, error) {
	u, err := c.getMe(ctx)
	if err != nil {
		return channels.Identity{}, err
	}
	return channels.Identity{
		Account: channels.AccountID(strconv.FormatInt(u.ID, 10)),
		Name:    strings.TrimSpace(u.FirstName + " " + u.LastName), Handle: u.Username,
		Link: "https://t.me/" + u.Username, Notes: notes(u),
	}, nil
}

// notes says what keeps the bot from working in groups.
func notes(u models.User) []string {
	var list []string
	if !u.CanJoinGroups {
		list = append(list, "The bot cannot be added to groups. To change that: @BotFather, /setjoingroups, Enable.")
	}
	if !u.CanReadAllGroupMessages {
		list = append(list, "Privacy mode is on: in groups the bot sees only commands, replies to it and messages that mention it, "+
			"not the conversation around them. To change that: @BotFather, /setprivacy, Disable; then remove the bot from each group and add it again.")
	}
	return list
}

// StartLink implements channels.Starter.
func (c *Channel) StartLink(ctx context.Context, code string) (string, error) {
	const longest = 64
	if code == "" || len(code) > longest || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
		return "", c.api.fail("start link", channels.Rejected, errors.New("a start code is 1 to 64 letters, digits, _ and -"))
	}
	self, err := c.self(ctx)
	if err != nil {
		return "", err
	}
	return "https://t.me/" + self.Username + "?start=" + code, nil
}

// Register implements channels.Commander. The platform is asked only when the
// list has changed since it was last set for this bot.
func (c *Channel) Register(ctx context.Context, commands []channels.CommandSpec) error {
	self, err := c.self(ctx)
	if err != nil {
		return err
	}
	list := make([]models.BotCommand, 0, len(commands))
	for _, s := range commands {
		help := strings.TrimSpace(s.Help)
		if s.Args != "" {
			help = s.Args + " " + help
		}
		list = append(list, models.BotCommand{Command: strings.ToLower(s.Name), Description: cut(help, 255)})
	}
	in := map[string]any{"commands": list}
	b, err := json.Marshal(in)
	if err != nil {
		return c.api.fail("setMyCommands", channels.Rejected, err)
	}
	sum := sha256.Sum256(b)
	key, hash := fmt.Sprintf("commands/%d", self.ID), hex.EncodeToString(sum[:])
	if old, err := c.host.State().Get(ctx, key); err == nil && string(old) == hash {
		return nil
	}
	if err := c.api.invoke(ctx, "setMyCommands", in, nil); err != nil {
		return err
	}
	if err := c.host.State().Put(ctx, channels.Write{Key: key, Value: []byte(hash)}); err != nil {
		return c.api.fail("setMyCommands", channels.Other, fmt.Errorf("set, but not remembered: %w", err))
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

// Fetch implements channels.Fetcher. The file is streamed.
func (c *Channel) Fetch(ctx context.Context, f channels.File) (io.ReadCloser, error) {
	const op = "getFile"
	if f.Ref == "" || !utf8.ValidString(f.Ref) {
		return nil, c.api.fail(op, channels.Rejected, errors.New("the file has no reference"))
	}
	if f.Size > codec.MaxFetch {
		return nil, c.api.fail(op, channels.Rejected, errTooBigToFetch)
	}
	var meta models.File
	if err := c.api.invoke(ctx, op, map[string]string{"file_id": f.Ref}, &meta); err != nil {
		return nil, err
	}
	if !plainPath(meta.FilePath) {
		return nil, c.api.fail(op, channels.Rejected, errors.New("the server does not offer the file for download"))
	}
	return c.api.download(ctx, meta.FilePath)
}

var errTooBigToFetch = errors.New("the file is larger than bots may download (20 MB)")

// plainPath reports whether a path stays where it is put. A self-hosted server
// in its local mode gives absolute ones, to files on its own disk.
func plainPath(s string) bool {
	return s != "" && !strings.HasPrefix(s, "/") && path.Clean(s) == s && !strings.HasPrefix(s, "..") && !strings.ContainsAny(s, "?#%\\")
}

// download opens a file of the platform. The caller closes it.
func (a *api) download(ctx context.Context, file string) (io.ReadCloser, error) {
	const op = "download"
	to, err := a.url(ctx, true, file)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to, http.NoBody)
	if err != nil {
		return nil, a.fail(op, channels.Rejected, errors.New("the file's address is not a URL"))
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, a.fail(op, channels.Transient, attempt.Cause(err))
	}
	if resp.StatusCode == http.StatusOK {
		return attempt.AtMost(resp.Body, codec.MaxFetch, errTooBigToFetch), nil
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode == http.StatusNotFound {
		return nil, a.fail(op, channels.Gone, errors.New("the file no longer exists"))
	}
	return nil, a.refused(op, codec.Classify(resp.StatusCode, body, true))
}
