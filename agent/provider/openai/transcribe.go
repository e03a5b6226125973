package openai

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/provider/internal/wire"
)

var _ agent.Transcriber = (*Provider)(nil)

// perMinute is what OpenAI takes for a minute of a recording, in USD. Models
// that are paid by the minute say how long it was.
const perMinute = 0.006

// Transcribe implements agent.Transcriber by /audio/transcriptions. The
// recording is streamed.
func (p *Provider) Transcribe(ctx context.Context, r agent.Recording) (string, agent.Usage, error) {
	_, call := wire.Begin(ctx, p.cfg.Name, r.Model, p.limits(), false)
	defer call.End()
	if p.cfg.Client == nil {
		return "", agent.Usage{}, &agent.Error{Kind: agent.Unreachable, Provider: p.cfg.Name, Model: r.Model, Err: errNoClient}
	}
	body, kind, err := recordingForm(r)
	if err != nil {
		return "", agent.Usage{}, call.Garbled("the request cannot be written")
	}
	res, err := call.Send(p.at, http.MethodPost, "audio/transcriptions", kind, body)
	if err != nil {
		return "", agent.Usage{}, call.Failed(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return "", agent.Usage{}, call.Failed(err)
	}
	text, usage, err := transcript(b)
	if err != nil {
		return "", agent.Usage{}, call.Garbled("the transcript cannot be read")
	}
	return text, usage, nil
}

// recordingForm is the multipart body of a request, its content not yet read.
func recordingForm(r agent.Recording) (io.Reader, string, error) {
	var head bytes.Buffer
	form := multipart.NewWriter(&head)
	kind := r.MIME
	if kind == "" || strings.ContainsAny(kind, "\r\n") {
		kind = "application/octet-stream"
	}
	part := textproto.MIMEHeader{}
	part.Set("Content-Disposition", multipart.FileContentDisposition("file", r.Name))
	part.Set("Content-Type", kind)
	err := errors.Join(form.WriteField("model", r.Model), form.WriteField("response_format", "json"))
	if err == nil {
		_, err = form.CreatePart(part)
	}
	if err != nil {
		return nil, "", err
	}
	begin := bytes.NewReader(bytes.Clone(head.Bytes()))
	head.Reset()
	if err := form.Close(); err != nil {
		return nil, "", err
	}
	return io.MultiReader(begin, r.Content, &head), form.FormDataContentType(), nil
}

// transcript reads an answer. Its usage counts tokens, or the seconds of the
// recording; some endpoints give none.
func transcript(b []byte) (string, agent.Usage, error) {
	var a struct {
		Text  *string `json:"text"`
		Usage struct {
			Input   int     `json:"input_tokens"`
			Output  int     `json:"output_tokens"`
			Seconds float64 `json:"seconds"`
		} `json:"usage"`
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return "", agent.Usage{}, err
	}
	if a.Text == nil {
		return "", agent.Usage{}, errors.New("there is no text")
	}
	u := agent.Usage{Input: a.Usage.Input, Output: a.Usage.Output, Guessed: a.Usage.Input == 0}
	if a.Usage.Seconds > 0 {
		u.USD = a.Usage.Seconds / 60 * perMinute
	}
	return *a.Text, u, nil
}
