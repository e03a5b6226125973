package discord_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/discord/codec"
	"github.com/gatehouse-chat/gatehouse/adapters/discord/discordtest"
	"github.com/gatehouse-chat/gatehouse/channels"
)

// What was said while there was no session to resume is read from histories: of
// direct chats, rooms and threads, each message once.
func TestHistoriesAfterALostSession(t *testing.T) {
	l := newLive(t)
	dm := l.Srv.DM(l.Alice)
	dm.Say(l.Alice, "before")
	l.Room.Say(l.Alice, "before, in the room")
	l.hear("before")
	l.hear("before, in the room")
	l.halt(t)
	l.Srv.Forget()
	dm.Say(l.Alice, "meanwhile 1")
	dm.Say(l.Alice, "meanwhile 2")
	l.Room.Say(l.Bob, "meanwhile in the room")
	l.Thread.Say(l.Bob, "meanwhile in the thread")
	for range 230 {
		l.Room.Say(l.Bob, "noise")
	}
	l.boot(t, l.host.Snapshot())
	dm.Say(l.Alice, "after")
	l.hear("after")
	eventually(t, "the rest of the history", func() bool { return l.count("noise") == 230 })
	for _, text := range []string{"before", "meanwhile 1", "meanwhile 2", "meanwhile in the room", "after"} {
		if n := l.count(text); n != 1 {
			t.Errorf("%q was kept %d times", text, n)
		}
	}
	e := l.hear("meanwhile in the thread")
	if e.Where.Conversation != channels.ConversationID(l.Room.ID) || e.Where.Thread != channels.ThreadID(l.Thread.ID) {
		t.Errorf("%+v", e.Where)
	}
}

// edits lists the edits that were kept, as "old id: text".
func (l *live) edits() (all []string) {
	for _, e := range l.sink.Events() {
		if m, ok := e.Content.(channels.Edit); ok {
			all = append(all, string(m.ID)+": "+m.Text)
		}
	}
	return all
}

// What was edited while there was no session to resume is read from histories:
// of what was said shortly before, and of what is older than the overlap that is
// read again. An edit that was told of is not told again, and what is new comes
// once, as it stands.
func TestEditsAfterALostSession(t *testing.T) {
	l := newLive(t)
	dm := l.Srv.DM(l.Alice)
	old := dm.Say(l.Alice, "older")
	told, recent := dm.Say(l.Alice, "told"), dm.Say(l.Alice, "recent")
	dm.Edit(told.ID, "told, edited")
	l.sink.WaitEvent("the edit", func(e channels.Event) bool { _, ok := e.Content.(channels.Edit); return ok })
	l.hear("recent")
	l.halt(t)
	// The gap begins behind the oldest message.
	after := codec.Moment(old.ID).Add(time.Millisecond)
	key := "bot/" + l.Srv.Bot().ID + "/session"
	place := `{"newest": "` + codec.Before(after.Add(time.Minute)) + `"}`
	if err := l.host.State().Put(t.Context(), channels.Write{Key: key, Value: []byte(place)}); err != nil {
		t.Fatal(err)
	}
	for time.Now().Before(after) {
		runtime.Gosched()
	}
	dm.Edit(old.ID, "older, edited")
	dm.Edit(recent.ID, "recent, edited")
	l.boot(t, l.host.Snapshot())
	dm.Say(l.Alice, "after")
	l.hear("after")
	want := []string{told.ID + ": told, edited", old.ID + ": older, edited", recent.ID + ": recent, edited"}
	eventually(t, "the edits", func() bool { return len(l.edits()) >= len(want) })
	if d := cmp.Diff(want, l.edits()); d != "" {
		t.Error(d)
	}
}

// A process that dies while it reads histories begins again.
func TestHistoriesAreReadAgainAfterACrash(t *testing.T) {
	l := newLive(t)
	dm := l.Srv.DM(l.Alice)
	dm.Say(l.Alice, "before")
	l.hear("before")
	l.halt(t)
	l.Srv.Forget()
	l.Room.Say(l.Bob, "meanwhile")
	heal := l.Srv.Fail("GET messages", discordtest.Status(500, 0).Always())
	l.boot(t, l.host.Snapshot())
	eventually(t, "a history to be asked for", func() bool { return l.Srv.Calls("GET messages") > 0 })
	l.halt(t)
	heal()
	l.boot(t, l.host.Snapshot())
	l.hear("meanwhile")
	if _, started := l.Srv.Sessions(); started != 3 {
		t.Errorf("%d sessions began, want 3", started)
	}
}
