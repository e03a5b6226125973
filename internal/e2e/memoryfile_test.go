package e2e_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
)

// TestMemoryOfAFile: a file that is sent with /remember is read and recalled; a
// file that cannot be read is told, with the reason, and its message is no turn.
func TestMemoryOfAFile(t *testing.T) {
	r := newRig(t, settings{script: fromMemory})
	r.up()
	ada, adas := r.person(1001)
	page := []byte("<html><title>Boiler</title><script>1</script><p>The number of the boiler is 4711.</p></html>")
	adas.Document(ada, "boiler.html", "text/html", page, telegramtest.WithCaption("/remember"))
	id := itemID.FindStringSubmatch(r.awaitText(adas, "I will remember this for you"))[1]
	adas.Document(ada, "photo.bin", "application/octet-stream", []byte("\x00\x01\x02"), telegramtest.WithCaption("/remember the photo"))
	r.awaitText(adas, "I did not keep photo.bin: this kind of file is not read")
	adas.Say(ada, "what is the number of the boiler?")
	r.awaitText(adas, "It is 4711 [1].")
	adas.Say(ada, "/sources")
	r.awaitText(adas, "document of")
	adas.Say(ada, "/forget "+id)
	r.awaitText(adas, "Forgotten: 1.")
	r.term()
}

// TestDocumentsThatPeopleSend: where a channel asks for it, what people send is
// remembered without a command: in a direct chat for the person, in a room for the
// room, also when the bot is not meant; a room may ask for nothing. It is
// forgotten by its id, and goes with whoever sent it.
func TestDocumentsThatPeopleSend(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{
		script: fromMemory, policy: "pairing", emu: []telegramtest.Option{telegramtest.WithoutPrivacy()},
		channel: []string{"documents: tell", `rooms: {"-77": {documents: "off"}}`},
	})
	r.up()
	ada, adas := r.person(1001)
	r.member(ada, adas)
	bob, bobs := r.person(1002)
	r.member(bob, bobs)
	about := func(number string) []byte {
		return []byte("<html><title>Boiler</title><p>The number of the boiler is " + number + ".</p></html>")
	}
	at := "@" + r.bot.Bot().Username
	question := " what is the number of the boiler?"

	adas.Document(ada, "picture.bin", "application/octet-stream", []byte("\x00\x01\x02"))
	adas.Document(ada, "boiler.html", "text/html", about("4711"))
	own := itemID.FindStringSubmatch(r.awaitText(adas, "I will remember Boiler for you"))[1]
	adas.Say(ada, question)
	r.awaitText(adas, "It is 4711 [1].")

	room := r.bot.Supergroup(1001, "Both", ada, bob)
	room.Document(bob, "boiler.html", "text/html", about("5678"))
	r.awaitText(room, "I will remember Boiler for everybody in this room")
	room.Say(ada, at+question)
	r.awaitText(room, "It is 5678 [1].")
	silent := r.bot.Group(77, "Off", ada, bob)
	silent.Document(bob, "boiler.html", "text/html", about("9999"))
	silent.Say(ada, at+question)
	r.awaitText(silent, "I do not know.")

	r.kill()
	r.up()
	adas.Say(ada, "/forget "+own)
	r.awaitText(adas, "Forgotten: 1.")
	adas.Say(ada, "once more,"+question)
	r.awaitText(adas, "I do not know.")
	bobs.Say(bob, "/whoami")
	who := memberID.FindStringSubmatch(r.awaitText(bobs, "You are"))[1]
	if list := r.verb("memory", "list", "--json"); !strings.Contains(list, "5678") || strings.Contains(list, "9999") {
		t.Errorf("before the erasure there is %s", list)
	}
	r.verb("members", "erase", who, "--confirm", who)
	if list := r.verb("memory", "list", "--json"); strings.Contains(list, "5678") {
		t.Errorf("after the erasure there is %s", list)
	}
	r.await("no word of a picture", func(log telegramtest.Log) bool {
		return !strings.Contains(strings.Join(texts(log.In(adas.ID())), "\n"), "did not keep")
	})
	r.term()
}
