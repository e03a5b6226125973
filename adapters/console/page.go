package console

import (
	"embed"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	. "maragu.dev/gomponents"
	. "maragu.dev/gomponents/html"

	"github.com/gatehouse-chat/gatehouse/adapters/console/wire"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
	"github.com/gatehouse-chat/gatehouse/internal/web"
)

//go:embed assets
var files embed.FS

var pageAssets = web.NewAssets("/chat/assets/", files, "assets")

func assets() http.Handler { return pageAssets }

func decimal[N int | int64](n N) string { return strconv.FormatInt(int64(n), 10) }

// firstPage is how many messages a page begins with.
const firstPage = 60

// page serves GET /chat.
func (v *visit) page(w http.ResponseWriter, r *http.Request) {
	all, err := v.c.log.all(r.Context(), v.chat.id)
	if err != nil {
		http.Error(w, "The chat cannot be read right now. Reload the page in a moment.", http.StatusServiceUnavailable)
		return
	}
	rev := int64(0)
	for _, e := range all {
		rev = max(rev, e.Rev)
	}
	some, more := lastOf(all, firstPage)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_ = chatPage(web.FrameFrom(r.Context()), some, rev, more).Render(w) // the browser is gone; there is nobody to tell
}

func chatPage(f web.Frame, some []entry, rev int64, more bool) Node {
	return web.Page(f,
		web.Props{
			Title: "Chat", Class: "chat-page",
			Styles: []string{pageAssets.URL("chat.css")}, Scripts: []string{pageAssets.URL("chat.js")},
		},
		H1(Class("unseen"), Text("Chat")),
		Div(ID("chat"), Data("rev", decimal(rev)), Data("max", decimal(wire.MaxText)),
			Data("max-file", decimal(wire.MaxFile)), Data("max-files", decimal(wire.MaxFiles)),
			If(f.Notice != nil, Div(Class("missing"), f.Notice)),
			Div(ID("scroll"),
				Button(ID("older"), Type("button"), Class("plain"), If(!more, Attr("hidden")), Text("Show earlier messages")),
				Ol(ID("messages"), Aria("label", "Messages"), Aria("live", "polite"), Map(some, func(e entry) Node { return Raw(item(e.message())) })),
				welcome(len(some) > 0, slices.ContainsFunc(f.Nav, func(l web.Entry) bool { return l.Href == "/channels" })),
				Div(ID("typing"), Attr("hidden"), Role("status"), Span(Class("unseen"), Text("The bot is working on an answer")), I(), I(), I()),
			),
			Button(ID("down"), Type("button"), Attr("hidden"), Aria("label", "Go to the latest message"), Text("↓")),
			composer(),
		),
		Template(ID("pending"), Li(Class("message member waiting"), Div(Class("bubble")), Div(Class("meta")))),
		NoScript(web.Notice(web.Bad, P(Text("The chat needs JavaScript. Everything else on this console works without it.")))),
	)
}

// welcome stands in an empty chat. Those who cannot add a channel can link an
// account on one that is there.
func welcome(hidden, adds bool) Node {
	elsewhere := Group{Text("link another account under "), A(Href("/you"), Text("You"))}
	if adds {
		elsewhere = Group{Text("add a channel under "), A(Href("/channels"), Text("Channels"))}
	}
	return Div(ID("welcome"), If(hidden, Attr("hidden")), web.Empty(web.Chat, "Say hello",
		"What you write here is answered by your bot, and stays between you and it.",
		P(Class("small"), Text("Type "), Code(Text("/")), Text(" for commands. To talk from your phone, "), elsewhere, Text(".")),
	))
}

var attachHint = fmt.Sprintf("Attach files: up to %d, each with at most %s. You can drop or paste them, too.", wire.MaxFiles, wire.Size(wire.MaxFile))

func composer() Node {
	return Form(ID("composer"), AutoComplete("off"),
		Div(ID("line"), Role("status"), Attr("hidden")),
		Ul(ID("hints"), Role("listbox"), Aria("label", "Commands"), Attr("hidden")),
		Ul(ID("attached"), Aria("label", "Files to send"), Attr("hidden")),
		Div(Class("box"),
			Input(ID("choose"), Type("file"), Multiple(), Attr("hidden"), Attr("tabindex", "-1"), Aria("label", "Files")),
			Button(ID("attach"), Class("plain"), Type("button"), Aria("label", "Attach files"), TitleAttr(attachHint), web.Clip.Node()),
			Label(Class("unseen"), For("text"), Text("Message")),
			Textarea(ID("text"), Rows("1"), Placeholder("Write a message"), Attr("enterkeyhint", "send"), AutoFocus()),
			Button(Class("primary"), Type("submit"), Aria("label", "Send"), web.Send.Node()),
		),
	)
}

// item is a message as the page shows it. It is the only place that makes one,
// for the page and for what is pushed to it.
func item(m wire.Message) string {
	var b strings.Builder
	class := "message " + string(m.From)
	if m.Deleted {
		class += " deleted"
	}
	_ = Li(Class(class), Data("id", m.ID), Data("seq", decimal(m.Seq)), Data("rev", decimal(m.Rev)), // a Builder takes everything
		Div(Class("bubble"), body(m)),
		buttons(m),
		Div(Class("meta"),
			Time(DateTime(m.At.UTC().Format(time.RFC3339)), Text(m.At.UTC().Format("15:04"))),
			If(m.Edited && !m.Deleted, Span(Text("edited"))),
		),
	).Render(&b)
	return b.String()
}

func body(m wire.Message) Node {
	switch {
	case m.Deleted:
		return P(Class("muted"), Text("This message was removed."))
	case m.Text == "":
		return attachments(m)
	case m.Plain:
		return Group{P(Class("literal"), Text(m.Text)), attachments(m)}
	}
	return Group{Div(Class("prose"), Raw(markup.WebHTML.Render(markup.Parse(m.Text)))), attachments(m)}
}

func attachments(m wire.Message) Node {
	if len(m.Files) == 0 {
		return nil
	}
	return Ul(Class("files"), Map(m.Files, func(f wire.File) Node {
		if f.Picture {
			return Li(A(Href(f.URL), Target("_blank"), Img(Src(f.URL), Alt(f.Name), Loading("lazy"))))
		}
		return Li(A(Class("file"), Href(f.URL), Download(f.Name), web.File.Node(), Span(Text(f.Name)), Small(Text(wire.Size(f.Size)))))
	}))
}

func buttons(m wire.Message) Node {
	if len(m.Buttons) == 0 {
		return nil
	}
	return Div(Class("buttons"), Map(m.Buttons, func(b wire.Button) Node {
		if b.URL != "" {
			if !strings.HasPrefix(b.URL, "https://") && !strings.HasPrefix(b.URL, "http://") {
				return nil
			}
			return A(Class("button"), Href(b.URL), Rel("noopener noreferrer nofollow"), Target("_blank"), Text(b.Label))
		}
		return Button(Type("button"), Data("press", b.Data), Text(b.Label))
	}))
}

// draftItem is a growing answer as the page shows it.
func draftItem(d wire.Draft) string {
	var b strings.Builder
	_ = Li(Class("message bot draft"), Data("draft", d.Key), // a Builder takes everything
		Div(Class("bubble"), Div(Class("prose"), Raw(markup.WebHTML.Render(markup.Parse(d.Text))))),
	).Render(&b)
	return b.String()
}

// withItem adds the HTML to what a page is pushed.
func withItem(body any) any {
	switch b := body.(type) {
	case wire.Message:
		b.Item = item(b)
		return b
	case wire.Draft:
		b.Item = draftItem(b)
		return b
	}
	return body
}
