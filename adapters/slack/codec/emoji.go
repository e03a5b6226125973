package codec

import (
	"strings"
	"unicode/utf8"
)

// emojiNames are the reactions that people use most, each with Slack's name
// for it; a second name is one that Slack also takes. An emoji that is not here
// is passed on under the name that Slack gives it.
const emojiNames = `
👍 +1 thumbsup|👎 -1 thumbsdown|❤️ heart|💔 broken_heart|🔥 fire|🎉 tada|👏 clap|🙏 pray|👌 ok_hand|💯 100
😀 grinning|😃 smiley|😄 smile|😁 grin|😆 laughing satisfied|😅 sweat_smile|🤣 rolling_on_the_floor_laughing|😂 joy|🙂 slightly_smiling_face|🙃 upside_down_face
😉 wink|😊 blush|😇 innocent|🥰 smiling_face_with_3_hearts|😍 heart_eyes|🤩 star-struck grinning_face_with_star_eyes|😘 kissing_heart|😗 kissing|😚 kissing_closed_eyes|😙 kissing_smiling_eyes
😋 yum|😛 stuck_out_tongue|😜 stuck_out_tongue_winking_eye|🤪 zany_face|😝 stuck_out_tongue_closed_eyes|🤑 money_mouth_face|🤗 hugging_face hugs|🤭 face_with_hand_over_mouth|🤫 shushing_face|🤔 thinking_face thinking
🤐 zipper_mouth_face|🤨 face_with_raised_eyebrow|😐 neutral_face|😑 expressionless|😶 no_mouth|😏 smirk|😒 unamused|🙄 face_with_rolling_eyes|😬 grimacing|🤥 lying_face
😌 relieved|😔 pensive|😪 sleepy|🤤 drooling_face|😴 sleeping|😷 mask|🤒 face_with_thermometer|🤕 face_with_head_bandage|🤢 nauseated_face|🤮 face_vomiting
🤧 sneezing_face|🥵 hot_face|🥶 cold_face|🥴 woozy_face|😵 dizzy_face|🤯 exploding_head|🤠 face_with_cowboy_hat|🥳 partying_face|😎 sunglasses|🤓 nerd_face
🧐 face_with_monocle|😕 confused|😟 worried|🙁 slightly_frowning_face|☹️ white_frowning_face|😮 open_mouth|😯 hushed|😲 astonished|😳 flushed|🥺 pleading_face
😦 frowning|😧 anguished|😨 fearful|😰 cold_sweat|😥 disappointed_relieved|😢 cry|😭 sob|😱 scream|😖 confounded|😣 persevere
😞 disappointed|😓 sweat|😩 weary|😫 tired_face|🥱 yawning_face|😤 triumph|😡 rage|😠 angry|🤬 face_with_symbols_on_mouth|😈 smiling_imp
👿 imp|💀 skull|💩 hankey poop|🤡 clown_face|👻 ghost|👽 alien|👾 space_invader|🤖 robot_face|😺 smiley_cat|🙈 see_no_evil
🙉 hear_no_evil|🙊 speak_no_evil|💋 kiss|💘 cupid|💝 gift_heart|💖 sparkling_heart|💗 heartpulse|💓 heartbeat|💞 revolving_hearts|💕 two_hearts
🧡 orange_heart|💛 yellow_heart|💚 green_heart|💙 blue_heart|💜 purple_heart|🤎 brown_heart|🖤 black_heart|🤍 white_heart|💢 anger|💥 boom collision
💫 dizzy|💦 sweat_drops|💨 dash|💬 speech_balloon|💭 thought_balloon|💤 zzz|👋 wave|🤚 raised_back_of_hand|✋ hand raised_hand|🖖 spock-hand
🤏 pinching_hand|✌️ v|🤞 crossed_fingers|🤟 i_love_you_hand_sign|🤘 the_horns|🤙 call_me_hand|👈 point_left|👉 point_right|👆 point_up_2|🖕 middle_finger
👇 point_down|☝️ point_up|✊ fist|👊 facepunch punch|🤛 left-facing_fist|🤜 right-facing_fist|🙌 raised_hands|👐 open_hands|🤲 palms_up_together|🤝 handshake
✍️ writing_hand|💅 nail_care|🤳 selfie|💪 muscle|🧠 brain|👀 eyes|👁️ eye|👅 tongue|👄 lips|🤷 shrug
🤦 face_palm|🙋 raising_hand|🙇 bow|💁 information_desk_person|🙅 no_good|🙆 ok_woman|🫡 saluting_face|🫶 heart_hands|🫠 melting_face|🥲 smiling_face_with_tear
🐶 dog|🐱 cat|🐭 mouse|🐰 rabbit|🦊 fox_face|🐻 bear|🐼 panda_face|🐸 frog|🐵 monkey_face|🐔 chicken
🐧 penguin|🦄 unicorn_face|🐝 bee honeybee|🐛 bug|🦋 butterfly|🐢 turtle|🐍 snake|🐙 octopus|🐳 whale|🐬 dolphin flipper
🌸 cherry_blossom|🌹 rose|🌻 sunflower|🌲 evergreen_tree|🌵 cactus|🍀 four_leaf_clover|🍎 apple|🍌 banana|🍓 strawberry|🍒 cherries
🍕 pizza|🍔 hamburger|🍟 fries|🌮 taco|🍿 popcorn|🍩 doughnut|🍪 cookie|🎂 birthday|🍰 cake|☕ coffee
🍵 tea|🍺 beer|🍻 beers|🥂 clinking_glasses|🍷 wine_glass|🍾 champagne|⚽ soccer|🏀 basketball|🏆 trophy|🥇 first_place_medal
🎯 dart|🎮 video_game|🎲 game_die|🎨 art|🎬 clapper|🎤 microphone|🎧 headphones|🎵 musical_note|🎶 notes|🎁 gift
🎈 balloon|🎃 jack_o_lantern|🎄 christmas_tree|🎅 santa|🚀 rocket|✈️ airplane|🚗 car red_car|🚲 bike|🚨 rotating_light|🚧 construction
🏠 house|🏁 checkered_flag|🌍 earth_africa|🌎 earth_americas|🌏 earth_asia|🌙 crescent_moon|⭐ star|🌟 star2|✨ sparkles|⚡ zap
☀️ sunny|☁️ cloud|🌈 rainbow|❄️ snowflake|⛄ snowman_without_snow|☔ umbrella_with_rain_drops|💧 droplet|🌊 ocean|⌚ watch|📱 iphone
💻 computer|⌨️ keyboard|🖥️ desktop_computer|🖨️ printer|💾 floppy_disk|📷 camera|📹 video_camera|📺 tv|📞 telephone_receiver|⏰ alarm_clock
⏳ hourglass_flowing_sand|⌛ hourglass|🔋 battery|🔌 electric_plug|💡 bulb|🔦 flashlight|💰 moneybag|💵 dollar|💳 credit_card|💎 gem
🔧 wrench|🔨 hammer|⚙️ gear|🔑 key|🔒 lock|🔓 unlock|📌 pushpin|📍 round_pushpin|📎 paperclip|✂️ scissors
📝 memo pencil|✏️ pencil2|📚 books|📖 book open_book|📅 date|📆 calendar|📈 chart_with_upwards_trend|📉 chart_with_downwards_trend|📊 bar_chart|📋 clipboard
📁 file_folder|📂 open_file_folder|📄 page_facing_up|📰 newspaper|📧 e-mail|✉️ email envelope|📨 incoming_envelope|📩 envelope_with_arrow|📤 outbox_tray|📥 inbox_tray
📦 package|📣 mega|📢 loudspeaker|🔔 bell|🔕 no_bell|🔍 mag|🔎 mag_right|🔗 link|🧪 test_tube|🩹 adhesive_bandage
✅ white_check_mark|☑️ ballot_box_with_check|✔️ heavy_check_mark|❌ x|❎ negative_squared_cross_mark|➕ heavy_plus_sign|➖ heavy_minus_sign|➡️ arrow_right|⬅️ arrow_left|⬆️ arrow_up
⬇️ arrow_down|🔄 arrows_counterclockwise|🔁 repeat|❓ question|❔ grey_question|❗ exclamation heavy_exclamation_mark|❕ grey_exclamation|‼️ bangbang|⁉️ interrobang|⚠️ warning
🚫 no_entry_sign|⛔ no_entry|🛑 octagonal_sign stop_sign|♻️ recycle|🔴 red_circle|🟠 large_orange_circle|🟡 large_yellow_circle|🟢 large_green_circle|🔵 large_blue_circle|⚫ black_circle
⚪ white_circle|🟥 large_red_square|🟩 large_green_square|🔶 large_orange_diamond|🔷 large_blue_diamond|🆗 ok|🆕 new|🆒 cool|🆘 sos|ℹ️ information_source
1️⃣ one|2️⃣ two|3️⃣ three|4️⃣ four|5️⃣ five|6️⃣ six|7️⃣ seven|8️⃣ eight|9️⃣ nine|0️⃣ zero
🇩🇪 de flag-de|🇬🇧 gb flag-gb uk|🇺🇸 us flag-us|🇫🇷 fr flag-fr|🇪🇸 es flag-es|🇮🇹 it flag-it|🇯🇵 jp flag-jp|🇨🇳 cn flag-cn|🇰🇷 kr flag-kr|🏳️‍🌈 rainbow-flag
`

// emojiTable finds an emoji by a name of it, and the first name by the emoji
// without its variation selectors.
type emojiTable struct {
	byName  map[string]string
	byEmoji map[string]string
}

var emojis = func() emojiTable {
	t := emojiTable{map[string]string{}, map[string]string{}}
	for _, entry := range strings.FieldsFunc(emojiNames, func(r rune) bool { return r == '|' || r == '\n' }) {
		fields := strings.Fields(entry)
		for i, name := range fields[1:] {
			t.byName[name] = fields[0]
			if i == 0 {
				t.byEmoji[bare(fields[0])] = name
			}
		}
	}
	return t
}()

const (
	selector    = "\ufe0f" // asks for the coloured form
	skinTone    = "::skin-tone-"
	firstTone   = 0x1F3FB // skin-tone-2; the last is skin-tone-6
	lastTone    = 0x1F3FF
	customColon = ":"
)

// bare is an emoji without the variation selectors that keyboards add.
func bare(emoji string) string { return strings.ReplaceAll(emoji, selector, "") }

// Emoji is the emoji that Slack calls by a name, or ":name:" for one that is
// not known here, such as a team's own.
func Emoji(name string) string {
	name, tone, toned := strings.Cut(cleaned(name), skinTone)
	emoji, ok := emojis.byName[name]
	if !ok {
		return customColon + name + customColon
	}
	if toned && len(tone) == 1 && tone[0] >= '2' && tone[0] <= '6' {
		return bare(emoji) + string(firstTone+rune(tone[0]-'2'))
	}
	return emoji
}

// EmojiName is Slack's name for an emoji, which may also be written as a name,
// with or without colons; false when it is not known.
func EmojiName(emoji string) (string, bool) {
	if name, ok := strings.CutPrefix(emoji, customColon); ok {
		name = strings.TrimSuffix(name, customColon)
		return name, customName(name)
	}
	plain := bare(emoji)
	if name, ok := emojis.byEmoji[plain]; ok {
		return name, true
	}
	if r, n := utf8.DecodeLastRuneInString(plain); r >= firstTone && r <= lastTone {
		if name, ok := emojis.byEmoji[plain[:len(plain)-n]]; ok {
			return name + skinTone + string('2'+r-firstTone), true
		}
	}
	return emoji, customName(emoji)
}

// customName reports whether a text can be a name that Slack gives to an emoji.
func customName(s string) bool {
	if s == "" || len(s) > 100 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c != '_' && c != '-' && c != '+' && c != '\'' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// emojiText is an emoji within a text. unicode is what Slack says of it, such
// as "1f44d-1f3fd".
func emojiText(name, unicode string) string {
	if s := fromPoints(unicode); s != "" {
		return s
	}
	return Emoji(name)
}

func fromPoints(s string) string {
	var b strings.Builder
	if s == "" || len(s) > 100 {
		return ""
	}
	for _, p := range strings.Split(s, "-") {
		r := rune(0)
		for i := range len(p) {
			d := strings.IndexByte("0123456789abcdef", p[i])
			if d < 0 || r > utf8.MaxRune {
				return ""
			}
			r = r<<4 | rune(d) //nolint:gosec // 0 to 15
		}
		if r < ' ' || !utf8.ValidRune(r) {
			return ""
		}
		b.WriteRune(r)
	}
	return b.String()
}
