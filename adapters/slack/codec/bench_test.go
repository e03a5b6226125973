package codec_test

import (
	"os"
	"testing"

	"github.com/gatehouse-chat/gatehouse/adapters/slack/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

func BenchmarkDecode(b *testing.B) {
	for _, name := range []string{"direct", "rich-text", "files", "press"} {
		in, err := os.ReadFile("testdata/payloads/" + name + ".json")
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				p, err := codec.Parse(in)
				if err != nil || len(p.Decode(self()).Events) != 1 {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	for name, text := range map[string]string{
		"text":  "The **meeting** is at ten.\n\n- bring the `plan.pdf`\n- call [Ada](https://example.org)\n\nSee you there.",
		"table": "| Item | Price |\n|:--|--:|\n| Tea | 2.50 |\n| **Coffee** | 3.00 |\n",
	} {
		p := part(func(p *channels.Part) { p.Body = markup.Parse(text) })
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := codec.Encode(p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
