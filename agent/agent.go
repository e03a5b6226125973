// Package agent runs turns: it gives a model what was said, streams what the
// model answers, calls tools, and returns what to send and what to remember.
//
// It never sees the bus and owns no state. Everything that must survive goes
// out through the [Port] or in the [Result], and the gateway commits it.
package agent

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// Runner runs one turn. It may be called concurrently for different turns.
type Runner interface {
	// Run blocks until the turn has ended. A model that fails is not an error:
	// Result.Failed says so and Result.Replies holds an honest answer. An error
	// means that the turn must not be settled: the port failed, or ctx ended
	// for another reason than [ErrStopped]. A turn that was stopped returns
	// what it had so far and no error.
	Run(ctx context.Context, t Turn, p Port) (Result, error)
}

// Turn is what one pass of the agent is about.
type Turn struct {
	ID           string // stable across reruns
	Scope        scope.Scope
	Where        channels.Address
	Room         channels.Room
	Events       []channels.Event // what to answer, in order, all of one scope
	Background   []channels.Event // in a room: what was said before and not meant for the bot
	History      []Entry          // oldest first
	Model        string           // the configured name, such as "default"
	Instructions string
	Tools        []string // the only ones that this turn may call; nil: all; empty: none
	Note         string   // what the model should know about the circumstances, such as a gathered backlog
	Journal      []Step   // steps of an earlier run of this turn, to be replayed
	Budget       Budget   // nil: no limit
	Attempt      int      // from 1; above 1 after a crash
	Seen         Label    // the least trusted content so far; the agent keeps it, for tools to read
	Gate         Gate     // rules on tools and calls; nil: every tool is on offer, and [NeedsPerson] decides
	Files        Files    // nil: attachments are told of, and nothing more
	Sources      []Source // what was given of memory so far; the agent keeps it, for tools to read
	// Extract has a text that nobody vouches for read by a model that can do
	// nothing, and returns the fields' values as JSON. The agent sets it, for tools
	// to call; its result is not of the text's words.
	Extract func(ctx context.Context, text string, fields []Field) (json.RawMessage, error)
}

// Gate rules on what a turn may do. It is deterministic, does no I/O, and is
// asked by the agent for each call: nothing that a model says goes around it.
type Gate interface {
	// Offers reports whether the model is told of a tool.
	Offers(s Spec) bool
	// Rule judges one call. A call that was journalled is judged again when its
	// turn is resumed.
	Rule(c Call) Ruling
}

// Call is what the gate judges.
type Call struct {
	Tool string
	Aim
	Seen Label // the least trusted content that the turn has seen
}

// Ruling is the gate's word on a call. The zero Ruling refuses.
type Ruling struct {
	Verdict Verdict
	Why     string // one sentence, for the model and for the person who is asked
}

// Verdict is what a ruling comes to. The set is closed.
type Verdict string

// The verdicts.
const (
	Refuse Verdict = ""
	Ask    Verdict = "ask" // a person first
	Allow  Verdict = "allow"
)

// Port is how a running turn reaches the gateway. Its methods may be called
// from the goroutine that called Run only, except Draft.
type Port interface {
	// Next returns what the same speaker added meanwhile; the turn answers it
	// too. It never blocks for long and may return nothing.
	Next(ctx context.Context) ([]channels.Event, error)
	// Draft shows the answer as it stands. It is lossy and never blocks.
	Draft(markdown string)
	// Journal makes a step durable before the turn goes on.
	Journal(ctx context.Context, s Step) error
	// Approve asks a person. [ErrSuspended] means that the answer will come
	// later: return at once, and the decision resumes the turn.
	Approve(ctx context.Context, a Request) (Decision, error)
}

// ErrStopped is the cause of a context that a person ended with /stop or by
// interrupting.
var ErrStopped = errors.New("stopped")

// ErrSuspended says that a turn waits for a person.
var ErrSuspended = errors.New("suspended")

// Result is what a turn came to. It is committed in one piece.
//
// When the history was compacted, Entries begins with a [Summary], which stands
// for everything before it, followed by copies of the recent entries that were
// kept word for word. A history is therefore only ever appended to, and read
// from its last Summary on.
type Result struct {
	Replies   []Reply
	Entries   []Entry  // to append to the history, the incoming messages included; none when suspended
	Answered  []string // keys of every event that was taken in: Turn.Events and what Next returned
	Usage     []Usage  // one for each model call
	Failed    *Error   // why there is no full answer; the replies say it in words
	Suspended bool     // not answered yet: the run that resumes wants the events of Answered and the journal
}

// Reply is one message to the person, before it is split.
type Reply struct {
	Markdown string            `json:"markdown,omitempty"`
	Plain    bool              `json:"plain,omitempty"` // show literally
	Files    []channels.File   `json:"files,omitempty"`
	Buttons  []channels.Button `json:"buttons,omitempty"`
}

// Role says whose words an entry holds. The set is closed.
type Role string

// The roles of entries.
const (
	User      Role = "user"
	Assistant Role = "assistant"
	ToolRole  Role = "tool"    // the result of a call
	Summary   Role = "summary" // stands for everything before it
)

// Entry is one item of a session's history.
type Entry struct {
	At     time.Time  `json:"at"`
	Role   Role       `json:"role"`
	Member string     `json:"member,omitempty"` // who spoke
	Name   string     `json:"name,omitempty"`   // for show to the model in rooms
	Text   string     `json:"text,omitempty"`
	Calls  []ToolCall `json:"calls,omitempty"` // Assistant: what it asked for
	CallID string     `json:"call,omitempty"`  // ToolRole: which call this answers
	Keys   []string   `json:"keys,omitempty"`  // events that this came from
	Of     []string   `json:"of,omitempty"`    // Summary: the members whose words it stands for; "" is one that is not known
	Model  string     `json:"model,omitempty"`
	// Label is set where the words are less to be trusted than those of the
	// person who speaks: it sticks to the entry, and to the summary of it.
	Label Label `json:"label,omitempty"`
	// Files came with the message, or were attached to the answer by the call
	// (ToolRole). Those with a Blob are kept as long as the entry is.
	Files  []channels.File `json:"files,omitempty"`
	Images []Image         `json:"-"` // User, in a request: what the model sees of Files
	// Sources are what of memory an answer (Assistant) names, or was given.
	Sources []Source `json:"sources,omitempty"`
}

// Usage is what one model call took.
type Usage struct {
	At       time.Time `json:"at"`
	Provider string    `json:"provider"`
	Model    string    `json:"model"`
	Input    int       `json:"input"`  // tokens
	Cached   int       `json:"cached"` // of Input, read from the provider's cache
	Output   int       `json:"output"`
	USD      float64   `json:"usd"`               // estimated from the price list; 0 for local models
	Guessed  bool      `json:"guessed,omitempty"` // the provider gave no figures, or the price is not known
}

// Step is one entry of a turn's journal. A later step with the same Index takes
// the place of an earlier one: waiting, begun, done.
type Step struct {
	Index   int             `json:"index"`
	Round   int             `json:"round"` // calls of one answer of the model share it
	Tool    string          `json:"tool"`
	Hash    string          `json:"hash"`              // SHA-256 of the canonical arguments
	Call    *ToolCall       `json:"call,omitempty"`    // as the model asked, so that a rerun need not ask again
	Waiting bool            `json:"waiting,omitempty"` // a person is asked; the call has not begun
	Result  json.RawMessage `json:"result,omitempty"`  // a ToolResult; nil: the call was begun, or waits
	Blobs   []string        `json:"blobs,omitempty"`   // that the result names: kept as long as the step is
}

// Request asks a person to approve a call.
type Request struct {
	Step    int             `json:"step"` // of the turn's journal
	Tool    string          `json:"tool"`
	Args    json.RawMessage `json:"args"`
	Hash    string          `json:"hash"`    // SHA-256 of the canonical arguments
	Summary string          `json:"summary"` // the arguments in one line, escaped for show
	Why     string          `json:"why,omitempty"`
	Aim     Aim             `json:"aim"`
}

// Decision is what the person said.
type Decision struct {
	Approved bool
	By       string // member id
	Why      string // of a no, for the model: nobody answered in time
}

// Provider speaks to a model. It is safe for concurrent use, never retries by
// itself, and takes its HTTP client from the gateway.
type Provider interface {
	// Stream yields deltas until the answer is complete: the last one has
	// Finish set. An error is an *Error and ends the sequence.
	Stream(ctx context.Context, r ModelRequest) iter.Seq2[Delta, error]
}

// Lister is implemented by providers that can name their models.
type Lister interface {
	Models(ctx context.Context) ([]string, error)
}

// ModelRequest is one call of a model.
type ModelRequest struct {
	Model     string // the provider's name for it
	System    string
	Messages  []*Entry // to be read only: some are the history's own
	Tools     []Spec
	MaxOutput int // tokens; 0: the provider's default
}

// Delta is a piece of an answer.
type Delta struct {
	Text   string
	Call   *ToolCall // complete when it is yielded
	Usage  *Usage
	Finish Finish // set on the last delta
}

// Finish says why an answer ended. The set is closed.
type Finish string

// The reasons.
const (
	Complete  Finish = "complete"
	CallTools Finish = "tools"
	CutOff    Finish = "length"
	Refused   Finish = "refused"
)

// ToolCall is a call that a model asks for.
type ToolCall struct {
	ID   string          `json:"id"`
	Name string          `json:"name"`
	Args json.RawMessage `json:"args"` // always valid JSON; an object unless the model garbled it
	// Sealed is what a provider wants to see again beside the call, such as a
	// signature of its reasoning. Only the provider named in it reads it.
	Sealed *Sealed `json:"sealed,omitempty"`
}

// Sealed belongs to one provider.
type Sealed struct {
	Provider string          `json:"provider"`
	Data     json.RawMessage `json:"data"`
}

// Tool is something that the model may call.
type Tool interface {
	Spec() Spec
	// Call runs with the scope of the turn. An error is shown to the model.
	Call(ctx context.Context, t *Turn, args json.RawMessage) (ToolResult, error)
}

// Aimer is implemented by tools whose calls differ in what they can do.
type Aimer interface {
	// Aim says what one call would do. It does no I/O. Arguments that the tool
	// would refuse may be aimed at anything.
	Aim(t *Turn, args json.RawMessage) Aim
}

// Aim is what one call would do, and to what.
type Aim struct {
	Effect Effect `json:"effect"`
	Target string `json:"target,omitempty"` // the destination, such as https://api.example.com; "": none outside
	Method string `json:"method,omitempty"` // of a request
	Secret string `json:"secret,omitempty"` // name of the secret that it uses
}

// Spec describes a tool to the model and to the gate.
type Spec struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Schema      json.RawMessage `json:"schema"`
	Effect      Effect          `json:"effect"`
}

// Effect classes a tool by what it can do. The zero Effect counts as
// Irreversible.
type Effect string

// The effects, from the most harmless up.
const (
	ReadLocal    Effect = "read-local"
	ReadNet      Effect = "read-net"
	Reversible   Effect = "write-reversible"
	External     Effect = "external"
	Irreversible Effect = "irreversible"
)

// Label says how far content is to be trusted, from the point of view of the
// person who speaks. The zero Label of a tool's result counts as Untrusted.
type Label string

// The labels, from the best down.
const (
	Trusted   Label = "trusted"   // said by the person who speaks, or made here
	ByMember  Label = "member"    // said by another member
	Untrusted Label = "untrusted" // anything else: pages, files, forwarded messages, guests
)

// ToolResult is what a call returned.
type ToolResult struct {
	Text  string `json:"text"`
	Label Label  `json:"label"`
	// Files go to the person with the answer. A tool sets Open, or the Blob of
	// one that is kept; the content is made durable before the result is.
	Files []channels.File `json:"files,omitempty"`
	// Sources are what of memory Text shows, under marks that the turn has not.
	Sources []Source `json:"sources,omitempty"`
}
