package telegramtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Remote plays the people of an emulator that runs in another process, through
// its control address. It offers what such tests need; chats and people go by
// their ids. Its methods may be called from any goroutine.
type Remote struct {
	control string
	client  *http.Client
	server  controlServer
}

// Dial finds the emulator behind a control address.
func Dial(ctx context.Context, control string) (*Remote, error) {
	r := &Remote{control: strings.TrimSuffix(control, "/"), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	if err := r.do(ctx, "server", struct{}{}, &r.server); err != nil {
		return nil, err
	}
	return r, nil
}

// Close lets go of the connections.
func (r *Remote) Close() { r.client.CloseIdleConnections() }

// URL is the base address for the bot.
func (r *Remote) URL() string { return r.server.URL }

// Token is the bot's token.
func (r *Remote) Token() string { return r.server.Token }

// Bot is the bot's account.
func (r *Remote) Bot() Profile { return r.server.Bot }

func (r *Remote) do(ctx context.Context, verb string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.control+"/"+verb, bytes.NewReader(body))
	if err != nil {
		return err
	}
	return r.fetch(request, out)
}

func (r *Remote) fetch(request *http.Request, out any) error {
	response, err := r.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", request.URL.Path, response.Status, strings.TrimSpace(string(text)))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// Person makes a user with a private chat.
func (r *Remote) Person(ctx context.Context, id int64, name string) error {
	if err := r.do(ctx, "user", controlUser{ID: id, Name: name}, nil); err != nil {
		return err
	}
	return r.do(ctx, "chat", controlChat{Kind: kindPrivate, Members: []int64{id}}, nil)
}

// Room makes a chat of a kind (group, supergroup or forum) and returns its id.
func (r *Remote) Room(ctx context.Context, kind string, id int64, title string, members ...int64) (int64, error) {
	var made controlSaid
	err := r.do(ctx, "chat", controlChat{ID: id, Kind: kind, Title: title, Members: members}, &made)
	return made.Chat, err
}

// Topic opens a topic in a forum and returns its thread id.
func (r *Remote) Topic(ctx context.Context, chat, user int64, name string) (int64, error) {
	var made controlSaid
	err := r.do(ctx, "topic", controlSay{Chat: chat, User: user, Text: name}, &made)
	return made.Thread, err
}

// Said names a message of a person and the update that tells of it.
type Said struct {
	Message int64
	Update  int64
}

// Say writes a message into a chat, thread 0 for none. With files they are sent
// instead, with the text as their caption.
func (r *Remote) Say(ctx context.Context, chat, user, thread int64, text string, files ...Attachment) (Said, error) {
	var said controlSaid
	err := r.do(ctx, "say", controlSay{Chat: chat, User: user, Thread: thread, Text: text, Files: files}, &said)
	return Said{said.Message, said.Update}, err
}

// Reply writes an answer to a message.
func (r *Remote) Reply(ctx context.Context, chat, user, to int64, text string) (Said, error) {
	var said controlSaid
	err := r.do(ctx, "say", controlSay{Chat: chat, User: user, ReplyTo: to, Text: text}, &said)
	return Said{said.Message, said.Update}, err
}

// Press presses a button.
func (r *Remote) Press(ctx context.Context, chat, user, message int64, data string) (Pressed, error) {
	var said controlSaid
	err := r.do(ctx, "press", controlSay{Chat: chat, User: user, Message: message, Data: data}, &said)
	return Pressed{said.Query, said.Update}, err
}

// Inject hands the bot an update as it stands.
func (r *Remote) Inject(ctx context.Context, raw json.RawMessage) error {
	return r.do(ctx, "inject", raw, nil)
}

// Fail sets a fault, which must not have a Where.
func (r *Remote) Fail(ctx context.Context, method string, f Fault) error {
	return r.do(ctx, "fail", controlFault{Method: method, Fault: f}, nil)
}

// ClearFaults takes all faults away.
func (r *Remote) ClearFaults(ctx context.Context) error { return r.do(ctx, "clear", struct{}{}, nil) }

// SetLatency is that of Server.
func (r *Remote) SetLatency(ctx context.Context, d time.Duration, methods ...string) error {
	return r.do(ctx, "latency", controlLatency{d, methods}, nil)
}

// SetLimits is that of Server.
func (r *Remote) SetLimits(ctx context.Context, l Limits) error { return r.do(ctx, "limits", l, nil) }

// Pending counts the updates that the bot has not confirmed.
func (r *Remote) Pending(ctx context.Context) (int, error) {
	var n int
	err := r.do(ctx, "pending", struct{}{}, &n)
	return n, err
}

// Refused lists the calls that were answered with an error.
func (r *Remote) Refused(ctx context.Context) ([]Refusal, error) {
	var list []Refusal
	err := r.do(ctx, "refused", struct{}{}, &list)
	return list, err
}

// After waits for what follows the first n deliveries. It may come back with
// nothing after half a minute.
func (r *Remote) After(ctx context.Context, n int) (Log, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.control+"/log?after="+strconv.Itoa(n), nil)
	if err != nil {
		return nil, err
	}
	var log Log
	err = r.fetch(request, &log)
	return log, err
}

// Wait blocks until done says that the log is as wanted, and returns it then.
func (r *Remote) Wait(ctx context.Context, done func(Log) bool) (Log, error) {
	var log Log
	for !done(log) {
		more, err := r.After(ctx, len(log))
		if err != nil {
			return log, err
		}
		log = append(log, more...)
	}
	return log, nil
}
