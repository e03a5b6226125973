// Package stagetest sets up the emulated platform for the conformance suite. The
// native adapter and the guest are held to the suite on the same stage.
package stagetest

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/cloudtest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
)

// Lacks is what the platform has no notion of: bots are in no groups, nobody is
// told of edits and deletions, nothing that was sent can be changed, and a text
// is never refused for its markup.
func Lacks() []channeltest.Ability {
	return []channeltest.Ability{
		channeltest.Rooms, channeltest.Threads, channeltest.JoinedThreads, channeltest.Edits, channeltest.Deletions, channeltest.Drops,
		channeltest.Editing, channeltest.Deleting, channeltest.Albums, channeltest.Answering, channeltest.CommandMenu, channeltest.Reconciling,
		channeltest.BadFormats,
	}
}

// The references of the secrets, and two people.
const (
	TokenRef  = "secret://token"
	SecretRef = "secret://app"
	Alice     = "15550002222"
	Bob       = "15550003333"
)

// Section is a channel's configuration; extra are further keys and values.
func Section(p *cloudtest.Server, extra ...string) json.RawMessage {
	m := map[string]string{
		"phone_number_id": cloudtest.Number, "token": TokenRef, "app_secret": SecretRef, "app_id": cloudtest.App, "business_id": cloudtest.Business,
		"base_url": p.URL(), "media_url": p.URL(),
	}
	for i := 0; i+1 < len(extra); i += 2 {
		m[extra[i]] = extra[i+1]
	}
	b, _ := json.Marshal(m)
	return b
}

// Secrets are the channel's.
func Secrets() []channeltest.HostOption {
	return []channeltest.HostOption{channeltest.WithSecret(TokenRef, cloudtest.Token), channeltest.WithSecret(SecretRef, cloudtest.AppSecret)}
}

func who(by string) string {
	if by == channeltest.Bob {
		return Bob
	}
	return Alice
}

// Harness is the platform as the suite knows it.
func Harness(p *cloudtest.Server) *channeltest.Harness {
	said := map[channels.MessageID]channeltest.Said{}
	return &channeltest.Harness{
		Config: Section(p), Host: Secrets(), Push: true,
		Say: func(s channeltest.Said) channels.MessageID {
			x := cloudtest.Said{By: who(s.By), Text: s.Text, ReplyTo: string(s.ReplyTo)}
			if len(s.Files) > 0 {
				f := s.Files[0]
				x.File, x.Kind = &cloudtest.File{Name: f.Name, MIME: f.MIME, Body: f.Body}, string(f.Kind)
			}
			id := channels.MessageID(p.Say(x))
			said[id] = s
			return id
		},
		Acked:   func(id channels.MessageID) bool { return p.Taken(string(id)) },
		Again:   func(id channels.MessageID) { p.Again(who(said[id].By), string(id), said[id].Text) },
		Shown:   func(at channels.Address) []channeltest.Shown { return shown(p.Shown(string(at.Conversation))) },
		React:   func(id channels.MessageID, emoji string) { p.React(Alice, string(id), emoji) },
		Press:   func(id channels.MessageID, label string) { p.Press(Alice, string(id), label) },
		Reacted: func(_ channels.Address, id channels.MessageID) string { return p.Reacted(string(id)) },
		Typed:   func(at channels.Address) int { return p.Typed(string(at.Conversation)) },
		Down:    p.Down, Revoke: p.Revoke, Stall: p.Stall,
		Fail: func(f channeltest.Fault, wait time.Duration) {
			p.Fail(map[channeltest.Fault]cloudtest.Fault{
				channeltest.Throttled:   {Status: http.StatusTooManyRequests, Code: 131056, RetryAfter: wait},
				channeltest.Unavailable: {Status: http.StatusServiceUnavailable, Code: 131016},
				channeltest.LostAnswer:  {Lose: true},
				channeltest.ShutOut:     {Status: http.StatusBadRequest, Code: 131026},
				channeltest.Refused:     {Status: http.StatusBadRequest, Code: 131009},
			}[f])
		},
		Faults: []channeltest.Fault{
			channeltest.Throttled, channeltest.Unavailable, channeltest.LostAnswer, channeltest.ShutOut, channeltest.Refused,
		},
		Close: p.Close,
	}
}

func shown(all []cloudtest.Message) []channeltest.Shown {
	var out []channeltest.Shown
	for _, m := range all {
		s := channeltest.Shown{ID: channels.MessageID(m.ID), Native: m.Text, Text: m.Text, ReplyTo: channels.MessageID(m.ReplyTo)}
		for _, f := range m.Files {
			kind := channels.Document
			if strings.HasPrefix(f.MIME, "image/") {
				kind = channels.Photo
			}
			s.Files = append(s.Files, channeltest.Upload{Kind: kind, Name: f.Name, MIME: f.MIME, Body: f.Body})
		}
		for _, b := range m.Buttons {
			s.Buttons = append(s.Buttons, channels.Button{Label: b.Title, Data: b.ID, URL: b.URL})
		}
		out = append(out, s)
	}
	return out
}
