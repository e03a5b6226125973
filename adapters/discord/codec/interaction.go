package codec

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// viaLasts is how long an interaction can be answered by its token: 15 minutes,
// less what the way there takes.
const viaLasts = 14*time.Minute + 30*time.Second

// Interaction decodes an interaction that came by HTTP. ping says that it only
// asks whether somebody is there.
func (w *World) Interaction(self Self, data []byte) (r Result, ping bool) {
	if i, err := parse[interaction](data); err == nil && i.Type == interactPing {
		return Result{}, true
	}
	return w.Decode(self, "INTERACTION_CREATE", data, ""), false
}

// Pong answers a ping.
func Pong() []byte { return []byte(`{"type":1}`) }

// interaction decodes a slash command or a press.
func (d *decoder) interaction(i *interaction) ([]channels.Event, error) {
	who := i.person()
	switch {
	case i.ID == "" || i.Token == "":
		return nil, ignored(IgnoredMalformed)
	case i.Context != nil && *i.Context == contextForeign:
		return nil, ignored(IgnoredForeign)
	case i.ChannelID == "" && i.Channel != nil:
		i.ChannelID = i.Channel.ID
	}
	if i.ChannelID == "" {
		return nil, ignored(IgnoredMalformed)
	}
	if who == nil || who.ID == "" {
		return nil, ignored(IgnoredNobody)
	}
	if i.Channel != nil && i.Channel.ID == i.ChannelID {
		d.world.learn(i.Channel, i.GuildID)
	}
	e, err := d.event("interaction/"+i.ID, i.ChannelID, i.GuildID, nil)
	if err != nil {
		return nil, err
	}
	e.Who, e.At, e.Addressed = d.account(who, i.Member), Moment(i.ID), true
	e.Who.Lang = i.Locale
	token := channels.NewSecret(i.Token)
	switch {
	case i.Type == interactCommand && i.Data.Type == commandSlash && i.Data.Name != "":
		// The reply takes the place of what the deferral shows, so its way is
		// the token. A press is answered like a message: that can be repeated
		// without doubling it.
		e.Via = &channels.Via{Token: token, Expires: e.At.Add(viaLasts)}
		e.Content = channels.Command{Name: strings.ToLower(i.Data.Name), Args: arguments(i.Data.Options)}
		d.defers = &Defer{ID: i.ID, Token: token, Type: AnswerThinks}
	case i.Type == interactPress && i.Data.Component == componentButton && i.Data.CustomID != "" && i.Message != nil && i.Message.ID != "":
		e.Content = channels.Press{ID: channels.MessageID(i.Message.ID), Data: i.Data.CustomID, Query: i.ID}
		d.defers = &Defer{ID: i.ID, Token: token, Type: AnswerPressed}
	default:
		return nil, ignored(IgnoredKind)
	}
	if e.Room.Direct {
		d.state = append(d.state, d.world.met(i.ChannelID, e.At.Format(time.DateOnly))...)
	}
	return []channels.Event{e}, nil
}

// person is who did it: a member of a guild, or somebody in a direct chat.
func (i *interaction) person() *user {
	if i.Member != nil && i.Member.User != nil {
		return i.Member.User
	}
	return i.User
}

// arguments joins the values of a command's options as one would type them.
func arguments(options []option) string {
	var words []string
	for _, o := range options {
		if len(o.Options) > 0 {
			words = append(words, o.Name)
			if rest := arguments(o.Options); rest != "" {
				words = append(words, rest)
			}
			continue
		}
		s := string(o.Value)
		if strings.HasPrefix(s, `"`) && json.Unmarshal(o.Value, &s) != nil {
			continue
		}
		if s = strings.TrimSpace(s); s != "" && s != "null" {
			words = append(words, s)
		}
	}
	return strings.Join(words, " ")
}
