//go:build !nowhatsapp

package whatsapptest

import (
	"encoding/binary"
	"fmt"
	"strings"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
)

// handle works on one node of a device; false ends the connection.
func (s *Server) handle(w *wire, n *waBinary.Node) bool {
	if w.removed {
		return false
	}
	switch n.Tag {
	case "iq":
		return s.iq(w, n)
	case "message":
		return s.sent(w, n)
	case "receipt":
		s.receipt(w, n)
	case "ack":
		if class, _ := n.Attrs["class"].(string); class == "message" {
			s.done(w.device, text(n, "id"))
		}
	case "presence":
		if w.device != nil {
			s.online = text(n, "type") == "available"
		}
	case "chatstate":
		if _, ok := n.GetOptionalChildByTag("composing"); ok {
			s.typed[s.chat(jid(n, "to"))]++
		}
	}
	return true
}

func text(n *waBinary.Node, name string) string {
	v, _ := n.Attrs[name].(string)
	return v
}

// iq answers a question of the device.
func (s *Server) iq(w *wire, n *waBinary.Node) bool {
	id := text(n, "id")
	switch kind := text(n, "type"); {
	case strings.HasPrefix(id, "pair-") && kind == "result":
		return s.confirmed(w, n)
	case kind != "get" && kind != "set":
		return true // an answer to a question of ours
	}
	content, code := s.answerTo(w, n)
	reply := waBinary.Node{Tag: "iq", Attrs: waBinary.Attrs{"from": server(), "id": id, "type": "result"}, Content: content}
	if code != 0 {
		reply.Attrs["type"] = "error"
		reply.Content = []waBinary.Node{{Tag: "error", Attrs: waBinary.Attrs{"code": fmt.Sprint(code), "text": "refused"}}}
	}
	w.send(reply)
	if n.Attrs["xmlns"] == "passive" && w.device != nil && w.device.wire == w {
		s.active(w.device)
	}
	return true
}

// answerTo is what a question's answer holds, or the code of a refusal.
func (s *Server) answerTo(w *wire, n *waBinary.Node) (content []waBinary.Node, code int) {
	switch space := text(n, "xmlns"); space {
	case "encrypt":
		return s.keys(w.device, n), 0
	case "usync":
		return s.devices(n), 0
	case "w:g2":
		return s.groupInfo(jid(n, "to"))
	case "w:m":
		return []waBinary.Node{{
			Tag:     "media_conn",
			Attrs:   waBinary.Attrs{"auth": "emulated", "ttl": "3600", "auth_ttl": "3600", "max_buckets": "12"},
			Content: []waBinary.Node{{Tag: "host", Attrs: waBinary.Attrs{"hostname": "mmg.whatsapp.net"}}},
		}}, 0
	case "md":
		return s.linkings(w, n)
	case "privacy":
		return []waBinary.Node{{Tag: "privacy"}}, 0
	}
	return nil, 0
}

func (s *Server) linkings(w *wire, n *waBinary.Node) (content []waBinary.Node, code int) {
	if _, ok := n.GetOptionalChildByTag("remove-companion-device"); ok {
		s.device = nil
		return nil, 0
	}
	reg := n.GetChildByTag("link_code_companion_reg")
	if text(&reg, "stage") == "companion_hello" {
		return s.hello(w, n), 0
	}
	if err := s.finish(w, n); err != nil {
		return nil, 400
	}
	return nil, 0
}

// keys takes in the device's prekeys, counts them, or hands out other people's.
func (s *Server) keys(d *device, n *waBinary.Node) []waBinary.Node {
	if _, ok := n.GetOptionalChildByTag("count"); ok {
		return []waBinary.Node{{Tag: "count", Attrs: waBinary.Attrs{"value": fmt.Sprint(len(d.prekeys))}}}
	}
	if wanted, ok := n.GetOptionalChildByTag("key"); ok && text(n, "type") == "get" {
		return s.bundles(wanted.GetChildren())
	}
	list, ok := n.GetOptionalChildByTag("list")
	if !ok {
		return nil
	}
	for _, k := range list.GetChildren() {
		d.prekeys = append(d.prekeys, readKey(k))
	}
	signed, ok := n.GetOptionalChildByTag("skey")
	if ok {
		d.signed = readKey(signed)
	}
	if reg, _ := n.GetChildByTag("registration").Content.([]byte); len(reg) == 4 {
		d.registration = binary.BigEndian.Uint32(reg)
	}
	return nil
}

func readKey(n waBinary.Node) *keys.PreKey {
	k := &keys.PreKey{}
	if id, _ := n.GetChildByTag("id").Content.([]byte); len(id) == 3 {
		k.KeyID = uint32(id[0])<<16 | uint32(id[1])<<8 | uint32(id[2])
	}
	if b, _ := n.GetChildByTag("value").Content.([]byte); len(b) == 32 {
		k.Pub = (*[32]byte)(b)
	}
	if b, _ := n.GetChildByTag("signature").Content.([]byte); len(b) == 64 {
		k.Signature = (*[64]byte)(b)
	}
	return k
}

func writeKey(tag string, k *keys.PreKey) waBinary.Node {
	n := waBinary.Node{Tag: tag, Content: []waBinary.Node{
		{Tag: "id", Content: []byte{byte(k.KeyID >> 16), byte(k.KeyID >> 8), byte(k.KeyID)}},
		{Tag: "value", Content: k.Pub[:]},
	}}
	if k.Signature != nil {
		n.Content = append(n.GetChildren(), waBinary.Node{Tag: "signature", Content: k.Signature[:]})
	}
	return n
}

// bundles hands out keys with which to begin sessions with people's phones.
func (s *Server) bundles(wanted []waBinary.Node) []waBinary.Node {
	var users []waBinary.Node
	for _, u := range wanted {
		id := jid(&u, "jid")
		p := s.who(id)
		if p == nil || id.Device != 0 {
			users = append(users, waBinary.Node{Tag: "user", Attrs: waBinary.Attrs{"jid": id}, Content: []waBinary.Node{
				{Tag: "error", Attrs: waBinary.Attrs{"code": "404", "text": "item-not-found"}},
			}})
			continue
		}
		var registration [4]byte
		binary.BigEndian.PutUint32(registration[:], p.phone.registration)
		users = append(users, waBinary.Node{Tag: "user", Attrs: waBinary.Attrs{"jid": id}, Content: []waBinary.Node{
			{Tag: "registration", Content: registration[:]},
			{Tag: "type", Content: []byte{5}},
			{Tag: "identity", Content: p.phone.id.Pub[:]},
			writeKey("skey", p.phone.signed),
			writeKey("key", p.phone.prekey()),
		}})
	}
	return []waBinary.Node{{Tag: "list", Content: users}}
}

// devices lists the devices of people: everybody has a phone and nothing else,
// and the device that asks is left out.
func (s *Server) devices(n *waBinary.Node) []waBinary.Node {
	list := n.GetChildByTag("usync", "list")
	var users []waBinary.Node
	seen := map[types.JID]bool{}
	for _, u := range list.GetChildren() {
		id := jid(&u, "jid")
		if p := s.who(id); p == nil || seen[id] {
			continue
		}
		seen[id] = true
		users = append(users, waBinary.Node{Tag: "user", Attrs: waBinary.Attrs{"jid": id}, Content: []waBinary.Node{
			{Tag: "devices", Content: []waBinary.Node{
				{Tag: "device-list", Content: []waBinary.Node{{Tag: "device", Attrs: waBinary.Attrs{"id": "0"}}}},
			}},
		}})
	}
	return []waBinary.Node{{Tag: "usync", Content: []waBinary.Node{{Tag: "list", Content: users}}}}
}

func (s *Server) groupInfo(id types.JID) (content []waBinary.Node, code int) {
	g := s.group(id)
	if g == nil {
		return nil, 404
	}
	if g.without {
		return nil, 403
	}
	var members []waBinary.Node
	for _, p := range g.members {
		members = append(members, waBinary.Node{Tag: "participant", Attrs: waBinary.Attrs{"jid": p.LID, "phone_number": p.PN}})
	}
	return []waBinary.Node{{Tag: "group", Attrs: waBinary.Attrs{
		"id": g.JID.User, "subject": g.Title, "creation": "1700000000", "s_t": "1700000000", "creator": s.owner.LID,
		"addressing_mode": "lid", "size": fmt.Sprint(len(members)),
	}, Content: members}}, 0
}

// receipt notes that the device has, or has read, a message.
func (s *Server) receipt(w *wire, n *waBinary.Node) {
	switch text(n, "type") {
	case "", "sender", "inactive", "peer_msg", "hist_sync":
		s.done(w.device, text(n, "id"))
	case "read", "read-self":
		s.read[text(n, "id")] = true
		list := n.GetChildByTag("list")
		for _, i := range list.GetChildren() {
			s.read[text(&i, "id")] = true
		}
	}
	w.send(waBinary.Node{Tag: "ack", Attrs: waBinary.Attrs{
		"class": "receipt", "id": text(n, "id"), "from": n.Attrs["to"], "t": fmt.Sprint(1_700_000_000),
	}})
}

func (s *Server) done(d *device, id string) {
	if d == nil {
		return
	}
	for _, p := range d.queue {
		if p.id == id {
			p.done = true
		}
	}
}
