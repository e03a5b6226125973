package main

import (
	"os"
	"strings"

	"github.com/gatehouse-chat/gatehouse/adapters/console/wire"
)

// typing is the input of a face: what the person is writing at its foot.
type typing struct {
	face  *face
	emit  func(entry)
	keys  keyReader
	input editor
	names []string // of the commands, for the tab key
}

func newTyping(f *face, emit func(entry)) *typing { return &typing{face: f, emit: emit} }

// open lets the person write at the foot of the face.
func (f *face) open(t *typing) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.typing = t
	f.repaintWith("\x1b[?2004h") // pasted text comes between marks
}

// close takes the input away.
func (f *face) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.typing, f.growing = nil, ""
	f.repaintWith("\x1b[?2004l")
}

// suggest names the commands.
func (f *face) suggest(all []wire.Command) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.typing == nil {
		return
	}
	for _, c := range all {
		f.typing.names = append(f.typing.names, "/"+c.Name)
	}
}

// read reads the keyboard until it is gone.
func (t *typing) read(in *os.File) {
	buf := make([]byte, 4096)
	for {
		n, err := in.Read(buf)
		t.keys.feed(buf[:n], t.press)
		if err != nil {
			t.emit(entry{what: ended})
			return
		}
	}
}

// press carries out one key. What follows from it is emitted after the screen
// shows it.
func (t *typing) press(k key, text string) {
	f := t.face
	f.mu.Lock()
	var out *entry
	switch {
	case k == keyEnter:
		out = t.enter()
	case k == keyInterrupt:
		t.input.set("")
		out = &entry{what: interrupted}
	case k == keyEnd && t.input.text() == "":
		out = &entry{what: ended}
	default:
		t.edit(k, text)
	}
	f.repaint()
	f.mu.Unlock()
	if out != nil {
		t.emit(*out)
	}
}

// enter ends the input, which stays on the screen.
func (t *typing) enter() *entry {
	columns, _ := t.face.size()
	t.input.lineEnd()
	rows, _ := t.input.rows(max(columns-1, 1))
	text := t.input.take()
	if strings.TrimSpace(text) == "" {
		return nil
	}
	t.face.paint(strings.Join(rows, "\n") + "\n")
	return &entry{text: text}
}

func (t *typing) edit(k key, text string) {
	e := &t.input
	switch k {
	case keyText:
		e.insert(text)
	case keyNewline:
		e.insert("\n")
	case keyTab:
		t.complete()
	case keyErase:
		e.erase()
	case keyEraseNext, keyEnd:
		e.eraseNext()
	case keyEraseWord:
		e.eraseWord()
	case keyEraseLeft:
		e.left = e.left[:strings.LastIndexByte(e.left, '\n')+1]
	case keyEraseRight:
		if i := strings.IndexByte(e.right, '\n'); i >= 0 {
			e.right = e.right[i:]
		} else {
			e.right = ""
		}
	case keyLeft:
		e.backward()
	case keyRight:
		e.forward()
	case keyUp:
		e.recall(-1)
	case keyDown:
		e.recall(1)
	case keyLineStart:
		e.lineStart()
	case keyLineEnd:
		e.lineEnd()
	case keyClear:
		t.face.clear()
	}
}

// complete writes the rest of a command's name, as far as it is certain.
func (t *typing) complete() {
	begun := t.input.left
	if !strings.HasPrefix(begun, "/") || strings.ContainsAny(begun, " \n") || t.input.right != "" {
		return
	}
	var fit []string
	for _, n := range t.names {
		if strings.HasPrefix(n, begun) {
			fit = append(fit, n)
		}
	}
	if len(fit) == 0 {
		return
	}
	common := fit[0]
	for _, n := range fit[1:] {
		for !strings.HasPrefix(n, common) {
			common = common[:len(common)-1]
		}
	}
	if len(fit) == 1 {
		common += " "
	}
	t.input.set(common)
}
