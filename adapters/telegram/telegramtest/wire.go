package telegramtest

import "encoding/json"

// The types here are the JSON of the Bot API: only the fields the emulator
// fills, in the order the platform writes them. A value that has been published
// is never changed; edits replace it with a copy.

// Profile is what the Bot API says of a user or a bot.
type Profile struct {
	ID           int64  `json:"id"`
	IsBot        bool   `json:"is_bot"`
	FirstName    string `json:"first_name"`
	LastName     string `json:"last_name,omitempty"`
	Username     string `json:"username,omitempty"`
	LanguageCode string `json:"language_code,omitempty"`
}

// wireBot is what getMe adds to a user.
type wireBot struct {
	Profile
	CanJoinGroups           bool `json:"can_join_groups"`
	CanReadAllGroupMessages bool `json:"can_read_all_group_messages"`
	SupportsInlineQueries   bool `json:"supports_inline_queries"`
	CanConnectToBusiness    bool `json:"can_connect_to_business"`
	HasMainWebApp           bool `json:"has_main_web_app"`
}

type wireChat struct {
	ID        int64  `json:"id"`
	FirstName string `json:"first_name,omitempty"`
	LastName  string `json:"last_name,omitempty"`
	Title     string `json:"title,omitempty"`
	Username  string `json:"username,omitempty"`
	IsForum   bool   `json:"is_forum,omitempty"`
	Type      string `json:"type"`
}

// wireFullChat is what getChat adds to a chat.
type wireFullChat struct {
	wireChat
	AccentColorID      int             `json:"accent_color_id"`
	MaxReactionCount   int             `json:"max_reaction_count"`
	AvailableReactions json.RawMessage `json:"available_reactions,omitempty"`
}

type wireMessage struct {
	ID                int64               `json:"message_id"`
	From              *Profile            `json:"from,omitempty"`
	Chat              wireChat            `json:"chat"`
	Date              int64               `json:"date"`
	EditDate          int64               `json:"edit_date,omitempty"`
	ThreadID          int64               `json:"message_thread_id,omitempty"`
	ForwardOrigin     *wireOrigin         `json:"forward_origin,omitempty"`
	ForwardFrom       *Profile            `json:"forward_from,omitempty"`
	ForwardSenderName string              `json:"forward_sender_name,omitempty"`
	ForwardDate       int64               `json:"forward_date,omitempty"`
	ReplyTo           *wireMessage        `json:"reply_to_message,omitempty"`
	Quote             *wireQuote          `json:"quote,omitempty"`
	AlbumID           string              `json:"media_group_id,omitempty"`
	Text              string              `json:"text,omitempty"`
	Entities          []Entity            `json:"entities,omitempty"`
	LinkPreview       json.RawMessage     `json:"link_preview_options,omitempty"`
	Animation         *wireFile           `json:"animation,omitempty"`
	Audio             *wireFile           `json:"audio,omitempty"`
	Document          *wireFile           `json:"document,omitempty"`
	Photo             []wireFile          `json:"photo,omitempty"`
	Sticker           *wireFile           `json:"sticker,omitempty"`
	Video             *wireFile           `json:"video,omitempty"`
	VideoNote         *wireFile           `json:"video_note,omitempty"`
	Voice             *wireFile           `json:"voice,omitempty"`
	Caption           string              `json:"caption,omitempty"`
	CaptionEntities   []Entity            `json:"caption_entities,omitempty"`
	Contact           json.RawMessage     `json:"contact,omitempty"`
	Location          json.RawMessage     `json:"location,omitempty"`
	NewMembers        []*Profile          `json:"new_chat_members,omitempty"`
	LeftMember        *Profile            `json:"left_chat_member,omitempty"`
	NewTitle          string              `json:"new_chat_title,omitempty"`
	MigrateTo         int64               `json:"migrate_to_chat_id,omitempty"`
	MigrateFrom       int64               `json:"migrate_from_chat_id,omitempty"`
	Pinned            *wireMessage        `json:"pinned_message,omitempty"`
	TopicCreated      *wireTopic          `json:"forum_topic_created,omitempty"`
	TopicClosed       *struct{}           `json:"forum_topic_closed,omitempty"`
	TopicReopened     *struct{}           `json:"forum_topic_reopened,omitempty"`
	ReplyMarkup       *wireInlineKeyboard `json:"reply_markup,omitempty"`
	IsTopicMessage    bool                `json:"is_topic_message,omitempty"`
	HasProtected      bool                `json:"has_protected_content,omitempty"`
}

type wireOrigin struct {
	Type       string   `json:"type"`
	Sender     *Profile `json:"sender_user,omitempty"`
	SenderName string   `json:"sender_user_name,omitempty"`
	Date       int64    `json:"date"`
}

type wireQuote struct {
	Text     string   `json:"text"`
	Entities []Entity `json:"entities,omitempty"`
	Position int      `json:"position"`
	IsManual bool     `json:"is_manual,omitempty"`
}

type wireTopic struct {
	Name      string `json:"name"`
	IconColor int    `json:"icon_color"`
}

type wireInlineKeyboard struct {
	Rows [][]Button `json:"inline_keyboard"`
}

type wireCallback struct {
	ID           string   `json:"id"`
	From         *Profile `json:"from"`
	Message      any      `json:"message,omitempty"`
	ChatInstance string   `json:"chat_instance"`
	Data         string   `json:"data"`
}

// wireGone stands for a message that can no longer be read; its date is 0.
type wireGone struct {
	Chat wireChat `json:"chat"`
	ID   int64    `json:"message_id"`
	Date int64    `json:"date"`
}

type wireReaction struct {
	Type          string `json:"type"`
	Emoji         string `json:"emoji,omitempty"`
	CustomEmojiID string `json:"custom_emoji_id,omitempty"`
}

type wireReacted struct {
	Chat wireChat       `json:"chat"`
	ID   int64          `json:"message_id"`
	User *Profile       `json:"user"`
	Date int64          `json:"date"`
	Old  []wireReaction `json:"old_reaction"`
	New  []wireReaction `json:"new_reaction"`
}

type wireMember struct {
	Status    string   `json:"status"`
	User      *Profile `json:"user"`
	IsMember  bool     `json:"is_member,omitempty"`
	UntilDate *int64   `json:"until_date,omitempty"`
}

type wireMemberUpdate struct {
	Chat wireChat   `json:"chat"`
	From *Profile   `json:"from"`
	Date int64      `json:"date"`
	Old  wireMember `json:"old_chat_member"`
	New  wireMember `json:"new_chat_member"`
}

type wireFile struct {
	Name         string    `json:"file_name,omitempty"`
	MIME         string    `json:"mime_type,omitempty"`
	Emoji        string    `json:"emoji,omitempty"`
	Duration     *int64    `json:"duration,omitempty"`
	Performer    string    `json:"performer,omitempty"`
	Title        string    `json:"title,omitempty"`
	Width        int       `json:"width,omitempty"`
	Height       int       `json:"height,omitempty"`
	Length       int       `json:"length,omitempty"`
	Thumbnail    *wireFile `json:"thumbnail,omitempty"`
	FileID       string    `json:"file_id"`
	FileUniqueID string    `json:"file_unique_id"`
	FileSize     int       `json:"file_size,omitempty"`
	FilePath     string    `json:"file_path,omitempty"`
}

type wireCommand struct {
	Command     string `json:"command"`
	Description string `json:"description"`
}

type wireWebhook struct {
	URL              string   `json:"url"`
	HasCertificate   bool     `json:"has_custom_certificate"`
	Pending          int      `json:"pending_update_count"`
	IPAddress        string   `json:"ip_address,omitempty"`
	LastErrorDate    int64    `json:"last_error_date,omitempty"`
	LastErrorMessage string   `json:"last_error_message,omitempty"`
	MaxConnections   int      `json:"max_connections,omitempty"`
	AllowedUpdates   []string `json:"allowed_updates,omitempty"`
}

type wireAnswer struct {
	OK          bool            `json:"ok"`
	Result      any             `json:"result,omitempty"`
	ErrorCode   int             `json:"error_code,omitempty"`
	Description string          `json:"description,omitempty"`
	Parameters  *wireParameters `json:"parameters,omitempty"`
}

type wireParameters struct {
	MigrateTo  int64 `json:"migrate_to_chat_id,omitempty"`
	RetryAfter int   `json:"retry_after,omitempty"`
}
