//go:build wasip1

package main

import (
	"net/url"
	"strings"
	"time"

	"teams/gatehouse"
)

type attachment struct {
	Type    string `json:"contentType"`
	URL     string `json:"contentUrl,omitempty"`
	Name    string `json:"name,omitempty"`
	Content any    `json:"content,omitempty"`
}

type outgoing struct {
	Type        string       `json:"type"`
	Format      string       `json:"textFormat,omitempty"`
	Text        string       `json:"text,omitempty"`
	ReplyTo     string       `json:"replyToId,omitempty"`
	Attachments []attachment `json:"attachments,omitempty"`
}

// activities is the address of a conversation's activities.
func activities(c *gatehouse.Call, room string) (string, error) {
	service, err := c.Get("place/" + room)
	if err != nil {
		return "", err
	}
	if service == nil {
		return "", gatehouse.Failed("closed", "nobody has written from this conversation yet, so that nobody knows where it is")
	}
	return strings.TrimRight(string(service), "/") + "/v3/conversations/" + url.PathEscape(room) + "/activities", nil
}

// send delivers a part, or changes one that was sent before.
func send(c *gatehouse.Call) (gatehouse.Out, error) {
	if c.Part == nil {
		return gatehouse.Out{}, gatehouse.Failed("rejected", "nothing to send")
	}
	p := *c.Part
	to, err := activities(c, p.To.Conversation)
	if err != nil {
		return gatehouse.Out{}, err
	}
	out := outgoing{Type: "message", Format: "markdown", Text: p.Text, Attachments: card(p.Buttons)}
	if p.Plain {
		out.Format = "plain"
	}
	r := gatehouse.Request{Method: "POST", URL: to}
	if p.To.Thread != "" { // a reply to the message that the thread begins with
		r.URL += "/" + url.PathEscape(p.To.Thread)
		out.ReplyTo = p.To.Thread
	}
	if p.Replaces != "" {
		r = gatehouse.Request{Method: "PUT", URL: to + "/" + url.PathEscape(p.Replaces), Repeatable: true}
	} else if len(p.Files) > 0 {
		offered, err := offer(c, p)
		if err != nil {
			return gatehouse.Out{}, err
		}
		out.Attachments = append(offered, out.Attachments...)
	}
	var sent struct {
		ID string `json:"id"`
	}
	if err := do(c, r, out, &sent); err != nil {
		return gatehouse.Out{}, err
	}
	return gatehouse.Out{Receipt: &gatehouse.Receipt{ID: first(sent.ID, p.Replaces), At: time.Now()}}, nil
}

// card has the buttons. A press comes back as an invoke, from older clients as a
// message.
func card(buttons []gatehouse.Button) []attachment {
	if len(buttons) == 0 {
		return nil
	}
	var actions []any
	for _, b := range buttons {
		if b.URL != "" {
			actions = append(actions, map[string]any{"type": "Action.OpenUrl", "title": b.Label, "url": b.URL})
			continue
		}
		data := map[string]string{"gatehouse": b.Data}
		actions = append(actions, map[string]any{
			"type": "Action.Execute", "title": b.Label, "verb": "press", "data": data,
			"fallback": map[string]any{"type": "Action.Submit", "title": b.Label, "data": data},
		})
	}
	return []attachment{{Type: "application/vnd.microsoft.card.adaptive", Content: map[string]any{
		"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4", "body": []any{}, "actions": actions,
	}}}
}

func remove(c *gatehouse.Call) (gatehouse.Out, error) {
	if c.At == nil {
		return gatehouse.Out{}, gatehouse.Failed("rejected", "nothing to remove")
	}
	to, err := activities(c, c.At.Conversation)
	if err != nil {
		return gatehouse.Out{}, err
	}
	return gatehouse.Out{}, do(c, gatehouse.Request{Method: "DELETE", URL: to + "/" + url.PathEscape(c.ID), Repeatable: true}, nil, nil)
}

func typing(c *gatehouse.Call) (gatehouse.Out, error) {
	if c.At == nil {
		return gatehouse.Out{}, gatehouse.Failed("rejected", "nowhere to write")
	}
	to, err := activities(c, c.At.Conversation)
	if err != nil {
		return gatehouse.Out{}, err
	}
	return gatehouse.Out{}, do(c, gatehouse.Request{Method: "POST", URL: to, Repeatable: true}, outgoing{Type: "typing"}, nil)
}
