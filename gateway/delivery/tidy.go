package delivery

import (
	"encoding/json"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

// Spaces names the spaces of the state in which deliveries leave rows, for the
// housekeeping.
func Spaces() []string { return []string{draftSpace, viaSpace} }

// LastUse is when a row of one of the spaces was last of use; zero when it does
// not say.
func LastUse(e kv.Entry) time.Time {
	var row struct {
		At time.Time `json:"at"`
	}
	if json.Unmarshal(e.Value, &row) != nil {
		return time.Time{}
	}
	return row.At
}
