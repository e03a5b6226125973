package channeltest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// Loop is the driver of a channel on a platform in memory (see [LoopSuite]). It
// is the reference of what the suite demands, and an example of an adapter
// that polls.
type Loop struct{}

var _ channels.Driver = Loop{}

// Name implements channels.Driver.
func (Loop) Name() string { return "loop" }

// Schema implements channels.Driver.
func (Loop) Schema() []byte {
	return []byte(`{
		"type": "object", "additionalProperties": false, "required": ["base_url", "token"],
		"properties": {"base_url": {"type": "string", "format": "uri"}, "token": {"type": "string"}}
	}`)
}

// Check implements channels.Driver.
func (Loop) Check(cfg json.RawMessage) []channels.Fault {
	var section map[string]json.RawMessage
	if json.Unmarshal(cfg, &section) != nil || section == nil {
		return []channels.Fault{{Text: "the section must be an object"}}
	}
	var out []channels.Fault
	for _, name := range slices.Sorted(maps.Keys(section)) {
		var v string
		switch {
		case name != "base_url" && name != "token":
			out = append(out, channels.Fault{Path: name, Text: "there is no such key; base_url and token are known"})
		case json.Unmarshal(section[name], &v) != nil || v == "":
			out = append(out, channels.Fault{Path: name, Text: "must be a text"})
		}
	}
	for _, name := range []string{"base_url", "token"} {
		if _, ok := section[name]; !ok {
			out = append(out, channels.Fault{Path: name, Text: "is required"})
		}
	}
	return out
}

// Open implements channels.Driver.
func (l Loop) Open(_ context.Context, h channels.Host, cfg json.RawMessage) (channels.Channel, error) {
	if fs := l.Check(cfg); len(fs) > 0 {
		return nil, fmt.Errorf("loop: %s: %s", fs[0].Path, fs[0].Text)
	}
	var c struct {
		BaseURL string `json:"base_url"`
		Token   string `json:"token"`
	}
	if err := json.Unmarshal(cfg, &c); err != nil {
		return nil, fmt.Errorf("loop: %w", err)
	}
	return &loopChannel{host: h, base: c.BaseURL, token: c.Token}, nil
}

// loopAccount is the bot's id on its platform.
const loopAccount = "loop-bot"

type loopChannel struct {
	host        channels.Host
	base, token string
}

var (
	_ channels.Channel    = (*loopChannel)(nil)
	_ channels.Editor     = (*loopChannel)(nil)
	_ channels.Deleter    = (*loopChannel)(nil)
	_ channels.Reactor    = (*loopChannel)(nil)
	_ channels.Typer      = (*loopChannel)(nil)
	_ channels.Fetcher    = (*loopChannel)(nil)
	_ channels.Answerer   = (*loopChannel)(nil)
	_ channels.Commander  = (*loopChannel)(nil)
	_ channels.Reconciler = (*loopChannel)(nil)
	_ channels.Prober     = (*loopChannel)(nil)
)

// Features implements channels.Channel.
func (c *loopChannel) Features(channels.Address) channels.Features {
	return channels.Features{
		Dialect: markup.CommonMark, MaxText: loopMaxText, MaxCaption: loopMaxText, MaxFile: loopMaxFile, MaxAlbum: loopMaxAlbum,
		MaxFetch: loopMaxFile, MaxButtons: loopMaxButtons, MaxButtonData: loopMaxData,
		Commands: true, Threads: true, ReplyTo: true, Drafts: true, TypingFor: 5 * time.Second,
	}
}

const (
	loopPollFor    = 20 * time.Second
	loopPauseFirst = 10 * time.Millisecond
	loopPauseLast  = 500 * time.Millisecond
)

// Run implements channels.Channel. The offset moves only with an Accept that
// succeeded, and the next poll is what acknowledges.
func (c *loopChannel) Run(ctx context.Context, sink channels.Sink) error {
	defer c.host.Client(loopAccount).CloseIdleConnections()
	offset, err := c.offset(ctx)
	if err != nil && ctx.Err() == nil {
		return c.fail("read offset", channels.Other, 0, err)
	}
	phase, pause := channels.Phase(""), loopPauseFirst
	for ctx.Err() == nil {
		call := loopCall{Offset: offset}
		if phase == channels.Connected {
			call.Wait = int(loopPollFor / time.Second)
		}
		answer, err := c.call(ctx, "poll", call)
		if err == nil {
			c.host.Heard()
			phase = c.report(phase, channels.Connected, nil)
			offset, err = c.accept(ctx, sink, offset, answer.Updates)
		} else if ctx.Err() == nil {
			if channels.KindOf(err) == channels.Unauthorized {
				c.report(phase, channels.Broken, err)
				return err
			}
			phase = c.report(phase, channels.Retrying, err)
		}
		if err == nil {
			pause = loopPauseFirst
			continue
		}
		rest(ctx, max(pause, channels.RetryAfter(err)))
		pause = min(2*pause, loopPauseLast)
	}
	return nil
}

// accept makes updates durable and returns the offset after them.
func (c *loopChannel) accept(ctx context.Context, sink channels.Sink, offset int64, us []loopUpdate) (int64, error) {
	if len(us) == 0 {
		return offset, nil
	}
	next := us[len(us)-1].ID + 1
	b := channels.Batch{State: []channels.Write{{Key: "offset", Value: strconv.AppendInt(nil, next, 10)}}}
	for _, u := range us {
		if e, ok := loopEvent(c.host.ID(), u); ok {
			b.Events = append(b.Events, e)
		}
	}
	if _, err := channels.Offer(ctx, sink, b); err != nil {
		return offset, err
	}
	return next, nil
}

func (c *loopChannel) offset(ctx context.Context) (int64, error) {
	b, err := c.host.State().Get(ctx, "offset")
	if err != nil || b == nil {
		return 0, err
	}
	return strconv.ParseInt(string(b), 10, 64)
}

func (c *loopChannel) report(was, is channels.Phase, err error) channels.Phase {
	if was != is {
		c.host.Report(channels.Health{Phase: is, Err: err, As: "@loop"})
	}
	return is
}

func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Send implements channels.Channel.
func (c *loopChannel) Send(ctx context.Context, p channels.Part) (channels.Receipt, error) {
	call := loopCall{
		Key: p.Key, Chat: string(p.To.Conversation), Thread: string(p.To.Thread), Text: loopText(p),
		Plain: p.Plain, ReplyTo: string(p.ReplyTo), Message: string(p.Replaces),
	}
	for _, b := range p.Buttons {
		call.Buttons = append(call.Buttons, loopButton{Label: b.Label, Data: b.Data})
	}
	for _, f := range p.Files {
		id, err := c.upload(ctx, f)
		if err != nil {
			return channels.Receipt{}, err
		}
		call.Files = append(call.Files, loopFile{ID: id, Kind: string(f.Kind), Name: f.Name, MIME: f.MIME, Size: f.Size})
	}
	method := "send"
	if p.Replaces != "" {
		method = "edit"
	}
	answer, err := c.call(ctx, method, call)
	if err != nil {
		return channels.Receipt{}, err
	}
	return channels.Receipt{ID: channels.MessageID(answer.Message), At: time.Now()}, nil
}

func loopText(p channels.Part) string {
	if p.Plain {
		return markup.PlainText.Render(p.Body)
	}
	return markup.CommonMark.Render(p.Body)
}

// Edit implements channels.Editor.
func (c *loopChannel) Edit(ctx context.Context, at channels.Address, id channels.MessageID, p channels.Part) error {
	p.To, p.Replaces = at, id
	_, err := c.Send(ctx, p)
	return err
}

// Delete implements channels.Deleter.
func (c *loopChannel) Delete(ctx context.Context, at channels.Address, id channels.MessageID) error {
	_, err := c.call(ctx, "delete", loopCall{Chat: string(at.Conversation), Message: string(id)})
	return err
}

// React implements channels.Reactor.
func (c *loopChannel) React(ctx context.Context, at channels.Address, id channels.MessageID, emoji string) error {
	_, err := c.call(ctx, "react", loopCall{Chat: string(at.Conversation), Message: string(id), Emoji: emoji})
	return err
}

// Type implements channels.Typer.
func (c *loopChannel) Type(ctx context.Context, at channels.Address) error {
	_, err := c.call(ctx, "type", loopCall{Chat: string(at.Conversation), Thread: string(at.Thread)})
	return err
}

// Answer implements channels.Answerer.
func (c *loopChannel) Answer(ctx context.Context, p channels.Press, text string) error {
	_, err := c.call(ctx, "answer", loopCall{Query: p.Query, Text: text})
	return err
}

// Register implements channels.Commander.
func (c *loopChannel) Register(ctx context.Context, specs []channels.CommandSpec) error {
	var call loopCall
	for _, s := range specs {
		call.Commands = append(call.Commands, loopCommand(s))
	}
	_, err := c.call(ctx, "commands", call)
	return err
}

// Sent implements channels.Reconciler.
func (c *loopChannel) Sent(ctx context.Context, p channels.Part, _ time.Time) (channels.Receipt, bool, error) {
	answer, err := c.call(ctx, "sent", loopCall{Key: p.Key})
	return channels.Receipt{ID: channels.MessageID(answer.Message), At: time.Now()}, answer.Message != "", err
}

// Probe implements channels.Prober.
func (c *loopChannel) Probe(ctx context.Context) (channels.Identity, error) {
	answer, err := c.call(ctx, "me", loopCall{})
	return channels.Identity{Account: loopAccount, Name: answer.Name}, err
}

// Fetch implements channels.Fetcher.
func (c *loopChannel) Fetch(ctx context.Context, f channels.File) (io.ReadCloser, error) {
	return c.do(ctx, http.MethodGet, "file/"+url.PathEscape(f.Ref), "", nil)
}

func (c *loopChannel) upload(ctx context.Context, f channels.File) (string, error) {
	body, err := f.Open(ctx)
	if err != nil {
		return "", c.fail("open file", channels.Transient, 0, err)
	}
	answer, err := c.do(ctx, http.MethodPost, "upload", "application/octet-stream", body)
	if err != nil {
		// The message itself was not sent yet, whatever became of the file.
		if channels.KindOf(err) == channels.Ambiguous {
			err = c.fail("upload", channels.Transient, 0, err)
		}
		return "", err
	}
	done, err := c.decode("upload", answer)
	return done.File, err
}

func (c *loopChannel) call(ctx context.Context, method string, body loopCall) (loopAnswer, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return loopAnswer{}, c.fail(method, channels.Rejected, 0, err)
	}
	answer, err := c.do(ctx, http.MethodPost, method, "application/json", bytes.NewReader(b))
	if err != nil {
		return loopAnswer{}, err
	}
	return c.decode(method, answer)
}

func (c *loopChannel) decode(method string, body io.ReadCloser) (answer loopAnswer, err error) {
	defer func() { _ = body.Close() }()
	if err = json.NewDecoder(body).Decode(&answer); err != nil {
		return answer, c.fail(method, channels.Ambiguous, 0, errors.New("the answer broke off"))
	}
	_, _ = io.Copy(io.Discard, body)
	return answer, nil
}

// do makes one request and returns the answer's body. What was written but not answered may have had its
// effect; what never left certainly had none.
func (c *loopChannel) do(ctx context.Context, verb, method, kind string, body io.Reader) (io.ReadCloser, error) {
	token, err := c.host.Secret(ctx, c.token)
	if err != nil {
		return nil, c.fail(method, channels.Transient, 0, err)
	}
	var left atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { left.Store(true) }})
	req, err := http.NewRequestWithContext(ctx, verb, c.base+"/bot"+token.Reveal()+"/"+method, body)
	if err != nil {
		return nil, c.fail(method, channels.Rejected, 0, err)
	}
	req.Header.Set("Content-Type", kind)
	resp, err := c.host.Client(loopAccount).Do(req)
	if err != nil {
		kind := channels.Transient
		if left.Load() {
			kind = channels.Ambiguous
		}
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // its URL holds the token's place
		}
		return nil, c.fail(method, kind, 0, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer func() { _ = resp.Body.Close() }()
	var refusal loopAnswer
	_ = json.NewDecoder(io.LimitReader(resp.Body, 4096)).Decode(&refusal)
	return nil, c.fail(method, loopKinds[resp.StatusCode], time.Duration(refusal.Wait)*time.Second, errors.New(resp.Status))
}

var loopKinds = map[int]channels.Kind{
	http.StatusTooManyRequests:       channels.RateLimited,
	http.StatusServiceUnavailable:    channels.Transient,
	http.StatusUnauthorized:          channels.Unauthorized,
	http.StatusBadRequest:            channels.Format,
	http.StatusGone:                  channels.Gone,
	http.StatusUnprocessableEntity:   channels.Rejected,
	http.StatusRequestEntityTooLarge: channels.Rejected,
	http.StatusInternalServerError:   channels.Ambiguous,
}

func (c *loopChannel) fail(op string, k channels.Kind, wait time.Duration, err error) error {
	if k == "" {
		k = channels.Other
	}
	return &channels.Error{Op: op, Channel: c.host.ID(), Kind: k, RetryAfter: wait, Err: err}
}

// loopEvent decodes an update; false when it means nothing to anybody.
func loopEvent(id channels.ID, u loopUpdate) (channels.Event, bool) {
	e := channels.Event{
		Key: u.Kind + "/" + strconv.FormatInt(u.ID, 10), At: u.At, Account: loopAccount,
		Where: channels.Address{
			Channel: id, Account: loopAccount,
			Conversation: channels.ConversationID(u.Chat), Thread: channels.ThreadID(u.Thread),
		},
		Room: channels.Room{Direct: u.Direct}, Who: channels.Sender{ID: u.From.ID, Name: u.From.Name},
		Addressed: u.Direct || u.Mention || u.ToBot || u.Spoken || u.Kind == "press",
	}
	e.Raw, _ = json.Marshal(u)
	m := channels.MessageID(u.Message)
	switch u.Kind {
	case "message":
		e.Key = "message/" + u.Message // the platform may repeat it under another number
		e.Content = loopMessage(u)
	case "edit":
		e.Content = channels.Edit{ID: m, Text: u.Text}
	case "delete":
		e.Content = channels.Deletion{IDs: []channels.MessageID{m}}
	case "react":
		e.Content = channels.Reaction{ID: m, Added: []string{u.Emoji}}
	case "press":
		e.Content = channels.Press{ID: m, Data: u.Data, Query: u.Query}
	}
	return e, e.Content != nil
}

func loopMessage(u loopUpdate) channels.Content {
	if rest, ok := strings.CutPrefix(u.Text, "/"); ok {
		name, args, _ := strings.Cut(rest, " ")
		return channels.Command{ID: channels.MessageID(u.Message), Name: strings.ToLower(name), Args: args}
	}
	m := channels.Message{ID: channels.MessageID(u.Message), Text: u.Text}
	if u.ReplyTo != "" {
		m.ReplyTo = &channels.Quote{ID: channels.MessageID(u.ReplyTo), Who: channels.Sender{Self: u.ToBot}}
	}
	for _, f := range u.Files {
		m.Files = append(m.Files, channels.File{Kind: channels.FileKind(f.Kind), Name: f.Name, MIME: f.MIME, Size: f.Size, Ref: f.ID})
	}
	return m
}
