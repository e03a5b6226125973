package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/console/consoleclient"
	"github.com/gatehouse-chat/gatehouse/adapters/console/wire"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// chatServer answers as the gateway's chat does, within this process.
type chatServer struct {
	mu      sync.Mutex
	says    []wire.Say
	fail    []int              // statuses of the next answers to a message; 0: the answer is lost
	streams []func(*streaming) // what the next connections bring
	after   []string           // from where each connection went on
	latest  wire.Page
	presses []wire.Press
	uploads map[string]string // by the name of the file
	away    int               // uploads that break off
	content map[string]string // of the files that there are, by their URL
}

type streaming struct {
	w  io.Writer
	to context.Context
}

func (s *streaming) send(event string, v any) {
	b, _ := json.Marshal(v) // our own types encode
	fmt.Fprintf(s.w, "event: %s\ndata: %s\n\n", event, b)
}

func (s *chatServer) client() *consoleclient.Client {
	return &consoleclient.Client{HTTP: &http.Client{Transport: s}, Base: "http://gatehouse"}
}

// RoundTrip implements http.RoundTripper.
func (s *chatServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec := httptest.NewRecorder()
	switch r.Method + " " + r.URL.Path {
	case "POST /chat/api/messages":
		var say wire.Say
		if err := json.NewDecoder(r.Body).Decode(&say); err != nil {
			return nil, err
		}
		s.says = append(s.says, say)
		if len(s.fail) > 0 {
			status := s.fail[0]
			s.fail = s.fail[1:]
			if status == 0 {
				return nil, errors.New("the connection broke off")
			}
			http.Error(rec, `{"error":"no"}`, status)
			return rec.Result(), nil
		}
		_ = json.NewEncoder(rec).Encode(wire.Message{ID: say.Key, Seq: 10, Rev: 10, From: wire.Member, Text: say.Text})
		return rec.Result(), nil
	case "POST /chat/api/files":
		b, err := io.ReadAll(r.Body)
		if s.away--; err != nil || s.away >= 0 {
			return nil, errors.Join(errors.New("the connection broke off"), err)
		}
		name := r.URL.Query().Get("name")
		s.uploads = map[string]string{name: string(b)}
		_ = json.NewEncoder(rec).Encode(wire.File{Name: name, Size: int64(len(b))})
		return rec.Result(), nil
	case "GET /chat/api/file":
		if body, ok := s.content[r.URL.RequestURI()]; ok {
			_, _ = io.WriteString(rec, body)
			return rec.Result(), nil
		}
	case "POST /chat/api/press":
		var p wire.Press
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
			return nil, err
		}
		s.presses = append(s.presses, p)
		_, _ = io.WriteString(rec, "{}")
		return rec.Result(), nil
	case "GET /chat/api/messages":
		_ = json.NewEncoder(rec).Encode(s.latest)
		return rec.Result(), nil
	case "GET /chat/api/commands":
		_, _ = io.WriteString(rec, "[]")
		return rec.Result(), nil
	case "GET /chat/api/stream":
		s.after = append(s.after, r.URL.Query().Get("after"))
		if len(s.streams) == 0 {
			return nil, errors.New("nobody listens")
		}
		next := s.streams[0]
		s.streams = s.streams[1:]
		pr, pw := io.Pipe()
		go func() {
			next(&streaming{w: pw, to: r.Context()})
			_ = pw.Close()
		}()
		return &http.Response{StatusCode: http.StatusOK, Body: pr, Request: r}, nil
	}
	http.NotFound(rec, r)
	return rec.Result(), nil
}

// TestDeliver: every try has the same key, and a refusal ends them.
func TestDeliver(t *testing.T) {
	for _, c := range []struct {
		name  string
		fail  []int
		tries int
		ok    bool
	}{
		{"at once", nil, 1, true},
		{"the answer was lost", []int{0, 0}, 3, true},
		{"the gateway starts", []int{503, 503, 503}, 4, true},
		{"refused", []int{422}, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &chatServer{fail: c.fail}
				waits := 0
				_, err := deliver(t.Context(), s.client(), "key-0001", "hi", func() { waits++ })
				if (err == nil) != c.ok || len(s.says) != c.tries {
					t.Errorf("%d tries, %v", len(s.says), err)
				}
				if want := min(1, c.tries-1); waits != want {
					t.Errorf("told %d times that it takes longer, want %d", waits, want)
				}
				for _, say := range s.says {
					if say.Key != "key-0001" {
						t.Errorf("a try had the key %s", say.Key)
					}
				}
			})
		})
	}
}

func bot(seq, rev int64, text string) wire.Message {
	return wire.Message{ID: fmt.Sprintf("t%d/r000", seq), Seq: seq, Rev: rev, From: wire.Bot, Text: text}
}

// TestFollow: a lost connection is taken up where it broke off, and nothing is
// shown twice.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := &chatServer{streams: []func(*streaming){
			func(o *streaming) { o.send("message", bot(11, 11, "one")) },
			func(o *streaming) {
				o.send("message", bot(11, 11, "one"))
				o.send("message", bot(12, 12, "two"))
				o.send("ready", wire.Ready{Rev: 12})
				<-o.to.Done()
			},
		}}
		var got []any
		follow(ctx, s.client(), 10, func(e consoleclient.Event) {
			got = append(got, e)
			if _, ok := e.(wire.Ready); ok {
				cancel()
			}
		})
		want := []any{bot(11, 11, "one"), lost{}, bot(12, 12, "two"), wire.Ready{Rev: 12}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"10", "11"}, s.after); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAsk(t *testing.T) {
	answer := func(o *streaming) {
		o.send("message", bot(3, 11, "an old answer that changed"))
		o.send("draft", wire.Draft{Key: "t12", Text: "the be"})
		o.send("message", bot(12, 12, "the **best** answer"))
		<-o.to.Done()
	}
	for _, c := range []struct {
		name    string
		streams []func(*streaming)
		failed  string
		stop    bool
		want    string
		err     string
		says    []string
	}{
		{name: "answered", streams: []func(*streaming){answer}, want: "the best answer\n", says: []string{"q"}},
		{name: "after a restart", streams: []func(*streaming){func(*streaming) {}, answer}, want: "the best answer\n", says: []string{"q"}},
		{name: "an excuse", streams: []func(*streaming){answer}, failed: "quota", want: "the best answer\n", err: "could not answer in full (quota)", says: []string{"q"}},
		{name: "the gateway stays away", err: "the gateway went away", says: []string{"q"}},
		{name: "interrupted", streams: []func(*streaming){func(o *streaming) { <-o.to.Done() }}, stop: true, err: "stopped", says: []string{"q", "/stop"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &chatServer{streams: c.streams}
				var out bytes.Buffer
				stops := make(chan os.Signal, 1)
				q := inquiry{
					chat: s.client(), face: &face{out: &out, dialect: markup.PlainText}, notes: io.Discard, stops: stops,
					failed: func(context.Context, string) (string, error) { return c.failed, nil },
				}
				done := make(chan error, 1)
				go func() { done <- q.ask(t.Context(), "q") }()
				if c.stop {
					synctest.Wait() // it waits for the answer
					stops <- os.Interrupt
				}
				err := <-done
				if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
					t.Errorf("%v, want %q", err, c.err)
				}
				if out.String() != c.want {
					t.Errorf("%q, want %q", out.String(), c.want)
				}
				var says []string
				for _, m := range s.says {
					says = append(says, m.Text)
				}
				if diff := cmp.Diff(c.says, says); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}
