package codec

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// presses decodes an interaction: one event for each button.
func (d *decoder) presses() ([]channels.Event, error) {
	o := &d.p.o
	if o.Type != "block_actions" {
		return nil, ignored(IgnoredView)
	}
	var who account
	var in room
	if json.Unmarshal(o.User, &who) != nil || !wellFormed(who.ID) {
		return nil, ignored(IgnoredNobody)
	}
	if o.Channel != nil && json.Unmarshal(o.Channel, &in) != nil {
		return nil, ignored(IgnoredMalformed)
	}
	c := o.Container
	if in.ID == "" && c != nil {
		in.ID = c.ChannelID
	}
	if in.ID == "" || c == nil || c.MessageTS == "" {
		return nil, ignored(IgnoredNoPlace)
	}
	if !wellFormed(in.ID, c.MessageTS) || c.ThreadTS != "" && !wellFormed(c.ThreadTS) {
		return nil, ignored(IgnoredMalformed)
	}
	key := "press/" + in.ID + "/" + c.MessageTS + "/" + who.ID + "/"
	if wellFormed(o.TriggerID) {
		key += o.TriggerID + "/"
	}
	var events []channels.Event
	for i, a := range o.Actions {
		data := a.data()
		if data == "" || !wellFormed(a.ActionTS) {
			continue
		}
		e := d.event(in.ID, "", key+a.ActionTS+"/"+strconv.Itoa(i))
		e.At = Moment(a.ActionTS)
		e.Who = channels.Sender{ID: who.ID, Name: who.Name, Handle: who.Username}
		e.Addressed = true
		e.Where.Thread = thread(c.MessageTS, c.ThreadTS, true, true)
		if !e.Room.Direct {
			e.Room.Title = in.Name
		}
		if c.Ephemeral {
			e.Via = via(viaEphemeral, o.ResponseURL)
		}
		e.Content = channels.Press{ID: messageID(c.MessageTS), Data: data}
		events = append(events, e)
	}
	if len(events) == 0 {
		return nil, ignored(IgnoredNoData)
	}
	return events, nil
}

// data is what a button was made with. A button that another program put there
// may have no value; its action then says which it is.
func (a action) data() string {
	switch {
	case a.Value != "":
		return a.Value
	case a.Selected != nil && a.Selected.Value != "":
		return a.Selected.Value
	case strings.HasPrefix(a.ActionID, linkAction): // the browser has followed it already
		return ""
	}
	return a.ActionID
}

func (d *decoder) reaction() ([]channels.Event, error) {
	var r reacted
	if json.Unmarshal(d.p.o.Event, &r) != nil {
		return nil, ignored(IgnoredMalformed)
	}
	if r.Item.Type != "message" {
		return nil, ignored(IgnoredItem)
	}
	if !wellFormed(r.User, r.Item.Channel, r.Item.TS, r.EventTS) || r.Reaction == "" || len(r.Reaction) > 128 {
		return nil, ignored(IgnoredMalformed)
	}
	if r.User == d.self.User {
		return nil, ignored(IgnoredOwn)
	}
	emoji := Emoji(r.Reaction)
	key := "reaction/" + r.Item.Channel + "/" + r.Item.TS + "/" + r.User + "/" + r.EventTS
	e := d.event(r.Item.Channel, "", key)
	e.At, e.Who = Moment(r.EventTS), channels.Sender{ID: r.User}
	c := channels.Reaction{ID: messageID(r.Item.TS)}
	if d.p.Event == "reaction_added" {
		c.Added = []string{emoji}
	} else {
		c.Removed = []string{emoji}
	}
	e.Content = c
	return []channels.Event{e}, nil
}

func (d *decoder) member() ([]channels.Event, error) {
	var m membership
	if json.Unmarshal(d.p.o.Event, &m) != nil || !wellFormed(m.User, m.Channel, m.EventTS) {
		return nil, ignored(IgnoredMalformed)
	}
	who := channels.Sender{ID: m.User}
	if m.User == d.self.User {
		who.Bot, who.Self = true, true
	}
	kind := "joined/"
	if d.p.Event == "member_left_channel" {
		kind = "left/"
	}
	e := d.event(m.Channel, "", kind+m.Channel+"/"+m.User+"/"+m.EventTS)
	e.At, e.Who = Moment(m.EventTS), who
	if kind == "left/" {
		e.Content = channels.Left{Members: []channels.Sender{who}}
	} else {
		e.Content = channels.Joined{Members: []channels.Sender{who}}
	}
	return []channels.Event{e}, nil
}
