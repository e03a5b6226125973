// Command cloudtest runs the emulator of the WhatsApp Cloud API as a process of
// its own, for clients in other languages.
//
// When it is ready it prints one line of JSON with the base of the Graph API and
// the account. Then it does what each line of its standard input asks for and
// prints a line with the result, until that input ends:
//
//	{"do":"say","by":"15550002222","text":"hello"}
//	{"id":"wamid.in1"}
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/cloudtest"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cloudtest:", err)
		os.Exit(1)
	}
}

// order is a line of the input. Which fields count depends on Do.
type order struct {
	Do      string `json:"do"` // say, react, press, hide, status, shown, fail
	By      string `json:"by"`
	Text    string `json:"text"` // also an emoji, a button's title, a username or a status
	ID      string `json:"id"`
	ReplyTo string `json:"reply_to"`
	Kind    string `json:"kind"` // of a file
	Name    string `json:"name"`
	MIME    string `json:"mime"`
	Body    []byte `json:"body"`
	Status  int    `json:"status"`
	Code    int    `json:"code"`
	Wait    int    `json:"wait"` // seconds
}

// run serves until in ends.
func run(in io.Reader, out io.Writer) error {
	p := cloudtest.New("")
	defer p.Close()
	results := json.NewEncoder(out)
	if err := results.Encode(map[string]string{
		"url": p.URL(), "number": cloudtest.Number, "app": cloudtest.App, "business": cloudtest.Business,
		"token": cloudtest.Token, "app_secret": cloudtest.AppSecret,
	}); err != nil {
		return err
	}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) == 0 {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		var o order
		if err := json.Unmarshal(line, &o); err != nil {
			return fmt.Errorf("a line of the input: %w", err)
		}
		result, err := o.done(p)
		if err != nil {
			return err
		}
		if err := results.Encode(result); err != nil {
			return err
		}
	}
}

// done carries an order out.
func (o order) done(p *cloudtest.Server) (any, error) {
	id := ""
	switch o.Do {
	case "say":
		said := cloudtest.Said{By: o.By, Text: o.Text, ReplyTo: o.ReplyTo, Kind: o.Kind}
		if o.Kind != "" {
			said.File = &cloudtest.File{Name: o.Name, MIME: o.MIME, Body: o.Body}
		}
		id = p.Say(said)
	case "react":
		id = p.React(o.By, o.ID, o.Text)
	case "press":
		id = p.Press(o.By, o.ID, o.Text)
	case "hide":
		p.Hide(o.By, o.Text)
	case "status":
		p.Status(o.By, o.ID, o.Text, o.Code)
	case "fail":
		p.Fail(cloudtest.Fault{Status: o.Status, Code: o.Code, RetryAfter: time.Duration(o.Wait) * time.Second})
	case "shown":
		return map[string]any{"messages": p.Shown(o.By), "typed": p.Typed(o.By), "reaction": p.Reacted(o.ID)}, nil
	default:
		return nil, fmt.Errorf("nothing is known of %q", o.Do)
	}
	return map[string]string{"id": id}, nil
}
