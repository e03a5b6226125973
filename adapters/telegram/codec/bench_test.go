package codec_test

import (
	"os"
	"testing"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/codec"
)

func BenchmarkDecode(b *testing.B) {
	for _, name := range []string{"direct-text", "direct-formatted", "album-piece", "topic-reply"} {
		in, err := os.ReadFile("testdata/updates/" + name + ".json")
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				if u, err := codec.Decode(in, self()); err != nil || len(u.Events) != 1 {
					b.Fatal(u, err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	p := part(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := codec.Encode(p, codec.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkClassify(b *testing.B) {
	body := []byte(`{"ok":true,"result":{"message_id":5,"from":{"id":1,"is_bot":true,"first_name":"Gate","username":"gate_bot"},"chat":{"id":7527593,"first_name":"Ada","type":"private"},"date":1767225000,"text":"hello"}}`)
	b.ReportAllocs()
	for b.Loop() {
		if a := codec.Classify(200, body, false); !a.OK {
			b.Fatal(a)
		}
	}
}
