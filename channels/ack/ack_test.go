package ack_test

import (
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/ack"
)

func at(room string) channels.Address {
	return channels.Address{Conversation: channels.ConversationID(room)}
}

func message(room, id string) *channels.Event {
	return &channels.Event{Where: at(room), Addressed: true, Content: channels.Message{ID: channels.MessageID(id)}}
}

type taken struct {
	ID    channels.MessageID
	First bool
}

func take(w *ack.Waiting, room string) taken {
	id, first := w.Take(at(room))
	return taken{id, first}
}

// TestWaiting: the newest message that means the bot is new once, and stays
// known until there is a newer one.
func TestWaiting(t *testing.T) {
	var w ack.Waiting
	got := []taken{take(&w, "a")}
	w.Add(message("a", "1"))
	w.Add(message("a", "2"))
	w.Add(message("b", "3"))
	got = append(got, take(&w, "a"), take(&w, "a"), take(&w, "b"))
	w.Add(message("a", "4"))
	got = append(got, take(&w, "a"))
	want := []taken{{"", false}, {"2", true}, {"2", false}, {"3", true}, {"4", true}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestWaitingIgnores(t *testing.T) {
	for name, change := range map[string]func(*channels.Event){
		"what does not mean the bot": func(e *channels.Event) { e.Addressed = false },
		"other bots":                 func(e *channels.Event) { e.Who.Bot = true },
		"the bot itself":             func(e *channels.Event) { e.Who.Self = true },
		"what is no message":         func(e *channels.Event) { e.Content = channels.Edit{} },
	} {
		t.Run(name, func(t *testing.T) {
			var w ack.Waiting
			e := message("a", "1")
			change(e)
			w.Add(e)
			if got := take(&w, "a"); got != (taken{}) {
				t.Errorf("%+v waits", got)
			}
		})
	}
}

// TestWaitingIsBounded: many places do not fill the memory, and the last one is
// known in any case.
func TestWaitingIsBounded(t *testing.T) {
	var w ack.Waiting
	for i := range 5000 {
		w.Add(message(strconv.Itoa(i), "1"))
	}
	if first, last := take(&w, "0"), take(&w, "4999"); first.ID != "" || last.ID != "1" {
		t.Errorf("the first is %+v, the last %+v", first, last)
	}
}
