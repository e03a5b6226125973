package channeltest

import (
	"bytes"
	"io"
	"slices"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

func intakeCases() []Case {
	return []Case{
		{Name: "intake/a direct chat", run: direct},
		{Name: "intake/a command", run: command},
		{Name: "intake/in rooms the bot must be meant", Needs: []Ability{Rooms}, run: gating},
		{Name: "intake/a reply to the bot means it", Needs: []Ability{Rooms}, run: replyMeansBot},
		{Name: "intake/a thread is captured", Needs: []Ability{Threads}, run: threadCaptured},
		{Name: "intake/a thread the bot takes part in", Needs: []Ability{JoinedThreads}, run: joinedThread},
		{Name: "intake/an edit", Needs: []Ability{Edits}, run: edited},
		{Name: "intake/a deletion", Needs: []Ability{Deletions}, run: deleted},
		{Name: "intake/a reaction", Needs: []Ability{Reactions}, run: reacted},
		{Name: "intake/a button press", Needs: []Ability{Buttons, Presses}, run: pressed},
		{Name: "intake/a file, byte for byte", Needs: []Ability{FilesIn}, run: fileIn},
	}
}

func direct(r *rig) {
	w := r.word()
	id := r.hs.Say(Said{Text: "hello " + w})
	e, m := r.message(w)
	if m.ID != id {
		r.t.Errorf("the message's id is %q, want %q", m.ID, id)
	}
	if m.Text != "hello "+w {
		r.t.Errorf("its text is %q", m.Text)
	}
	if !e.Room.Direct || !e.Addressed {
		r.t.Errorf("direct %v, addressed %v; want both", e.Room.Direct, e.Addressed)
	}
	if e.At.IsZero() || e.Who.ID == "" || e.Who.Self || e.Who.Bot || e.Account == "" {
		r.t.Errorf("time %v, sender %+v, account %q", e.At, e.Who, e.Account)
	}
	again, _ := r.hear(Said{})
	other, _ := r.hear(Said{By: Bob})
	if again.Who.ID != e.Who.ID || other.Who.ID == e.Who.ID {
		r.t.Errorf("one person is %q and %q, another %q", e.Who.ID, again.Who.ID, other.Who.ID)
	}
}

func command(r *rig) {
	w := r.word()
	r.hs.Say(Said{Text: "/Help " + w})
	e := r.sink.WaitEvent("the command", func(e channels.Event) bool {
		c, ok := e.Content.(channels.Command)
		return ok && c.Args == w
	})
	if c := e.Content.(channels.Command); c.Name != "help" {
		r.t.Errorf("the command's name is %q, want %q", c.Name, "help")
	}
}

func gating(r *rig) {
	plain, _ := r.hear(Said{In: Room})
	meant, _ := r.hear(Said{In: Room, Mention: true})
	if plain.Room.Direct || plain.Addressed {
		r.t.Errorf("talk in a room: direct %v, addressed %v; want neither", plain.Room.Direct, plain.Addressed)
	}
	if meant.Room.Direct || !meant.Addressed {
		r.t.Errorf("a mention in a room: direct %v, addressed %v", meant.Room.Direct, meant.Addressed)
	}
	other, _ := r.hear(Said{In: Room, By: Bob})
	if other.Where.Order() != plain.Where.Order() || other.Who.ID == plain.Who.ID {
		r.t.Errorf("two people in one room: %+v and %+v", plain, other)
	}
}

func replyMeansBot(r *rig) {
	e, _ := r.hear(Said{In: Room, Mention: true})
	rec := r.mustSend(e.Where, "an answer")
	back, m := r.hear(Said{In: Room, ReplyTo: rec.ID})
	if !back.Addressed {
		r.t.Errorf("a reply to the bot's message does not address it")
	}
	// Where nothing can be quoted, one replies by speaking where it was said.
	quotes := !slices.Contains(r.s.Lacks, Quoting)
	if quotes && (m.ReplyTo == nil || m.ReplyTo.ID != rec.ID) {
		r.t.Errorf("the reply quotes %+v, want %q", m.ReplyTo, rec.ID)
	}
}

// threadCaptured also answers, in the thread and in the room around it.
func threadCaptured(r *rig) {
	inRoom, _ := r.hear(Said{In: Room, Mention: true})
	in, _ := r.hear(Said{In: Thread, Mention: true})
	again, _ := r.hear(Said{In: Thread, Mention: true})
	if in.Where != again.Where || in.Where == inRoom.Where || in.Where.Order() == inRoom.Where.Order() {
		r.t.Fatalf("the room is %+v, its thread %+v and %+v", inRoom.Where, in.Where, again.Where)
	}
	a, b := r.mustSend(in.Where, "for the thread"), r.mustSend(inRoom.Where, "for the room")
	ids := func(at channels.Address) (out []channels.MessageID) {
		for _, m := range r.hs.Shown(at) {
			out = append(out, m.ID)
		}
		return out
	}
	if d := cmp.Diff([]channels.MessageID{a.ID}, ids(in.Where)); d != "" {
		r.t.Errorf("shown in the thread:\n%s", d)
	}
	if d := cmp.Diff([]channels.MessageID{b.ID}, ids(inRoom.Where)); d != "" {
		r.t.Errorf("shown in the room:\n%s", d)
	}
}

func joinedThread(r *rig) {
	before, _ := r.hear(Said{In: Thread})
	if before.Addressed {
		r.t.Errorf("talk in a thread addresses a bot that never spoke there")
	}
	r.mustSend(before.Where, "here I am")
	if after, _ := r.hear(Said{In: Thread}); !after.Addressed {
		r.t.Errorf("talk in a thread in which the bot spoke does not address it")
	}
}

func edited(r *rig) {
	first, m := r.hear(Said{})
	w := r.word()
	r.hs.Edit(m.ID, "now "+w)
	e := r.sink.WaitEvent("the edit", func(e channels.Event) bool {
		c, ok := e.Content.(channels.Edit)
		return ok && hasWord(c.Text, w)
	})
	if c := e.Content.(channels.Edit); c.ID != m.ID || e.Where != first.Where || e.Who.ID != first.Who.ID {
		r.t.Errorf("the edit is %+v of %q, want of %q by the same person", e, c.ID, m.ID)
	}
	if e.Key == first.Key {
		r.t.Errorf("the edit has the message's key")
	}
}

func deleted(r *rig) {
	_, m := r.hear(Said{})
	r.hs.Delete(m.ID)
	r.sink.WaitEvent("the deletion", func(e channels.Event) bool {
		c, ok := e.Content.(channels.Deletion)
		return ok && slices.Contains(c.IDs, m.ID)
	})
}

func reacted(r *rig) {
	e, _ := r.hear(Said{})
	rec := r.mustSend(e.Where, "well?")
	const emoji = "👍"
	r.hs.React(rec.ID, emoji)
	r.sink.WaitEvent("the reaction", func(e channels.Event) bool {
		c, ok := e.Content.(channels.Reaction)
		return ok && c.ID == rec.ID && len(c.Added) == 1 && c.Added[0] == emoji && len(c.Removed) == 0
	})
}

// pressed presses a button whose data is as long as the features allow.
func pressed(r *rig) {
	e, _ := r.hear(Said{})
	f := r.ch.Features(e.Where)
	data := string(bytes.Repeat([]byte("d"), f.MaxButtonData))
	rec, err := r.send(channels.Part{To: e.Where, Body: markup.Plain("choose"), Buttons: []channels.Button{{Label: "Yes", Data: data}}})
	r.check("send", err)
	r.hs.Press(rec.ID, "Yes")
	got := r.sink.WaitEvent("the press", func(e channels.Event) bool { _, ok := e.Content.(channels.Press); return ok })
	p := got.Content.(channels.Press)
	if p.Data != data || p.ID != rec.ID {
		r.t.Errorf("pressed %d bytes on %q, want %d on %q", len(p.Data), p.ID, len(data), rec.ID)
	}
	if got.Where != e.Where || got.Who.ID != e.Who.ID || !got.Addressed {
		r.t.Errorf("the press came from %+v by %q", got.Where, got.Who.ID)
	}
	if !slices.Contains(r.s.Lacks, Answering) {
		r.check("answer", capability[channels.Answerer](r).Answer(r.t.Context(), p, "thanks"))
		r.eventually("the press to be answered", func() bool { return r.hs.Answered() == 1 })
	}
}

// blob is some bytes that no encoding leaves alone by chance.
func blob(n int) []byte {
	b := make([]byte, n)
	x := uint32(2463534242)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x >> 8)
	}
	return b
}

const fileSize = 3 << 20 // bytes

func fileIn(r *rig) {
	limit := r.ch.Features(channels.Address{}).MaxFetch
	body := blob(int(min(fileSize, limit)))
	e, m := r.hear(Said{Text: "look", Files: []Upload{{Kind: channels.Document, Name: "a b.bin", MIME: "application/octet-stream", Body: body}}})
	if len(m.Files) != 1 {
		r.t.Fatalf("the message of %s has %d files, want 1", e.Key, len(m.Files))
	}
	f := m.Files[0]
	if f.Kind != channels.Document || f.Name != "a b.bin" || (f.Size != 0 && f.Size != int64(len(body))) {
		r.t.Errorf("the file is %+v", f)
	}
	for range 2 { // a rerun fetches again
		rc, err := capability[channels.Fetcher](r).Fetch(r.t.Context(), f)
		r.check("fetch", err)
		got, err := io.ReadAll(rc)
		r.check("read of a fetched file", err)
		r.check("close of a fetched file", rc.Close())
		if !bytes.Equal(got, body) {
			r.t.Errorf("fetched %d bytes that differ from the %d that were sent", len(got), len(body))
		}
	}
}
