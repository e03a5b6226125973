// Package agenttest is a scripted model for tests and benchmarks.
//
// A [Script] decides what the model answers. [Model] runs it in process as an
// agent.Provider; [Server] serves the same script on loopback in the dialects
// of OpenAI and of Anthropic, so that a real SDK, or a whole gateway in another
// process, can be driven without a model. Every request is recorded.
//
// The default script is [Echo]: its answer names every text that the turn
// asked about, so that a test can read off which messages were answered.
package agenttest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
)

// Script answers a request. It may be called concurrently.
type Script func(r *Request) Answer

// Answer is what the scripted model does with one request. The zero Answer is
// an empty text that ends properly.
type Answer struct {
	Text   string
	Calls  []agent.ToolCall
	Finish agent.Finish // "": CallTools when there are calls, else Complete

	Pieces int           // into how many pieces Text is streamed; 0: one
	Delay  time.Duration // before the first byte
	Each   time.Duration // before each piece
	Hold   chan struct{} // unless nil: closed when what follows the first piece may come

	Usage   Tokens
	NoUsage bool // gives no figures at all

	// A failure before anything is streamed.
	Status     int    // HTTP status of the refusal; 0: none
	Code       string // such as "insufficient_quota" or "overloaded_error"
	RetryAfter string // the header, verbatim

	// A failure on the way. Pieces that come before it are streamed.
	Broken Break
	After  int    // how many pieces are streamed before it
	Raw    []byte // Garbage: what is sent instead of the rest
}

// Break says how a stream goes wrong.
type Break string

// The ways.
const (
	Whole    Break = ""        // it does not
	Cut      Break = "cut"     // the connection is dropped
	NoFinish Break = "finish"  // it ends in good order, but without saying why
	Stall    Break = "stall"   // nothing more comes, and the connection stays
	Garbage  Break = "garbage" // Raw is sent, then the end
	InStream Break = "error"   // an error event with Code
)

// Tokens are the figures that an answer reports. A zero Tokens is counted from
// the texts: one token for four bytes.
type Tokens struct{ Input, Cached, Output int }

// Say answers with a text.
func Say(text string) Answer { return Answer{Text: text} }

// Use asks for one tool call. args is JSON.
func Use(id, tool, args string) Answer {
	return Answer{Calls: []agent.ToolCall{{ID: id, Name: tool, Args: json.RawMessage(args)}}}
}

// Refuse fails with an HTTP status and the platform's code for it.
func Refuse(status int, code string) Answer { return Answer{Status: status, Code: code} }

// Limit is a 429 with Retry-After in seconds.
func Limit(after time.Duration) Answer {
	return Answer{
		Status: http.StatusTooManyRequests, Code: "rate_limit_exceeded",
		RetryAfter: strconv.FormatFloat(after.Seconds(), 'f', -1, 64),
	}
}

// Dying streams half of the text and then breaks.
func Dying(text string, how Break) Answer {
	return Answer{Text: text, Pieces: 2, After: 1, Broken: how, Raw: []byte("\x00\xff{]not an event\n\n")}
}

// In plays the answers one after the other, and then goes on with Echo.
func In(answers ...Answer) Script {
	return func(r *Request) Answer {
		if r.N <= len(answers) {
			return answers[r.N-1]
		}
		return Echo(r)
	}
}

// Slow answers as s does, each call that much later and each piece of n as much
// as each later.
func Slow(s Script, delay, each time.Duration, n int) Script {
	return func(r *Request) Answer {
		a := s(r)
		a.Delay, a.Each, a.Pieces = delay, each, n
		return a
	}
}

// Echo answers "echo: " and every text that the user said since the model last
// spoke, in order, with " | " between them. Context that nobody addressed to
// the model is left out.
func Echo(r *Request) Answer {
	said := r.Asked()
	if len(said) == 1 {
		return Answer{Text: "echo: " + said[0]}
	}
	return Answer{Text: "echo: " + strings.Join(said, " | ")}
}

// Directed obeys a last text that begins with "!", and echoes every other:
//
//	!429 2        429 with Retry-After: 2     !500 !529 !401 !404   that status
//	!quota        429 insufficient_quota      !long                 context too long
//	!cut !finish !stall !garbage !error       break in the middle of "one two"
//	!empty        an empty answer             !words 500            that many words
//	!tool NAME {"json":1}                     a tool call; its result is echoed
func Directed(r *Request) Answer {
	if got := r.Results(); len(got) > 0 {
		return Say("tool said: " + strings.Join(got, " | "))
	}
	said := r.Asked()
	if len(said) == 0 || !strings.HasPrefix(said[len(said)-1], "!") {
		return Echo(r)
	}
	verb, rest, _ := strings.Cut(said[len(said)-1][1:], " ")
	switch verb {
	case "429":
		return Answer{Status: 429, Code: "rate_limit_exceeded", RetryAfter: rest}
	case "quota":
		return Refuse(429, "insufficient_quota")
	case "long":
		return Refuse(400, "context_length_exceeded")
	case "cut", "finish", "stall", "garbage", "error":
		return Dying("one two", Break(verb))
	case "empty":
		return Answer{}
	case "words":
		n, _ := strconv.Atoi(rest)
		n = min(max(n, 1), 100_000)
		return Answer{Text: strings.Repeat("word ", n-1) + "word", Pieces: min(n, 50)}
	case "tool":
		name, args, _ := strings.Cut(rest, " ")
		return Use("call_"+strconv.Itoa(r.N), name, args)
	}
	if status, err := strconv.Atoi(verb); err == nil && status >= 400 && status < 600 {
		return Refuse(status, "")
	}
	return Echo(r)
}

func (a *Answer) finish() agent.Finish {
	switch {
	case a.Finish != "":
		return a.Finish
	case len(a.Calls) > 0:
		return agent.CallTools
	}
	return agent.Complete
}

// pieces cuts the text at rune boundaries.
func (a *Answer) pieces() []string {
	if a.Text == "" {
		return nil
	}
	if a.Pieces <= 1 {
		return []string{a.Text}
	}
	out := make([]string, 0, a.Pieces)
	rest, runes := a.Text, []rune(a.Text)
	size := max(1, (len(runes)+a.Pieces-1)/a.Pieces)
	for at := 0; at < len(runes); at += size {
		n := len(string(runes[at:min(at+size, len(runes))]))
		out, rest = append(out, rest[:n]), rest[n:]
	}
	return out
}

func (a *Answer) tokens(r *Request) Tokens {
	if a.Usage != (Tokens{}) {
		return a.Usage
	}
	in := len(r.Body)
	if in == 0 {
		for _, m := range r.Messages() {
			in += len(m.Text)
		}
	}
	return Tokens{Input: in/4 + 1, Output: len(a.Text)/4 + 1}
}
