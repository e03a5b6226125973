package telegramtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/go-telegram/bot"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
)

// BenchmarkSend is what a send costs with a client that costs little.
func BenchmarkSend(b *testing.B) {
	srv := telegramtest.NewServer(b)
	srv.Private(srv.User(7, "Ada"))
	body := []byte(`{"chat_id":7,"text":"<b>hello</b> there, this is an answer of usual length.","parse_mode":"HTML"}`)
	b.ReportAllocs()
	for b.Loop() {
		r, _ := http.NewRequestWithContext(context.Background(), http.MethodPost, "/bot"+srv.Token()+"/sendMessage", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		srv.ServeHTTP(discard{}, r)
	}
}

type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}

// BenchmarkSendByLibrary is a send by go-telegram/bot over loopback, both ends on
// the same cores.
func BenchmarkSendByLibrary(b *testing.B) {
	srv := telegramtest.NewServer(b)
	srv.Private(srv.User(7, "Ada"))
	client, err := bot.New(srv.Token(), bot.WithServerURL(srv.URL()))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := client.SendMessage(context.Background(), &bot.SendMessageParams{ChatID: 7, Text: "hello"}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRoundTrip lets people write in 32 chats, polls, and answers each
// message, over loopback.
func BenchmarkRoundTrip(b *testing.B) {
	srv := telegramtest.NewServer(b)
	var chats []*telegramtest.Chat
	var people []*telegramtest.User
	for id := range int64(32) {
		u := srv.User(id+1, "U")
		people, chats = append(people, u), append(chats, srv.Private(u))
	}
	client := &http.Client{}
	defer client.CloseIdleConnections()
	ask := func(method, body string) []byte {
		resp, err := client.Post(srv.URL()+"/bot"+srv.Token()+"/"+method, "application/json", bytes.NewReader([]byte(body)))
		if err != nil {
			b.Fatal(err)
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return text
	}
	offset, n := int64(0), 0
	for b.Loop() {
		n++
		chats[n%32].Say(people[n%32], "a question")
		if n%32 != 0 {
			continue
		}
		var got struct{ Result []update }
		if err := json.Unmarshal(ask("getUpdates", fmt.Sprintf(`{"offset":%d,"timeout":10}`, offset)), &got); err != nil {
			b.Fatal(err)
		}
		for _, u := range got.Result {
			offset = u.ID + 1
			ask("sendMessage", fmt.Sprintf(`{"chat_id":%d,"text":"an answer"}`, u.Message.Chat.ID))
		}
	}
}
