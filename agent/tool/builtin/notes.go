package builtin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// notesSpace holds the notes.
const notesSpace = "note"

// The limits of notes.
const (
	maxTitle = 80   // bytes
	maxNote  = 8000 // bytes
	maxNotes = 500  // on one shelf
)

// Note is what somebody had written down. It remembers how far its words are to
// be trusted, for whoever reads it later.
type Note struct {
	Title  string      `json:"title"`
	Text   string      `json:"text"`
	Before string      `json:"before,omitempty"` // the text that the last change replaced
	Label  agent.Label `json:"label"`
	Member string      `json:"member"`
	At     time.Time   `json:"at"`
}

// Notes are kept for each scope: a person's own in direct chats, the room's in
// rooms.
type Notes struct {
	Store kv.Store
	Now   func() time.Time
}

// Tools are the two that the model gets.
func (n Notes) Tools() []agent.Tool { return []agent.Tool{readNotes{n}, writeNote{n}} }

// shelf is the prefix of the notes that a scope reads and writes.
func shelf(s scope.Scope) string {
	where := "member/" + url.PathEscape(s.Member())
	if !s.Direct() {
		where = "room/" + url.PathEscape(s.Conversation())
	}
	return url.PathEscape(s.Workspace()) + "/" + where + "/"
}

var (
	errScope = errors.New("there are no notes here")
	errNote  = fmt.Errorf("a title has 1 to %d bytes and a text at most %d", maxTitle, maxNote)
)

func noteKey(s scope.Scope, title string) string {
	return shelf(s) + url.PathEscape(strings.ToLower(strings.TrimSpace(title)))
}

func (n Notes) get(ctx context.Context, s scope.Scope, title string) (Note, int64, error) {
	e, err := n.Store.Get(ctx, notesSpace, noteKey(s, title))
	if err != nil || e.Version == 0 {
		return Note{}, e.Version, err
	}
	note, err := decodeNote(e)
	return note, e.Version, err
}

func decodeNote(e kv.Entry) (Note, error) {
	var note Note
	if err := json.Unmarshal(e.Value, &note); err != nil {
		return note, fmt.Errorf("note %s: %w", e.Key, err)
	}
	return note, nil
}

// seenBy is how far a note is to be trusted by whoever reads it.
func (n Note) seenBy(s scope.Scope) agent.Label {
	switch {
	case n.Label != agent.Trusted && n.Label != agent.ByMember:
		return agent.Untrusted
	case n.Member != s.Member():
		return agent.ByMember
	}
	return n.Label
}

type readNotes struct{ Notes }

var _ agent.Tool = readNotes{}

// Spec implements agent.Tool.
func (readNotes) Spec() agent.Spec {
	return agent.Spec{
		Name: "notes_read", Effect: agent.ReadLocal,
		Description: "Reads the notes that were kept here: one by its title, those that contain a word, or the titles of all.",
		Schema: json.RawMessage(`{"type":"object","properties":{"title":{"type":"string"},"search":{"type":"string"}},` +
			`"additionalProperties":false}`),
	}
}

// Call implements agent.Tool.
func (r readNotes) Call(ctx context.Context, t *agent.Turn, args json.RawMessage) (agent.ToolResult, error) {
	a, err := read[struct{ Title, Search string }](args)
	if err != nil {
		return fault(err)
	}
	if !t.Scope.Valid() {
		return fault(errScope)
	}
	if a.Title != "" {
		note, version, err := r.get(ctx, t.Scope, a.Title)
		if err != nil {
			return fault(errors.New("the notes cannot be read at the moment"))
		}
		if version == 0 {
			return here("There is no note of that title."), nil
		}
		return agent.ToolResult{Text: note.Text, Label: note.seenBy(t.Scope)}, nil
	}
	return r.list(ctx, t.Scope, strings.ToLower(a.Search))
}

// list shows titles, or whole notes that contain a word. It is trusted as far
// as the least trusted of what it shows.
func (r readNotes) list(ctx context.Context, s scope.Scope, word string) (agent.ToolResult, error) {
	rows, err := r.Store.List(ctx, notesSpace, shelf(s), "", maxNotes)
	if err != nil {
		return fault(errors.New("the notes cannot be read at the moment"))
	}
	var b strings.Builder
	label := agent.Trusted
	for _, e := range rows {
		note, err := decodeNote(e)
		if err != nil {
			return fault(err)
		}
		if !strings.Contains(strings.ToLower(note.Title+"\n"+note.Text), word) {
			continue
		}
		fmt.Fprintf(&b, "- %s\n", note.Title)
		if word != "" {
			fmt.Fprintf(&b, "%s\n", note.Text)
		}
		switch l := note.seenBy(s); {
		case l == agent.Untrusted, label == agent.Untrusted:
			label = agent.Untrusted
		case l == agent.ByMember:
			label = l
		}
	}
	if b.Len() == 0 {
		return here("There are no such notes."), nil
	}
	return agent.ToolResult{Text: b.String(), Label: label}, nil
}

type writeNote struct{ Notes }

var _ agent.Tool = writeNote{}

// Spec implements agent.Tool.
func (writeNote) Spec() agent.Spec {
	return agent.Spec{
		Name: "notes_write", Effect: agent.Reversible,
		Description: "Keeps a note under a title, in place of the one that had it, or adds to that. " +
			"undo puts the text back that the last change replaced.",
		Schema: json.RawMessage(`{"type":"object","properties":{"title":{"type":"string"},"text":{"type":"string"},` +
			`"append":{"type":"boolean"},"undo":{"type":"boolean"}},"required":["title"],"additionalProperties":false}`),
	}
}

// Call implements agent.Tool.
func (w writeNote) Call(ctx context.Context, t *agent.Turn, args json.RawMessage) (agent.ToolResult, error) {
	a, err := read[struct {
		Title, Text  string
		Append, Undo bool
	}](args)
	if err != nil {
		return fault(err)
	}
	if !t.Scope.Valid() {
		return fault(errScope)
	}
	old, version, err := w.get(ctx, t.Scope, a.Title)
	if err != nil {
		return fault(errors.New("the notes cannot be read at the moment"))
	}
	next := Note{Title: strings.TrimSpace(a.Title), Text: a.Text, Before: old.Text, Label: t.Seen, Member: t.Scope.Member(), At: w.Now()}
	switch {
	case a.Undo && version == 0:
		return fault(errors.New("there is no note of that title"))
	case a.Undo:
		next.Text = old.Before
	case a.Append && old.Text != "":
		next.Text = old.Text + "\n" + a.Text
	}
	if old.Label == agent.Untrusted && (a.Append || a.Undo) {
		next.Label = agent.Untrusted
	}
	if next.Title == "" || len(next.Title) > maxTitle || len(next.Text) > maxNote {
		return fault(errNote)
	}
	if err := w.put(ctx, t.Scope, next, version); err != nil {
		return fault(err)
	}
	return here("Kept under %q.", next.Title), nil
}

func (w writeNote) put(ctx context.Context, s scope.Scope, n Note, version int64) error {
	if version == 0 {
		version = kv.Absent
		rows, err := w.Store.List(ctx, notesSpace, shelf(s), "", maxNotes)
		if err != nil || len(rows) >= maxNotes {
			return errors.New("there is no room for another note")
		}
	}
	v, err := json.Marshal(n)
	if err != nil {
		return err
	}
	err = w.Store.Write(ctx, kv.Write{Space: notesSpace, Key: noteKey(s, n.Title), If: version, Value: v})
	if errors.Is(err, kv.ErrConflict) {
		return errors.New("the note was changed at this moment; read it again")
	}
	if err != nil {
		return errors.New("the note cannot be kept at the moment")
	}
	return nil
}
