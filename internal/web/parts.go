package web

import (
	"strconv"
	"time"

	. "maragu.dev/gomponents"
	. "maragu.dev/gomponents/html"
)

// Live marks what the page fetches anew by itself, so that it stays as it is
// while somebody uses it.
func Live() Node { return Data("live", "") }

// Heading is the head of a page, with one sentence that says what it is for.
func Heading(title, lead string) Node {
	return Div(Class("heading"), H1(Text(title)), If(lead != "", P(Text(lead))))
}

// Card is a titled part of a page.
func Card(title string, children ...Node) Node {
	return Section(Class("card"), If(title != "", H2(Text(title))), Group(children))
}

// Empty stands where there is nothing, and says what would be there.
func Empty(i Icon, title, text string, more ...Node) Node {
	return Div(Class("empty"), i.Node(), P(Strong(Text(title))), If(text != "", P(Text(text))), Group(more))
}

// Tone is the colour of a mark or a notice. The words say the same.
type Tone string

// The tones.
const (
	Good  Tone = "good"
	Busy  Tone = "busy"
	Bad   Tone = "bad"
	Quiet Tone = "quiet"
)

// Pill is a short state.
func Pill(t Tone, text string) Node { return Span(Class("mark "+string(t)), Text(text)) }

// Notice says how an action ended.
func Notice(t Tone, children ...Node) Node {
	role := "status"
	icon := Check
	if t != Good {
		icon = Warning
	}
	if t == Bad {
		role = "alert"
	}
	return Div(Class("notice "+string(t)), Role(role), icon.Node(), Div(children...))
}

// Field is a labelled control with a hint. The control carries the same id.
func Field(id, label, hint string, control Node) Node {
	return Div(Class("field"), Label(For(id), Text(label)), control, If(hint != "", Small(Text(hint))))
}

// Ago says how long ago something was, with the moment itself on hover.
func Ago(t, now time.Time) Node {
	if t.IsZero() {
		return Span(Class("muted"), Text("never"))
	}
	return Time(DateTime(t.UTC().Format(time.RFC3339)), TitleAttr(t.UTC().Format("2 January 2006, 15:04:05")+" UTC"), Text(Elapsed(now.Sub(t))))
}

// Elapsed writes how long ago something was, in words.
func Elapsed(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return "just now"
	case d < time.Minute:
		return plural(int(d/time.Second), "second") + " ago"
	case d < time.Hour:
		return plural(int(d/time.Minute), "minute") + " ago"
	case d < 48*time.Hour:
		return plural(int(d/time.Hour), "hour") + " ago"
	}
	return plural(int(d/(24*time.Hour)), "day") + " ago"
}

// plural writes a number with its noun.
func plural(n int, noun string) string {
	s := strconv.Itoa(n) + " " + noun
	if n != 1 {
		s += "s"
	}
	return s
}
