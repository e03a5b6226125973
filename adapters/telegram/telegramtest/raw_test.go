package telegramtest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
)

// answer is the envelope of the Bot API.
type answer struct {
	OK          bool            `json:"ok"`
	Result      json.RawMessage `json:"result"`
	Code        int             `json:"error_code"`
	Description string          `json:"description"`
	Parameters  struct {
		RetryAfter int   `json:"retry_after"`
		MigrateTo  int64 `json:"migrate_to_chat_id"`
	} `json:"parameters"`
	status int
	header http.Header
}

type params map[string]any

// ask calls a method with a JSON body.
func ask(t *testing.T, srv *telegramtest.Server, method string, p params) answer {
	t.Helper()
	body, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return post(t, srv, method, "application/json", bytes.NewReader(body))
}

func post(t *testing.T, srv *telegramtest.Server, method, contentType string, body io.Reader) answer {
	t.Helper()
	a, err := tryPost(srv, method, contentType, body)
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	return a
}

func tryPost(srv *telegramtest.Server, method, contentType string, body io.Reader) (answer, error) {
	resp, err := httpClient.Post(srv.URL()+"/bot"+srv.Token()+"/"+method, contentType, body)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: resp.StatusCode, header: resp.Header}
	if err := json.Unmarshal(text, &a); err != nil {
		return a, fmt.Errorf("no JSON: %.100s", text)
	}
	return a, nil
}

// background makes a call whose answer comes later, empty when none comes.
func background(srv *telegramtest.Server, method string, p params) <-chan answer {
	out := make(chan answer, 1)
	body, _ := json.Marshal(p)
	go func() {
		a, _ := tryPost(srv, method, "application/json", bytes.NewReader(body))
		out <- a
	}()
	return out
}

// httpClient keeps no connections, so that no goroutine outlives a test.
var httpClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// refused calls a method that must fail and returns how.
func refused(t *testing.T, srv *telegramtest.Server, method string, p params) string {
	t.Helper()
	a := ask(t, srv, method, p)
	if a.OK {
		t.Fatalf("%s(%v) went through", method, p)
	}
	if a.Code != a.status {
		t.Errorf("error_code %d under HTTP status %d", a.Code, a.status)
	}
	return a.Description
}

// done calls a method that must go through and decodes its result.
func done[T any](t *testing.T, srv *telegramtest.Server, method string, p params) T {
	t.Helper()
	a := ask(t, srv, method, p)
	if !a.OK {
		t.Fatalf("%s(%v): %s", method, p, a.Description)
	}
	var out T
	if err := json.Unmarshal(a.Result, &out); err != nil {
		t.Fatalf("%s: %v in %s", method, err, a.Result)
	}
	return out
}

type message struct {
	ID       int64                 `json:"message_id"`
	ThreadID int64                 `json:"message_thread_id"`
	Topic    bool                  `json:"is_topic_message"`
	Text     string                `json:"text"`
	Caption  string                `json:"caption"`
	Entities []telegramtest.Entity `json:"entities"`
	AlbumID  string                `json:"media_group_id"`
	ReplyTo  *message              `json:"reply_to_message"`
	Created  *struct{}             `json:"forum_topic_created"`
	Quote    *struct {
		Text     string `json:"text"`
		Position int    `json:"position"`
	} `json:"quote"`
	From struct {
		ID int64 `json:"id"`
	} `json:"from"`
	Chat struct {
		ID int64 `json:"id"`
	} `json:"chat"`
	MigrateTo   int64 `json:"migrate_to_chat_id"`
	MigrateFrom int64 `json:"migrate_from_chat_id"`
	Photo       []struct {
		FileID string `json:"file_id"`
		Width  int    `json:"width"`
	} `json:"photo"`
	Document *struct {
		FileID string `json:"file_id"`
		Name   string `json:"file_name"`
		MIME   string `json:"mime_type"`
		Size   int    `json:"file_size"`
	} `json:"document"`
}

type update struct {
	ID       int64    `json:"update_id"`
	Message  *message `json:"message"`
	Edited   *message `json:"edited_message"`
	Callback *struct {
		ID      string   `json:"id"`
		Data    string   `json:"data"`
		Message *message `json:"message"`
	} `json:"callback_query"`
	Reaction *struct {
		ID  int64 `json:"message_id"`
		New []struct {
			Emoji string `json:"emoji"`
		} `json:"new_reaction"`
	} `json:"message_reaction"`
	MyMember *struct {
		New struct {
			Status string `json:"status"`
		} `json:"new_chat_member"`
	} `json:"my_chat_member"`
}

// updates polls once, without waiting.
func updates(t *testing.T, srv *telegramtest.Server, p params) []update {
	t.Helper()
	return done[[]update](t, srv, "getUpdates", p)
}

func texts(list []update) []string {
	var out []string
	for _, u := range list {
		if u.Message != nil {
			out = append(out, u.Message.Text)
		}
	}
	return out
}

// form is a multipart body of fields and files.
func form(t *testing.T, fields, files map[string]string) (string, io.Reader) {
	t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for name, value := range fields {
		if err := w.WriteField(name, value); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range files {
		part, err := w.CreateFormFile(name, name+".bin")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(part, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), &body
}

func TestBodiesInEveryEncoding(t *testing.T) {
	srv := telegramtest.NewServer(t)
	chat := srv.Private(srv.User(7, "Ada"))
	fields := map[string]string{"chat_id": "7", "text": "naïve & <b>", "disable_notification": "true"}
	values := url.Values{}
	for k, v := range fields {
		values.Set(k, v)
	}
	multi, body := form(t, fields, nil)
	bodies := map[string]struct {
		contentType string
		body        io.Reader
	}{
		"json":      {"application/json; charset=utf-8", strings.NewReader(`{"chat_id":7,"text":"naïve & <b>","disable_notification":true,"x":null}`)},
		"form":      {"application/x-www-form-urlencoded", strings.NewReader(values.Encode())},
		"multipart": {multi, body},
		"chunked":   {multi, nil},
	}
	for name, c := range bodies {
		t.Run(name, func(t *testing.T) {
			if c.body == nil {
				contentType, whole := form(t, fields, nil)
				c.contentType, c.body = contentType, struct{ io.Reader }{whole} // of unknown length
			}
			a := post(t, srv, "SendMESSAGE", c.contentType, c.body)
			if !a.OK {
				t.Fatal(a.Description)
			}
			log := chat.Delivered()
			last := log[len(log)-1]
			if last.Text != "naïve & <b>" || !last.Silent {
				t.Errorf("delivered %+v", last)
			}
		})
	}
	t.Run("query string", func(t *testing.T) {
		if a := post(t, srv, "sendMessage?"+values.Encode(), "text/plain", http.NoBody); !a.OK {
			t.Fatal(a.Description)
		}
	})
}

func TestRefusesStrangers(t *testing.T) {
	srv := telegramtest.NewServer(t)
	for path, want := range map[string]int{
		"/bot1:wrong/getMe":             401,
		"/botnotoken/getMe":             404,
		"/":                             404,
		"/bot" + srv.Token() + "/fly":   404,
		"/bot" + srv.Token() + "/getMe": 200,
		"/file/bot1:wrong/photos/a":     401,
		"/file/bot" + srv.Token() + "/": 404,
	} {
		resp, err := httpClient.Get(srv.URL() + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("GET %s: %d, want %d", path, resp.StatusCode, want)
		}
	}
}
