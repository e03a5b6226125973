//go:build !nowhatsapp

package whatsapp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/link"
)

// Link implements channels.Linker: show gets the content of each QR code.
func (c *Channel) Link(ctx context.Context, show func(code string)) error {
	return c.add(ctx, "", show)
}

// LinkPhone implements channels.PhoneLinker: show gets the code that is typed
// into the phone, under "Link with phone number instead".
func (c *Channel) LinkPhone(ctx context.Context, number string, show func(code string)) error {
	if number == "" {
		return c.fail("link", channels.Rejected, whatsmeow.ErrPhoneNumberTooShort)
	}
	return c.add(ctx, number, show)
}

// How long codes are good for: the first one longer, as on WhatsApp Web.
const (
	firstCode = 60 * time.Second
	nextCodes = 20 * time.Second
	joining   = 60 * time.Second // from the phone's consent to the first connection
)

// pairing is what happens while a phone is linked.
type pairing struct {
	codes  chan []string
	ended  chan error    // the connection ended, or the phone refused
	paired chan struct{} // the phone consents
	again  chan struct{} // and the server wants the device to connect anew
}

func (p *pairing) follow(e any) bool {
	fail := func(err error) {
		select {
		case p.ended <- err:
		default:
		}
	}
	switch e := e.(type) {
	case *events.QR:
		select {
		case p.codes <- e.Codes:
		default:
		}
	case *events.PairSuccess:
		close(p.paired)
	case *events.ManualLoginReconnect:
		close(p.again)
	case *events.PairError:
		fail(fmt.Errorf("the phone was not linked: %w", e.Error))
	case *events.Disconnected:
		fail(errors.New("WhatsApp ended the linking: the codes are used up; begin again"))
	case *events.QRScannedWithoutMultidevice:
		fail(errors.New("update WhatsApp on the phone, and try again"))
	case *events.ClientOutdated:
		fail(errors.New("WhatsApp no longer accepts this version; update Gatehouse"))
	}
	return true
}

// add links a phone and waits until the device works.
func (c *Channel) add(ctx context.Context, number string, show func(code string)) error {
	const op = "link"
	if !c.adding.TryLock() {
		return c.fail(op, channels.Rejected, errors.New("a phone is being linked already"))
	}
	defer c.adding.Unlock()
	dev, err := c.device(ctx)
	if err != nil {
		return c.fail(op, channels.Other, err)
	}
	if dev != nil {
		return c.fail(op, channels.Rejected, fmt.Errorf("%s is linked; to link another phone, log the device out there first (Settings, Linked devices)", named(dev)))
	}
	if err := c.pair(ctx, number, show); err != nil {
		if channels.KindOf(err) == channels.Other {
			err = c.fail(op, channels.Other, err)
		}
		return err
	}
	return c.join(ctx)
}

// pair goes through the linking until the phone has consented and the keys are
// kept.
func (c *Channel) pair(ctx context.Context, number string, show func(code string)) error {
	keys, err := c.keys()
	if err != nil {
		return err
	}
	run, end := context.WithCancel(ctx)
	dev := keys.NewDevice(quiet{c.host.Log()})
	cli, w := c.client(run, dev)
	p := &pairing{codes: make(chan []string, 1), ended: make(chan error, 1), paired: make(chan struct{}), again: make(chan struct{})}
	cli.AddEventHandlerWithSuccessStatus(p.follow)
	defer func() {
		end()
		hangUp(cli, w)
	}()
	if err := cli.ConnectContext(run); err != nil {
		return c.fail("link", channels.Transient, fmt.Errorf("no connection to WhatsApp: %w", plain(err)))
	}
	if err := p.present(run, cli, number, show); err != nil {
		return err
	}
	// The server ends the connection when it has the device's signature.
	t := time.NewTimer(5 * time.Second)
	defer t.Stop()
	select {
	case <-p.again:
	case <-w.down():
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return keys.Confirm(ctx, dev)
}

// present shows codes until the phone has consented.
func (p *pairing) present(ctx context.Context, cli *whatsmeow.Client, number string, show func(code string)) error {
	var codes []string
	next := time.NewTimer(connecting)
	defer next.Stop()
	for shown := 0; ; {
		select {
		case <-p.paired:
			return nil
		case err := <-p.ended:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case codes = <-p.codes:
			if number != "" {
				code, err := cli.PairPhone(ctx, number, true, whatsmeow.PairClientChrome, "Chrome (Linux)")
				if err != nil {
					return fmt.Errorf("WhatsApp gives no code for this number: %w", plain(err))
				}
				show(code)
				next.Reset(3 * time.Minute)
				continue
			}
		case <-next.C:
			if shown == 0 || len(codes) == 0 {
				return errors.New("nobody linked a phone in time; begin again")
			}
		}
		show(codes[0])
		codes = codes[1:]
		next.Reset(nextCodes)
		if shown++; shown == 1 {
			next.Reset(firstCode)
		}
	}
}

// join connects the device for the first time, which the phone waits for: Run
// does where it runs, and we do where it does not.
func (c *Channel) join(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, joining)
	defer cancel()
	c.mu.Lock()
	running := c.running
	c.unlinked = false
	c.mu.Unlock()
	if running {
		return c.joinByRun(ctx)
	}
	dev, err := c.device(ctx)
	if err != nil || dev == nil {
		return c.fail("link", channels.Other, errors.Join(err, errUnlinked))
	}
	s, err := c.connect(ctx, dev, func(*session, any) bool { return false }) // nothing is acknowledged: nobody would get it
	defer s.close()
	if err != nil {
		return c.fail("link", channels.Transient, fmt.Errorf("the phone is linked, and the device cannot connect yet: %w", plain(err)))
	}
	return nil
}

func (c *Channel) joinByRun(ctx context.Context) error {
	select {
	case c.woken <- struct{}{}:
	default:
	}
	for {
		c.mu.Lock()
		up := c.now != nil
		c.mu.Unlock()
		if up {
			return nil
		}
		if link.Sleep(ctx, 50*time.Millisecond) != nil {
			return c.fail("link", channels.Transient, errors.New("the phone is linked, and the device does not connect yet; look at its state"))
		}
	}
}
