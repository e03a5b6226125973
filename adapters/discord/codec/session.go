package codec

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// Position is where reception stands. It is kept in the same commit as the
// events before it.
type Position struct {
	Session string `json:"session,omitempty"` // "": there is none to resume
	Resume  string `json:"resume,omitempty"`  // the address to resume at
	Seq     int64  `json:"seq,omitempty"`     // the last dispatch that was accepted
	Newest  string `json:"newest,omitempty"`  // the id of the newest message that was accepted
	// Gap is set while what was said without a session is read from histories:
	// the id behind which it begins. A process that dies meanwhile begins again.
	Gap string `json:"gap,omitempty"`
}

// overlap is how far messages may overtake each other between channels.
const overlap = time.Minute

// Begun is the position at which a new session begins. When there was one
// before, there is a gap.
func (p Position) Begun(r Ready, seq int64, now time.Time) Position {
	p.Session, p.Resume, p.Seq = r.Session, r.Resume, seq
	if p.Gap == "" && p.Newest != "" {
		p.Gap = Before(Moment(p.Newest).Add(-overlap))
	}
	if p.Newest == "" {
		p.Newest = Before(now)
	}
	return p
}

// Gate is what the platform says of where to connect.
type Gate struct {
	URL    string `json:"url"`
	Shards int    `json:"shards"` // how many connections the platform would like
	Limit  struct {
		Total     int   `json:"total"`
		Remaining int   `json:"remaining"`
		After     int64 `json:"reset_after"` // milliseconds
	} `json:"session_start_limit"`
}

// Wait is how long no new session may begin, because those of a day are used
// up; 0: one may.
func (g Gate) Wait() time.Duration {
	if g.Limit.Total <= 0 || g.Limit.Remaining > 0 {
		return 0
	}
	return min(max(time.Duration(g.Limit.After)*time.Millisecond, time.Second), 24*time.Hour)
}

// Notes says what is unwise about the connection; nothing for most bots.
func (g Gate) Notes() (notes []string) {
	if g.Shards > 1 {
		notes = append(notes, fmt.Sprintf("Discord asks for %d connections (shards), as the bot is in very many servers; Gatehouse opens one, "+
			"which Discord closes for good at 2,500 servers. Take the bot out of some, or use a bot of its own for them.", g.Shards))
	}
	if wait := g.Wait(); wait > 0 {
		notes = append(notes, fmt.Sprintf("No new session may begin for %s: those of a day are used up. Something ends them again and again; look at the log.", wait.Round(time.Minute)))
	}
	return notes
}

// ErrUsedUp is why no new session may begin.
var ErrUsedUp = errors.New("the sessions that may begin in a day are used up")

// ErrGate says that an address is none of a gateway.
var ErrGate = errors.New("the gateway's address is not a URL")

// Dial is where to connect at the address of a gateway.
func Dial(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "", ErrGate
	}
	u.RawQuery = "v=10&encoding=json"
	if u.Path == "" {
		u.Path = "/"
	}
	return u.String(), nil
}

// The intents: what the gateway is to tell. By the platform's own bits.
const (
	intentGuilds          = 1 << 0
	intentMessages        = 1 << 9
	intentReactions       = 1 << 10
	intentDirect          = 1 << 12
	intentDirectReactions = 1 << 13
	intentContent         = 1 << 15
)

// Intents are those of a bot. content is the one that needs a permission: what
// is said in servers besides what mentions the bot.
func Intents(content bool) int {
	all := intentGuilds | intentMessages | intentReactions | intentDirect | intentDirectReactions
	if content {
		all |= intentContent
	}
	return all
}

// What a person can do about the end of a connection.
const (
	FixToken   = "Make a new token in the Developer Portal (https://discord.com/developers/applications, page Bot, Reset Token) and store it."
	fixContent = "Switch on Message Content Intent in the Developer Portal (https://discord.com/developers/applications, page Bot), or set message_content: false."
	fixShards  = "The bot is in more servers than one connection may serve; take it out of some, or use a bot of its own for them."
	fixVersion = "Upgrade Gatehouse: the platform no longer speaks the version of the gateway that it knows."
)

// Closing is what a close code of the gateway means.
type Closing struct {
	Text  string
	Fix   string        // of one after which connecting again is of no use
	Kind  channels.Kind // the same
	Fresh bool          // the session is over
}

// Closed is what a close code says more than that the connection is over. After
// every one without a text the session is resumed.
func Closed(code int) Closing {
	switch code {
	case 4004:
		return Closing{Text: "the gateway does not take the token", Fix: FixToken, Kind: channels.Unauthorized}
	case 4007:
		return Closing{Text: "the gateway does not know the place in the session", Fresh: true}
	case 4009:
		return Closing{Text: "the session has timed out", Fresh: true}
	case 4010:
		return Closing{Text: "the gateway does not take the shard", Fix: fixShards, Kind: channels.Rejected}
	case 4011:
		return Closing{Text: "the bot is in too many servers for one connection", Fix: fixShards, Kind: channels.Rejected}
	case 4012:
		return Closing{Text: "the gateway no longer speaks this version", Fix: fixVersion, Kind: channels.Rejected}
	case 4013:
		return Closing{Text: "the gateway does not know an intent", Fix: fixVersion, Kind: channels.Rejected}
	case 4014:
		return Closing{Text: "the application may not use the Message Content intent", Fix: fixContent, Kind: channels.Rejected}
	}
	return Closing{}
}

// Claim says which part takes the place of an interaction's "… is thinking". It
// is kept before that part is sent, so that no other part takes the place of
// this one, and that it can be repeated.
type Claim struct {
	Key string    `json:"key"`
	At  time.Time `json:"at"`
}

// KeepClaims begins the keys of claims.
const KeepClaims = "reply/"

// Short stands for a secret in keys.
func Short(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:16])
}

// Ended reports whether what is kept of a claim is of an interaction that has
// ended, or no claim.
func Ended(value []byte, now time.Time) bool {
	const lasts = time.Hour
	var x Claim
	return json.Unmarshal(value, &x) != nil || now.Sub(x.At) > lasts
}
