package codec_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
)

func seeds(f *testing.F) {
	f.Helper()
	paths, err := filepath.Glob("testdata/updates/*.json")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
}

// Whatever comes in: no panic, events that can be stored and read again, a key
// for each, a reason where there is none, and the same result the second time.
func FuzzDecode(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := codec.Decode(b, self())
		if err != nil {
			if u.ID != 0 || len(u.Events) != 0 {
				t.Fatalf("an error with a result: %+v", u)
			}
			return
		}
		if u.ID == 0 || (u.Ignored == "") == (len(u.Events) == 0) {
			t.Fatalf("%+v", u)
		}
		again, _ := codec.Decode(b, self())
		for i, e := range u.Events {
			checkStored(t, e, again.Events[i].Key)
		}
	})
}

func checkStored(t *testing.T, e channels.Event, sameKey string) {
	t.Helper()
	if e.Key == "" || e.Key != sameKey || e.Where.Conversation == "" || e.Who.ID == "" {
		t.Fatalf("%+v", e)
	}
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var back channels.Event
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
}

// Entities of any shape never panic and never lose or tear a character.
func FuzzEntities(f *testing.F) {
	f.Add("bold 😀 x", "bold", 0, 4, "italic", 2, 7)
	f.Add("a\n\nb", "blockquote", 0, 4, "code", 1, 2)
	f.Add("`x`", "pre", 0, 3, "text_link", 0, 9)
	f.Fuzz(func(t *testing.T, text, kindA string, offA, lenA int, kindB string, offB, lenB int) {
		in := map[string]any{"update_id": 1, "message": map[string]any{
			"message_id": 1, "chat": map[string]any{"id": 1, "type": "private"}, "from": map[string]any{"id": 1},
			"text": text, "entities": []map[string]any{
				{"type": kindA, "offset": offA, "length": lenA, "url": "http://x"},
				{"type": kindB, "offset": offB, "length": lenB, "user": map[string]any{"id": 2}},
			},
		}}
		b, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		u, err := codec.Decode(b, self())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range u.Events {
			m, ok := e.Content.(channels.Message)
			if !ok {
				continue
			}
			if !utf8.ValidString(m.Text) {
				t.Fatalf("%q", m.Text)
			}
			if got, want := letters(m.Text), letters(strings.ToValidUTF8(text, "\uFFFD")); !subsequence(want, got) {
				t.Fatalf("%q became %q", text, m.Text)
			}
		}
	})
}

// letters leaves out what the writer may add, move or trim.
func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\r\n\v\f\u0085\u00a0\\*`[]<>~_", r) {
			return -1
		}
		return r
	}, s)
}

// subsequence reports whether all of want stands in got, in order.
func subsequence(want, got string) bool {
	for _, r := range got {
		if want == "" {
			return true
		}
		if first, n := utf8.DecodeRuneInString(want); first == r {
			want = want[n:]
		}
	}
	return want == ""
}

func FuzzClassify(f *testing.F) {
	f.Add(200, []byte(`{"ok":true,"result":{}}`), false)
	f.Add(400, []byte(`{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}`), true)
	f.Add(502, []byte(`<html>`), false)
	f.Fuzz(func(t *testing.T, status int, body []byte, repeatable bool) {
		a := codec.Classify(status, body, repeatable)
		if a.OK == (a.Kind != "") || a.RetryAfter < 0 {
			t.Fatalf("%+v", a)
		}
		if repeatable && a.Kind == channels.Ambiguous {
			t.Fatalf("a repeatable call is never ambiguous: %+v", a)
		}
	})
}
