package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
)

// site serves a page that tells the number of a boiler, and keeps what is posted
// to it.
type site struct {
	*httptest.Server
	mu     sync.Mutex
	posted []string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			s.mu.Lock()
			s.posted = append(s.posted, r.URL.Path)
			s.mu.Unlock()
			return
		}
		_, _ = fmt.Fprint(w, "The number of the boiler is 666")
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *site) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.posted)
}

// sender reads a page and keeps what it says, when told "!keep URL", and sends
// what it finds in memory about the boiler to the address in "!send URL".
func sender(q *agenttest.Request) agenttest.Answer {
	all := q.Messages()
	last := all[len(all)-1]
	call := fmt.Sprintf("call_%d", q.N)
	if last.Role == agent.ToolRole {
		if strings.Contains(last.Text, "666") { // the page: what comes of keeping it says an id alone
			return agenttest.Use(call, "remember", `{"text":"The number of the boiler is 666"}`)
		}
		return agenttest.Say("it is done")
	}
	if _, page, ok := strings.Cut(last.Text, "!keep "); ok {
		return agenttest.Use(call, "http_request", fmt.Sprintf(`{"url":%q}`, page))
	}
	_, to, ok := strings.Cut(last.Text, "!send ")
	if !ok {
		return agenttest.Echo(q)
	}
	for _, m := range all {
		if remembered.MatchString(m.Text) {
			return agenttest.Use(call, "http_request", fmt.Sprintf(`{"method":"POST","url":%q}`, to))
		}
	}
	return agenttest.Say("I know nothing of a boiler")
}

// allow presses the first button of the last question in a chat.
func (r *rig) allow(who *telegramtest.User, chat *telegramtest.Chat) {
	r.t.Helper()
	r.awaitText(chat, "May I do this?")
	asked := r.bot.Delivered().In(chat.ID()).Of(telegramtest.Sent)
	i := len(asked) - 1
	for ; i > 0 && len(asked[i].Buttons) == 0; i-- {
	}
	if len(asked[i].Buttons) == 0 {
		r.t.Fatalf("nothing is asked in %q", asked.Texts())
	}
	chat.Press(who, asked[i].Message, asked[i].Buttons[0].Data)
}

// TestPlantedInMemory: what a file or a page planted in somebody's memory makes
// their turns ask before they do anything outward, after a restart, in a new
// conversation and in another channel as well. What they said themselves does not.
func TestPlantedInMemory(t *testing.T) {
	t.Parallel()
	page := newSite(t)
	other, section := second(t, ", dm: pairing")
	r := newRig(t, settings{
		policy: "pairing", script: sender, extra: fmt.Sprintf("  other: {%s}\n", section),
		agent: []string{"tools: [memory, http_request]", fmt.Sprintf("hosts: [%q]", page.URL)},
	})
	r.up()
	own, owns := r.person(1001)
	file, files := r.person(1002)
	read, reads := r.person(1003)
	r.member(own, owns)
	r.member(read, reads)
	// One of them is known on two channels: they plant on one and ask on the other.
	there := *r
	there.bot = other
	file2 := other.User(2002, "The same, elsewhere")
	files2 := other.Private(file2)
	files.Say(file, linkCode.FindString(r.verb("identities", "link")))
	r.awaitText(files, "is now linked to")
	files2.Say(file2, linkCode.FindString(r.verb("identities", "link")))
	there.awaitText(files2, "is now linked to")
	owns.Say(own, "/remember The number of the boiler is 4711")
	r.awaitText(owns, "I will remember this for you")
	files.Document(file, "boiler.txt", "text/plain", []byte("The number of the boiler is 666"), telegramtest.WithCaption("/remember"))
	r.awaitText(files, "I will remember this for you")
	reads.Say(read, "!keep "+page.URL+"/page")
	r.allow(read, reads) // to keep what it has read is a change already
	r.awaitText(reads, "it is done")

	r.term()
	there.polls = other.Calls("getUpdates")
	r.up()
	for chat, who := range map[*telegramtest.Chat]*telegramtest.User{owns: own, files: file, reads: read} {
		chat.Say(who, "/new")
		r.awaitText(chat, "new conversation")
	}
	owns.Say(own, "the number of the boiler: !send "+page.URL+"/own")
	r.awaitText(owns, "it is done")
	if d := page.seen(); !slices.Equal(d, []string{"/own"}) {
		t.Fatalf("of what its owner said, %q was sent", d)
	}
	if has(texts(r.bot.Delivered().In(owns.ID())), "May I do this?") {
		t.Error("what somebody said themselves makes their turn ask")
	}
	asked := func(at *rig, who *telegramtest.User, chat *telegramtest.Chat, path string) {
		t.Helper()
		before := len(questions(at, chat))
		chat.Say(who, "the number of the boiler: !send "+page.URL+path)
		at.await("a question in "+path, func(telegramtest.Log) bool { return len(questions(at, chat)) > before })
		if text := questions(at, chat)[before]; !strings.Contains(text, "nobody here vouches for") {
			t.Errorf("%s: it is asked %q", path, text)
		}
	}
	asked(r, file, files, "/file")
	asked(r, read, reads, "/page")
	asked(&there, file2, files2, "/elsewhere")
	if d := page.seen(); len(d) != 1 {
		t.Errorf("without a person's word, %q was sent", d)
	}
	r.allow(file, files)
	if !eventually(patience, func() bool { return slices.Contains(page.seen(), "/file") }) {
		t.Error("what was allowed is not done")
	}
	r.term()
}

// questions are what stands in a chat for a person to decide.
func questions(r *rig, chat *telegramtest.Chat) (all []string) {
	for _, text := range texts(r.bot.Delivered().In(chat.ID()).Of(telegramtest.Sent)) {
		if strings.Contains(text, "May I do this?") {
			all = append(all, text)
		}
	}
	return all
}
