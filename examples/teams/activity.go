//go:build wasip1

package main

import (
	"encoding/json"
	"html"
	"strings"
	"time"

	"teams/gatehouse"
)

// activity is what the Bot Framework sends.
type activity struct {
	Type         string       `json:"type"`
	ID           string       `json:"id"`
	Name         string       `json:"name"`
	At           time.Time    `json:"timestamp"`
	Service      string       `json:"serviceUrl"`
	From         account      `json:"from"`
	Recipient    account      `json:"recipient"`
	Conversation conversation `json:"conversation"`
	Text         string       `json:"text"`
	ReplyTo      string       `json:"replyToId"`
	Attachments  []attachment `json:"attachments"`
	Entities     []struct {
		Type      string  `json:"type"`
		Text      string  `json:"text"`
		Mentioned account `json:"mentioned"`
	} `json:"entities"`
	Value            json.RawMessage `json:"value"`
	MembersAdded     []account       `json:"membersAdded"`
	MembersRemoved   []account       `json:"membersRemoved"`
	ReactionsAdded   []reaction      `json:"reactionsAdded"`
	ReactionsRemoved []reaction      `json:"reactionsRemoved"`
	ChannelData      struct {
		Event  string `json:"eventType"`
		Tenant struct {
			ID string `json:"id"`
		} `json:"tenant"`
	} `json:"channelData"`
}

type account struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Role string `json:"role"`
}

type conversation struct {
	ID     string `json:"id"`
	Type   string `json:"conversationType"`
	Tenant string `json:"tenantId"`
	Name   string `json:"name"`
}

type reaction struct {
	Type string `json:"type"`
}

// request takes in one activity.
func request(c *gatehouse.Call) (gatehouse.Out, error) {
	var a activity
	if json.Unmarshal(c.Body, &a) != nil || a.Type == "" || a.Conversation.ID == "" {
		return gatehouse.Out{}, gatehouse.Failed("rejected", "it is no activity")
	}
	s, err := read(c)
	if err != nil {
		return gatehouse.Out{}, err
	}
	if tenant := first(a.Conversation.Tenant, a.ChannelData.Tenant.ID); s.Tenant != "" && tenant != s.Tenant {
		return gatehouse.Out{}, nil // of another organisation
	}
	if err := place(c, a); err != nil {
		return gatehouse.Out{}, err
	}
	switch a.Type {
	case "message":
		return gatehouse.Out{}, message(c, a)
	case "messageUpdate":
		return gatehouse.Out{}, changed(c, a)
	case "messageDelete":
		return gatehouse.Out{}, emit(c, a, "deletion", "deletion/"+a.ID, gatehouse.Deletion{IDs: []string{a.ID}})
	case "messageReaction":
		return gatehouse.Out{}, reacted(c, a)
	case "conversationUpdate":
		return gatehouse.Out{}, members(c, a)
	case "invoke":
		return invoked(c, a)
	}
	return gatehouse.Out{}, nil
}

func first(all ...string) string {
	for _, s := range all {
		if s != "" {
			return s
		}
	}
	return ""
}

// where tells a room from the thread in it, which Teams writes into one id.
func where(id string) (room, thread string) {
	room, thread, _ = strings.Cut(id, ";messageid=")
	return room, thread
}

// place keeps where a conversation is answered. The host has proved that the
// Bot Framework said so.
func place(c *gatehouse.Call, a activity) error {
	room, _ := where(a.Conversation.ID)
	key := "place/" + room
	was, err := c.Get(key)
	if err != nil || a.Service == "" || string(was) == a.Service {
		return err
	}
	return c.Put(key, []byte(a.Service))
}

func emit(c *gatehouse.Call, a activity, kind, key string, content any) error {
	room, thread := where(a.Conversation.ID)
	direct := a.Conversation.Type == "personal"
	return c.Emit(gatehouse.Event{
		Type: kind, Key: room + "/" + key, At: a.At, Account: a.Recipient.ID,
		Where: gatehouse.Address{Account: a.Recipient.ID, Conversation: room, Thread: thread},
		Room:  gatehouse.Room{Direct: direct, Title: a.Conversation.Name}, Who: sender(a.From), Addressed: direct || a.mentions(), Content: content,
	})
}

func sender(x account) gatehouse.Sender {
	return gatehouse.Sender{ID: x.ID, Name: x.Name, Bot: strings.HasPrefix(x.ID, "28:") || x.Role == "bot"}
}

func (a activity) mentions() bool {
	for _, e := range a.Entities {
		if e.Type == "mention" && e.Mentioned.ID == a.Recipient.ID {
			return true
		}
	}
	return false
}

// said is the text without the bot's mention.
func (a activity) said() string {
	text := a.Text
	for _, e := range a.Entities {
		if e.Type == "mention" && e.Mentioned.ID == a.Recipient.ID && e.Text != "" {
			text = strings.Replace(text, e.Text, "", 1)
		}
	}
	text = strings.NewReplacer("<at>", "", "</at>", "", "\u00a0", " ").Replace(text)
	return strings.TrimSpace(html.UnescapeString(text))
}

// message is a text, files, or a card that older clients submit.
func message(c *gatehouse.Call, a activity) error {
	var pressed struct {
		Data *string `json:"gatehouse"`
	}
	if len(a.Value) > 0 && json.Unmarshal(a.Value, &pressed) == nil && pressed.Data != nil {
		return emit(c, a, "press", "press/"+a.ID, gatehouse.Press{ID: a.ReplyTo, Data: *pressed.Data, Query: a.ID})
	}
	text := a.said()
	if command, ok := strings.CutPrefix(text, "/"); ok {
		name, args, _ := strings.Cut(command, " ")
		return emit(c, a, "command", "message/"+a.ID, map[string]string{"id": a.ID, "name": strings.ToLower(name), "args": strings.TrimSpace(args)})
	}
	return emit(c, a, "message", "message/"+a.ID, gatehouse.Message{ID: a.ID, Text: text, Files: files(a)})
}

func changed(c *gatehouse.Call, a activity) error {
	if a.ChannelData.Event != "editMessage" {
		return nil // a deletion that was taken back
	}
	return emit(c, a, "edit", "edit/"+a.ID+"/"+a.At.UTC().Format(time.RFC3339Nano), gatehouse.Message{ID: a.ID, Text: a.said(), Files: files(a)})
}

// emoji are Teams' names of those that it has always had; others come as they are.
var emoji = map[string]string{"like": "👍", "heart": "❤", "laugh": "😂", "surprised": "😮", "sad": "😢", "angry": "😠"}

func reacted(c *gatehouse.Call, a activity) error {
	names := func(all []reaction) (out []string) {
		for _, r := range all {
			out = append(out, first(emoji[r.Type], r.Type))
		}
		return out
	}
	return emit(c, a, "reaction", "reaction/"+first(a.ID, a.ReplyTo+"/"+a.At.Format(time.RFC3339Nano)),
		gatehouse.Reaction{ID: a.ReplyTo, Added: names(a.ReactionsAdded), Removed: names(a.ReactionsRemoved)})
}

func members(c *gatehouse.Call, a activity) error {
	list := func(all []account) (out []gatehouse.Sender) {
		for _, x := range all {
			out = append(out, sender(x))
		}
		return out
	}
	id := first(a.ID, a.At.Format(time.RFC3339Nano))
	if len(a.MembersAdded) > 0 {
		return emit(c, a, "joined", "joined/"+id, gatehouse.Members{Members: list(a.MembersAdded)})
	}
	if len(a.MembersRemoved) > 0 {
		return emit(c, a, "left", "left/"+id, gatehouse.Members{Members: list(a.MembersRemoved)})
	}
	return nil
}

// invoked answers what Teams waits for.
func invoked(c *gatehouse.Call, a activity) (gatehouse.Out, error) {
	switch a.Name {
	case "adaptiveCard/action":
		var v struct {
			Action struct {
				Verb string `json:"verb"`
				Data struct {
					Data string `json:"gatehouse"`
				} `json:"data"`
			} `json:"action"`
		}
		if json.Unmarshal(a.Value, &v) != nil {
			return gatehouse.Out{}, gatehouse.Failed("rejected", "it is no action of a card")
		}
		c.Reply([]byte(`{"statusCode":200,"type":"application/vnd.microsoft.activity.message","value":"👍"}`))
		return gatehouse.Out{}, emit(c, a, "press", "press/"+a.ID, gatehouse.Press{ID: a.ReplyTo, Data: v.Action.Data.Data, Query: a.ID})
	case "fileConsent/invoke":
		c.Reply([]byte(`{}`))
		return gatehouse.Out{}, consent(c, a)
	}
	return gatehouse.Out{Status: 501}, nil
}
