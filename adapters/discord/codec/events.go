package codec

import "github.com/gatehouse-chat/gatehouse/channels"

// deleted decodes the removal of one or many messages. The platform does not
// say who did it.
func (d *decoder) deleted(x *deletion) ([]channels.Event, error) {
	ids := x.IDs
	if x.ID != "" {
		ids = []string{x.ID}
	}
	if len(ids) == 0 || x.ChannelID == "" {
		return nil, ignored(IgnoredMalformed)
	}
	e, err := d.event("deletion/"+ids[0]+"/"+d.at, x.ChannelID, x.GuildID, nil)
	if err != nil {
		return nil, err
	}
	c := channels.Deletion{}
	for _, id := range ids {
		c.IDs = append(c.IDs, channels.MessageID(id))
	}
	e.Content = c
	return []channels.Event{e}, nil
}

// reacted decodes a reaction that was set or taken away.
func (d *decoder) reacted(r *reaction, added bool) ([]channels.Event, error) {
	name := r.Emoji.Name
	if r.Emoji.ID != "" {
		name += ":" + r.Emoji.ID
	}
	switch {
	case r.UserID == "" || r.MessageID == "" || r.ChannelID == "" || name == "":
		return nil, ignored(IgnoredMalformed)
	case r.UserID == d.self.ID:
		return nil, ignored(IgnoredOwn)
	}
	e, err := d.event("reaction/"+r.MessageID+"/"+r.UserID+"/"+d.at, r.ChannelID, r.GuildID, nil)
	if err != nil {
		return nil, err
	}
	e.Who = channels.Sender{ID: r.UserID}
	if r.Member != nil && r.Member.User != nil && r.Member.User.ID == r.UserID {
		e.Who = d.account(r.Member.User, r.Member)
	}
	c := channels.Reaction{ID: channels.MessageID(r.MessageID)}
	if added {
		c.Added = []string{name}
	} else {
		c.Removed = []string{name}
	}
	e.Content = c
	return []channels.Event{e}, nil
}
