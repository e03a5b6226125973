package codec

import (
	"strconv"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// The threads in which the bot has spoken are kept, each with the time when it
// did. In them it is meant by whoever speaks.

// KeepThreads begins the keys of those.
const KeepThreads = "thread/"

// threadsFor is how long after the bot last spoke in a thread it is meant there
// without being named.
const threadsFor = 90 * 24 * time.Hour

// Joins is what is kept when the bot speaks somewhere; false where that is no
// thread.
func Joins(at channels.Address, now time.Time) (channels.Write, bool) {
	if at.Thread == "" {
		return channels.Write{}, false
	}
	key := KeepThreads + string(at.Account) + "/" + string(at.Conversation) + "/" + string(at.Thread)
	return channels.Write{Key: key, Value: []byte(strconv.FormatInt(now.Unix(), 10))}, true
}

// Forgotten reports whether what is kept of a thread is too old, or nothing that
// Joins wrote.
func Forgotten(value []byte, now time.Time) bool {
	at, err := strconv.ParseInt(string(value), 10, 64)
	return err != nil || now.Sub(time.Unix(at, 0)) > threadsFor
}

// Complete adds what only the time tells: when an event without a time came, and
// when its reply path ends.
func Complete(e *channels.Event, now time.Time) {
	if e.At.IsZero() {
		e.At = now.UTC()
	}
	if e.Via != nil {
		e.Via.Expires = now.UTC().Add(viaFor)
	}
}

// OfTeam notes with each file whose token fetches it.
func OfTeam(team string, content channels.Content) {
	var files []channels.File
	if m, ok := content.(channels.Message); ok {
		files = m.Files
	} else if e, ok := content.(channels.Edit); ok {
		files = e.Files
	}
	for i := range files {
		files[i].Ref = team + "/" + files[i].Ref
	}
}
