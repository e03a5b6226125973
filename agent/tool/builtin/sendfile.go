package builtin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
)

// SendFile lets the model attach a file to its answer: a text that it writes,
// or an attachment of the conversation.
type SendFile struct{}

var _ agent.Tool = SendFile{}

// Spec implements agent.Tool. The file goes to whoever gets the answer and
// nobody else, so that it is no more of an effect than the answer is.
func (SendFile) Spec() agent.Spec {
	return agent.Spec{
		Name:        "send_file",
		Description: "Attach a file to your answer: a text that you write, or an attachment of this conversation by its id.",
		Schema: json.RawMessage(`{"type":"object","properties":{` +
			`"name":{"type":"string","description":"file name with its ending, such as table.csv"},` +
			`"text":{"type":"string","description":"the whole content of the file"},` +
			`"attachment":{"type":"string","description":"id of an attachment, in the place of text"}},"additionalProperties":false}`),
		Effect: agent.ReadLocal,
	}
}

type sendFile struct {
	Name       string `json:"name"`
	Text       string `json:"text"`
	Attachment string `json:"attachment"`
}

var (
	errNothing = errors.New("give a text and a name, or the id of an attachment")
	errUnknown = errors.New("this conversation has no attachment of that id")
)

// Call implements agent.Tool.
func (SendFile) Call(ctx context.Context, t *agent.Turn, args json.RawMessage) (agent.ToolResult, error) {
	var a sendFile
	if err := json.Unmarshal(args, &a); err != nil {
		return agent.ToolResult{Label: agent.Trusted}, errNothing
	}
	name := fileName(a.Name)
	var f channels.File
	switch {
	case a.Attachment != "":
		found, ok := attachment(t, strings.TrimSpace(a.Attachment))
		if !ok {
			return agent.ToolResult{Label: agent.Trusted}, errUnknown
		}
		var err error
		if f, err = t.Files.Fetch(ctx, found); err != nil {
			return agent.ToolResult{Label: agent.Trusted}, errors.New("the attachment cannot be fetched")
		}
		if name != "" {
			f.Name = name
		}
	case a.Text != "" && name != "":
		f = channels.File{Name: name, MIME: "text/plain", Open: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(a.Text)), nil
		}}
	default:
		return agent.ToolResult{Label: agent.Trusted}, errNothing
	}
	return agent.ToolResult{Text: "Say what it is in your answer.", Label: agent.Trusted, Files: []channels.File{f}}, nil
}

// attachment finds a file of the conversation.
func attachment(t *agent.Turn, id string) (channels.File, bool) {
	if t.Files == nil {
		return channels.File{}, false
	}
	for i := len(t.Events) - 1; i >= 0; i-- {
		if f, ok := named(agent.Attachments(&t.Events[i]), id); ok {
			return f, true
		}
	}
	for i := len(t.History) - 1; i >= 0; i-- {
		if f, ok := named(t.History[i].Files, id); ok {
			return f, true
		}
	}
	return channels.File{}, false
}

func named(all []channels.File, id string) (channels.File, bool) {
	for _, f := range all {
		if (f.Ref != "" || f.Blob != "") && agent.FileID(f) == id {
			return f, true
		}
	}
	return channels.File{}, false
}

// fileName is the last element of what the model calls a file.
func fileName(s string) string {
	s = s[strings.LastIndexAny(s, `/\`)+1:]
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s))
}
