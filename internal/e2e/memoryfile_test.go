package e2e_test

import (
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
