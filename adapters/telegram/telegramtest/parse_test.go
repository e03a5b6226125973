package telegramtest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
)

type entity = telegramtest.Entity

// parsed sends a text in a parse mode and returns what people saw, or the error.
func parsed(t *testing.T, srv *telegramtest.Server, mode, text string) (string, []entity, string) {
	t.Helper()
	before := len(srv.Delivered())
	a := ask(t, srv, "sendMessage", params{"chat_id": 7, "parse_mode": mode, "text": text})
	if !a.OK {
		return "", nil, strings.TrimPrefix(a.Description, "Bad Request: ")
	}
	d := srv.Delivered()[before]
	return d.Text, d.Entities, ""
}

type parseCase struct {
	in       string
	text     string
	entities []entity
	err      string
}

func runParse(t *testing.T, mode string, cases []parseCase) {
	srv := telegramtest.NewServer(t)
	srv.Private(srv.User(7, "Ada"))
	for _, c := range cases {
		t.Run(c.in, func(t *testing.T) {
			text, entities, err := parsed(t, srv, mode, c.in)
			if diff := cmp.Diff(c, parseCase{c.in, text, entities, err}, cmp.AllowUnexported(parseCase{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestHTML(t *testing.T) {
	bold := func(o, l int) entity { return entity{Type: "bold", Offset: o, Length: l} }
	const bad = "can't parse entities: "
	runParse(t, "HTML", []parseCase{
		{in: "plain", text: "plain"},
		{in: "<b>x</b>", text: "x", entities: []entity{bold(0, 1)}},
		{in: "<STRONG>x</strong>", text: "x", entities: []entity{bold(0, 1)}},
		{in: "😀<b>😀</b>", text: "😀😀", entities: []entity{bold(2, 2)}},
		{in: "<b>a</b><b>b</b>", text: "ab", entities: []entity{bold(0, 2)}},
		{in: "<b>a<i>b</i></b>", text: "ab", entities: []entity{bold(0, 1), bold(1, 1), {Type: "italic", Offset: 1, Length: 1}}}, // cut where another begins
		{in: "<b>a <code>c</code> d</b>", text: "a c d", entities: []entity{bold(0, 2), {Type: "code", Offset: 2, Length: 1}, bold(3, 2)}},
		{in: "<b>a<i>b<u>c</u></i></b><s>d<u>e</u></s>", text: "abcde", entities: []entity{
			bold(0, 1), bold(1, 1),
			{Type: "italic", Offset: 1, Length: 1},
			bold(2, 1),
			{Type: "italic", Offset: 2, Length: 1},
			{Type: "underline", Offset: 2, Length: 1},
			{Type: "strikethrough", Offset: 3, Length: 1},
			{Type: "underline", Offset: 4, Length: 1},
			{Type: "strikethrough", Offset: 4, Length: 1},
		}},
		{in: "<pre><code class=\"language-go\">x := 1</code></pre>", text: "x := 1", entities: []entity{{Type: "pre", Length: 6, Language: "go"}}},
		{in: "<pre><code>x</code></pre>", text: "x", entities: []entity{{Type: "pre", Length: 1}}},
		{in: "<code class=\"language-go\">x</code>", text: "x", entities: []entity{{Type: "code", Length: 1}}},
		{in: "<a href=\"https://example.com/?a=1&amp;b=2\">go</a>", text: "go", entities: []entity{{Type: "text_link", Length: 2, URL: "https://example.com/?a=1&b=2"}}},
		{in: "<a href='example.com'>go</a>", text: "go", entities: []entity{{Type: "text_link", Length: 2, URL: "http://example.com/"}}},
		{in: "<a href=\"nowhere\">go</a>", text: "go"},
		{in: "<a href=\"tg://user?id=7\">Ada</a>", text: "Ada", entities: []entity{{Type: "text_mention", Length: 3, User: &telegramtest.Profile{ID: 7, FirstName: "Ada", LanguageCode: "en"}}}},
		{in: "<a href=\"tg://user?id=99\">who</a>", text: "who"},
		{in: "<blockquote>q <b>b</b></blockquote>", text: "q b", entities: []entity{{Type: "blockquote", Length: 3}, bold(2, 1)}},
		{in: "<blockquote expandable>q</blockquote>", text: "q", entities: []entity{{Type: "expandable_blockquote", Length: 1}}},
		{in: "<span class=\"tg-spoiler\">s</span><tg-spoiler>t</tg-spoiler>", text: "st", entities: []entity{{Type: "spoiler", Length: 2}}},
		{in: "<tg-emoji emoji-id=\"5368324170671202286\">👍</tg-emoji>", text: "👍", entities: []entity{{Type: "custom_emoji", Length: 2, CustomEmojiID: "5368324170671202286"}}},
		{in: "a &lt; b &amp;&amp; c &gt; d &quot;e&#33; &nbsp; &", text: "a < b && c > d \"e! &nbsp; &"},
		{in: "  <b> x </b>  ", text: " x", entities: []entity{bold(0, 2)}}, // only what stands before an entity goes,
		{in: "/start @ada https://example.com #tag", text: "/start @ada https://example.com #tag", entities: []entity{
			{Type: "bot_command", Length: 6}, {Type: "mention", Offset: 7, Length: 4}, {Type: "url", Offset: 12, Length: 19}, {Type: "hashtag", Offset: 32, Length: 4},
		}},
		{in: "<code>/start @ada</code>", text: "/start @ada", entities: []entity{{Type: "code", Length: 11}}},
		{in: "<b>x", err: bad + `Can't find end tag corresponding to start tag "b"`},
		{in: "x</b>", err: bad + "Unexpected end tag at byte offset 1"},
		{in: "<b>x</i>", err: bad + `Unmatched end tag at byte offset 4, expected "</b>", found "</i>"`},
		{in: "<p>x</p>", err: bad + `Unsupported start tag "p" at byte offset 0`},
		{in: "x<br/>", err: bad + `Unsupported start tag "br/" at byte offset 1`},
		{in: "a < b", err: bad + `Unsupported start tag "" at byte offset 2`},
		{in: "a <b", err: bad + "Unclosed start tag at byte offset 2"},
		{in: "<b>x</b", err: bad + "Unclosed end tag at byte offset 4"},
		{in: "<a href=\"x", err: bad + "Unclosed start tag at byte offset 0"},
		{in: "<a href=x/y>z</a>", err: bad + "Unexpected end of name token at byte offset 8"},
		{in: "<a =>z</a>", err: bad + `Empty attribute name in the tag "a" at byte offset 0`},
		{in: "<span>x</span>", err: bad + `Tag "span" must have class "tg-spoiler" at byte offset 0`},
		{in: "<b></b>", err: "text must be non-empty"},
		{in: " \n ", err: "text must be non-empty"},
	})
}

func TestMarkdownV2(t *testing.T) {
	const bad = "can't parse entities: "
	runParse(t, "MarkdownV2", []parseCase{
		{in: "*b* _i_ __u__ ~s~ ||h||", text: "b i u s h", entities: []entity{
			{Type: "bold", Length: 1},
			{Type: "italic", Offset: 2, Length: 1},
			{Type: "underline", Offset: 4, Length: 1},
			{Type: "strikethrough", Offset: 6, Length: 1},
			{Type: "spoiler", Offset: 8, Length: 1},
		}},
		{in: `1\.5 \(x\)`, text: "1.5 (x)"},
		{in: "`a*b`", text: "a*b", entities: []entity{{Type: "code", Length: 3}}},
		{in: "```go\nx := 1```", text: "x := 1", entities: []entity{{Type: "pre", Length: 6, Language: "go"}}},
		{in: "[go](https://example\\.com/a)", text: "go", entities: []entity{{Type: "text_link", Length: 2, URL: "https://example.com/a"}}},
		{in: ">q\n>r\nafter", text: "q\nr\nafter", entities: []entity{{Type: "blockquote", Length: 4}}},
		{in: ">q\n>r||", text: "q\nr", entities: []entity{{Type: "expandable_blockquote", Length: 3}}},
		{in: "*x", err: bad + "Can't find end of Bold entity at byte offset 0"},
		{in: "a.", err: bad + `Character '.' is reserved and must be escaped with the preceding '\'`},
		{in: "a>b", err: bad + `Character '>' is reserved and must be escaped with the preceding '\'`},
		{in: "[a](b", err: bad + "Can't find end of a URL at byte offset 4"},
	})
}

func TestGivenEntities(t *testing.T) {
	srv := telegramtest.NewServer(t)
	srv.Private(srv.User(7, "Ada"))
	done[message](t, srv, "sendMessage", params{"chat_id": 7, "text": "  bold\r\n", "entities": []entity{
		{Type: "bold", Offset: 2, Length: 4}, {Type: "bold", Offset: 5, Length: 400},
	}})
	got := srv.Delivered()[0]
	if diff := cmp.Diff([]entity{{Type: "bold", Offset: 0, Length: 4}}, got.Entities); diff != "" || got.Text != "bold" {
		t.Errorf("%q %s", got.Text, diff)
	}
}

func TestEntitiesBeyondTheHundredthGo(t *testing.T) {
	_, entities, err := telegramtest.Parse("HTML", strings.Repeat("<b>x</b> ", 150))
	if len(entities) != 100 || err != nil {
		t.Errorf("%d entities, %v", len(entities), err)
	}
}

func TestMarkedJoinsWhatWasCut(t *testing.T) {
	srv := telegramtest.NewServer(t)
	srv.Private(srv.User(7, "Ada"))
	ask(t, srv, "sendMessage", params{"chat_id": 7, "parse_mode": "HTML", "text": "😀<b>a<i>b</i>c</b> <b>d</b> <code>e</code>"})
	d := srv.Delivered()[0]
	got := [][]string{d.Marked("bold"), d.Marked("italic"), d.Marked("code"), d.Marked("underline")}
	if diff := cmp.Diff([][]string{{"abc", "d"}, {"b"}, {"e"}, nil}, got); diff != "" {
		t.Error(diff)
	}
}

func TestTextLimits(t *testing.T) {
	srv := telegramtest.NewServer(t)
	srv.Private(srv.User(7, "Ada"))
	long := strings.Repeat("x", 4096)
	cases := []struct{ name, text, mode, want string }{
		{"exactly", long, "", ""},
		{"one more", long + "x", "", "Bad Request: message is too long"},
		{"counted in UTF-16", strings.Repeat("😀", 2049), "", "Bad Request: message is too long"},
		{"tags do not count", "<b>" + long + "</b>", "HTML", ""},
		{"white space at the ends does not count", long + "   ", "", ""},
		{"empty", "", "", "Bad Request: message text is empty"},
		{"no such mode", "x", "rst", "Bad Request: unsupported parse_mode"},
		{"the request itself", strings.Repeat(" ", 40000) + "x", "", "Bad Request: text is too long"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := ask(t, srv, "sendMessage", params{"chat_id": 7, "text": c.text, "parse_mode": c.mode})
			if a.Description != c.want {
				t.Errorf("got %q, want %q", a.Description, c.want)
			}
		})
	}
}
