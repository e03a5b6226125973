package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/adapters/webhook/webhooktest"
	"github.com/gatehouse-chat/gatehouse/internal/porttest"
)

// hookRig is a gateway with webhooks beside the Telegram bot: "hook", whose
// answers go to a callback, and "ask", for those who wait.
type hookRig struct {
	*rig
	program *webhooktest.Server
}

const hookToken = "a-token-of-the-tests"

func newHookRig(t testing.TB, set settings) *hookRig {
	t.Helper()
	return newHookRigOf(t, set, "adapter: webhook")
}

// newGuestHookRig has both channels run as guests.
func newGuestHookRig(t testing.TB, set settings) *hookRig {
	t.Helper()
	set.binary = withGuests(t)
	r := newHookRigOf(t, set, "adapter: wasm\n    module: webhook\n    dm: open")
	shareCompiled(t, r.dir)
	return r
}

func newHookRigOf(t testing.TB, set settings, adapter string) *hookRig {
	t.Helper()
	set.listen = porttest.Keep(t)
	p := webhooktest.New("http://" + set.listen + "/hooks/hook")
	t.Cleanup(p.Close)
	set.extra = fmt.Sprintf(`  hook:
    %[1]s
    verify: {kind: standard-webhooks, secret: %[2]q}
    sender: "{{ .sender }}"
    callback_url: %[3]q
    callback_secret: %[2]q
  ask:
    %[1]s
    verify: {kind: bearer, secret: %[4]q}
`, adapter, webhooktest.Secret, p.URL(), hookToken) + set.extra
	return &hookRig{newRig(t, set), p}
}

// ask says something and waits for the callback.
func (r *hookRig) ask(conversation, text string) {
	r.t.Helper()
	r.program.Say(webhooktest.Message{Conversation: conversation, Sender: conversation, Text: text})
	if !eventually(patience, func() bool { return r.answered(conversation, text) }) {
		r.t.Errorf("%q is not answered; shown: %+v", text, r.program.Shown(conversation))
	}
}

func (r *hookRig) answered(conversation, text string) bool {
	for _, a := range r.program.Shown(conversation) {
		if strings.Contains(a.Text, text) {
			return true
		}
	}
	return false
}

// request posts a text to a channel that is proved by the token; header are
// names and values.
func (r *hookRig) request(channel, query, text string, header ...string) (status int, body []byte) {
	r.t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+r.set.listen+"/hooks/"+channel+query, strings.NewReader(text)) //nolint:noctx // loopback
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+hookToken)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, body
}

// post sends a text and does not wait for its answer.
func (r *hookRig) post(channel, text string) (status int) {
	status, _ = r.request(channel, "", text)
	return status
}

// wait asks the channel "ask" and waits in the request. Where the channel is not
// ready yet, it comes again, as it is told.
func (r *hookRig) wait(id, text, wait string) (status int, a hookAnswer) {
	r.t.Helper()
	var body []byte
	eventually(patience, func() bool {
		status, body = r.request("ask", "?wait="+wait, text, "Idempotency-Key", id)
		return status != http.StatusServiceUnavailable
	})
	if err := json.Unmarshal(body, &a); err != nil {
		r.t.Fatalf("%d %s %v", status, body, err)
	}
	return status, a
}

type hookAnswer struct {
	Status, ID, Why string
	Replies         []struct{ Text, Conversation, Channel string }
}
