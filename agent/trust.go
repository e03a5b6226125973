package agent

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// NeedsPerson is the gate that stands whatever a policy says: what cannot be
// undone is approved by a person, what leaves the house is once the turn has
// seen what somebody else said, and every change is after untrusted content.
func NeedsPerson(e Effect, seen Label) bool {
	switch e {
	case ReadLocal, ReadNet:
		return false
	case Reversible:
		return worse(seen, ByMember)
	case External:
		return worse(seen, Trusted)
	case Irreversible:
	}
	return true
}

// outward reports effects that must not be repeated unseen. An unlabelled tool
// counts as the worst.
func outward(e Effect) bool {
	switch e {
	case ReadLocal, ReadNet, Reversible:
		return false
	case External, Irreversible:
	}
	return true
}

// rank orders labels; what is not known is the worst.
func rank(l Label) int {
	switch l {
	case Trusted:
		return 0
	case ByMember:
		return 1
	case Untrusted:
	}
	return 2
}

func worse(a, b Label) bool { return rank(a) > rank(b) }

// see notes that the turn has come by content of a label. The label of a turn
// only ever gets worse.
func (r *run) see(l Label) {
	if worse(l, r.turn.Seen) {
		r.turn.Seen = l
	}
}

// aim says what a call would do.
func (r *run) aim(tool Tool, c *ToolCall) Aim {
	if a, ok := tool.(Aimer); ok {
		return a.Aim(r.turn, c.Args)
	}
	return Aim{Effect: tool.Spec().Effect}
}

// rule asks the gate about a call. What the gate allows is still held up where
// a person has to be asked.
func (r *run) rule(tool Tool, c *ToolCall) Ruling {
	call := Call{Tool: c.Name, Aim: r.aim(tool, c), Seen: r.turn.Seen}
	ruling := Ruling{Verdict: Allow}
	if r.turn.Gate != nil {
		ruling = r.turn.Gate.Rule(call)
	}
	if ruling.Verdict == Allow && NeedsPerson(call.Effect, call.Seen) {
		return Ruling{Verdict: Ask, Why: whyAsk(call)}
	}
	return ruling
}

func whyAsk(c Call) string {
	switch {
	case c.Effect == Reversible, c.Effect == External && c.Seen == Untrusted:
		return "I have read things that nobody here vouches for."
	case c.Effect == External:
		return "Somebody else has spoken here as well."
	}
	return "This cannot be undone."
}

// labelOf is how far an entry of the history is to be trusted by whoever speaks.
func (r *run) labelOf(e *Entry) Label {
	switch {
	case e.Label != "":
		return e.Label
	case e.Role == ToolRole:
		return Untrusted
	case e.Role == User && e.Member != "" && e.Member != r.turn.Scope.Member():
		return ByMember
	}
	return Trusted
}

// worst is the label of several entries together, for what stands in their
// place. What several people share is never better than a member's.
func (r *run) worst(all []Entry) Label {
	l := Trusted
	if !r.turn.Room.Direct {
		l = ByMember
	}
	for i := range all {
		if x := r.labelOf(&all[i]); worse(x, l) {
			l = x
		}
	}
	return l
}

// kept is how a label is stored with an entry: the best needs no mark.
func kept(l Label) Label {
	if l == Trusted {
		return ""
	}
	return l
}

// labelOfEvent is how far what somebody sent is to be trusted: their own words
// are, as far as they are known here; what they pass on is not.
func (r *run) labelOfEvent(e *channels.Event) Label {
	if role := r.turn.Scope.Role(); role == scope.Guest || role == "" {
		return Untrusted
	}
	switch c := e.Content.(type) {
	case channels.Message:
		passedOn := c.Forwarded != "" || len(c.Files) > 0
		quoted := c.ReplyTo != nil && c.ReplyTo.Text != "" && c.ReplyTo.Who.ID != e.Who.ID
		if passedOn || quoted {
			return Untrusted
		}
	case channels.Edit:
		if len(c.Files) > 0 {
			return Untrusted
		}
	default: // nothing in it was written by anybody else
	}
	return Trusted
}

// newNonce makes the mark of a turn's boundaries. Content cannot know it, so it
// cannot pretend to end before it does.
func newNonce() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails; see crypto/rand
	return hex.EncodeToString(b[:])
}

// wrapped puts untrusted content between the turn's boundaries.
func (r *run) wrapped(text string) string {
	if r.nonce == "" {
		r.nonce = newNonce()
	}
	return fmt.Sprintf("<untrusted %s>\n%s\n</untrusted %s>", r.nonce, text, r.nonce)
}
