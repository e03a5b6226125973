package builtin

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
	_ "time/tzdata" // a container may have no zones of its own

	"github.com/gatehouse-chat/gatehouse/agent"
)

// Clock tells the time, anywhere.
type Clock struct{ Now func() time.Time }

var _ agent.Tool = Clock{}

// Spec implements agent.Tool.
func (Clock) Spec() agent.Spec {
	return agent.Spec{
		Name: "time", Effect: agent.ReadLocal,
		Description: "The date, the weekday and the time at this moment, or at another moment given as RFC 3339, in a time zone.",
		Schema: json.RawMessage(`{"type":"object","properties":{` +
			`"zone":{"type":"string","description":"IANA name such as Europe/Berlin; UTC without it"},` +
			`"at":{"type":"string","description":"another moment, RFC 3339"},` +
			`"add":{"type":"string","description":"a duration to add, such as 36h or -90m"}},"additionalProperties":false}`),
	}
}

// Call implements agent.Tool.
func (c Clock) Call(_ context.Context, _ *agent.Turn, args json.RawMessage) (agent.ToolResult, error) {
	a, err := read[struct{ Zone, At, Add string }](args)
	if err != nil {
		return fault(err)
	}
	at := c.Now()
	if a.At != "" {
		if at, err = time.Parse(time.RFC3339, a.At); err != nil {
			return fault(fmt.Errorf("%q is not a moment such as 2026-01-31T18:00:00Z", a.At))
		}
	}
	if a.Add != "" {
		d, err := time.ParseDuration(a.Add)
		if err != nil {
			return fault(fmt.Errorf("%q is not a duration such as 36h", a.Add))
		}
		at = at.Add(d)
	}
	zone, err := time.LoadLocation(a.Zone)
	if err != nil || a.Zone == "Local" {
		return fault(fmt.Errorf("%q is not a time zone such as Europe/Berlin", a.Zone))
	}
	return here("%s", at.In(zone).Format("Monday, 2006-01-02T15:04:05Z07:00 (MST)")), nil
}
