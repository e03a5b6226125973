package codec

import "encoding/json"

// The shapes of what Slack sends, as far as they are read. Every field may be
// missing, and a field of another shape than expected makes only its own part
// unreadable: json.RawMessage holds what is looked at later.

// outer is a payload of any of the three kinds: a callback of the Events API,
// an interaction, or a slash command.
type outer struct {
	Type      string `json:"type"`
	Challenge string `json:"challenge"`
	TeamID    string `json:"team_id"`
	AppID     string `json:"api_app_id"`

	// Events API.
	Event          json.RawMessage `json:"event"`
	EventID        string          `json:"event_id"`
	EventTime      int64           `json:"event_time"`
	Authorizations []authorization `json:"authorizations"`

	// Interactions.
	Team        *team           `json:"team"`
	User        json.RawMessage `json:"user"`
	Channel     json.RawMessage `json:"channel"`
	Container   *container      `json:"container"`
	Message     *message        `json:"message"`
	Actions     []action        `json:"actions"`
	TriggerID   string          `json:"trigger_id"`
	ResponseURL string          `json:"response_url"`

	// Slash commands.
	Command     string `json:"command"`
	Text        string `json:"text"`
	ChannelID   string `json:"channel_id"`
	ChannelName string `json:"channel_name"`
	UserID      string `json:"user_id"`
	UserName    string `json:"user_name"`
	ThreadTS    string `json:"thread_ts"`
}

type authorization struct {
	TeamID string `json:"team_id"`
}

type team struct {
	ID string `json:"id"`
}

type account struct {
	ID       string `json:"id"`
	Username string `json:"username"`
	Name     string `json:"name"`
}

type room struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type container struct {
	Type      string `json:"type"`
	MessageTS string `json:"message_ts"`
	ThreadTS  string `json:"thread_ts"`
	ChannelID string `json:"channel_id"`
	Ephemeral bool   `json:"is_ephemeral"`
}

type action struct {
	Type     string  `json:"type"`
	ActionID string  `json:"action_id"`
	BlockID  string  `json:"block_id"`
	Value    string  `json:"value"`
	ActionTS string  `json:"action_ts"`
	Selected *option `json:"selected_option"`
}

type option struct {
	Value string `json:"value"`
}

// message is a message, and every event that has to do with one.
type message struct {
	Type        string          `json:"type"`
	Subtype     string          `json:"subtype"`
	Channel     string          `json:"channel"`
	ChannelType string          `json:"channel_type"`
	User        string          `json:"user"`
	BotID       string          `json:"bot_id"`
	AppID       string          `json:"app_id"`
	Username    string          `json:"username"`
	Text        string          `json:"text"`
	TS          string          `json:"ts"`
	ThreadTS    string          `json:"thread_ts"`
	ParentUser  string          `json:"parent_user_id"`
	EventTS     string          `json:"event_ts"`
	DeletedTS   string          `json:"deleted_ts"`
	Edited      *edited         `json:"edited"`
	Blocks      json.RawMessage `json:"blocks"`
	Files       []file          `json:"files"`
	Attachments []attachment    `json:"attachments"`
	Changed     *message        `json:"message"`
	Previous    *message        `json:"previous_message"`
	Hidden      bool            `json:"hidden"`
}

type edited struct {
	TS string `json:"ts"`
}

type file struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Title    string `json:"title"`
	MIME     string `json:"mimetype"`
	Size     int64  `json:"size"`
	Mode     string `json:"mode"`
	Subtype  string `json:"subtype"`
	Access   string `json:"file_access"`
	Private  string `json:"url_private"`
	Download string `json:"url_private_download"`
}

// attachment is a legacy attachment; a forwarded message is one.
type attachment struct {
	IsShare    bool   `json:"is_share"`
	IsMsg      bool   `json:"is_msg_unfurl"`
	AuthorName string `json:"author_name"`
	AuthorID   string `json:"author_id"`
	Text       string `json:"text"`
	Files      []file `json:"files"`
}

// reacted is reaction_added and reaction_removed.
type reacted struct {
	User     string `json:"user"`
	Reaction string `json:"reaction"`
	EventTS  string `json:"event_ts"`
	Item     struct {
		Type    string `json:"type"`
		Channel string `json:"channel"`
		TS      string `json:"ts"`
	} `json:"item"`
}

// membership is member_joined_channel and member_left_channel.
type membership struct {
	User    string `json:"user"`
	Channel string `json:"channel"`
	EventTS string `json:"event_ts"`
}

// block is an element of Block Kit: a block, or what stands within one.
type block struct {
	Type     string          `json:"type"`
	Text     json.RawMessage `json:"text"` // a text object, or a string
	Elements json.RawMessage `json:"elements"`
	Fields   []textObject    `json:"fields"`
	Style    json.RawMessage `json:"style"` // of a text, or of a list
	Indent   int             `json:"indent"`
	Offset   int             `json:"offset"`
	URL      string          `json:"url"`
	UserID   string          `json:"user_id"`
	Channel  string          `json:"channel_id"`
	Group    string          `json:"usergroup_id"`
	Range    string          `json:"range"`
	Name     string          `json:"name"`
	Unicode  string          `json:"unicode"`
	Fallback string          `json:"fallback"`
	Value    string          `json:"value"`
	Rows     [][]block       `json:"rows"`
}

type textObject struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type textStyle struct {
	Bold   bool `json:"bold"`
	Italic bool `json:"italic"`
	Strike bool `json:"strike"`
	Code   bool `json:"code"`
}
