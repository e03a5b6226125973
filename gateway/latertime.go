package gateway

import (
	"strconv"
	"strings"
	"time"
	"unicode"
)

// moment says when something is to be taken up.
type moment struct {
	due   time.Time     // in the zone in which the person is told of it
	every time.Duration // and again each time that it has passed; 0: once
}

// parseLater reads when and what: after a span ("2h what", "in 90m what"), each
// time that it has passed ("every 1d what"), or at a time of day, of a day that is
// named or else the next ("18:30 what", "tomorrow 9:00 what", "fri 9am what",
// "2026-12-01 09:00 what"). Days and times are those of now's zone, or of the zone
// that stands after the time ("18:30 Europe/Berlin what"). wrong is what to answer
// where it cannot be taken up.
func parseLater(args string, now time.Time) (m moment, text, wrong string) {
	word, rest := firstWord(args)
	switch word {
	case "in", "every":
		m, text, wrong = afterSpan(rest, now, word == "every")
	case "on", "at":
		m, text, wrong = atTime(rest, now)
	default:
		if _, ok := howLong(word); ok {
			m, text, wrong = afterSpan(args, now, false)
		} else {
			m, text, wrong = atTime(args, now)
		}
	}
	switch {
	case wrong != "":
	case text == "":
		wrong = textLaterWhat
	case len(text) > longest:
		wrong = textLaterLong
	case m.due.Sub(now) > farthest:
		wrong = textLaterFar
	}
	if wrong != "" {
		return moment{}, "", wrong
	}
	return m, text, ""
}

// firstWord cuts the first word off, in lower case, and the space around the rest.
func firstWord(s string) (word, rest string) {
	s = strings.TrimSpace(s)
	i := strings.IndexFunc(s, unicode.IsSpace)
	if i < 0 {
		return strings.ToLower(s), ""
	}
	return strings.ToLower(s[:i]), strings.TrimSpace(s[i:])
}

func afterSpan(args string, now time.Time, again bool) (m moment, text, wrong string) {
	word, text := firstWord(args)
	span, ok := howLong(word)
	switch {
	case !ok:
		return m, "", textLaterHow
	case again && span < oftenest, span < soonest:
		return m, "", textLaterSoon
	}
	m.due = now.Add(span)
	if again {
		m.every = span
	}
	return m, text, ""
}

// howLong reads a time such as 90m, 1h30m or 2w.
func howLong(word string) (sum time.Duration, ok bool) {
	units := map[byte]time.Duration{'m': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	for word != "" {
		digits := 0
		for digits < len(word) && word[digits] >= '0' && word[digits] <= '9' {
			digits++
		}
		n, err := strconv.ParseUint(word[:digits], 10, 16)
		if err != nil || digits == len(word) || units[word[digits]] == 0 {
			return 0, false
		}
		sum += time.Duration(n) * units[word[digits]]
		if sum > 2*farthest {
			return 0, false
		}
		word = word[digits+1:]
	}
	return sum, sum > 0
}

// atTime reads a day, which may be missing, a time of day and a zone, which may be
// missing as well.
func atTime(args string, now time.Time) (m moment, text, wrong string) {
	word, rest := firstWord(args)
	find, named := dayNamed(word)
	if named {
		word, rest = firstWord(rest)
		if word == "at" {
			word, rest = firstWord(rest)
		}
	}
	clock, ok := timeOfDay(word)
	switch {
	case !ok && named:
		return m, "", textLaterClock
	case !ok:
		return m, "", textLaterHow
	}
	if zone, after, ok := zoneNamed(rest); ok {
		now, rest = now.In(zone), after
	}
	m.due = find(now, clock)
	if m.due.IsZero() {
		return m, "", textLaterNoDay
	}
	if !m.due.After(now) {
		return m, "", textLaterPast
	}
	return m, rest, ""
}

// finder finds the moment of a time of day on the day that was named, as it is
// meant at the moment now; the zero time where there is no such day.
type finder func(now time.Time, clock time.Duration) time.Time

// dayNamed reads a day; without one the next is meant on which that time is to
// come.
func dayNamed(word string) (f finder, named bool) {
	switch word {
	case "today":
		return func(now time.Time, clock time.Duration) time.Time { return on(now, 0, clock) }, true
	case "tomorrow":
		return func(now time.Time, clock time.Duration) time.Time { return on(now, 1, clock) }, true
	}
	if day, ok := weekday(word); ok {
		return func(now time.Time, clock time.Duration) time.Time {
			ahead := (int(day) - int(now.Weekday()) + 7) % 7
			if t := on(now, ahead, clock); t.After(now) {
				return t
			}
			return on(now, ahead+7, clock)
		}, true
	}
	if len(word) == len(time.DateOnly) && word[4] == '-' && word[7] == '-' {
		date, err := time.Parse(time.DateOnly, word)
		return func(now time.Time, clock time.Duration) time.Time {
			if err != nil {
				return time.Time{}
			}
			return wall(date, clock, now.Location())
		}, true
	}
	return func(now time.Time, clock time.Duration) time.Time {
		if t := on(now, 0, clock); t.After(now) {
			return t
		}
		return on(now, 1, clock)
	}, false
}

// weekday reads an English day of the week, or its first three letters or more.
func weekday(word string) (time.Weekday, bool) {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if len(word) >= 3 && strings.HasPrefix(strings.ToLower(d.String()), word) {
			return d, true
		}
	}
	return 0, false
}

// timeOfDay reads 18:30, 9:00, 9am and 9:30pm as the time since midnight.
func timeOfDay(word string) (time.Duration, bool) {
	for _, layout := range []string{"15:04", "3:04pm", "3pm"} {
		if t, err := time.Parse(layout, word); err == nil {
			return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, true
		}
	}
	return 0, false
}

// zoneNamed reads a zone such as Europe/Berlin, or UTC, at the beginning of what
// follows a time.
func zoneNamed(s string) (zone *time.Location, rest string, ok bool) {
	word, _, _ := strings.Cut(strings.TrimSpace(s), " ")
	if word != "UTC" && !strings.Contains(word, "/") {
		return nil, "", false
	}
	zone, err := time.LoadLocation(word)
	if err != nil {
		return nil, "", false // it is what to take up, such as "and/or"
	}
	return zone, strings.TrimSpace(strings.TrimSpace(s)[len(word):]), true
}

// on is a time of day so many days after now's day, in now's zone.
func on(now time.Time, days int, clock time.Duration) time.Time {
	y, mon, d := now.Date()
	return wall(time.Date(y, mon, d+days, 0, 0, 0, 0, time.UTC), clock, now.Location())
}

// wall is the moment at which clocks in a zone show a time of day on a date. Where
// they show it twice, because they are put back, it is the first; where they never
// do, because they are put forward over it, it is as long after the change as the
// time is in the part left out.
func wall(date time.Time, clock time.Duration, zone *time.Location) time.Time {
	shown := date.Add(clock) // as if the zone were UTC
	offset := func(at time.Time) time.Duration {
		_, seconds := at.In(zone).Zone()
		return time.Duration(seconds) * time.Second
	}
	// No zone changes twice within two days, and none is further from UTC than one.
	before, after := offset(shown.Add(-24*time.Hour)), offset(shown.Add(24*time.Hour))
	first := shown.Add(-before)
	for _, t := range []time.Time{first, shown.Add(-after)} {
		if t.Add(offset(t)).Equal(shown) {
			return t.In(zone)
		}
	}
	return first.In(zone)
}
