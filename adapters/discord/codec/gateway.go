package codec

import (
	"encoding/json"
	"errors"
	"time"
)

// The operations of the gateway.
const (
	OpDispatch     = 0
	OpHeartbeat    = 1
	OpIdentify     = 2
	OpResume       = 6
	OpReconnect    = 7
	OpInvalid      = 9
	OpHello        = 10
	OpHeartbeatAck = 11
)

// Frame is a message of the gateway.
type Frame struct {
	Op   int             `json:"op"`
	Data json.RawMessage `json:"d"`
	Seq  int64           `json:"s"`
	Type string          `json:"t"`
}

// ReadFrame reads a message of the gateway.
func ReadFrame(b []byte) (Frame, error) {
	f := Frame{Op: -1}
	if err := json.Unmarshal(b, &f); err != nil || f.Op < 0 {
		return Frame{}, errors.New("the gateway sent what is none of its messages")
	}
	return f, nil
}

// Interval is the time between heartbeats that a HELLO asks for; 0 for none
// that is sound.
func (f Frame) Interval() time.Duration {
	h, err := parse[struct {
		Interval float64 `json:"heartbeat_interval"` // milliseconds
	}](f.Data)
	const longest = 10 * 60 * 1000
	if err != nil || !(h.Interval >= 1 && h.Interval <= longest) {
		return 0
	}
	return time.Duration(h.Interval * float64(time.Millisecond))
}

// Resumable reports whether an invalid session may be resumed after all.
func (f Frame) Resumable() bool {
	ok, err := parse[bool](f.Data)
	return err == nil && ok
}

// Ready is what a new session begins with.
type Ready struct {
	Session string
	Resume  string // the address to resume at
	Self    Self   // without its channel
	Guilds  []string
}

// Ready reads a READY.
func (f Frame) Ready() (Ready, error) {
	r, err := parse[struct {
		Session string `json:"session_id"`
		Resume  string `json:"resume_gateway_url"`
		User    user   `json:"user"`
		App     struct {
			ID string `json:"id"`
		} `json:"application"`
		Guilds []guild `json:"guilds"`
	}](f.Data)
	if err != nil || r.Session == "" || r.User.ID == "" {
		return Ready{}, errors.New("the gateway began a session without saying which")
	}
	out := Ready{Session: r.Session, Resume: r.Resume, Self: Self{ID: r.User.ID, App: r.App.ID, Name: r.User.Username}}
	for _, g := range r.Guilds {
		out.Guilds = append(out.Guilds, g.ID)
	}
	return out, nil
}

// Guild is the id in a dispatch that tells of a guild, or that the bot has left
// it. away says that the platform cannot reach the guild itself at this time.
func (f Frame) Guild() (id string, away bool) {
	g, err := parse[struct {
		ID   string `json:"id"`
		Away bool   `json:"unavailable"`
	}](f.Data)
	return g.ID, err == nil && g.Away
}

// Heartbeat says up to where dispatches were taken in; 0 for none.
func Heartbeat(seq int64) []byte {
	if seq == 0 {
		return write(OpHeartbeat, nil)
	}
	return write(OpHeartbeat, seq)
}

// Identify begins a session. The token is the host's placeholder.
func Identify(token string, intents int) []byte {
	type properties struct {
		OS      string `json:"os"`
		Browser string `json:"browser"`
		Device  string `json:"device"`
	}
	return write(OpIdentify, struct {
		Token      string     `json:"token"`
		Intents    int        `json:"intents"`
		Large      int        `json:"large_threshold"`
		Properties properties `json:"properties"`
	}{token, intents, 50, properties{"linux", "gatehouse", "gatehouse"}})
}

// Resume goes on with a session behind seq. The token is the host's placeholder.
func Resume(token, session string, seq int64) []byte {
	return write(OpResume, struct {
		Token   string `json:"token"`
		Session string `json:"session_id"`
		Seq     int64  `json:"seq"`
	}{token, session, seq})
}

func write(op int, data any) []byte {
	b, err := json.Marshal(struct {
		Op   int `json:"op"`
		Data any `json:"d"`
	}{op, data})
	if err != nil {
		return nil // it holds texts and numbers
	}
	return b
}
