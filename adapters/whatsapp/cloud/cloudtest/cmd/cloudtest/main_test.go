package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/cloudtest"
)

// TestRun: it says where it is, does what it is asked for while a client sends,
// and ends with its input.
func TestRun(t *testing.T) {
	in, ask := io.Pipe()
	answer, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(in, out) }()
	read := json.NewDecoder(answer)
	exchange := func(line string) (got map[string]any) {
		t.Helper()
		if line != "" {
			if _, err := io.WriteString(ask, line+"\n"); err != nil {
				t.Fatal(err)
			}
		}
		if err := read.Decode(&got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	ready := exchange("")
	said := exchange(`{"do":"say","by":"15550002222","text":"hello"}`)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, ready["url"].(string)+"/v23.0/"+cloudtest.Number+"/messages",
		strings.NewReader(`{"messaging_product":"whatsapp","to":"15550002222","type":"text","text":{"body":"hi"},"context":{"message_id":"`+said["id"].(string)+`"}}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+ready["token"].(string))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	shown := exchange(`{"do":"shown","by":"15550002222"}`)
	if all, _ := shown["messages"].([]any); resp.StatusCode != http.StatusOK || len(all) != 1 {
		t.Errorf("status %d, %v", resp.StatusCode, shown)
	}
	_ = ask.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := run(strings.NewReader(`{"do":"dance"}`), io.Discard); err == nil || !strings.Contains(err.Error(), "dance") {
		t.Errorf("an order that is none: %v", err)
	}
}
