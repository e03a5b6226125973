package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRunUntilInputEnds(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	stdin, feed := io.Pipe()
	out, stdout := io.Pipe()
	ended := make(chan error)
	go func() {
		ended <- run(ctx, []string{"-until-eof", "-token", "42:x", "-latency", "1ms", "-limits"}, stdin, stdout)
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var ready struct{ URL, Control, Token string }
	if err := json.Unmarshal([]byte(line), &ready); err != nil || ready.Token != "42:x" {
		t.Fatal(line, err)
	}
	remote, err := telegramtest.Dial(ctx, ready.Control)
	if err != nil {
		t.Fatal(err)
	}
	defer remote.Close()
	if remote.Bot().ID != 42 || remote.URL() != ready.URL {
		t.Errorf("%+v %s", remote.Bot(), remote.URL())
	}
	if err := remote.Person(ctx, 7, "Ada"); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var statuses []int
	for range 2 {
		resp, err := client.Post(ready.URL+"/bot42:x/sendMessage", "application/json", strings.NewReader(`{"chat_id":7,"text":"hi"}`))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		statuses = append(statuses, resp.StatusCode)
	}
	if statuses[0] != 200 || statuses[1] != 429 {
		t.Errorf("%v", statuses)
	}
	_ = feed.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestRunRefusesBadFlags(t *testing.T) {
	for _, args := range [][]string{{"-token", "nonsense"}, {"-control", "nowhere:port"}, {"-listen", "nowhere:port"}} {
		if err := run(context.Background(), args, strings.NewReader(""), io.Discard); err == nil {
			t.Errorf("%v went through", args)
		}
	}
}
