package codec_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/discord/codec"
)

// TestPlacesAreKept: a world that has forgotten everything decodes a message in a
// thread as the one did that was told of it.
func TestPlacesAreKept(t *testing.T) {
	const told = `{"id":"500","name":"G","channels":[{"id":"600","type":0,"name":"general"}],"threads":[{"id":"700","type":11,"parent_id":"600","name":"A thread"}]}`
	const said = `{"id":"1300000000000000000","channel_id":"700","guild_id":"500","author":{"id":"200","username":"ada"},"content":"hi","type":0}`
	w := codec.NewWorld()
	w.Decode(self(), "GUILD_CREATE", []byte(told), "m/1")
	want := w.Decode(self(), "MESSAGE_CREATE", []byte(said), "m/2")
	if len(want.Events) != 1 || want.Events[0].Where.Thread != "700" {
		t.Fatalf("%+v", want)
	}
	again := codec.NewWorld()
	again.Restore("500", w.Places("500"))
	if d := cmp.Diff(want, again.Decode(self(), "MESSAGE_CREATE", []byte(said), "m/2")); d != "" {
		t.Error(d)
	}
	if !bytes.Equal(w.Places("500"), again.Places("500")) || string(w.Places("")) != "null" {
		t.Errorf("%s, %s, %s", w.Places("500"), again.Places("500"), w.Places(""))
	}
	again.Restore("500", []byte("broken"))
}

// TestConcerns: what has to be known to read a dispatch.
func TestConcerns(t *testing.T) {
	for _, x := range []struct{ kind, data, guild, channel string }{
		{"GUILD_CREATE", `{"id":"500"}`, "500", ""},
		{"MESSAGE_CREATE", `{"id":"1","guild_id":"500","channel_id":"600"}`, "500", "600"},
		{"MESSAGE_CREATE", `{"id":"1","channel_id":"300"}`, "", "300"},
		{"THREAD_CREATE", `{"id":"700","guild_id":"500"}`, "500", "700"},
		{"MESSAGE_CREATE", `[]`, "", ""},
	} {
		guild, channel := codec.Frame{Type: x.kind, Data: []byte(x.data)}.Concerns()
		if guild != x.guild || channel != x.channel {
			t.Errorf("%s %s: %q, %q", x.kind, x.data, guild, channel)
		}
	}
}
