package codec

import (
	"encoding/json"
	"slices"
	"strings"
)

// Allowed are the kinds of updates to ask the platform for. Some of them it
// sends only when asked by name.
func Allowed() []string {
	return []string{
		"message", "edited_message", "callback_query", "message_reaction",
		"poll_answer", "my_chat_member", "chat_member",
	}
}

// Updates reads the answer to getUpdates. When it is not OK, there are none.
func Updates(status int, body []byte) ([]json.RawMessage, Answer) {
	var r struct {
		OK     bool              `json:"ok"`
		Result []json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(body, &r); err == nil && r.OK && status < 300 {
		return r.Result, Answer{OK: true}
	}
	a := Classify(status, body, true)
	if a.OK {
		return nil, broken(true, "the answer to getUpdates is not a list")
	}
	return nil, a
}

// reactions are the emoji that Telegram takes as a bot's reaction.
const reactions = "👍 👎 ❤ 🔥 🥰 👏 😁 🤔 🤯 😱 🤬 😢 🎉 🤩 🤮 💩 🙏 👌 🕊 🤡 🥱 🥴 😍 🐳 ❤‍🔥 🌚 🌭 💯 🤣 ⚡ 🍌 🏆 💔 🤨 😐 🍓 🍾 💋 🖕 😈 😴 😭 🤓 👻 👨‍💻 👀 🎃 🙈 😇 😨 🤝 ✍ 🤗 🫡 🎅 🎄 ☃ 💅 🤪 🗿 🆒 💘 🙉 🦄 😘 💊 🙊 😎 👾 🤷‍♂ 🤷 🤷‍♀ 😡"

// Reactable reports whether a bot can react with an emoji.
func Reactable(emoji string) bool {
	return slices.Contains(strings.Fields(reactions), bare(emoji))
}

// bare is an emoji without the variation selector that keyboards add and
// Telegram's list does not have.
func bare(emoji string) string { return strings.ReplaceAll(emoji, "\ufe0f", "") }
