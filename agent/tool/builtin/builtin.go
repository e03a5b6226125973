// Package builtin holds the tools that come with the gateway and need nothing
// from outside: the time, a calculator, and notes.
package builtin

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/gatehouse-chat/gatehouse/agent"
)

// read decodes arguments strictly, so that a model which invents one is told.
func read[T any](args json.RawMessage) (T, error) {
	var v T
	d := json.NewDecoder(bytes.NewReader(args))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return v, fmt.Errorf("the arguments do not fit: %w", err)
	}
	return v, nil
}

// here is a result that was made by the gateway itself.
func here(format string, args ...any) agent.ToolResult {
	return agent.ToolResult{Text: fmt.Sprintf(format, args...), Label: agent.Trusted}
}

// fault is an error that the model may read and that was made here.
func fault(err error) (agent.ToolResult, error) {
	return agent.ToolResult{Label: agent.Trusted}, err
}
