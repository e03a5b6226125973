package agent_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
	"github.com/gatehouse-chat/gatehouse/agent/tool/builtin"
	"github.com/gatehouse-chat/gatehouse/channels"
)

// cupboard keeps files under what their Ref holds.
type cupboard struct {
	content map[string]string // by ref, or by blob
	fetched int
}

func (c *cupboard) Fetch(_ context.Context, f channels.File) (channels.File, error) {
	c.fetched++
	b, ok := c.content[f.Ref]
	if !ok {
		return f, errors.New("gone")
	}
	f.Blob, f.Size = f.Ref, int64(len(b))
	return f, nil
}

func (c *cupboard) Keep(ctx context.Context, f channels.File) (channels.File, error) {
	if f.Open == nil {
		return f, nil
	}
	r, err := f.Open(ctx)
	if err != nil {
		return f, err
	}
	b, err := io.ReadAll(r)
	f.Blob, f.Size, f.Kind = "kept-"+f.Name, int64(len(b)), channels.Document
	c.content[f.Blob] = string(b)
	return f, err
}

func (c *cupboard) Open(_ context.Context, f channels.File) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(c.content[f.Blob])), nil
}

// sent is a turn about one message with files.
func sent(c *cupboard, text string, all ...channels.File) agent.Turn {
	t := turn()
	t.Files = c
	t.Events = []channels.Event{{Key: "e", Who: channels.Sender{ID: "1", Name: "Ada"}, Content: channels.Message{ID: "1", Text: text, Files: all}}}
	return t
}

// scribe writes every recording down as its content.
type scribe struct{ err error }

func (s scribe) Transcribe(_ context.Context, r agent.Recording) (string, agent.Usage, error) {
	b, err := io.ReadAll(r.Content)
	return r.Name + " says " + string(b), agent.Usage{USD: 0.01}, errors.Join(err, s.err)
}

func TestWhatIsLookedInto(t *testing.T) {
	tests := []struct {
		name  string
		file  channels.File
		voice *agent.Voice
		want  []string // parts of the answer, which echoes the request
		never string
		fetch int
	}{
		{"a small text", channels.File{Kind: channels.Document, Name: "a.txt", MIME: "text/plain", Ref: "text"}, nil, []string{"a.txt", "some words"}, "", 1},
		{"what only says that it is one", channels.File{Kind: channels.Document, Name: "a.txt", MIME: "text/plain", Ref: "bytes"}, nil, []string{"a.txt"}, "[its text:]", 1},
		{"a large one", channels.File{Kind: channels.Document, Name: "a.txt", MIME: "text/plain", Ref: "text", Size: 1 << 20}, nil, []string{"a.txt", "1.0 MB"}, "some words", 0},
		{"another kind", channels.File{Kind: channels.Document, Name: "a.pdf", MIME: "application/pdf", Ref: "text"}, nil, []string{"application/pdf"}, "some words", 0},
		{"one that is gone", channels.File{Kind: channels.Document, Name: "a.txt", MIME: "text/plain", Ref: "x"}, nil, []string{"look", "could not be opened", "I could not open the document “a.txt”."}, "", 1},
		{"a picture for a blind model", channels.File{Kind: channels.Photo, MIME: "image/jpeg", Ref: "bytes"}, nil, []string{"[photo "}, "", 0},
		{"a recording", channels.File{Kind: channels.Voice, MIME: "audio/ogg", Ref: "text"}, &agent.Voice{Transcriber: scribe{}}, []string{"voice.ogg says some words"}, "could not", 1},
		{"a recording that nobody understands", channels.File{Kind: channels.Voice, MIME: "audio/ogg", Ref: "text"}, &agent.Voice{Transcriber: scribe{errors.New("x")}}, []string{"I could not listen to the voice message."}, "says some", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &cupboard{content: map[string]string{"text": "some words", "bytes": "\x00\x01"}}
			o := one(agenttest.NewModel(nil))
			o.Voice = tt.voice
			got := text(run(t, o, sent(c, "look", tt.file), &port{}))
			for _, w := range tt.want {
				if !strings.Contains(got, w) {
					t.Errorf("%q is not in %q", w, got)
				}
			}
			if tt.never != "" && strings.Contains(got, tt.never) {
				t.Errorf("%q is in %q", tt.never, got)
			}
			if c.fetched != tt.fetch {
				t.Errorf("it was fetched %d times, want %d", c.fetched, tt.fetch)
			}
		})
	}
}

// TestPicturesForModelsThatSee: the picture is shown, and left out for a model
// that refuses it.
func TestPicturesForModelsThatSee(t *testing.T) {
	for _, refuses := range []bool{false, true} {
		var shown [][]byte
		m := agenttest.NewModel(nil)
		p := watching{Model: m, see: func(r agent.ModelRequest) *agent.Error {
			for _, e := range r.Messages {
				for _, img := range e.Images {
					shown = append(shown, img.Data)
					if refuses {
						return &agent.Error{Kind: agent.BadRequest}
					}
				}
			}
			return nil
		}}
		o := one(m)
		d := o.Models["default"]
		d.Provider, d.Vision = p, true
		o.Models["default"] = d
		c := &cupboard{content: map[string]string{"p": "pixels"}}
		got := run(t, o, sent(c, "what is it", channels.File{Kind: channels.Photo, MIME: "image/png", Ref: "p"}), &port{})
		if len(shown) != 1 || !bytes.Equal(shown[0], []byte("pixels")) {
			t.Errorf("refuses %t: %q was shown", refuses, shown)
		}
		if got.Failed != nil || !strings.Contains(text(got), "what is it") {
			t.Errorf("refuses %t: %v, %q", refuses, got.Failed, text(got))
		}
		if e := got.Entries[0]; len(e.Files) != 1 || e.Files[0].Blob != "p" {
			t.Errorf("the history keeps %+v", e.Files)
		}
	}
}

// watching looks at requests before the model does.
type watching struct {
	*agenttest.Model
	see func(agent.ModelRequest) *agent.Error
}

func (w watching) Stream(ctx context.Context, r agent.ModelRequest) iter.Seq2[agent.Delta, error] {
	if err := w.see(r); err != nil {
		return func(yield func(agent.Delta, error) bool) { yield(agent.Delta{}, err) }
	}
	return w.Model.Stream(ctx, r)
}

func TestSendFile(t *testing.T) {
	tests := []struct {
		name, args string
		want       string // name=content of the file that goes out
		told       string // part of what the model is told
	}{
		{"a text", `{"name":"../x/a.csv","text":"1,2"}`, "a.csv=1,2", "Attached to the answer"},
		{"an attachment", `{"attachment":"` + agent.FileID(channels.File{Ref: "r"}) + `"}`, "in.bin=bytes", "Attached to the answer"},
		{"an unknown one", `{"attachment":"00000000"}`, "", "no attachment of that id"},
		{"nothing", `{}`, "", "give a text and a name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &cupboard{content: map[string]string{"r": "bytes"}}
			told := ""
			m := agenttest.NewModel(func(r *agenttest.Request) agenttest.Answer {
				if got := r.Results(); len(got) > 0 {
					told = got[0]
					return agenttest.Say("there")
				}
				return agenttest.Use("c", "send_file", tt.args)
			})
			o := one(m)
			o.Tools = []agent.Tool{builtin.SendFile{}}
			p := &port{}
			got := run(t, o, sent(c, "send it", channels.File{Kind: channels.Document, Name: "in.bin", Ref: "r"}), p)
			sentOut := ""
			for _, f := range got.Replies[0].Files {
				sentOut += f.Name + "=" + c.content[f.Blob]
				if last := p.journal[len(p.journal)-1]; len(last.Blobs) != 1 || last.Blobs[0] != f.Blob {
					t.Errorf("the journal holds %q", last.Blobs)
				}
			}
			if sentOut != tt.want || !strings.Contains(told, tt.told) {
				t.Errorf("%q goes out, the model is told %q", sentOut, told)
			}
		})
	}
}
