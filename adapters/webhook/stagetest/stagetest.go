// Package stagetest sets up the emulated program for the conformance suite, and
// sends what GitHub publishes. The native adapter and the guest are held to the
// same on the same stage.
package stagetest

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/webhook/webhooktest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
)

// SecretRef names the secret of requests and callbacks.
const SecretRef = "secret://hook"

// Lacks is what a program has no notion of.
func Lacks() []channeltest.Ability {
	return []channeltest.Ability{
		channeltest.Rooms, channeltest.Threads, channeltest.JoinedThreads, channeltest.Edits, channeltest.Deletions, channeltest.Reactions,
		channeltest.Presses, channeltest.FilesIn, channeltest.Drops, channeltest.Outages,
		channeltest.Editing, channeltest.Deleting, channeltest.Reacting, channeltest.Typing,
		channeltest.Albums, channeltest.Buttons, channeltest.Answering, channeltest.CommandMenu, channeltest.Quoting, channeltest.TextLimit,
		channeltest.Reconciling, channeltest.BadFormats,
	}
}

// Section is a channel's configuration; extra are further keys and values.
func Section(p *webhooktest.Server, extra ...string) json.RawMessage {
	m := map[string]any{
		"verify":  map[string]string{"kind": "standard-webhooks", "secret": SecretRef},
		"message": "{{ .text }}", "conversation": "{{ .conversation }}", "sender": "{{ .sender }}", "trusted": true,
		"callback_url": p.URL(), "callback_secret": SecretRef,
	}
	for i := 0; i+1 < len(extra); i += 2 {
		m[extra[i]] = extra[i+1]
	}
	b, _ := json.Marshal(m)
	return b
}

// Harness is the program as the suite knows it.
func Harness(p *webhooktest.Server) *channeltest.Harness {
	said := map[channels.MessageID]webhooktest.Message{}
	return &channeltest.Harness{
		Config: Section(p), Host: []channeltest.HostOption{channeltest.WithSecret(SecretRef, webhooktest.Secret)}, Push: true,
		Say: func(s channeltest.Said) channels.MessageID {
			m := webhooktest.Message{Conversation: "alice", Sender: "alice", Text: s.Text}
			if s.By == channeltest.Bob {
				m.Conversation, m.Sender = "bob", "bob"
			}
			m.ID = p.Say(m)
			said[channels.MessageID(m.ID)] = m
			return channels.MessageID(m.ID)
		},
		Acked: func(id channels.MessageID) bool { return p.Taken(string(id)) },
		Again: func(id channels.MessageID) { p.Say(said[id]) },
		Shown: func(at channels.Address) (out []channeltest.Shown) {
			for _, r := range p.Shown(string(at.Conversation)) {
				x := channeltest.Shown{ID: channels.MessageID(r.ID), Native: r.Text, Text: r.Text}
				for _, f := range r.Files {
					x.Files = append(x.Files, channeltest.Upload{Kind: channels.FileKind(f.Kind), Name: f.Name, MIME: f.MIME, Body: f.Data})
				}
				out = append(out, x)
			}
			return out
		},
		Revoke: p.Deny, Stall: p.Stall,
		Fail: func(f channeltest.Fault, wait time.Duration) {
			p.Fail(map[channeltest.Fault]webhooktest.Fault{
				channeltest.Throttled:   {Status: http.StatusTooManyRequests, RetryAfter: wait},
				channeltest.Unavailable: {Status: http.StatusServiceUnavailable},
				channeltest.LostAnswer:  {Lose: true},
				channeltest.ShutOut:     {Status: http.StatusGone},
				channeltest.Refused:     {Status: http.StatusBadRequest},
			}[f])
		},
		Faults: []channeltest.Fault{
			channeltest.Throttled, channeltest.Unavailable, channeltest.LostAnswer, channeltest.ShutOut, channeltest.Refused,
		},
		Close: p.Close,
	}
}
