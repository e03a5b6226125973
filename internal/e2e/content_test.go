package e2e_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
)

// What people and the model write in TestContentIsEncrypted.
var written = []string{
	"zebras-in-the-garden",   // a conversation
	"violets-by-the-window",  // in a file
	"a-stranger-at-the-gate", // parked
	"lanterns-nobody-got",    // a dead letter
	"overheard-in-a-room",
}

// readable lists what of the written stands in the data folder, and where.
func (r *rig) readable() map[string]string {
	r.t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(r.data(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, w := range written {
			if bytes.Contains(b, []byte(w)) {
				found[w] = filepath.Base(path)
			}
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return found
}

// TestContentIsEncrypted: with `encrypt: content` nothing that anybody wrote can
// be read in the data folder, whether it was there before or not; without it,
// everything can be read again.
func TestContentIsEncrypted(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{policy: "pairing", agent: []string{"tools: [files]"}, extra: "encrypt: content\n"})
	r.up()
	ada, adas := r.person(1001)
	r.member(ada, adas)
	adas.Say(ada, written[0])
	r.awaitText(adas, "echo: "+written[0])
	adas.Document(ada, "notes.txt", "text/plain", []byte(strings.Repeat(written[1]+"\n", 300)))
	if !eventually(patience, func() bool { return len(r.kept()) > 0 }) {
		t.Fatal("the file is not kept")
	}
	r.converse(ada, adas)
	r.term()
	for what, where := range r.readable() {
		t.Errorf("%q can be read in %s", what, where)
	}

	r.up() // and is still understood
	adas.Say(ada, "and now?")
	r.awaitText(adas, "echo: and now?")
	if got := string(r.model.Requests()[len(r.model.Requests())-1].Body); !strings.Contains(got, written[0]) {
		t.Error("the model is not told what was said before")
	}
	if got := r.verb("dead", "list"); !strings.Contains(got, "was blocked") {
		t.Errorf("the dead letters are %q", got)
	}
	r.term()

	r.set.extra = "encrypt: none\n"
	r.configure()
	r.up()
	if !eventually(patience, func() bool { return r.proc.log.contains("stored content was converted") }) {
		t.Fatalf("nothing was converted\n%s", r.proc.log)
	}
	r.term()
	if got := r.readable(); len(got) < 4 {
		t.Errorf("only %v can be read", got)
	}

	r.set.extra = "encrypt: content\n"
	r.configure()
	r.up()
	if !eventually(patience, func() bool { return r.proc.log.contains("stored content was converted") }) {
		t.Fatalf("nothing was converted\n%s", r.proc.log)
	}
	adas.Say(ada, "and at last?")
	r.awaitText(adas, "echo: and at last?")
	r.term()
	for what, where := range r.readable() {
		t.Errorf("after it was switched on again, %q can be read in %s", what, where)
	}
}

// kept lists the files that the gateway keeps.
func (r *rig) kept() []string {
	all, _ := filepath.Glob(filepath.Join(r.data(), "blobs", "*", "*"))
	return all
}

// converse leaves a stranger's message that waits, a dead letter and something
// that a room overheard.
func (r *rig) converse(u *telegramtest.User, chat *telegramtest.Chat) {
	r.t.Helper()
	eve, eves := r.person(1009)
	eves.Say(eve, written[2])
	r.awaitText(eves, "Your code is")
	room := r.bot.Supergroup(-1001, "A room", u)
	room.Say(u, written[4])
	room.Say(u, "@"+r.bot.Bot().Username+" hello there")
	r.awaitText(room, "hello there")
	room.Say(u, written[4])
	r.bot.Fail("sendMessage", telegramtest.Forbidden("bot was blocked by the user"))
	chat.Say(u, written[3])
	if !eventually(patience, func() bool { return strings.Contains(r.verb("dead", "list"), "was blocked") }) {
		r.t.Fatalf("the dead letters are %q", r.verb("dead", "list"))
	}
	r.bot.ClearFaults()
}
