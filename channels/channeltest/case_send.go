package channeltest

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

//go:embed corpus/*.md
var corpus embed.FS

func sendCases() []Case {
	return []Case{
		{Name: "send/receipts", run: receipts},
		{Name: "send/plain text is literal", run: literal},
		{Name: "send/formatting", run: formatting},
		{Name: "send/a text at the limit", Needs: []Ability{TextLimit}, run: atLimit},
		{Name: "send/a long text in pieces", Needs: []Ability{TextLimit}, run: inPieces},
		{Name: "send/a quote", Needs: []Ability{Quoting}, run: quoting},
		{Name: "send/an edit replaces", Needs: []Ability{Editing}, run: replaces},
		{Name: "send/a deletion", Needs: []Ability{Deleting}, run: deletes},
		{Name: "send/buttons", Needs: []Ability{Buttons}, run: buttons},
		{Name: "send/a reaction", Needs: []Ability{Reacting}, run: reacts},
		{Name: "send/typing", Needs: []Ability{Typing}, run: types},
		{Name: "send/a file, byte for byte", Needs: []Ability{FilesOut}, run: fileOut},
		{Name: "send/the longest caption", Needs: []Ability{Captions}, run: longestCaption},
		{Name: "send/an album", Needs: []Ability{Albums}, run: album},
		{Name: "send/a file that cannot be read", Needs: []Ability{FilesOut}, run: unreadableFile},
		{Name: "send/commands are registered", Needs: []Ability{CommandMenu}, run: commandMenu},
		{Name: "send/conversations do not wait for each other", Needs: []Ability{Stalls}, run: parallel},
		{Name: "send/what was sent is known", Needs: []Ability{Reconciling}, run: reconciles},
		{Name: "send/probe", Needs: []Ability{Probing}, run: probes},
	}
}

func receipts(r *rig) {
	e, _ := r.hear(Said{})
	var want, got []channels.MessageID
	for i := range 5 {
		want = append(want, r.mustSend(e.Where, fmt.Sprintf("answer %d", i)).ID)
	}
	for i, m := range r.hs.Shown(e.Where) {
		got = append(got, m.ID)
		if text := fmt.Sprintf("answer %d", i); m.Text != text {
			r.t.Errorf("message %d reads %q, want %q", i, m.Text, text)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		r.t.Errorf("the receipts differ from what is shown:\n%s", d)
	}
	for _, x := range r.sink.Events() {
		if m, ok := x.Content.(channels.Message); ok && strings.HasPrefix(m.Text, "answer") && !x.Who.Self {
			r.t.Errorf("the bot's own message came back as somebody else's")
		}
	}
}

func literal(r *rig) {
	e, _ := r.hear(Said{})
	const text = "*a* _b_ ~c~ `d` <b>e</b> &amp; [f](https://example.org) \\g > h # i"
	rec, err := r.send(channels.Part{To: e.Where, Body: markup.Plain(text), Plain: true})
	r.check("send", err)
	if got := r.shown(e.Where, rec.ID).Text; got != text {
		r.t.Errorf("plain text reads\n%q, want\n%q", got, text)
	}
}

// formatting sends each text of the corpus as the gateway would.
func formatting(r *rig) {
	e, _ := r.hear(Said{})
	f := r.ch.Features(e.Where)
	files, _ := corpus.ReadDir("corpus")
	for _, file := range files {
		md, _ := corpus.ReadFile("corpus/" + file.Name())
		var native []string
		for _, piece := range markup.Split(markup.Parse(string(md)), f.Dialect, f.MaxText) {
			rec, err := r.send(channels.Part{To: e.Where, Body: piece})
			if err != nil {
				r.t.Errorf("%s: %v", file.Name(), err)
				continue
			}
			native = append(native, r.shown(e.Where, rec.ID).Native)
		}
		r.golden(strings.TrimSuffix(file.Name(), ".md"), strings.Join(native, "\n-- next message --\n")+"\n")
	}
}

func (r *rig) golden(name, got string) {
	r.t.Helper()
	dir := r.s.Golden
	if dir == "" {
		dir = filepath.Join("testdata", "format")
	}
	path := filepath.Join(dir, name+".golden")
	if r.s.Update {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			r.t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		r.t.Errorf("no golden, make it with Suite.Update: %v", err)
		return
	}
	if d := cmp.Diff(string(want), got); d != "" {
		r.t.Errorf("%s (-golden +sent):\n%s", path, d)
	}
}

func atLimit(r *rig) {
	e, _ := r.hear(Said{})
	f := r.ch.Features(e.Where)
	text := strings.Repeat("x", f.MaxText)
	rec := r.mustSend(e.Where, text)
	if got := r.shown(e.Where, rec.ID).Text; got != text {
		r.t.Errorf("of a text of %d there are %d shown", len(text), len(got))
	}
	// The limit counts in the dialect's unit: the same number of units again,
	// in characters that take more than one of them.
	wide := strings.Repeat("😀", f.MaxText/f.Dialect.Unit().Len("😀"))
	rec = r.mustSend(e.Where, wide)
	if got := r.shown(e.Where, rec.ID).Text; got != wide {
		r.t.Errorf("of a text of %d bytes there are %d shown", len(wide), len(got))
	}
}

func inPieces(r *rig) {
	e, _ := r.hear(Said{})
	f := r.ch.Features(e.Where)
	text, words := longText(3 * f.MaxText)
	var got strings.Builder
	for _, piece := range markup.Split(markup.Parse(text), f.Dialect, f.MaxText) {
		rec, err := r.send(channels.Part{To: e.Where, Body: piece})
		r.check("send of a piece", err)
		got.WriteString(r.shown(e.Where, rec.ID).Text + "\n")
	}
	rest := got.String()
	for _, w := range words {
		_, after, ok := strings.Cut(rest, w)
		if !ok {
			r.t.Fatalf("%q is missing, or out of its order, in what was shown", w)
		}
		rest = after
	}
}

// longText is Markdown of at least n bytes, and the words in it in order.
func longText(n int) (text string, words []string) {
	var b strings.Builder
	word := func() string {
		w := fmt.Sprintf("w%05dw", len(words))
		words = append(words, w)
		return w
	}
	for i := 0; b.Len() < n; i++ {
		switch i % 4 {
		case 0:
			for range 40 {
				b.WriteString(word() + " 👩‍👩‍👧 漢字 ")
			}
		case 1:
			b.WriteString("```go\n")
			for range 20 {
				b.WriteString("x := \"" + word() + "\"\n")
			}
			b.WriteString("```")
		case 2:
			for range 10 {
				b.WriteString("- **" + word() + "** and _" + word() + "_\n")
			}
		case 3:
			b.WriteString("> " + word() + " <" + word() + "> & " + word())
		}
		b.WriteString("\n\n")
	}
	return b.String(), words
}

func quoting(r *rig) {
	e, m := r.hear(Said{})
	rec, err := r.send(channels.Part{To: e.Where, Body: markup.Plain("as you say"), ReplyTo: m.ID})
	r.check("send", err)
	if got := r.shown(e.Where, rec.ID).ReplyTo; got != m.ID {
		r.t.Errorf("the answer quotes %q, want %q", got, m.ID)
	}
}

func replaces(r *rig) {
	e, _ := r.hear(Said{})
	first := r.mustSend(e.Where, "a draft")
	rec, err := r.send(channels.Part{To: e.Where, Body: markup.Plain("the final"), Replaces: first.ID})
	r.check("send", err)
	if rec.ID != first.ID {
		r.t.Errorf("the edit's receipt names %q, want %q", rec.ID, first.ID)
	}
	if got := r.shown(e.Where, first.ID); got.Text != "the final" || got.Edits == 0 {
		r.t.Errorf("after the edit it reads %q, edited %d times", got.Text, got.Edits)
	}
	// A rerun repeats the edit with the same text. The message stands as it
	// should, so that is a success.
	_, err = r.send(channels.Part{To: e.Where, Body: markup.Plain("the final"), Replaces: first.ID})
	r.check("send of the same edit again", err)
	err = capability[channels.Editor](r).Edit(r.t.Context(), e.Where, first.ID, channels.Part{To: e.Where, Body: markup.Plain("later")})
	r.check("edit", err)
	all := r.hs.Shown(e.Where)
	if len(all) != 1 || all[0].Text != "later" {
		r.t.Errorf("there are %d messages, want one that reads %q", len(all), "later")
	}
}

func deletes(r *rig) {
	e, _ := r.hear(Said{})
	a, b := r.mustSend(e.Where, "stays"), r.mustSend(e.Where, "goes")
	r.check("delete", capability[channels.Deleter](r).Delete(r.t.Context(), e.Where, b.ID))
	if all := r.hs.Shown(e.Where); len(all) != 1 || all[0].ID != a.ID {
		r.t.Errorf("after the deletion there are %d messages", len(all))
	}
}

func buttons(r *rig) {
	e, _ := r.hear(Said{})
	f := r.ch.Features(e.Where)
	var want []channels.Button
	for i := range f.MaxButtons {
		data := fmt.Sprintf("%03d", i)
		data += strings.Repeat("x", max(0, f.MaxButtonData-len(data)))
		want = append(want, channels.Button{Label: fmt.Sprintf("B%d", i), Data: data})
	}
	rec, err := r.send(channels.Part{To: e.Where, Body: markup.Plain("choose"), Buttons: slices.Clone(want)})
	r.check("send", err)
	if d := cmp.Diff(want, r.shown(e.Where, rec.ID).Buttons); d != "" {
		r.t.Errorf("buttons (-sent +shown):\n%s", d)
	}
}

func reacts(r *rig) {
	e, m := r.hear(Said{})
	c := capability[channels.Reactor](r)
	for _, emoji := range []string{"👍", ""} {
		r.check("react", c.React(r.t.Context(), e.Where, m.ID, emoji))
		if got := r.hs.Reacted(e.Where, m.ID); got != emoji {
			r.t.Errorf("the reaction is %q, want %q", got, emoji)
		}
	}
}

func types(r *rig) {
	e, _ := r.hear(Said{})
	if r.ch.Features(e.Where).TypingFor <= 0 {
		r.t.Errorf("the channel shows typing and Features.TypingFor is not positive")
	}
	r.check("type", capability[channels.Typer](r).Type(r.t.Context(), e.Where))
	if n := r.hs.Typed(e.Where); n != 1 {
		r.t.Errorf("typing was shown %d times", n)
	}
}

func commandMenu(r *rig) {
	want := []channels.CommandSpec{{Name: "help", Help: "What I can do"}, {Name: "new", Help: "Begin anew", Args: "<name>"}}
	r.check("register", capability[channels.Commander](r).Register(r.t.Context(), want))
	if !r.ch.Features(channels.Address{}).Commands {
		r.t.Errorf("Features.Commands is false")
	}
	got := r.hs.Commands()
	for i := range min(len(got), len(want)) { // a platform may not show arguments
		want[i].Args = got[i].Args
	}
	if d := cmp.Diff(want, got); d != "" {
		r.t.Errorf("commands (-registered +shown):\n%s", d)
	}
}

// parallel holds a send to one person while another is answered.
func parallel(r *rig) {
	slow, _ := r.hear(Said{By: Alice})
	quick, _ := r.hear(Said{By: Bob})
	release := r.hs.Stall()
	done := make(chan error, 1)
	go func() {
		_, err := r.sendIn(r.t.Context(), channels.Part{Key: "slow/0", To: slow.Where, Body: markup.Plain("slow")})
		done <- err
	}()
	r.eventually("the slow send to reach the platform", func() bool { return len(r.hs.Shown(slow.Where)) == 1 })
	_, err := r.send(channels.Part{To: quick.Where, Body: markup.Plain("quick")})
	if err != nil {
		r.t.Errorf("while another conversation's send was slow: %v", err)
	}
	release()
	r.check("the slow send", <-done)
}

func reconciles(r *rig) {
	began := time.Now()
	e, _ := r.hear(Said{})
	p := channels.Part{Key: "turn-sent/0", To: e.Where, Body: markup.Plain("sent")}
	want, err := r.send(p)
	r.check("send", err)
	c := capability[channels.Reconciler](r)
	got, ok, err := c.Sent(r.t.Context(), p, began)
	r.check("sent", err)
	if !ok || got.ID != want.ID {
		r.t.Errorf("Sent says %v %+v of a part that was sent as %+v", ok, got, want)
	}
	p.Key = "turn-unsent/0"
	_, ok, err = c.Sent(r.t.Context(), p, began)
	r.check("sent", err)
	if ok {
		r.t.Errorf("Sent knows a part that was never sent")
	}
}

func probes(r *rig) {
	e, _ := r.hear(Said{})
	who, err := capability[channels.Prober](r).Probe(r.t.Context())
	r.check("probe", err)
	if who.Account != e.Account || who.Name == "" {
		r.t.Errorf("the channel is %+v, its events come from account %q", who, e.Account)
	}
}
