package ingress_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// phoneDriver opens channels to which a phone is linked.
type phoneDriver struct{}

func (phoneDriver) Name() string                           { return "phone" }
func (phoneDriver) Schema() []byte                         { return []byte(`{"type": "object"}`) }
func (phoneDriver) Check(json.RawMessage) []channels.Fault { return nil }
func (phoneDriver) Guide() channels.Guide                  { return channels.Guide{Title: "A phone", Link: true} }

func (phoneDriver) Open(context.Context, channels.Host, json.RawMessage) (channels.Channel, error) {
	return phoneChannel{}, nil
}

type phoneChannel struct{}

func (phoneChannel) Features(channels.Address) channels.Features { return channels.Features{} }
func (phoneChannel) Run(ctx context.Context, _ channels.Sink) error {
	<-ctx.Done()
	return nil
}

func (phoneChannel) Send(context.Context, channels.Part) (channels.Receipt, error) {
	return channels.Receipt{}, errors.ErrUnsupported
}

func (phoneChannel) Probe(context.Context) (channels.Identity, error) {
	return channels.Identity{}, &channels.Error{Op: "probe", Kind: channels.Unauthorized, Err: errors.New("no phone is linked")}
}

func (phoneChannel) Link(_ context.Context, show func(string)) error {
	show("first-qr")
	show("second-qr")
	return nil
}

func (phoneChannel) LinkPhone(_ context.Context, number string, show func(string)) error {
	show("CODE-" + number)
	return nil
}

// TestLinkAPhone: a channel whose account is linked by hand is added without
// one, and its page shows each code until it is.
func TestLinkAPhone(t *testing.T) {
	h := newHouse(t, echo)
	c := h.loggedIn()
	added := h.post(c, "/channels", url.Values{"adapter": {"phone"}, "id": {"mine"}})
	if added.StatusCode != http.StatusOK || !strings.Contains(added.Body, `action="/channels/mine/link"`) {
		t.Fatalf("added: %s\n%s", added.Status, added.Body)
	}
	page := h.post(c, "/channels/mine/link", nil)
	if n := strings.Count(page.Body, `class="qr"`); n != 2 || !strings.Contains(page.Body, "The phone is linked.") {
		t.Errorf("the page shows %d codes:\n%s", n, page.Body)
	}
	typed := h.post(c, "/channels/mine/link", url.Values{"phone": {"+49 1"}})
	if !strings.Contains(typed.Body, "CODE-+49 1") {
		t.Errorf("the page has no code to type:\n%s", typed.Body)
	}
	if gone := h.post(c, "/channels/nobody/link", nil); !strings.Contains(gone.Body, "The phone is not linked.") {
		t.Errorf("a channel that there is not:\n%s", gone.Body)
	}
}
