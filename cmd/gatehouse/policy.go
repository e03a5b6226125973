package main

import (
	"context"
	"fmt"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/config"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/vault"
)

// policyOf is what a channel's section says about who is let in.
func policyOf(ch config.Channel) identity.Policy {
	p := identity.Policy{
		Workspace: ch.Workspace, DM: identity.DM(ch.DM), Groups: identity.Groups(ch.Groups), Mention: ch.Mention, Allow: ch.Allow, Documents: identity.Documents(ch.Documents),
		Rooms: map[channels.ConversationID]identity.RoomPolicy{},
	}
	for id, r := range ch.Rooms {
		one := identity.RoomPolicy{Mention: r.Mention, Model: r.Model, Instructions: r.Instructions, Documents: identity.Documents(r.Documents)}
		if r.Allow != nil {
			one.Allow = append([]string{}, *r.Allow...) // empty, and not nil: it allows nobody
		}
		if r.Tools != nil {
			one.Tools = append([]string{}, *r.Tools...)
		}
		p.Rooms[channels.ConversationID(id)] = one
	}
	return p
}

// bind tells the vault, for each workspace, which of its secrets the
// configuration names. The models' are the home's.
func (s *settings) bind(models map[string]config.Model, list []gateway.ChannelConfig) error {
	all := map[string][]gateway.ChannelConfig{s.border.workspace: nil}
	for w := range s.bound {
		all[w] = nil
	}
	for _, c := range list {
		w := s.border.workspaceOf(c)
		all[w] = append(all[w], c)
	}
	s.bound = map[string]bool{}
	for w, own := range all {
		var b []vault.Binding
		if w == s.border.workspace {
			b = append(bindings(models, own), proxyBinding(s.began.Egress)...)
			b = append(b, s.border.vectorBinding(s.began.Memory)...)
		} else {
			b = bindings(nil, own)
		}
		if err := s.border.vault.Configure(w, b...); err != nil {
			return err
		}
		s.bound[w] = len(own) > 0
	}
	return nil
}

func (b *border) workspaceOf(c gateway.ChannelConfig) string {
	if c.Policy.Workspace == "" {
		return b.workspace
	}
	return c.Policy.Workspace
}

// homeless says which channels belong to a workspace that there is not: nobody
// can look after them.
func (s *settings) homeless(ctx context.Context) ([]string, error) {
	all, err := s.directory.Workspaces(ctx)
	if err != nil {
		return nil, err
	}
	open := map[string]bool{}
	for _, w := range all {
		open[w.ID] = !w.Ending
	}
	var found []string
	for _, c := range s.channels(s.cfg) {
		if w := s.border.workspaceOf(c); !open[w] {
			found = append(found, fmt.Sprintf("channels.%s.workspace: there is no workspace %q; make it with `gatehouse workspaces create %s`", c.ID, w, w))
		}
	}
	return found, nil
}
