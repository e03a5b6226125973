//go:build !nowhatsapp

package whatsapp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waCompanionReg"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waWa6"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// session is one connection to WhatsApp, with a whatsmeow client of its own:
// what one connection left half done does not reach into the next.
type session struct {
	client *whatsmeow.Client
	wire   *wire
	self   self

	ctx   context.Context
	end   context.CancelCauseFunc // ends the connection; the first cause counts
	ready chan struct{}           // closed when the device is logged in and has its keys uploaded
	once  sync.Once

	mu     sync.Mutex
	online *time.Timer // ends what awake began; nil while the account is not shown as online
	busy   int
	closed bool
	idle   chan struct{} // closed when no send is under way any more and none may begin
}

// self is the account.
type self struct{ pn, lid types.JID }

func (s self) is(id types.JID) bool {
	return id.User != "" && (id.User == s.pn.User && id.Server == types.DefaultUserServer || id.User == s.lid.User && id.Server == types.HiddenUserServer)
}

// outage is why a connection ended, and what that means.
type outage struct {
	text  string
	phase channels.Phase
	fix   string
	wait  time.Duration // at least, before the next connection
	gone  bool          // the device is no longer linked
}

// Error implements error.
func (o *outage) Error() string { return o.text }

const fixLink = "Link the phone again: `gatehouse channels link`, or Link on the console's page of channels."

func loggedOut() *outage {
	return &outage{text: "the phone has logged this device out", phase: channels.Broken, fix: fixLink, gone: true}
}

// acquire reports whether something may be sent; release follows.
func (s *session) acquire() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.busy++
	return true
}

func (s *session) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	if s.closed && s.busy == 0 {
		close(s.idle)
	}
}

// quiesce lets no further send begin, and waits for those that are under way.
func (s *session) quiesce(most time.Duration) {
	s.mu.Lock()
	s.closed = true
	if s.busy == 0 {
		close(s.idle)
	}
	s.mu.Unlock()
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-s.idle:
	case <-s.ctx.Done():
	case <-t.C:
	}
}

// client makes a whatsmeow client for a device. It leaves reconnecting to us and
// acknowledges nothing before its handler agrees. ctx is for its own goroutines.
func (c *Channel) client(ctx context.Context, dev *store.Device) (*whatsmeow.Client, *wire) {
	cli, w := whatsmeow.NewClient(dev, quiet{c.host.Log()}), &wire{}
	h := c.httpClient(w)
	cli.SetWebsocketHTTPClient(h)
	cli.SetPreLoginHTTPClient(h)
	cli.SetMediaHTTPClient(h)
	cli.EnableAutoReconnect = false
	cli.DisableLoginAutoReconnect = true
	cli.SynchronousAck = true
	cli.EnableDecryptedEventBuffer = true
	cli.ManualHistorySyncDownload = true // it is not downloaded
	cli.BackgroundEventCtx = ctx
	cli.GetMessageForRetry = func(_, _ types.JID, id types.MessageID) *waE2E.Message {
		m, _ := c.recent.get(id)
		return m.body
	}
	cli.GetClientPayload = func() *waWa6.ClientPayload { return payload(dev) }
	return cli, w
}

// payload is what the device says of itself. Its name is what the phone shows
// under "Linked devices".
func payload(dev *store.Device) *waWa6.ClientPayload {
	p := dev.GetClientPayload()
	if p.DevicePairingData == nil {
		return p
	}
	props := proto.Clone(store.DeviceProps).(*waCompanionReg.DeviceProps)
	props.Os = proto.String("Gatehouse")
	props.HistorySyncConfig = &waCompanionReg.DeviceProps_HistorySyncConfig{StorageQuotaMb: proto.Uint32(1)}
	if b, err := proto.Marshal(props); err == nil {
		p.DevicePairingData.DeviceProps = b
	}
	return p
}

const (
	connecting = 45 * time.Second // until a connection must be ready
	finishing  = 10 * time.Second // that sends have at the end
)

// connect makes a session that ends with its own context, and waits until it is
// ready or ctx ends. The caller closes it, whatever the error.
func (c *Channel) connect(ctx context.Context, dev *store.Device, handle func(*session, any) bool) (*session, error) {
	s := &session{ready: make(chan struct{}), idle: make(chan struct{}), self: self{pn: dev.ID.ToNonAD(), lid: dev.LID.ToNonAD()}}
	s.ctx, s.end = context.WithCancelCause(context.WithoutCancel(ctx))
	s.client, s.wire = c.client(s.ctx, dev)
	s.client.AddEventHandlerWithSuccessStatus(func(e any) bool { return s.follow(e) && handle(s, e) })
	slow := time.AfterFunc(connecting, func() { s.end(errors.New("WhatsApp does not answer")) })
	defer slow.Stop()
	dialed := make(chan error, 1)
	go func() { dialed <- s.client.ConnectContext(s.ctx) }() // its handshake does not end with a context
	for {
		select {
		case err := <-dialed:
			if err != nil {
				s.end(fmt.Errorf("no connection to WhatsApp: %w", err))
			}
			dialed = nil
		case <-s.ready:
			return s, nil
		case <-s.ctx.Done():
			return s, context.Cause(s.ctx)
		case <-ctx.Done():
			return s, ctx.Err()
		}
	}
}

// close ends the connection and whatever whatsmeow does for it.
func (s *session) close() {
	s.end(nil)
	hangUp(s.client, s.wire)
}

// hangUp is for after the end of the context that a client was connected with,
// which ends its connection. whatsmeow's own Disconnect would take the socket
// away from under those that read and write on it, and wait for the server to
// say goodbye.
func hangUp(cli *whatsmeow.Client, w *wire) {
	internals(cli).ExpectDisconnect() // nobody waits for another connection of this client
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-w.down():
	case <-t.C:
	}
}

// settle lets what was accepted be acknowledged before the connection ends.
func (s *session) settle() {
	ctx, cancel := context.WithTimeout(s.ctx, 500*time.Millisecond)
	defer cancel()
	ping(ctx, s.client)
}

// hold waits a moment for another cause to end the connection.
func (s *session) hold() {
	t := time.NewTimer(100 * time.Millisecond)
	defer t.Stop()
	select {
	case <-s.ctx.Done():
	case <-t.C:
	}
}

// follow watches the connection itself; false says that an event ended it.
func (s *session) follow(e any) bool {
	switch e := e.(type) {
	case *events.Connected:
		s.once.Do(func() { close(s.ready) })
	case *events.Disconnected:
		s.hold() // the server's reason, if it gave one, is told at the same time
		s.end(errors.New("the connection to WhatsApp was cut"))
	case *events.KeepAliveTimeout:
		s.end(errors.New("WhatsApp no longer answers on the connection"))
	case *events.LoggedOut:
		s.end(loggedOut())
	case *events.StreamReplaced:
		s.end(&outage{
			text: "another program connected as this device", phase: channels.Retrying, wait: 30 * time.Second,
			fix: "Run the channel in one gateway only, or link each of them by itself.",
		})
	case *events.TemporaryBan:
		s.end(&outage{
			text: "WhatsApp has banned the account for a while: " + e.String(), phase: channels.Broken, wait: max(e.Expire, time.Hour),
			fix: "Wait until the ban ends, and let the bot write less and to fewer people.",
		})
	case *events.ClientOutdated:
		s.end(&outage{text: "WhatsApp no longer accepts this version", phase: channels.Broken, wait: time.Hour, fix: "Update Gatehouse."})
	case *events.ConnectFailure:
		s.end(&outage{text: fmt.Sprintf("WhatsApp refused the connection (%d)", int(e.Reason)), phase: channels.Retrying, wait: 10 * time.Second})
	case *events.StreamError:
		s.end(fmt.Errorf("WhatsApp ended the connection (%s)", e.Code))
	}
	return true
}
