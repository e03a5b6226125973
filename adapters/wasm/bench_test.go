package wasm_test

import (
	"encoding/json"
	"testing"

	"github.com/gatehouse-chat/gatehouse/adapters/wasm"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// BenchmarkSend is one message to a platform on this machine: by the adapter in
// Go that is part of the suite, and by the same logic as a guest in each
// language. The difference is what the sandbox costs.
func BenchmarkSend(b *testing.B) {
	loop := channeltest.LoopSuite()
	send := func(b *testing.B, d channels.Driver, more map[string]string) {
		b.Helper()
		h := loop.New(b, "")
		b.Cleanup(h.Close)
		section := map[string]string{}
		_ = json.Unmarshal(h.Config, &section)
		for k, v := range more {
			section[k] = v
		}
		cfg, _ := json.Marshal(section)
		ch, err := d.Open(b.Context(), channeltest.NewHost(b, h.Host...), cfg)
		if err != nil {
			b.Fatal(err)
		}
		p := channels.Part{Key: "k", To: channels.Address{Channel: "test", Conversation: "room"}, Body: markup.Plain("Good morning, everybody.")}
		if _, err := ch.Send(b.Context(), p); err != nil { // it is loaded now
			b.Fatal(err)
		}
		b.ResetTimer()
		for b.Loop() {
			if _, err := ch.Send(b.Context(), p); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("native", func(b *testing.B) { send(b, channeltest.Loop{}, nil) })
	d := wasm.NewDriver(wasm.Options{CacheDir: cacheDir(b)})
	b.Cleanup(func() { _ = d.Close() })
	for _, k := range []kit{rust, c, assemblyScript, javaScript} {
		b.Run(k.lang, func(b *testing.B) {
			path, publisher := buildKit(b, k)
			send(b, d, map[string]string{"module": path, "publisher": publisher})
		})
	}
}
