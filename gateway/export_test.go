package gateway

import "time"

// Kept lists the spaces of the state, each with whether it holds content.
func Kept() map[string]bool {
	all := map[string]bool{}
	for _, k := range allKept() {
		all[k.space] = k.content
	}
	return all
}

// Decision is what becomes of a space when a person is erased.
type Decision struct {
	Erased    bool
	What, Why string
}

// Decided lists the decisions by space.
func Decided() map[string]Decision {
	all := map[string]Decision{}
	for _, k := range allKept() {
		all[k.space] = Decision{Erased: k.erase != nil, What: k.what, Why: k.why}
	}
	return all
}

// ParseLater writes what stands after /later as it is understood at a moment: when
// and what, or "no: " and the answer.
func ParseLater(args string, now time.Time) string {
	m, text, wrong := parseLater(args, now)
	if wrong != "" {
		return "no: " + wrong
	}
	said := m.due.Format("Mon 2006-01-02 15:04 MST ") + text
	if m.every > 0 {
		said = "every " + m.every.String() + " from " + said
	}
	return said
}

// LaterDue is when something is to be taken up, and what; "" when it is not.
func LaterDue(args string, now time.Time) (time.Time, string) {
	m, text, _ := parseLater(args, now)
	return m.due, text
}

// The answers to what cannot be taken up.
const (
	LaterHow, LaterWhat, LaterClock = "no: " + textLaterHow, "no: " + textLaterWhat, "no: " + textLaterClock
	LaterFar, LaterSoon, LaterLong  = "no: " + textLaterFar, "no: " + textLaterSoon, "no: " + textLaterLong
	LaterPast, LaterNoDay           = "no: " + textLaterPast, "no: " + textLaterNoDay
)
