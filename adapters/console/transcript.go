package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/console/wire"
	"github.com/gatehouse-chat/gatehouse/channels"
)

// entry is a message as the transcript keeps it.
type entry struct {
	Keys    []string      `json:"keys"` // the first is its id; later ones are of parts that replaced it
	Seq     int64         `json:"seq"`
	Rev     int64         `json:"rev"`
	From    wire.From     `json:"from"`
	Text    string        `json:"text"`
	Plain   bool          `json:"plain,omitempty"`
	Edited  bool          `json:"edited,omitempty"`
	Deleted bool          `json:"deleted,omitempty"`
	Buttons []wire.Button `json:"buttons,omitempty"`

	Files []channels.File `json:"files,omitempty"` // with the Blob of each
}

func (e entry) id() string { return e.Keys[0] }

// at is when the message was written: the sequence is made of it.
func (e entry) at() time.Time { return time.UnixMicro(e.Seq).UTC() }

func (e entry) message() wire.Message {
	return wire.Message{
		ID: e.id(), Seq: e.Seq, Rev: e.Rev, From: e.From, Text: e.Text, Plain: e.Plain, At: e.at(),
		Edited: e.Edited, Deleted: e.Deleted, Buttons: e.Buttons, Files: e.files(),
	}
}

// transcript reads and writes what the channel's state holds of the chats:
// under "m/<member>/<seq>" the messages, in their order, under
// "k/<member>/<key>" the seq of the message with this key, and under
// "u/<member>/<key>" what was uploaded for a message that is still to come.
type transcript struct{ state channels.State }

func rowsOf(id channels.ConversationID) string { return "m/" + url.PathEscape(string(id)) + "/" }

func rowKey(id channels.ConversationID, seq int64) string {
	return rowsOf(id) + fmt.Sprintf("%019d", seq)
}

func indexKey(id channels.ConversationID, key string) string {
	return "k/" + url.PathEscape(string(id)) + "/" + url.PathEscape(key)
}

// all reads a whole chat in order. It is bounded by MaxTranscript.
func (t transcript) all(ctx context.Context, id channels.ConversationID) ([]entry, error) {
	var out []entry
	prefix, after := rowsOf(id), ""
	for {
		rows, err := t.state.List(ctx, prefix, after, 0)
		if err != nil {
			return nil, fmt.Errorf("read the transcript: %w", err)
		}
		for _, r := range rows {
			e, err := decode(r.Value)
			if err != nil {
				return nil, err
			}
			out, after = append(out, e), r.Key
		}
		if len(rows) == 0 {
			return out, nil
		}
	}
}

// find looks a message up by its id or by the key of a part that replaced it.
func (t transcript) find(ctx context.Context, id channels.ConversationID, key string) (entry, bool, error) {
	ref, err := t.state.Get(ctx, indexKey(id, key))
	if err != nil || ref == nil {
		return entry{}, false, err
	}
	seq, err := strconv.ParseInt(string(ref), 10, 64)
	if err != nil {
		return entry{}, false, fmt.Errorf("the transcript's index: %w", err)
	}
	b, err := t.state.Get(ctx, rowKey(id, seq))
	if err != nil || b == nil {
		return entry{}, false, err
	}
	e, err := decode(b)
	return e, err == nil, err
}

// put are the writes that keep an entry.
func (t transcript) put(id channels.ConversationID, e entry) ([]channels.Write, error) {
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("write the transcript: %w", err)
	}
	w := []channels.Write{{Key: rowKey(id, e.Seq), Value: b, Files: e.Files}}
	for _, k := range e.Keys {
		w = append(w, channels.Write{Key: indexKey(id, k), Value: strconv.AppendInt(nil, e.Seq, 10)})
	}
	return w, nil
}

// drop are the writes that forget the oldest n entries.
func (t transcript) drop(ctx context.Context, id channels.ConversationID, n int) ([]channels.Write, error) {
	rows, err := t.state.List(ctx, rowsOf(id), "", n)
	if err != nil {
		return nil, fmt.Errorf("shorten the transcript: %w", err)
	}
	var w []channels.Write
	for _, r := range rows {
		w = append(w, channels.Write{Key: r.Key})
		e, err := decode(r.Value)
		if err != nil {
			return nil, err
		}
		for _, k := range e.Keys {
			w = append(w, channels.Write{Key: indexKey(id, k)})
		}
	}
	return w, nil
}

func decode(b []byte) (entry, error) {
	var e entry
	if err := json.Unmarshal(b, &e); err != nil {
		return e, fmt.Errorf("the transcript: %w", err)
	}
	if len(e.Keys) == 0 {
		return e, fmt.Errorf("the transcript: entry %d has no key", e.Seq)
	}
	return e, nil
}
