package codec

import "encoding/json"

// The platform's own forms, as far as they are read. What is not named here is
// left alone, so that new fields harm nothing.

type user struct {
	ID         string `json:"id"`
	Username   string `json:"username"`
	GlobalName string `json:"global_name"`
	Bot        bool   `json:"bot"`
	System     bool   `json:"system"`
}

type member struct {
	User *user  `json:"user"`
	Nick string `json:"nick"`
}

type attachment struct {
	ID       string `json:"id"`
	Filename string `json:"filename"`
	Title    string `json:"title"` // the name before the platform changed it, without its ending
	MIME     string `json:"content_type"`
	Size     int64  `json:"size"`
	URL      string `json:"url"`
}

type reference struct {
	Type      int    `json:"type"`
	MessageID string `json:"message_id"`
	ChannelID string `json:"channel_id"`
}

type message struct {
	ID           string       `json:"id"`
	Type         int          `json:"type"`
	ChannelID    string       `json:"channel_id"`
	ChannelType  *int         `json:"channel_type"`
	GuildID      string       `json:"guild_id"`
	WebhookID    string       `json:"webhook_id"`
	Author       *user        `json:"author"`
	Member       *member      `json:"member"`
	Content      string       `json:"content"`
	Timestamp    string       `json:"timestamp"`
	Edited       string       `json:"edited_timestamp"`
	Flags        int          `json:"flags"`
	Mentions     []user       `json:"mentions"`
	MentionRoles []string     `json:"mention_roles"`
	Attachments  []attachment `json:"attachments"`
	Stickers     []named      `json:"sticker_items"`
	Poll         *poll        `json:"poll"`
	Reference    *reference   `json:"message_reference"`
	Referenced   *message     `json:"referenced_message"`
	Snapshots    []struct {
		Message message `json:"message"`
	} `json:"message_snapshots"`
}

type named struct {
	Name string `json:"name"`
}

type poll struct {
	Question text `json:"question"`
	Answers  []struct {
		Media text `json:"poll_media"`
	} `json:"answers"`
}

type text struct {
	Text string `json:"text"`
}

type emoji struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type reaction struct {
	UserID    string  `json:"user_id"`
	ChannelID string  `json:"channel_id"`
	MessageID string  `json:"message_id"`
	GuildID   string  `json:"guild_id"`
	Member    *member `json:"member"`
	Emoji     emoji   `json:"emoji"`
}

type deletion struct {
	ID        string   `json:"id"`
	IDs       []string `json:"ids"`
	ChannelID string   `json:"channel_id"`
	GuildID   string   `json:"guild_id"`
}

type channel struct {
	ID          string `json:"id"`
	GuildID     string `json:"guild_id"`
	Type        int    `json:"type"`
	Name        string `json:"name"`
	ParentID    string `json:"parent_id"`
	OwnerID     string `json:"owner_id"`
	LastMessage string `json:"last_message_id"`
}

type role struct {
	ID   string `json:"id"`
	Tags struct {
		BotID string `json:"bot_id"`
	} `json:"tags"`
}

type guild struct {
	ID       string    `json:"id"`
	Channels []channel `json:"channels"`
	Threads  []channel `json:"threads"`
	Roles    []role    `json:"roles"`
}

type interaction struct {
	ID        string          `json:"id"`
	Type      int             `json:"type"`
	Token     string          `json:"token"`
	GuildID   string          `json:"guild_id"`
	ChannelID string          `json:"channel_id"`
	Channel   *channel        `json:"channel"`
	Context   *int            `json:"context"`
	Member    *member         `json:"member"`
	User      *user           `json:"user"`
	Locale    string          `json:"locale"`
	Message   *message        `json:"message"`
	Data      interactionData `json:"data"`
}

type interactionData struct {
	Name      string   `json:"name"`
	Type      int      `json:"type"`
	Options   []option `json:"options"`
	CustomID  string   `json:"custom_id"`
	Component int      `json:"component_type"`
}

type option struct {
	Name    string          `json:"name"`
	Type    int             `json:"type"`
	Value   json.RawMessage `json:"value"`
	Options []option        `json:"options"`
}

// The types of channels that matter here.
const (
	announcementThread = 10
	publicThread       = 11
	privateThread      = 12
)

func isThread(kind int) bool {
	return kind == announcementThread || kind == publicThread || kind == privateThread
}

// The types of messages that people write.
const (
	typeDefault     = 0
	typeReply       = 19
	typeSlash       = 20 // the answer to a command of an application
	typeContextMenu = 23
)

const (
	flagVoice       = 1 << 13
	referForward    = 1
	interactPing    = 1
	interactCommand = 2
	interactPress   = 3
	commandSlash    = 1
	componentButton = 2
	contextForeign  = 2 // a direct chat of others, where the bot is a guest of one of them
)
