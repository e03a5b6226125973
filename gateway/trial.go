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

// trial is the progress of a record that was tried.
type trial struct {
	Alone int `json:"alone"`
}

func trialsOf(r bus.Record) int {
	var t trial
	if len(r.Progress) > 0 && json.Unmarshal(r.Progress, &t) != nil {
		return 0 // somebody else's note
	}
	return t.Alone
}

// try notes that the event is about to be tried by itself.
func (s *sitting) try(ctx context.Context, r bus.Record) error {
	note, err := json.Marshal(trial{Alone: trialsOf(r) + 1})
	if err != nil {
		return err
	}
	return s.hold(ctx, bus.Hold{Progress: map[string]json.RawMessage{r.Key: note}})
}
