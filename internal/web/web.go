// Package web is the look of the console: the page around everything, its style
// sheet, its icons, and htmx (a library of its authors, with its licence beside
// it in assets). It knows nothing of what the pages say.
//
// The pages work under a policy without inline scripts and styles, in light and
// dark, from 360 pixels of width, and, except for the chat, without scripts.
package web

import (
	"context"
	"embed"
	"slices"

	. "maragu.dev/gomponents"
	. "maragu.dev/gomponents/html"
)

//go:embed assets
var files embed.FS

// Static are the files that every page loads, below /static/.
var Static = NewAssets("/static/", files, "assets")

// Policy is the content security policy under which the pages work.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Frame is what stands around a page.
type Frame struct {
	Nav     []Entry
	Active  string // the Href of the link that is this page
	Who     string // the member's name
	Version string
	Notice  Node // what is missing, for a page that cannot know; may be nil
}

// Entry is one of the entries of the navigation.
type Entry struct {
	Href, Label string
	Group       string // the title under which it stands with its neighbours; "" for none
	Icon        Icon
	Badge       int    // shown when positive
	Poll        string // a path that answers with the badge anew; "" for none
}

type frameKey struct{}

// WithFrame hands the frame to whoever renders the page of a request.
func WithFrame(ctx context.Context, f Frame) context.Context {
	return context.WithValue(ctx, frameKey{}, f)
}

// FrameFrom returns the frame of a request; the zero Frame when there is none.
func FrameFrom(ctx context.Context) Frame {
	f, _ := ctx.Value(frameKey{}).(Frame)
	return f
}

// Props describe a page.
type Props struct {
	Title   string
	Class   string   // of the body
	Styles  []string // further style sheets
	Scripts []string // further scripts
}

// htmxConfig keeps htmx within the policy, shows the pages that explain a
// failure, and keeps no page in the browser's storage.
const htmxConfig = `{"allowEval":false,"includeIndicatorStyles":false,"selfRequestsOnly":true,"historyCacheSize":0,` +
	`"refreshOnHistoryMiss":true,"responseHandling":[{"code":"204","swap":false},{"code":"...","swap":true}]}`

func head(p Props) Node {
	title := "Gatehouse"
	if p.Title != "" {
		title = p.Title + " · Gatehouse"
	}
	return Head(
		Meta(Charset("utf-8")),
		Meta(Name("viewport"), Content("width=device-width, initial-scale=1, viewport-fit=cover")),
		Meta(Name("color-scheme"), Content("light dark")),
		Meta(Name("htmx-config"), Content(htmxConfig)),
		TitleEl(Text(title)),
		Link(Rel("icon"), Type("image/svg+xml"), Href(Static.URL("icon.svg"))),
		Link(Rel("stylesheet"), Href(Static.URL("gatehouse.css"))),
		Map(p.Styles, func(href string) Node { return Link(Rel("stylesheet"), Href(href)) }),
		Script(Src(Static.URL("htmx.min.js")), Defer()),
		Script(Src(Static.URL("live.js")), Defer()),
		Map(p.Scripts, func(src string) Node { return Script(Src(src), Defer()) }),
	)
}

// Page is a whole page with its navigation.
func Page(f Frame, p Props, children ...Node) Node {
	return Doctype(HTML(Lang("en"), head(p), Body(Class(p.Class),
		A(Class("skip"), Href("#main"), Text("Skip to the content")),
		Header(Class("top"), brand(), topMenu(f)),
		Aside(Class("side"), brand(), navigation(f), foot(f)),
		Main(append([]Node{ID("main"), TabIndex("-1")}, children...)...),
	)))
}

// Bare is a page without navigation, for those who are not logged in.
func Bare(p Props, children ...Node) Node {
	p.Class += " bare"
	return Doctype(HTML(Lang("en"), head(p), Body(Class(p.Class), Main(append([]Node{ID("main")}, children...)...))))
}

func brand() Node {
	return A(Class("brand"), Href("/"), Gate.Node(), Span(Text("Gatehouse")))
}

// topMenu is the navigation on a phone. The dot is there while one of its entries
// has a number.
func topMenu(f Frame) Node {
	return Details(Class("menu"),
		Summary(Aria("label", "Menu"), Lines.Node(), Span(Class("dot"), Aria("hidden", "true"))),
		Div(Class("sheet"), navigation(f), foot(f)),
	)
}

// navigation lists the entries; those of a group stand together under its title.
func navigation(f Frame) Node {
	var parts []Node
	for rest := f.Nav; len(rest) > 0; {
		n := slices.IndexFunc(rest, func(l Entry) bool { return l.Group != rest[0].Group })
		if n < 0 {
			n = len(rest)
		}
		parts = append(parts, Section(If(rest[0].Group != "", H2(Text(rest[0].Group))), Ul(Map(rest[:n], func(l Entry) Node { return Li(entry(l, f.Active)) }))))
		rest = rest[n:]
	}
	return Nav(Aria("label", "Pages"), Group(parts))
}

func entry(l Entry, active string) Node {
	return A(Href(l.Href), If(l.Href == active, Aria("current", "page")), l.Icon.Node(), Span(Text(l.Label)), Badge(l))
}

// Fewer is the event, for the header HX-Trigger, after which badges ask anew at once.
const Fewer = "fewer"

// Badge is the number at an entry, which asks for itself anew from time to time.
func Badge(l Entry) Node {
	if l.Poll == "" && l.Badge <= 0 {
		return nil
	}
	return Span(Class("badge"), If(l.Poll != "", Group{
		Attr("hx-get", l.Poll), Attr("hx-trigger", "every 20s, "+Fewer+" from:body"), Attr("hx-swap", "outerHTML"),
	}), If(l.Badge > 0, Group{Textf("%d", l.Badge), Span(Class("unseen"), Text(" waiting"))}))
}

func foot(f Frame) Node {
	if f.Who == "" {
		return nil
	}
	return Form(Class("foot"), Method("post"), Action("/logout"),
		Span(Class("who"), Strong(Text(f.Who)), Small(Text("Gatehouse "+f.Version))),
		Button(Class("plain"), Type("submit"), Leave.Node(), Span(Text("Log out"))),
	)
}
