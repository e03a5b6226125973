// Package console is the channel whose platform is the gateway itself: the chat
// page in the browser, and the chat in the terminal.
//
// It is a channel like any other. What a member writes goes through Sink.Accept
// and is answered with 200 only when it is durable; what the bot answers comes
// by Send. Both are kept in the channel's state as a transcript, one for each
// member, of the last [MaxTranscript] messages, from which a page catches up
// after a reload, a lost connection or a restart of the gateway.
//
// # The API
//
// All paths are below /chat and need a [channels.Visitor]. Bodies are JSON (see
// the package wire); a failure is a wire.Failure.
//
//	POST /chat/api/messages            wire.Say   -> wire.Message
//	POST /chat/api/files?key=KEY&name=NAME  the content -> wire.File
//	GET  /chat/api/file?id=ID&n=N      the content of a message's file, from 0
//	POST /chat/api/press               wire.Press -> {}
//	GET  /chat/api/messages?after=REV  wire.Page: what changed after REV, by change
//	GET  /chat/api/messages?before=SEQ wire.Page: the messages before SEQ
//	GET  /chat/api/messages            wire.Page: the latest messages
//	GET  /chat/api/commands            []wire.Command
//	GET  /chat/api/stream?after=REV    server-sent events; Last-Event-ID goes before after
//	GET  /chat                         the page
//
// The key of a message is made by the client. A second request with the same
// key, whatever became of the first, answers with the same message and does
// nothing else. 503 means that nothing was kept and that the client should try
// again after Retry-After seconds.
//
// A file is uploaded first, under a key of its own, and belongs to the message
// that names this key within [uploadFor]. Its content is given to the member in
// whose chat it stands and to nobody else; a browser shows only pictures of four
// kinds and saves everything else.
//
// On the stream, "message" carries the message's rev as its id; what came after
// it is sent again on the next connection. "ready" follows what was missed.
// "draft", "typing" and "pressed" have no id and are lossy. A comment is sent
// every 15 seconds. The stream ends when the gateway stops or the client is too
// slow; the client connects again.
package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/console/wire"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// ChannelID is the name under which the gateway runs this channel.
const ChannelID channels.ID = "console"

// account is who the bot is here.
const account channels.AccountID = "console"

// The limits of the console.
const (
	MaxTranscript = 2000 // messages kept for each member
	maxReply      = 32 << 10
	maxButtons    = 8
	maxButtonData = 256
	typingFor     = 6 * time.Second
	draftEvery    = 120 * time.Millisecond
)

// Driver opens the console.
type Driver struct{}

var _ channels.Driver = Driver{}

// Name implements channels.Driver.
func (Driver) Name() string { return string(ChannelID) }

// Schema implements channels.Driver. There is nothing to configure.
func (Driver) Schema() []byte {
	return []byte(`{"type": "object", "additionalProperties": false, "properties": {}}`)
}

// Check implements channels.Driver.
func (Driver) Check(cfg json.RawMessage) []channels.Fault {
	var section map[string]json.RawMessage
	if json.Unmarshal(cfg, &section) != nil || section == nil {
		return []channels.Fault{{Text: "the section must be an object"}}
	}
	var faults []channels.Fault
	for _, name := range slices.Sorted(maps.Keys(section)) {
		faults = append(faults, channels.Fault{Path: name, Text: "there is no such key; the console has none"})
	}
	return faults
}

// Open implements channels.Driver.
func (d Driver) Open(_ context.Context, h channels.Host, cfg json.RawMessage) (channels.Channel, error) {
	if faults := d.Check(cfg); len(faults) > 0 {
		return nil, fmt.Errorf("console: %s: %s", faults[0].Path, faults[0].Text)
	}
	keeper, ok := h.(channels.Keeper)
	if !ok {
		return nil, errors.New("console: the host keeps no files")
	}
	return &Channel{host: h, keeper: keeper, log: transcript{state: h.State()}, chats: map[channels.ConversationID]*chat{}}, nil
}

// Channel is the console. It is safe for concurrent use.
type Channel struct {
	host   channels.Host
	keeper channels.Keeper
	log    transcript

	mu       sync.Mutex
	chats    map[channels.ConversationID]*chat
	commands []channels.CommandSpec
	closed   bool // Run has ended
}

var (
	_ channels.Channel    = (*Channel)(nil)
	_ channels.Visited    = (*Channel)(nil)
	_ channels.Editor     = (*Channel)(nil)
	_ channels.Deleter    = (*Channel)(nil)
	_ channels.Typer      = (*Channel)(nil)
	_ channels.Drafter    = (*Channel)(nil)
	_ channels.Fetcher    = (*Channel)(nil)
	_ channels.Answerer   = (*Channel)(nil)
	_ channels.Commander  = (*Channel)(nil)
	_ channels.Reconciler = (*Channel)(nil)
	_ channels.Prober     = (*Channel)(nil)
)

// Features implements channels.Channel.
func (c *Channel) Features(channels.Address) channels.Features {
	return channels.Features{
		Dialect: markup.WebHTML, MaxText: maxReply, MaxCaption: maxReply, MaxButtons: maxButtons, MaxButtonData: maxButtonData,
		MaxFile: wire.MaxFile, MaxAlbum: wire.MaxFiles, MaxFetch: wire.MaxFile,
		Commands: true, Drafts: true, DraftEvery: draftEvery, TypingFor: typingFor,
	}
}

// Run implements channels.Channel. The console is there as long as the gateway
// is; the end of ctx ends every stream.
func (c *Channel) Run(ctx context.Context, _ channels.Sink) error {
	c.setClosed(false)
	c.host.Report(channels.Health{Phase: channels.Connected, As: "this console"})
	c.host.Heard()
	<-ctx.Done()
	for _, ch := range c.setClosed(true) {
		ch.disconnect()
	}
	return nil
}

// setClosed returns the chats that there are.
func (c *Channel) setClosed(closed bool) []*chat {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = closed
	return slices.Collect(maps.Values(c.chats))
}

// chat finds a member's chat.
func (c *Channel) chat(id channels.ConversationID) *chat {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := c.chats[id]
	if ch == nil {
		ch = newChat(id)
		c.chats[id] = ch
	}
	return ch
}

// Probe implements channels.Prober.
func (c *Channel) Probe(context.Context) (channels.Identity, error) {
	return channels.Identity{Account: account, Name: "Console"}, nil
}

// Register implements channels.Commander: the page suggests the commands.
func (c *Channel) Register(_ context.Context, commands []channels.CommandSpec) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.commands = slices.Clone(commands)
	return nil
}

func (c *Channel) known() []channels.CommandSpec {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.commands
}
