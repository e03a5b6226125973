package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
)

// echoServer answers with the headers that it gets, and remembers them.
type echoServer struct {
	*httptest.Server
	mu   sync.Mutex
	auth []string
}

func newEchoServer(t *testing.T) *echoServer {
	t.Helper()
	e := &echoServer{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		e.auth = append(e.auth, r.Header.Get("Authorization"))
		e.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(r.Header)
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *echoServer) seen() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.auth...)
}

// asking makes the request that a text asks for: "... !get SECRET URL".
func asking(r *agenttest.Request) agenttest.Answer {
	all := r.Messages()
	last := all[len(all)-1]
	if last.Role == agent.ToolRole {
		return agenttest.Say("answer: " + last.Text)
	}
	_, order, ok := strings.Cut(last.Text, "!get ")
	if !ok {
		return agenttest.Echo(r)
	}
	secret, url, _ := strings.Cut(order, " ")
	args, err := json.Marshal(map[string]string{"url": url, "secret": secret})
	if err != nil {
		return agenttest.Refuse(http.StatusInternalServerError, "")
	}
	return agenttest.Use(fmt.Sprintf("call_%d", r.N), "http_request", string(args))
}

var (
	pairingCode = regexp.MustCompile(`code is ([2-9A-Z]{8})`)
	memberID    = regexp.MustCompile(`You are (m-[a-z0-9]+)`)
)

// member lets somebody in by pairing, and returns their member's id.
func (r *rig) member(u *telegramtest.User, chat *telegramtest.Chat) string {
	r.t.Helper()
	chat.Say(u, "hello")
	code := pairingCode.FindStringSubmatch(r.awaitText(chat, "Your code is"))
	r.verb("pair", "approve", code[1])
	r.awaitText(chat, "echo: hello")
	chat.Say(u, "/whoami")
	return memberID.FindStringSubmatch(r.awaitText(chat, "You are"))[1]
}

// TestInvariant06SecretOfWhoSpeaks: in one group, a member's token is used in
// that member's turns, and in nobody else's; and it never comes back.
func TestInvariant06SecretOfWhoSpeaks(t *testing.T) {
	t.Parallel()
	const token = "tok-4f9a1c77e2b05d83-ada"
	echo := newEchoServer(t)
	r := newRig(t, settings{
		policy: "pairing", script: asking,
		agent: []string{"tools: [http_request]", fmt.Sprintf("hosts: [%q]", echo.URL)},
	})
	r.up()
	ada, adas := r.person(1001)
	bob, bobs := r.person(1002)
	idA := r.member(ada, adas)
	if idB := r.member(bob, bobs); idB == idA {
		t.Fatalf("both are %s", idA)
	}
	r.secret(token, "github", "--member", idA, "--host", strings.TrimPrefix(echo.URL, "http://"), "--as", "bearer", "--tool", "http_request")

	room := r.bot.Supergroup(-1001, "Both", ada, bob)
	at := "@" + r.bot.Bot().Username + " "
	room.Say(bob, at+"!get github "+echo.URL+"/b")
	if got := r.awaitText(room, "answer:"); !strings.Contains(got, "there is no secret") {
		t.Errorf("Bob got %q", got)
	}
	if got := echo.seen(); len(got) != 0 {
		t.Fatalf("Bob's turn sent %q", got)
	}
	room.Say(ada, at+"!get github "+echo.URL+"/a")
	// Bob has spoken before, so that Ada is asked first: the room is shared.
	asked := r.await("a question", func(log telegramtest.Log) bool {
		return strings.Contains(strings.Join(texts(log.In(room.ID())), "\n"), "May I do this?")
	}).In(room.ID()).Of(telegramtest.Sent)
	question := asked[len(asked)-1]
	if len(question.Buttons) == 0 {
		t.Fatalf("the question has no buttons: %+v", question)
	}
	room.Press(bob, question.Message, question.Buttons[0].Data)
	r.awaitText(room, "not yours to decide")
	if got := echo.seen(); len(got) != 0 {
		t.Fatalf("Bob's press sent %q", got)
	}
	room.Press(ada, question.Message, question.Buttons[0].Data)
	r.awaitText(room, "Allowed by")
	if got := r.awaitText(room, "200 OK"); strings.Contains(got, token) || !strings.Contains(got, "[secret]") {
		t.Errorf("Ada got %q", got)
	}
	if got := echo.seen(); len(got) != 1 || got[0] != "Bearer "+token {
		t.Errorf("the server got %q", got)
	}
	r.term()
	for _, text := range texts(r.bot.Delivered()) {
		if strings.Contains(text, token) {
			t.Errorf("a message shows the token: %q", text)
		}
	}
	for _, q := range r.model.Requests() {
		if strings.Contains(string(q.Body), token) {
			t.Error("a request to the model holds the token")
		}
	}
	if r.proc.log.contains(token) {
		t.Error("the log holds the token")
	}
}

// secret stores a value with the command line.
func (r *rig) secret(value, name string, more ...string) {
	r.t.Helper()
	args := append([]string{"secrets", "set", name, "--config", r.configPath()}, more...)
	cmd := exec.CommandContext(r.t.Context(), r.set.binary, args...) //nolint:gosec // a binary of ours
	cmd.Env, cmd.Stdin = r.env, strings.NewReader(value)
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("secrets set: %v\n%s", err, out)
	}
}

// TestInvariant07SurvivesARestart: a question that was asked before the process
// died is answered by its button after it, and the call is made once.
func TestInvariant07SurvivesARestart(t *testing.T) {
	t.Parallel()
	removed := make(chan string, 10)
	things := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { removed <- r.Method + " " + r.URL.Path }))
	t.Cleanup(things.Close)
	r := newRig(t, settings{
		policy: "allowlist", channel: []string{`allow: ["1001"]`},
		agent: []string{"tools: [http_request]", fmt.Sprintf("hosts: [%q]", things.URL)},
		script: func(q *agenttest.Request) agenttest.Answer {
			all := q.Messages()
			if all[len(all)-1].Role == agent.ToolRole {
				return agenttest.Say("it is done")
			}
			if strings.Contains(all[len(all)-1].Text, "remove") {
				return agenttest.Use("c1", "http_request", fmt.Sprintf(`{"method":"DELETE","url":%q}`, things.URL+"/1"))
			}
			return agenttest.Echo(q)
		},
	})
	r.up()
	ada, chat := r.person(1001)
	chat.Say(ada, "remove it")
	r.awaitText(chat, "May I do this?")
	asked := r.bot.Delivered().In(chat.ID()).Of(telegramtest.Sent)
	question := asked[len(asked)-1]
	if len(question.Buttons) != 2 { // what cannot be undone is never allowed for longer
		t.Errorf("the question has the buttons %+v", question.Buttons)
	}
	chat.Say(ada, "meanwhile") // its answer comes behind the question, which is settled then
	r.awaitText(chat, "echo: meanwhile")
	r.kill()
	r.up()
	chat.Say(ada, "and you?")
	r.awaitText(chat, "echo: and you?")
	chat.Press(ada, question.Message, question.Buttons[0].Data)
	r.awaitText(chat, "it is done")
	chat.Press(ada, question.Message, question.Buttons[0].Data)
	r.awaitText(chat, "decided already")
	r.term()
	if len(removed) != 1 || <-removed != "DELETE /1" {
		t.Errorf("%d further calls", len(removed))
	}
	edited := r.bot.Delivered().In(chat.ID()).Of(telegramtest.Edited)
	if len(edited) != 1 || edited[0].Message != question.Message || !strings.Contains(edited[0].Text, "Allowed by") || len(edited[0].Buttons) != 0 {
		t.Errorf("the question became %+v", edited)
	}
}
