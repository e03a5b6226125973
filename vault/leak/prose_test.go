package leak_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// words of the prose, with a few that also stand in the rules of the patterns.
var words = strings.Fields(`the a an of to and in that it for was on are as with they at be this have from or one had by
but some what there we can out other were all your when up use word how said each she which their time will way about many
then them would write like so these her long make thing see him two has look more day could go come did my sound no most
number who over know water than call first people may down side been now find any new work part take get place made live
where after back little only round man year came show every good me give our under name very through just form much great
think say help low line before turn cause same mean differ move right boy old too does tell sentence set three want air
well also play small end put home read hand port large spell add even land here must big high such follow act why ask men
change went light kind off need house picture try us again animal point mother world near build self earth father head
stand own page should country found answer school grow study still learn plant cover food sun four thought let keep eye
never last door between city tree cross since hard start might story saw far sea draw left late run while press close
night real life few stop key token secret password bearer basic access private public api client slack telegram bot`)

// prose makes about size bytes of sentences, with the numbers, dates, addresses
// and names of files that stand in chats.
func prose(r *rand.Rand, size int) string {
	var b strings.Builder
	word := func() string { return words[r.IntN(len(words))] }
	for b.Len() < size {
		for i := range 6 + r.IntN(12) {
			w := word()
			if i == 0 {
				w = strings.ToUpper(w[:1]) + w[1:]
			}
			b.WriteString(w)
			switch r.IntN(40) {
			case 0:
				fmt.Fprintf(&b, " %d", r.IntN(100_000))
			case 1:
				fmt.Fprintf(&b, " on 20%02d-%02d-%02d at %d:%02d", r.IntN(60), 1+r.IntN(12), 1+r.IntN(28), r.IntN(24), r.IntN(60))
			case 2:
				fmt.Fprintf(&b, " https://www.%s-%s.example/%s/%s?page=%d", word(), word(), word(), word(), r.IntN(100))
			case 3:
				fmt.Fprintf(&b, " %s.%s@%s.example", word(), word(), word())
			case 4:
				fmt.Fprintf(&b, " `%s_%s.%s()`", word(), word(), word())
			case 5:
				fmt.Fprintf(&b, " (+49 30 %d)", 100_000+r.IntN(900_000))
			}
			b.WriteByte(' ')
		}
		b.WriteString(".\n")
	}
	return b.String()
}

// TestSoakNoFalseAlarms looks for 1,000 secrets and all patterns in prose that
// holds none: in half a megabyte, and in ten when the run is told to take long.
func TestSoakNoFalseAlarms(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	g := guard(t)
	for range 1000 {
		value := make([]byte, 24+r.IntN(24))
		for i := range value {
			value[i] = letters[r.IntN(len(letters))]
		}
		g.Learn(value)
	}
	size := 512 << 10
	if os.Getenv("GATEHOUSE_SOAK") != "" {
		size = 10 << 20
	}
	for done := 0; done < size; {
		text := prose(r, 4096)
		done += len(text)
		if got := g.Redact("room", text); got != text {
			t.Fatalf("%d bytes in: %q", done, got)
		}
	}
}
