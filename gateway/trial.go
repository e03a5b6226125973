package gateway

import (
	"context"
	"encoding/json"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
)

// A lease hands out all that is due in a conversation and counts an attempt on
// each record, so attempts alone do not tell who is to blame when the process
// ends: what only waited behind an event has as many. From some attempt on an
// event is therefore tried by itself, each trial is noted before it begins, and
// only what did not survive its trials is set aside.

// trials is how often an event is tried by itself.
const trials = maxAttempts - alone

// trial is the progress of a record that was tried, or waited for a person.
type trial struct {
	Alone  int `json:"alone,omitempty"`
	Waited int `json:"waited,omitempty"` // leases that ended with a question
}

func trialOf(r bus.Record) trial {
	var t trial
	if len(r.Progress) > 0 && json.Unmarshal(r.Progress, &t) != nil {
		return trial{} // somebody else's note
	}
	return t
}

// attempts counts the leases of an event that may have ended badly: those that
// ended with a question did not.
func attempts(r bus.Record) int {
	if r.Attempt <= 1 {
		return r.Attempt
	}
	return max(1, r.Attempt-trialOf(r).Waited)
}

// try notes that the event is about to be tried by itself.
func (s *sitting) try(ctx context.Context, r bus.Record) error {
	n := trialOf(r)
	n.Alone++
	note, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return s.hold(ctx, bus.Hold{Progress: map[string]json.RawMessage{r.Key: note}})
}
