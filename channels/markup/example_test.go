package markup_test

import (
	"fmt"

	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// One text, as each platform takes it.
func ExampleDialect_Render() {
	n := markup.Parse("**Done**: see [the log](https://example.org/log) for `3 < 4`")
	for _, d := range []markup.Dialect{markup.TelegramHTML, markup.Mrkdwn, markup.DiscordMarkdown, markup.WhatsApp, markup.PlainText} {
		fmt.Printf("%-13s %s\n", d, d.Render(n))
	}
	// Output:
	// telegram-html <b>Done</b>: see <a href="https://example.org/log">the log</a> for <code>3 &lt; 4</code>
	// mrkdwn        *Done*: see <https://example.org/log|the log> for `3 &lt; 4`
	// discord       **Done**: see [the log](https://example.org/log) for `3 < 4`
	// whatsapp      *Done*: see the log (https://example.org/log) for `3 < 4`
	// plain         Done: see the log (https://example.org/log) for 3 < 4
}

// A text that is too long for a platform is cut where it hurts least.
func ExampleSplit() {
	n := markup.Parse("First sentence here. Second sentence here.\n\n**Third** in bold.")
	for _, piece := range markup.Split(n, markup.WhatsApp, 30) {
		fmt.Println(markup.WhatsApp.Measure(piece), markup.WhatsApp.Render(piece))
	}
	// Output:
	// 20 First sentence here.
	// 21 Second sentence here.
	// 16 *Third* in bold.
}
