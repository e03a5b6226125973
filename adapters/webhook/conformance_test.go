package webhook_test

import (
	"encoding/json"
	"flag"
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/webhook"
	"github.com/gatehouse-chat/gatehouse/adapters/webhook/webhooktest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
)

var update = flag.Bool("update", false, "write the goldens anew")

// secretRef names the secret of requests and callbacks.
const secretRef = "secret://hook"

// lacks is what a program has no notion of.
var lacks = []channeltest.Ability{
	channeltest.Rooms, channeltest.Threads, channeltest.JoinedThreads, channeltest.Edits, channeltest.Deletions, channeltest.Reactions,
	channeltest.Presses, channeltest.FilesIn, channeltest.Drops, channeltest.Outages,
	channeltest.Editing, channeltest.Deleting, channeltest.Reacting, channeltest.Typing,
	channeltest.Albums, channeltest.Buttons, channeltest.Answering, channeltest.CommandMenu, channeltest.Quoting, channeltest.TextLimit,
	channeltest.Reconciling, channeltest.BadFormats,
}

func TestConformance(t *testing.T) {
	channeltest.Run(t, channeltest.Suite{
		Driver: webhook.Driver{},
		New:    func(_ testing.TB, public string) *channeltest.Harness { return harness(webhooktest.New(public)) },
		Lacks:  lacks,
		Update: *update,
	})
}

func harness(p *webhooktest.Server) *channeltest.Harness {
	said := map[channels.MessageID]webhooktest.Message{}
	config, _ := json.Marshal(map[string]any{
		"verify":  map[string]string{"kind": "standard-webhooks", "secret": secretRef},
		"message": "{{ .text }}", "conversation": "{{ .conversation }}", "sender": "{{ .sender }}", "trusted": true,
		"callback_url": p.URL(), "callback_secret": secretRef,
	})
	return &channeltest.Harness{
		Config: config, Host: []channeltest.HostOption{channeltest.WithSecret(secretRef, webhooktest.Secret)}, Push: true,
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
