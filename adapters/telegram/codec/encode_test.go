package codec_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

func bold(text string) markup.Node {
	return markup.Node{Kind: markup.Document, Children: []markup.Node{{Kind: markup.Paragraph, Children: []markup.Node{
		{Kind: markup.Strong, Children: []markup.Node{{Kind: markup.Text, Literal: text}}},
	}}}}
}

func part(change func(*channels.Part)) channels.Part {
	p := channels.Part{To: channels.Address{Conversation: "-100", Thread: "7"}, Body: bold("a<b")}
	if change != nil {
		change(&p)
	}
	return p
}

func kinds(list ...channels.FileKind) []channels.File {
	files := make([]channels.File, len(list))
	for i, k := range list {
		files[i] = channels.File{Kind: k, Name: "f"}
	}
	return files
}

func TestEncode(t *testing.T) {
	const text = `"text":"<b>a&lt;b</b>","parse_mode":"HTML","link_preview_options":{"is_disabled":true}`
	const caption = `"caption":"<b>a&lt;b</b>","parse_mode":"HTML"`
	tests := []struct {
		name   string
		part   channels.Part
		opts   codec.Options
		method string
		params string
		files  []string
		repeat bool
	}{
		{name: "text", part: part(nil), method: "sendMessage", params: `{"chat_id":-100,"message_thread_id":7,` + text + `}`},
		{name: "plain", part: part(func(p *channels.Part) { p.Plain, p.Silent = true, true }), method: "sendMessage", params: `{"chat_id":-100,"message_thread_id":7,"text":"a<b","link_preview_options":{"is_disabled":true},"disable_notification":true}`},
		{name: "reply", part: part(func(p *channels.Part) { p.ReplyTo = "12" }), method: "sendMessage", params: `{"chat_id":-100,"message_thread_id":7,` + text + `,"reply_parameters":{"message_id":12,"allow_sending_without_reply":true}}`},
		{name: "after refusals", part: part(func(p *channels.Part) { p.ReplyTo = "12" }), opts: codec.Options{Chat: "-200", NoThread: true, NoReply: true}, method: "sendMessage", params: `{"chat_id":-200,` + text + `}`},
		{name: "for one reader", part: part(func(p *channels.Part) { p.Audience.Only, p.ReplyTo = "55", "12" }), method: "sendMessage", params: `{"chat_id":55,` + text + `}`},
		{name: "buttons", part: part(func(p *channels.Part) {
			p.Buttons = []channels.Button{{Label: "Approve", Data: "a:1", Style: "success"}, {Label: "Deny", Data: "d:1"}, {Label: "A long explanation of it", URL: "https://example.org", Data: "dropped", Style: "odd"}}
		}), method: "sendMessage", params: `{"chat_id":-100,"message_thread_id":7,` + text + `,"reply_markup":{"inline_keyboard":[[{"text":"Approve","callback_data":"a:1","style":"success"},{"text":"Deny","callback_data":"d:1"}],[{"text":"A long explanation of it","url":"https://example.org"}]]}}`},
		{name: "edit", part: part(func(p *channels.Part) { p.Replaces, p.ReplyTo = "9", "12" }), method: "editMessageText", params: `{"chat_id":-100,"message_id":9,` + text + `}`, repeat: true},
		{name: "edit of a caption", part: part(func(p *channels.Part) { p.Replaces = "9" }), opts: codec.Options{Caption: true}, method: "editMessageCaption", params: `{"chat_id":-100,"message_id":9,` + caption + `}`, repeat: true},
		{name: "photo", part: part(func(p *channels.Part) { p.Files = kinds(channels.Photo) }), method: "sendPhoto", params: `{"chat_id":-100,"message_thread_id":7,` + caption + `}`, files: []string{"photo"}},
		{name: "large photo", part: part(func(p *channels.Part) {
			p.Files = []channels.File{{Kind: channels.Photo, Size: codec.MaxPhoto + 1}}
		}), method: "sendDocument", params: `{"chat_id":-100,"message_thread_id":7,` + caption + `}`, files: []string{"document"}},
		{name: "voice without words", part: part(func(p *channels.Part) { p.Files, p.Body = kinds(channels.Voice), markup.Node{} }), method: "sendVoice", params: `{"chat_id":-100,"message_thread_id":7}`, files: []string{"voice"}},
		{name: "voice refused", part: part(func(p *channels.Part) { p.Files = kinds(channels.Voice) }), opts: codec.Options{AsDocument: true}, method: "sendDocument", params: `{"chat_id":-100,"message_thread_id":7,` + caption + `}`, files: []string{"document"}},
		{name: "sticker with words", part: part(func(p *channels.Part) { p.Files = kinds(channels.Sticker) }), method: "sendDocument", params: `{"chat_id":-100,"message_thread_id":7,` + caption + `}`, files: []string{"document"}},
		{name: "file of no kind", part: part(func(p *channels.Part) { p.Files = kinds("") }), method: "sendDocument", params: `{"chat_id":-100,"message_thread_id":7,` + caption + `}`, files: []string{"document"}},
		{name: "album", part: part(func(p *channels.Part) { p.Files = kinds(channels.Photo, channels.Video) }), method: "sendMediaGroup", params: `{"chat_id":-100,"message_thread_id":7,"media":[{"type":"photo","media":"attach://file0",` + caption + `},{"type":"video","media":"attach://file1"}]}`, files: []string{"file0", "file1"}},
		{name: "mixed album", part: part(func(p *channels.Part) { p.Files, p.Body = kinds(channels.Photo, channels.Voice), markup.Node{} }), method: "sendMediaGroup", params: `{"chat_id":-100,"message_thread_id":7,"media":[{"type":"document","media":"attach://file0"},{"type":"document","media":"attach://file1"}]}`, files: []string{"file0", "file1"}},
		{name: "another picture", part: part(func(p *channels.Part) { p.Files, p.Replaces = kinds(channels.Photo), "9" }), method: "editMessageMedia", params: `{"chat_id":-100,"message_id":9,"media":{"type":"photo","media":"attach://file0",` + caption + `}}`, files: []string{"file0"}, repeat: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := codec.Encode(tt.part, tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			var fields []string
			for _, f := range got.Files {
				fields = append(fields, f.Field)
			}
			if got.Method != tt.method || got.Repeatable != tt.repeat || !cmp.Equal(fields, tt.files) {
				t.Errorf("%s repeatable=%v files=%v", got.Method, got.Repeatable, fields)
			}
			if diff := cmp.Diff(decoded(t, tt.params), decoded(t, string(got.Params))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func decoded(t *testing.T, s string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return v
}

func TestEncodeRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*channels.Part)
		want   error
	}{
		{"an address of another platform", func(p *channels.Part) { p.To.Conversation = "C123" }, codec.ErrAddress},
		{"a thread of another platform", func(p *channels.Part) { p.To.Thread = "x" }, codec.ErrAddress},
		{"no conversation", func(p *channels.Part) { p.To.Conversation = "" }, codec.ErrAddress},
		{"a message of another platform", func(p *channels.Part) { p.Replaces = "1.2" }, codec.ErrMessage},
		{"nothing", func(p *channels.Part) { p.Body = markup.Node{} }, codec.ErrEmpty},
		{"a long text", func(p *channels.Part) { p.Body = bold(strings.Repeat("😀", codec.MaxText/2) + "a") }, codec.ErrTooLong},
		{"a long plain text", func(p *channels.Part) { p.Plain, p.Body = true, bold(strings.Repeat("a", codec.MaxText+1)) }, codec.ErrTooLong},
		{"a long caption", func(p *channels.Part) {
			p.Files, p.Body = kinds(channels.Photo), bold(strings.Repeat("a", codec.MaxCaption+1))
		}, codec.ErrTooLong},
		{"eleven files", func(p *channels.Part) { p.Files = make([]channels.File, 11) }, codec.ErrAlbum},
		{"an album with buttons", func(p *channels.Part) {
			p.Files, p.Buttons = make([]channels.File, 2), []channels.Button{{Label: "a", Data: "b"}}
		}, codec.ErrAlbumPress},
		{"two files for one message", func(p *channels.Part) { p.Files, p.Replaces = make([]channels.File, 2), "5" }, codec.ErrEditFiles},
		{"a huge file", func(p *channels.Part) { p.Files = []channels.File{{Size: codec.MaxFile + 1}} }, codec.ErrTooBig},
		{"a button without data", func(p *channels.Part) { p.Buttons = []channels.Button{{Label: "a"}} }, codec.ErrButtons},
		{"a button with too much", func(p *channels.Part) { p.Buttons = []channels.Button{{Label: "a", Data: strings.Repeat("é", 33)}} }, codec.ErrButtons},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := codec.Encode(part(tt.change), codec.Options{}); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// What fills the limit exactly is taken, markup not counted.
func TestEncodeCountsUTF16AfterParsing(t *testing.T) {
	p := part(func(p *channels.Part) { p.Body = bold(strings.Repeat("😀", codec.MaxText/2)) })
	if _, err := codec.Encode(p, codec.Options{}); err != nil {
		t.Error(err)
	}
}

func TestEncodeSmallCalls(t *testing.T) {
	at := channels.Address{Conversation: "5", Thread: "7"}
	typing, _ := codec.Typing(at)
	react, _ := codec.React(at, "9", "👍")
	unreact, _ := codec.React(at, "9", "")
	remove, _ := codec.Delete(at, "9")
	got := map[string]any{}
	for name, c := range map[string]codec.Call{"typing": typing, "react": react, "unreact": unreact, "remove": remove} {
		if !c.Repeatable {
			t.Errorf("%s is not repeatable", name)
		}
		got[name+" "+c.Method] = decoded(t, string(c.Params))
	}
	want := decoded(t, `{
		"typing sendChatAction": {"chat_id": 5, "message_thread_id": 7, "action": "typing"},
		"react setMessageReaction": {"chat_id": 5, "message_id": 9, "reaction": [{"type": "emoji", "emoji": "👍"}]},
		"unreact setMessageReaction": {"chat_id": 5, "message_id": 9, "reaction": []},
		"remove deleteMessage": {"chat_id": 5, "message_id": 9}}`)
	if diff := cmp.Diff(want, any(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
