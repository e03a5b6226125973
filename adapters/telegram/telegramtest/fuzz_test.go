package telegramtest_test

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
)

// checkEntities says what is wrong with the entities of a text.
func checkEntities(text string, list []telegramtest.Entity) string {
	units := utf16.Encode([]rune(text))
	for i, e := range list {
		end := e.Offset + e.Length
		switch {
		case e.Offset < 0 || e.Length <= 0 || end > len(units):
			return "an entity lies outside the text"
		case inPair(units, e.Offset) || inPair(units, end):
			return "an entity cuts a surrogate pair"
		case i > 0 && e.Offset < list[i-1].Offset:
			return "entities are out of order"
		case e.Type == "":
			return "an entity has no type"
		}
		for _, o := range list[:i] {
			oEnd := o.Offset + o.Length
			if o.Offset < e.Offset && e.Offset < oEnd && oEnd < end {
				return "entities cross"
			}
			inside := o.Offset <= e.Offset && end <= oEnd
			if inside && (o.Type == "code" || o.Type == "pre") {
				return "an entity stands in code"
			}
		}
	}
	return ""
}

func inPair(units []uint16, at int) bool {
	return at > 0 && at < len(units) && utf16.IsSurrogate(rune(units[at-1])) && units[at-1] < 0xDC00
}

func fuzzText(f *testing.F, mode string, seeds []string) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		text, entities, err := telegramtest.Parse(mode, source)
		if err != nil {
			return
		}
		if !utf8.ValidString(text) {
			t.Fatalf("%q became %q", source, text)
		}
		if wrong := checkEntities(text, entities); wrong != "" {
			t.Fatalf("%s: %q %+v", wrong, text, entities)
		}
	})
}

func FuzzHTML(f *testing.F) {
	fuzzText(f, "HTML", []string{
		"plain", "<b>x</b>", "<b>a<i>b</i></b> &lt;", "<a href=\"https://example.com\">x</a>", "😀<u>😀</u>",
		"<pre><code class=\"language-go\">x</code></pre>", "<blockquote expandable>q <b>x</b></blockquote>", "<b", "</", "&#x1F600;",
		"<s>a<code>b</code>c</s> /start @you", "<a href='tg://user?id=1'>x", "\r<b>\r</b>\x00",
	})
}

func FuzzMarkdownV2(f *testing.F) {
	fuzzText(f, "MarkdownV2", []string{
		"plain", "*x*", "_a *b* c_", "[x](https://example.com)", "```go\nx```", ">q\n>r||", "\\*", "||x||", "![x](tg://emoji?id=1)",
		"*😀*\r\n>x", "__a__ ~b~ `c`",
	})
}

func FuzzPlainText(f *testing.F) {
	fuzzText(f, "", []string{"/start@bot", "@you, see https://example.com/a_(b).", "#tag $USD a@b.com", "😀@you"})
}

// Whatever a bot sends, the server answers and lives.
func FuzzMultipart(f *testing.F) {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	_ = w.WriteField("chat_id", "7")
	_ = w.WriteField("text", "hi")
	_ = w.Close()
	f.Add(w.FormDataContentType(), body.Bytes())
	f.Add("multipart/form-data; boundary=x", []byte("--x\r\nContent-Disposition: form-data; name=\"a\"; filename=\"b\"\r\n\r\nc\r\n--x--"))
	f.Add("multipart/form-data", []byte("x"))
	f.Add("application/json", []byte(`{"chat_id":7,"text":["x"],"reply_markup":{"inline_keyboard":[[null]]}}`))
	f.Add("application/x-www-form-urlencoded", []byte("chat_id=7&text=%zz"))
	srv, err := telegramtest.Start()
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(srv.Close)
	srv.Private(srv.User(7, "Ada"))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		for _, method := range []string{"sendMessage", "sendPhoto", "sendMediaGroup", "setMyCommands"} {
			r := httptest.NewRequest(http.MethodPost, "/bot"+srv.Token()+"/"+method, bytes.NewReader(body))
			r.Header.Set("Content-Type", contentType)
			answer := httptest.NewRecorder()
			srv.ServeHTTP(answer, r)
			text, _ := io.ReadAll(answer.Body)
			if answer.Code != 200 && answer.Code != 400 && answer.Code != 413 {
				t.Fatalf("%d %s", answer.Code, text)
			}
		}
	})
}
