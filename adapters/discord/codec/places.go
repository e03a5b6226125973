package codec

import (
	"encoding/json"
	"maps"
	"slices"
)

// What a world knows of places can be kept, for a guest, which forgets between
// two dispatches: for each guild apart.

// KeepPlaces begins the keys of that.
const KeepPlaces = "places/"

type keptPlace struct {
	ID     string `json:"id"`
	Parent string `json:"parent,omitempty"`
	Name   string `json:"name,omitempty"`
	Kind   int    `json:"kind,omitempty"`
}

// Places is what is known of a guild's channels and threads.
func (w *World) Places(guild string) []byte {
	var all []keptPlace
	for _, id := range slices.Sorted(maps.Keys(w.places)) {
		if p := w.places[id]; p.guild == guild && guild != "" {
			all = append(all, keptPlace{id, p.parent, p.name, p.kind})
		}
	}
	b, err := json.Marshal(all)
	if err != nil {
		return nil // they are texts and numbers
	}
	return b
}

// Restore reads what Places wrote. What cannot be read is not known.
func (w *World) Restore(guild string, kept []byte) {
	var all []keptPlace
	if json.Unmarshal(kept, &all) != nil {
		return
	}
	for _, p := range all {
		w.put(p.ID, place{guild: guild, parent: p.Parent, name: p.Name, kind: p.Kind})
	}
}

// Concerns are the guild and the channel that a dispatch is about; "" for none.
func (f Frame) Concerns() (guild, channel string) {
	x, err := parse[struct {
		ID      string `json:"id"`
		Guild   string `json:"guild_id"`
		Channel string `json:"channel_id"`
	}](f.Data)
	switch {
	case err != nil:
		return "", ""
	case f.Type == "GUILD_CREATE" || f.Type == "GUILD_DELETE":
		return x.ID, ""
	case x.Channel == "":
		return x.Guild, x.ID
	}
	return x.Guild, x.Channel
}
