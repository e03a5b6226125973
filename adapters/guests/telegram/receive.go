//go:build wasip1

package telegram

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
)

const (
	longPoll  = 50 * time.Second // how long the platform may hold an empty answer
	slack     = 25 * time.Second // after which a connection that says nothing is dead
	batchSize = 50
	forgotten = 6 * 24 * time.Hour // after a week of silence the platform counts anew, at a random number
	watch     = time.Minute        // between two looks at the webhook
	webhook   = "webhook"
)

// offset is what is kept between polls.
type offset struct {
	Next int64     `json:"next"` // the first update that was not accepted
	At   time.Time `json:"at"`
}

func start(c *guest.Call) (wire.Out, error) {
	s, err := config(c)
	if err != nil {
		return wire.Out{}, err
	}
	u, err := getMe(c)
	if err != nil {
		return wire.Out{}, err
	}
	out, err := guest.Began(user{ID: u.ID, Username: u.Username}, "@"+u.Username)
	out.Webhook = s.Mode == webhook
	if err == nil && out.Webhook {
		err = register(c)
	}
	return out, err
}

// register has the platform call us. The host puts the secret in.
func register(c *guest.Call) error {
	if c.Public == "" {
		return guest.Errorf(channels.Rejected, "mode webhook needs a public_url under which Telegram can reach the gateway")
	}
	return invoke(c, "setWebhook", struct {
		URL      string   `json:"url"`
		Parallel int      `json:"max_connections"`
		Allowed  []string `json:"allowed_updates"`
	}{c.Public, 40, codec.Allowed()}, nil)
}

func poll(c *guest.Call) (wire.Out, error) {
	s, err := config(c)
	if err != nil {
		return wire.Out{}, err
	}
	me, err := self(c)
	if err != nil {
		return wire.Out{}, err
	}
	if c.In.Poll.Response != nil {
		return taken(c, me)
	}
	if err := announce(c, me); err != nil {
		return wire.Out{}, err
	}
	if s.Mode == webhook {
		return look(c)
	}
	return ask(c, s, me)
}

// ask says which request brings the next updates.
func ask(c *guest.Call, s settings, me codec.Self) (wire.Out, error) {
	from, err := readOffset(c, me)
	if err != nil {
		return wire.Out{}, err
	}
	in := struct {
		Offset  int64    `json:"offset,omitempty"`
		Limit   int      `json:"limit"`
		Timeout int      `json:"timeout"`
		Allowed []string `json:"allowed_updates"`
	}{Limit: batchSize, Allowed: codec.Allowed()}
	if time.Since(from.At) < forgotten {
		in.Offset = from.Next
	}
	if c.In.Poll.Failures > 1 {
		in.Limit = 1
	}
	held := time.Duration(0)
	if !c.In.Poll.Quick {
		held = longPoll
	}
	in.Timeout = int(held / time.Second)
	body, err := json.Marshal(in)
	c.Reply(body)
	return wire.Out{Request: &wire.Request{
		Method: "POST", URL: s.BaseURL + "/bot{token}/getUpdates", TimeoutMS: (held + slack).Milliseconds(),
		Headers: map[string]string{"Content-Type": "application/json"}, Repeatable: true,
	}}, err
}

func offsetKey(me codec.Self) string { return "offset/" + strconv.FormatInt(me.ID, 10) }

// readOffset takes an offset that cannot be read for none: the platform then
// gives what it has, and keys tell what was seen.
func readOffset(c *guest.Call, me codec.Self) (o offset, err error) {
	b, err := c.Get(offsetKey(me))
	if err == nil && b != nil && json.Unmarshal(b, &o) != nil {
		return offset{}, nil
	}
	return o, err
}

// taken reads the answer to getUpdates.
func taken(c *guest.Call, me codec.Self) (wire.Out, error) {
	updates, a := codec.Updates(c.In.Poll.Response.Status, c.Body)
	if !a.OK {
		if a.Reason == codec.ReasonWebhookSet {
			c.Log(slog.LevelWarn, "a webhook was set for this bot and is removed, because the channel polls")
			if err := invoke(c, "deleteWebhook", struct{}{}, nil); err != nil {
				return wire.Out{}, err
			}
		}
		return wire.Out{}, refused(a)
	}
	next := int64(0)
	for _, raw := range updates {
		u, err := codec.Decode(raw, me)
		if err != nil {
			c.Log(slog.LevelWarn, "an entry of getUpdates is no update")
			continue
		}
		if err := emit(c, u); errors.Is(err, guest.Quota) && next > 0 {
			break // the rest comes with the next poll
		} else if err != nil {
			return wire.Out{}, err
		}
		next = max(next, u.ID+1)
	}
	if len(updates) == 0 {
		return wire.Out{}, nil
	}
	if next == 0 {
		return wire.Out{}, guest.Errorf(channels.Transient, "no update could be read")
	}
	value, err := json.Marshal(offset{next, time.Now().UTC()})
	if err == nil {
		err = c.Put(offsetKey(me), value)
	}
	return wire.Out{}, err
}

func emit(c *guest.Call, u codec.Update) error {
	if u.Ignored != "" {
		c.Log(slog.LevelDebug, "update "+strconv.FormatInt(u.ID, 10)+" ignored: "+u.Ignored)
	}
	for _, e := range u.Events {
		if err := c.Emit(e); err != nil {
			return err
		}
	}
	return nil
}

// update reads one update that the platform brought.
func update(c *guest.Call) (wire.Out, error) {
	me, err := self(c)
	if err != nil {
		return wire.Out{}, err
	}
	u, err := codec.Decode(c.Body, me)
	if err != nil {
		return wire.Out{}, guest.Errorf(channels.Rejected, "not an update")
	}
	return wire.Out{}, emit(c, u)
}

// look registers the webhook anew when it is no longer ours, and says what the
// platform says of its deliveries.
func look(c *guest.Call) (wire.Out, error) {
	var n struct {
		URL     string `json:"url"`
		Pending int    `json:"pending_update_count"`
		ErrorAt int64  `json:"last_error_date"`
		Error   string `json:"last_error_message"`
	}
	if err := invoke(c, "getWebhookInfo", struct{}{}, &n); err != nil {
		return wire.Out{}, err
	}
	if n.URL != c.Public {
		c.Log(slog.LevelWarn, "the webhook was changed elsewhere and is registered again")
		if err := register(c); err != nil {
			return wire.Out{}, err
		}
		return wire.Out{}, guest.Errorf(channels.Transient, "the webhook was changed by somebody else")
	}
	const news = 3 * time.Minute
	if n.ErrorAt != 0 && n.Pending > 0 && time.Since(time.Unix(n.ErrorAt, 0)) < news {
		return wire.Out{}, guest.Errorf(channels.Transient, "Telegram cannot deliver: "+n.Error)
	}
	return wire.Out{WaitMS: watch.Milliseconds()}, nil
}

const movesKey = "moves"

// moved notes that a group has a new id, for the next poll to tell.
func moved(c *guest.Call, from, to channels.ConversationID) error {
	known, err := readMoves(c)
	if err != nil || known[from] == to {
		return err
	}
	known[from] = to
	b, err := json.Marshal(known)
	if err != nil {
		return err
	}
	return c.Put(movesKey, b)
}

func readMoves(c *guest.Call) (map[channels.ConversationID]channels.ConversationID, error) {
	known := map[channels.ConversationID]channels.ConversationID{}
	b, err := c.Get(movesKey)
	if b != nil && json.Unmarshal(b, &known) != nil {
		return map[channels.ConversationID]channels.ConversationID{}, nil
	}
	return known, err
}

// announce tells of moved groups, and forgets them in the same commit.
func announce(c *guest.Call, me codec.Self) error {
	known, err := readMoves(c)
	if err != nil || len(known) == 0 {
		return err
	}
	for from, to := range known {
		a, errA := strconv.ParseInt(string(from), 10, 64)
		z, errZ := strconv.ParseInt(string(to), 10, 64)
		if errA != nil || errZ != nil {
			continue
		}
		if err := c.Emit(codec.Moved(me, a, z)); err != nil {
			return err
		}
	}
	return c.Put(movesKey, nil)
}
