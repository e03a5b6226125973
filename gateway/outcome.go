package gateway

import (
	"context"
	"encoding/json"
	"fmt"
)

// TurnFailed returns the kind of failure for which a turn's answer is an excuse
// or breaks off; "" for a turn that went well, that a person stopped, or that
// is not known (any more).
func (g *Gateway) TurnFailed(ctx context.Context, turn string) (string, error) {
	e, err := g.bus.Get(ctx, turnSpace, turn)
	if err != nil || e.Version == 0 {
		return "", err
	}
	var rec turnRecord
	if err := json.Unmarshal(e.Value, &rec); err != nil {
		return "", fmt.Errorf("turn %s: %w", turn, err)
	}
	return rec.Failed, nil
}
