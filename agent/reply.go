package agent

import (
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// Everything that a person reads from the agent itself, and not from a model,
// stands in this file.

const (
	sayBrokeOff = "*The answer broke off here.*"
	sayCutOff   = "*The answer reached the model's output limit. Say “go on” for the rest.*"
	sayRefused  = "The model declined to answer this."
	sayGoesOn   = "*The model answers again; I am at work.*"
	sayVoice    = "I cannot listen to voice messages yet: no transcriber is set up. Please write it."

	// Kept in the history for the model, never shown.
	noteStopped = "[The person stopped this answer.]"
	noteFailed  = "[No full answer could be given here.]"
)

// sayNotOpened names an attachment by what the person called it.
func sayNotOpened(f channels.File, tooLarge bool) string {
	what := "I could not open the " + string(f.Kind)
	if f.Kind == "" {
		what += string(channels.Document)
	}
	if n := cleanName(f.Name); n != "" {
		what += " “" + n + "”"
	}
	if f.Kind == channels.Voice {
		return "I could not listen to the voice message. Please send it again, or write it."
	}
	if tooLarge {
		return what + ": it is larger than I can look into."
	}
	return what + ". Please send it again if I should look into it."
}

func sayTooManyRounds(n int) string {
	return fmt.Sprintf("*I stopped after %d rounds of tools without coming to an end. Ask me to go on if I should.*", n)
}

func sayUnknownOutcome(tool string) string {
	return fmt.Sprintf("⚠ `%s` was begun before a restart, and whether it took effect is not known. I have not run it again: please check.", tool)
}

// sayTrying says while it is tried again that a model gives no answer.
func sayTrying(e *Error, m Model, left time.Duration) string {
	return fmt.Sprintf("*%s gives no answer%s. I keep trying, for another %d seconds at most.*", title(e, m), inBrackets(status(e)), max(1, int(left.Seconds())))
}

// ReplyFor says a failure in words: what happened, and what the owner or the
// person can do about it. It shows no secret and nothing that the provider sent.
func ReplyFor(e *Error, m Model) string {
	who := title(e, m)
	switch e.Kind {
	case NoModel:
		return "No model is configured yet, so I can only answer commands such as /help. " +
			"The owner can set one in the console under Models, or with `gatehouse models set`."
	case NoKey:
		return fmt.Sprintf("The key for %s is not in the vault. The owner can set it in the console under Models%s.", who, command(m))
	case Unauthorized:
		return fmt.Sprintf("The model's key was refused (%s%s). The owner can set a new one in the console under Models%s.",
			who, status(e), command(m))
	case UnknownModel:
		return fmt.Sprintf("%s does not know the model %s%s. The owner can choose another in the console under Models.",
			who, named(e.Model), inBrackets(status(e)))
	case RateLimited:
		return fmt.Sprintf("%s limits how often it may be asked. Please try again %s.", who, later(e.RetryAfter))
	case Quota:
		return fmt.Sprintf("The account at %s has no credit left, or its limit is reached%s. The owner can add credit there, "+
			"or choose another model in the console under Models.", who, inBrackets(status(e)))
	case Overloaded:
		return fmt.Sprintf("%s is overloaded or has a fault%s. I tried several times; please try again %s.",
			who, inBrackets(status(e)), later(e.RetryAfter))
	case Unreachable:
		return fmt.Sprintf("%s cannot be reached. The owner can check the network and the base URL; `gatehouse doctor` tells which it is.", who)
	case Interrupted:
		return fmt.Sprintf("The connection to %s broke off, several times. Please try again.", who)
	case Stalled:
		return fmt.Sprintf("%s stopped sending for too long. Please try again.", who)
	case Garbled:
		if e.Err == errEmpty { //nolint:errorlint // identity is meant
			return "The model gave an empty answer. Please ask again, or put it in other words."
		}
		return fmt.Sprintf("%s sent an answer that cannot be read. Please try again; if it stays so, the owner should check the base URL.", who)
	case TooLong:
		return fmt.Sprintf("This is more than the model %s can take at once. Please send a shorter message, or begin anew with /new.", named(e.Model))
	case BadRequest:
		return fmt.Sprintf("%s refused the request%s. The owner finds the reason in the log, and can choose another model in the console under Models.",
			who, inBrackets(status(e)))
	case OverBudget:
		return "The daily spending cap is reached, so I do not ask the model any more today. " +
			"The owner can raise it (`agent.daily_spend`); commands still work."
	}
	return "The model could not answer. Please try again."
}

func title(e *Error, m Model) string {
	switch {
	case m.Title != "":
		return m.Title
	case m.Kind != "":
		return m.Kind
	case e.Provider != "":
		return e.Provider
	}
	return "The model's provider"
}

func named(model string) string {
	if model == "" {
		return "that is configured"
	}
	return "`" + strings.ReplaceAll(model, "`", "'") + "`"
}

func command(m Model) string {
	if m.Secret == "" {
		return ""
	}
	return fmt.Sprintf(", or with `gatehouse secrets set %s`", m.Secret)
}

func status(e *Error) string {
	if e.Status == 0 {
		return ""
	}
	return fmt.Sprintf(", %d", e.Status)
}

func inBrackets(s string) string {
	if s == "" {
		return ""
	}
	return " (" + strings.TrimPrefix(s, ", ") + ")"
}

func later(d time.Duration) string {
	switch {
	case d <= 0:
		return "in a minute"
	case d < 90*time.Second:
		return fmt.Sprintf("in %d seconds", int(d.Seconds()+0.999))
	case d < 90*time.Minute:
		return fmt.Sprintf("in %d minutes", int(d.Minutes()+0.999))
	}
	return fmt.Sprintf("in %d hours", int(d.Hours()+0.999))
}
