package gateway_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/gateway/audit"
)

// fullTrail is an audit log that keeps nothing while it is full.
type fullTrail struct{ full bool }

func (*fullTrail) Record(audit.Entry) {}

func (f *fullTrail) Keep(context.Context, ...audit.Entry) error {
	if f.full {
		return errors.New("no space left on device")
	}
	return nil
}

// TestInvariant08NoCallWithoutARecord: a tool whose call cannot be put on record
// is not called; nothing is said in its place that could pass for its result.
func TestInvariant08NoCallWithoutARecord(t *testing.T) {
	for _, full := range []bool{false, true} {
		calls := 0
		bubble(t, func() rigOptions {
			o := paying(agent.Reversible, &calls)()
			o.audit = &fullTrail{full: full}
			return o
		}, func(r *rig) {
			r.accept(said("anna", "1", "pay him"))
			r.after(10 * time.Minute) // it is tried again, and given up in the end
			got := r.wait(1)[0].Text
			if full && (calls != 0 || got == "result: paid") {
				t.Errorf("called %d times without a record, and said %q", calls, got)
			}
			if !full && (calls != 1 || got != "result: paid") {
				t.Errorf("called %d times, and said %q", calls, got)
			}
		})
	}
}
