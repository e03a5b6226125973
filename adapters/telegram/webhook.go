package telegram

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/go-telegram/bot/models"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/link"
)

// Constants of webhook mode.
const (
	secretHeader = "X-Telegram-Bot-Api-Secret-Token"
	hookError    = 3 * time.Minute // how long a failed delivery is news
	hookParallel = 40
	maxRequest   = 1 << 20 // bytes
)

// hookSecret is what Telegram must show. The platform takes letters, digits,
// "_" and "-" only; any other secret is hashed into that.
func (c *Channel) hookSecret() string {
	s := c.host.Derive("webhook").Reveal()
	if s == "" {
		return ""
	}
	for i := range len(s) {
		ch := s[i]
		if ch != '_' && ch != '-' && (ch < '0' || ch > '9') && (ch < 'a' || ch > 'z') && (ch < 'A' || ch > 'Z') || len(s) > 256 {
			sum := sha256.Sum256([]byte(s))
			return hex.EncodeToString(sum[:])
		}
	}
	return s
}

// runWebhook registers the webhook and watches over the registration.
func (c *Channel) runWebhook(ctx context.Context, self codec.Self, sink channels.Sink) error {
	w := &hook{Channel: c, self: self, sink: sink}
	var pause link.Backoff
	for ctx.Err() == nil {
		err := w.look(ctx)
		switch {
		case err == nil:
			pause.Reset()
			if !w.sleep(ctx, c.watch) {
				return nil
			}
		case channels.KindOf(err) == channels.Unauthorized:
			return err
		case channels.KindOf(err) == channels.Rejected:
			c.health.Report(channels.Health{Phase: channels.Broken, Err: err, Fix: fixPublic, As: w.name()})
			return err
		default:
			c.health.Report(channels.Health{Phase: channels.Retrying, Err: err, Fix: unreachable(err), As: w.name()})
			if pause.Wait(ctx, channels.RetryAfter(err)) != nil {
				return nil
			}
		}
	}
	return nil
}

// hook is one run of webhook mode.
type hook struct {
	*Channel
	self       codec.Self
	sink       channels.Sink
	registered bool
}

func (w *hook) name() string { return "@" + w.self.Username }

// look registers the webhook when it is not, or no longer, ours, and reports
// what the platform says about its deliveries.
func (w *hook) look(ctx context.Context) error {
	if err := w.moves.announce(ctx, w.self, w.sink, stamp); err != nil {
		return err
	}
	if !w.registered {
		if err := w.register(ctx); err != nil {
			return err
		}
		w.registered = true
	}
	var n models.WebhookInfo
	if err := w.api.invoke(ctx, "getWebhookInfo", struct{}{}, &n); err != nil {
		return err
	}
	if n.URL != w.host.Public() {
		w.registered = false
		w.host.Log().WarnContext(ctx, "the webhook was changed elsewhere and is registered again")
		return w.api.fail("getWebhookInfo", channels.Transient, errors.New("the webhook was changed by somebody else"))
	}
	if failing(n) {
		// The platform's words describe our own answer or the way to us.
		w.health.Report(channels.Health{
			Phase: channels.Retrying, Fix: fixPublic, As: w.name(),
			Err: errors.New("Telegram cannot deliver: " + cut(n.LastErrorMessage, 200)),
		})
		return nil
	}
	w.host.Heard()
	w.health.Report(channels.Health{Phase: channels.Connected, As: w.name()})
	return nil
}

// failing reports whether deliveries fail at this time: an old error with
// nothing waiting is over.
func failing(n models.WebhookInfo) bool {
	return n.LastErrorDate != 0 && n.PendingUpdateCount > 0 &&
		time.Since(time.Unix(int64(n.LastErrorDate), 0)) < hookError
}

func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + "…"
	}
	return s
}

func (w *hook) register(ctx context.Context) error {
	in := struct {
		URL      string   `json:"url"`
		Secret   string   `json:"secret_token"`
		Parallel int      `json:"max_connections"`
		Allowed  []string `json:"allowed_updates"`
	}{w.host.Public(), w.hookSecret(), hookParallel, codec.Allowed()}
	if in.Secret == "" {
		return w.api.fail("setWebhook", channels.Rejected, errors.New("there is no secret for the webhook"))
	}
	return w.api.invoke(ctx, "setWebhook", in, nil)
}

// sleep pauses and is false when ctx has ended.
func (w *hook) sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// Receive implements channels.Receiver. It answers 200 only for what is
// durable, or can never be an event; everything else the platform sends again.
func (c *Channel) Receive(sink channels.Sink) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status := c.receive(w, r, sink); status != http.StatusOK {
			http.Error(w, http.StatusText(status), status)
		}
	})
}

func (c *Channel) receive(w http.ResponseWriter, r *http.Request, sink channels.Sink) (status int) {
	if c.cfg.Mode != modeWebhook {
		return http.StatusNotFound
	}
	want, got := c.hookSecret(), r.Header.Get(secretHeader)
	if want == "" || subtle.ConstantTimeCompare([]byte(want), []byte(got)) != 1 {
		return http.StatusUnauthorized
	}
	if r.Method != http.MethodPost {
		return http.StatusMethodNotAllowed
	}
	self, ok := c.known()
	if !ok {
		return later(w, nil) // Run has not learned yet who the bot is
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		var tooLong *http.MaxBytesError
		if errors.As(err, &tooLong) {
			return http.StatusRequestEntityTooLarge
		}
		return http.StatusBadRequest
	}
	u, err := codec.Decode(body, self)
	if err != nil {
		return http.StatusBadRequest
	}
	c.host.Heard()
	c.ignored(r.Context(), u)
	if len(u.Events) == 0 {
		return http.StatusOK
	}
	for i := range u.Events {
		stamp(&u.Events[i])
	}
	c.expect(u.Events)
	rejected, err := channels.Offer(r.Context(), sink, channels.Batch{Events: u.Events})
	if err != nil {
		c.host.Log().WarnContext(r.Context(), "update not accepted; the platform sends it again", "update", u.ID, "err", err)
		return later(w, err)
	}
	c.rejected(r.Context(), rejected)
	return http.StatusOK
}

// later asks the platform to try again.
func later(w http.ResponseWriter, err error) int {
	wait := max(1, int(channels.RetryAfter(err).Seconds()))
	w.Header().Set("Retry-After", strconv.Itoa(wait))
	return http.StatusServiceUnavailable
}
