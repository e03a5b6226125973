package cloud_test

import (
	"encoding/json"
	"flag"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud"
	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/cloudtest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
)

var update = flag.Bool("update", false, "write the goldens anew")

// lacks is what the platform has no notion of: bots are in no groups, nobody is
// told of edits and deletions, nothing that was sent can be changed, and a text
// is never refused for its markup.
var lacks = []channeltest.Ability{
	channeltest.Rooms, channeltest.Threads, channeltest.JoinedThreads, channeltest.Edits, channeltest.Deletions, channeltest.Drops,
	channeltest.Editing, channeltest.Deleting, channeltest.Albums, channeltest.Answering, channeltest.CommandMenu, channeltest.Reconciling,
	channeltest.BadFormats,
}

func TestConformance(t *testing.T) {
	channeltest.Run(t, channeltest.Suite{
		Driver: cloud.Driver{Watch: 200 * time.Millisecond},
		New:    func(_ testing.TB, public string) *channeltest.Harness { return harness(cloudtest.New(public)) },
		Lacks:  lacks, Update: *update,
	})
}

const (
	tokenRef  = "secret://token"
	secretRef = "secret://app"
	alice     = "15550002222"
	bob       = "15550003333"
)

func section(p *cloudtest.Server, extra ...string) json.RawMessage {
	m := map[string]string{
		"phone_number_id": cloudtest.Number, "token": tokenRef, "app_secret": secretRef, "app_id": cloudtest.App, "business_id": cloudtest.Business,
		"base_url": p.URL(), "media_url": p.URL(),
	}
	for i := 0; i+1 < len(extra); i += 2 {
		m[extra[i]] = extra[i+1]
	}
	b, _ := json.Marshal(m)
	return b
}

func secrets() []channeltest.HostOption {
	return []channeltest.HostOption{channeltest.WithSecret(tokenRef, cloudtest.Token), channeltest.WithSecret(secretRef, cloudtest.AppSecret)}
}

func who(by string) string {
	if by == channeltest.Bob {
		return bob
	}
	return alice
}

func harness(p *cloudtest.Server) *channeltest.Harness {
	said := map[channels.MessageID]channeltest.Said{}
	return &channeltest.Harness{
		Config: section(p), Host: secrets(), Push: true,
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
		React:   func(id channels.MessageID, emoji string) { p.React(alice, string(id), emoji) },
		Press:   func(id channels.MessageID, label string) { p.Press(alice, string(id), label) },
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
