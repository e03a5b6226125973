package operator

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
)

func TestDeadLettersShowNoToken(t *testing.T) {
	e := channels.Event{
		Key: "1", Where: channels.Address{Channel: "c", Conversation: "x"}, Who: channels.Sender{ID: "anna"},
		Via: &channels.Via{Token: channels.NewSecret("interaction-token-1234"), Sealed: []byte("at rest"), Expires: time.Now()}, Content: channels.Message{ID: "1", Text: "hello"},
	}
	body, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(body), "interaction-token-1234") {
		t.Fatal("the record does not hold the token; this test shows nothing")
	}
	got := string(shown(body))
	if strings.Contains(got, "interaction-token-1234") || strings.Contains(got, "sealed") || !strings.Contains(got, "hello") {
		t.Errorf("shown: %s", got)
	}
	if s := shown(json.RawMessage("interaction-token-1234")); s != nil {
		t.Errorf("what is no JSON is shown: %s", s)
	}
}
