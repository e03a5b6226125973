package approval

import (
	"context"
	"encoding/json"

	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// Without makes the writes that remove what a member was asked and what they had
// allowed for longer. They belong in one commit.
func (b *Book) Without(ctx context.Context, workspace, member string) ([]kv.Write, error) {
	var writes []kv.Write
	asked := map[string]bool{}
	after := ""
	for { // questions come before the steps that have asked them
		rows, err := b.store.List(ctx, space, "", after, 0)
		if err != nil || len(rows) == 0 {
			return writes, err
		}
		for _, e := range rows {
			after = e.Key
			var r struct {
				ID                string
				Requester         scope.Principal
				Workspace, Member string // of what was allowed for longer
			}
			if json.Unmarshal(e.Value, &r) != nil {
				if asked[string(e.Value)] {
					writes = append(writes, kv.Write{Space: space, Key: e.Key})
				}
				continue
			}
			if r.Requester.Workspace == workspace && r.Requester.Member == member || r.Workspace == workspace && r.Member == member {
				asked[r.ID] = true
				writes = append(writes, kv.Write{Space: space, Key: e.Key})
			}
		}
	}
}
