package gateway

import (
	"context"
	"encoding/json"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
)

// A lease hands out all that is due in a conversation and counts an attempt on
// each record, so attempts alone do not tell who is to blame when the process
// ends: what only waited behind an event has as many. From some attempt on an
// event is therefore tried by itself, each trial is noted before it begins, and
// only what did not survive its trials is set aside. A process that has just
// begun tries nothing: one that is killed again and again at its start must not
// use the trials of an innocent event up.

// trials is how often an event is tried by itself, and trialAfter how long the
// process has lived before it tries any.
const (
	trials     = maxAttempts - alone
	trialAfter = 3 * time.Second
)

// trial is the progress of a record that was tried, or waited for a person.
type trial struct {
	Alone  int `json:"alone,omitempty"`
	Waited int `json:"waited,omitempty"` // leases that ended well and without a verdict: with a question, or too early for a trial
}

func trialOf(r bus.Record) trial {
	var t trial
	if len(r.Progress) > 0 && json.Unmarshal(r.Progress, &t) != nil {
		return trial{} // somebody else's note
	}
	return t
}

// attempts counts the leases of an event that may have ended badly.
func attempts(r bus.Record) int {
	if r.Attempt <= 1 {
		return r.Attempt
	}
	return max(1, r.Attempt-trialOf(r).Waited)
}

// early leaves an event that would be tried by itself, and what follows it in
// its conversation, until the process has lived for a while. It reports false
// when the event may be worked on now.
func (s *sitting) early(r bus.Record) (bool, error) {
	at := s.g.started.Add(trialAfter)
	if attempts(r) <= alone || !s.g.now().Before(at) {
		return false, nil
	}
	n := trialOf(r)
	n.Waited++
	note, err := json.Marshal(n)
	if err != nil {
		return false, err
	}
	s.verdicts[r.Key] = bus.Verdict{Fate: bus.Retry, At: at, Progress: note}
	s.decided = true
	return true, nil
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
