package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxToolText bounds what of a tool's result is given to the model, in runes.
const maxToolText = 60_000

// replay puts what an earlier run of the turn has done into the conversation,
// and finishes what it had begun. The model is not asked again for calls that
// it has already asked for.
func (r *run) replay(ctx context.Context) error {
	steps := settled(r.turn.Journal)
	for from := 0; from < len(steps); {
		to := from
		var calls []ToolCall
		for ; to < len(steps) && steps[to].Round == steps[from].Round; to++ {
			calls = append(calls, *steps[to].Call)
		}
		r.fresh = append(r.fresh, Entry{At: r.now(), Role: Assistant, Calls: calls, Label: kept(r.turn.Seen)})
		for _, s := range steps[from:to] {
			r.steps = max(r.steps, s.Index+1)
			if err := r.resume(ctx, s); err != nil {
				return err
			}
		}
		from = to
	}
	return nil
}

// firstRound is the number of the first round that this run asks for.
func (r *run) firstRound() int {
	steps := settled(r.turn.Journal)
	if len(steps) == 0 {
		return 0
	}
	return steps[len(steps)-1].Round + 1
}

// settled keeps the last state of each step, in order. Steps that do not hold
// their call cannot be replayed and are left out.
func settled(journal []Step) []Step {
	var out []Step
	for _, s := range journal {
		if s.Call == nil {
			continue
		}
		at := slices.IndexFunc(out, func(o Step) bool { return o.Index == s.Index })
		if at < 0 {
			out = append(out, s)
		} else {
			out[at] = s
		}
	}
	slices.SortStableFunc(out, func(a, b Step) int { return a.Index - b.Index })
	return out
}

// resume goes on with a step where the earlier run left it.
func (r *run) resume(ctx context.Context, s Step) error {
	tool, known := r.tools[s.Tool]
	switch {
	case s.Result != nil:
		var res ToolResult
		if err := json.Unmarshal(s.Result, &res); err != nil {
			return fmt.Errorf("journal of turn %s: step %d: %w", r.turn.ID, s.Index, err)
		}
		r.resultOf(s.Call, res)
		return nil
	case !known:
		r.resultOf(s.Call, ToolResult{Text: "error: this tool is no longer there", Label: Trusted})
		return nil
	case s.Waiting:
		return r.begin(ctx, tool, s) // what is allowed may have changed since
	case outward(r.aim(tool, s.Call).Effect):
		r.note(sayUnknownOutcome(strings.ReplaceAll(s.Tool, "`", "'")))
		res := ToolResult{
			Text:  "The call was begun before a restart and its outcome is not known. It was not run again; the person is told to check.",
			Label: Trusted,
		}
		return r.record(ctx, s, res)
	}
	return r.runTool(ctx, tool, s)
}

// useTools runs the calls of one answer, in order.
func (r *run) useTools(ctx context.Context, round int, calls []ToolCall) error {
	for i := range calls {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		c := &calls[i]
		tool, known := r.tools[c.Name]
		switch {
		case i >= r.limits.Calls:
			r.resultOf(c, ToolResult{Text: fmt.Sprintf("error: at most %d calls at once; this one was not run", r.limits.Calls), Label: Trusted})
			continue
		case !known:
			r.resultOf(c, ToolResult{Text: "error: there is no tool of that name", Label: Trusted})
			continue
		case !isObject(c.Args):
			r.resultOf(c, ToolResult{Text: "error: the arguments are not a JSON object", Label: Trusted})
			continue
		}
		s := Step{Index: r.steps, Round: round, Tool: c.Name, Hash: argsHash(c.Args), Call: c}
		r.steps++
		if err := r.begin(ctx, tool, s); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) begin(ctx context.Context, tool Tool, s Step) error {
	switch ruling := r.rule(tool, s.Call); ruling.Verdict {
	case Allow:
		return r.runTool(ctx, tool, s)
	case Ask:
		if !s.Waiting {
			s.Waiting = true
			if err := r.port.Journal(ctx, s); err != nil {
				return err
			}
		}
		return r.approveAndRun(ctx, tool, s, ruling)
	default:
		return r.record(ctx, s, refused(ruling))
	}
}

func refused(r Ruling) ToolResult {
	text := "This call is not allowed, and was not made."
	if r.Why != "" {
		text += " " + r.Why
	}
	return ToolResult{Text: text, Label: Trusted}
}

// approveAndRun asks a person, or hears the answer.
func (r *run) approveAndRun(ctx context.Context, tool Tool, s Step, ruling Ruling) error {
	d, err := r.port.Approve(ctx, Request{
		Step: s.Index, Tool: s.Tool, Args: s.Call.Args, Hash: s.Hash, Summary: Show(s.Call.Args), Why: ruling.Why, Aim: r.aim(tool, s.Call),
	})
	if err != nil {
		return err // ErrSuspended included
	}
	s.Waiting = false
	if !d.Approved {
		why := d.Why
		if why == "" {
			why = "A person was asked and did not allow this call."
		}
		return r.record(ctx, s, ToolResult{Text: why + " It was not made. Do not try it again.", Label: Trusted})
	}
	return r.runTool(ctx, tool, s)
}

// runTool journals the step, calls the tool, and journals the result.
func (r *run) runTool(ctx context.Context, tool Tool, s Step) error {
	s.Waiting, s.Result = false, nil
	if err := r.port.Journal(ctx, s); err != nil {
		return err
	}
	limited, cancel := context.WithTimeoutCause(ctx, r.limits.Tool, errToolTime)
	res, err := tool.Call(limited, r.turn, s.Call.Args)
	late := errors.Is(context.Cause(limited), errToolTime)
	cancel()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		if late {
			err, res.Label = errToolTime, Trusted
		}
		res = ToolResult{Text: "error: " + err.Error(), Label: res.Label}
	}
	return r.record(ctx, s, res)
}

var errToolTime = errors.New("the tool took too long")

func (r *run) record(ctx context.Context, s Step, res ToolResult) error {
	res.Text = short(r.leaks.Redact("tools of "+r.turn.ID, res.Text), maxToolText)
	r.keepFiles(ctx, &res)
	for _, f := range res.Files {
		s.Blobs = append(s.Blobs, f.Blob)
	}
	b, err := json.Marshal(res)
	if err != nil {
		return fmt.Errorf("result of tool %s: %w", s.Tool, err)
	}
	s.Waiting, s.Result = false, b
	if err := r.port.Journal(ctx, s); err != nil {
		return err
	}
	r.resultOf(s.Call, res)
	return nil
}

// resultOf puts the result of one call into the conversation.
func (r *run) resultOf(c *ToolCall, res ToolResult) {
	if res.Label != Trusted && res.Label != ByMember {
		res.Label = Untrusted
	}
	r.see(res.Label)
	r.fresh = append(r.fresh, Entry{
		At: r.now(), Role: ToolRole, CallID: c.ID, Name: c.Name, Text: short(res.Text, maxToolText), Label: res.Label, Files: res.Files,
	})
	r.attached = append(r.attached, res.Files...)
	r.turn.Sources = append(r.turn.Sources, res.Sources...)
}

func isObject(args json.RawMessage) bool {
	b := bytes.TrimSpace(args)
	return len(b) > 0 && b[0] == '{' && json.Valid(b)
}

// argsHash is the SHA-256 of the canonical arguments.
func argsHash(args json.RawMessage) string {
	sum := sha256.Sum256(Canonical(args))
	return hex.EncodeToString(sum[:])
}

// Canonical writes JSON with sorted keys and no blanks, so that equal arguments
// have equal bytes. Numbers keep their digits: 1 and 1.0 are different
// arguments. What is no JSON stays as it is.
func Canonical(args json.RawMessage) []byte {
	dec := json.NewDecoder(bytes.NewReader(args))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return args
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return args
	}
	return bytes.TrimSpace(b.Bytes())
}
