package codec

import (
	"encoding/json"
	"errors"
)

// Envelope is a message of Socket Mode.
type Envelope struct {
	Type    string          `json:"type"`
	ID      string          `json:"envelope_id"` // to be acknowledged; "": nothing is
	Payload json.RawMessage `json:"payload"`
	Reason  string          `json:"reason"` // TypeDisconnect
}

// The types of messages that are about the connection.
const (
	TypeHello      = "hello"
	TypeDisconnect = "disconnect"
)

// Why the platform ends a connection. Warning and refresh come while it still
// works.
const (
	ReasonWarning  = "warning"
	ReasonRefresh  = "refresh_requested"
	ReasonDisabled = "link_disabled"
	ReasonTooMany  = "too_many_websockets"
)

// ReadEnvelope reads a message of Socket Mode.
func ReadEnvelope(b []byte) (Envelope, error) {
	var e Envelope
	if json.Unmarshal(b, &e) != nil {
		return Envelope{}, errors.New("the socket brought what is no envelope")
	}
	return e, nil
}

// Known is the reason if it is one of Slack's, and else nothing of what was sent.
func (e Envelope) Known() string {
	switch e.Reason {
	case ReasonWarning, ReasonRefresh, ReasonDisabled, ReasonTooMany:
		return e.Reason
	}
	return "another"
}

// Acknowledge is what is said of an envelope that is durable.
func (e Envelope) Acknowledge() []byte {
	b, err := json.Marshal(map[string]string{"envelope_id": e.ID})
	if err != nil {
		return nil // it is a text
	}
	return b
}
