// Package approval is the contract for questions to people: may this call be
// made? A question is a row, decided once by compare-and-swap, so that two
// presses of a button, or two replicas, can never both decide it.
//
// Until the engine that keeps the rows is built, every question is answered
// with no: the agent's Port denies.
package approval

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// Errors on which a caller branches.
var (
	ErrDecided = errors.New("approval: decided already")
	ErrExpired = errors.New("approval: expired")
	ErrDenied  = errors.New("approval: this member may not decide it")
)

// Question is what a person is asked. It is bound to everything that it was
// asked about: a decision is void for anything else.
type Question struct {
	ID           string // 128 random bits; it stands in the button
	Requester    scope.Principal
	Tool         string
	Hash         [32]byte // SHA-256 of tool, canonical arguments and policy version
	Summary      string   // with control, bidi and zero-width characters escaped
	Expires      time.Time
	Conversation string
}

// Answer is a decision.
type Answer struct {
	Approved bool
	By       string // member id
	At       time.Time
}

// Store keeps questions. Its implementations will share a conformance suite.
type Store interface {
	// Ask keeps a question.
	Ask(ctx context.Context, q Question) error
	// Decide answers it, once: ErrDecided, ErrExpired or ErrDenied otherwise.
	Decide(ctx context.Context, by scope.Scope, id string, approved bool) (Question, error)
	// Look returns a question, and its answer when it has one.
	Look(ctx context.Context, s scope.Scope, id string) (Question, *Answer, error)
}
