package codec

// The parts of the Bot API's JSON that the decoder reads. Fields that are
// absent here are skipped by the parser, which keeps decoding cheap.

type update struct {
	ID                int64        `json:"update_id"`
	Message           *message     `json:"message"`
	EditedMessage     *message     `json:"edited_message"`
	ChannelPost       present      `json:"channel_post"`
	EditedChannelPost present      `json:"edited_channel_post"`
	Callback          *callback    `json:"callback_query"`
	Reaction          *reaction    `json:"message_reaction"`
	ReactionCount     present      `json:"message_reaction_count"`
	PollAnswer        *pollAnswer  `json:"poll_answer"`
	MyChatMember      *memberShift `json:"my_chat_member"`
	ChatMember        *memberShift `json:"chat_member"`
	InlineQuery       present      `json:"inline_query"`
	BusinessMessage   present      `json:"business_message"`
	EditedBusiness    present      `json:"edited_business_message"`
	DeletedBusiness   present      `json:"deleted_business_messages"`
	JoinRequest       present      `json:"chat_join_request"`
	Poll              present      `json:"poll"`
}

// present notes that a field is there, whatever it holds.
type present bool

// UnmarshalJSON implements json.Unmarshaler.
func (p *present) UnmarshalJSON(b []byte) error {
	*p = string(b) != "null"
	return nil
}

type user struct {
	ID        int64  `json:"id"`
	IsBot     bool   `json:"is_bot"`
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
	Username  string `json:"username"`
	Lang      string `json:"language_code"`
}

type chat struct {
	ID        int64  `json:"id"`
	Type      string `json:"type"`
	Title     string `json:"title"`
	Username  string `json:"username"`
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
}

// message is one message; which of its fields are set says what kind it is.
type message struct {
	ID            int64          `json:"message_id"`
	ThreadID      int64          `json:"message_thread_id"`
	IsTopic       bool           `json:"is_topic_message"`
	From          *user          `json:"from"`
	SenderChat    *chat          `json:"sender_chat"`
	Date          int64          `json:"date"`
	EditDate      int64          `json:"edit_date"`
	Chat          chat           `json:"chat"`
	Forward       *origin        `json:"forward_origin"`
	AutoForward   bool           `json:"is_automatic_forward"`
	ReplyTo       *message       `json:"reply_to_message"`
	ExternalReply *externalReply `json:"external_reply"`
	Quote         *textQuote     `json:"quote"`
	AlbumID       string         `json:"media_group_id"`

	Text            string   `json:"text"`
	Entities        []entity `json:"entities"`
	Caption         string   `json:"caption"`
	CaptionEntities []entity `json:"caption_entities"`

	attachments
	things
	service
}

// attachments are the files a message can carry.
type attachments struct {
	Photo     []file `json:"photo"`
	Document  *file  `json:"document"`
	Animation *file  `json:"animation"`
	Audio     *file  `json:"audio"`
	Voice     *file  `json:"voice"`
	Video     *file  `json:"video"`
	VideoNote *file  `json:"video_note"`
	Sticker   *file  `json:"sticker"`
}

// things are contents that an event can only carry as readable text.
type things struct {
	Contact   *contact   `json:"contact"`
	Location  *location  `json:"location"`
	Venue     *venue     `json:"venue"`
	Poll      *poll      `json:"poll"`
	Dice      *dice      `json:"dice"`
	Game      *titled    `json:"game"`
	Invoice   *titled    `json:"invoice"`
	Checklist *checklist `json:"checklist"`
	Story     present    `json:"story"`
	Giveaway  present    `json:"giveaway"`
	PaidMedia present    `json:"paid_media"`
	WebApp    *webApp    `json:"web_app_data"`
}

// service are messages that the platform writes about the chat itself.
type service struct {
	Joined       []user  `json:"new_chat_members"`
	Left         *user   `json:"left_chat_member"`
	MigrateTo    int64   `json:"migrate_to_chat_id"`
	MigrateFrom  int64   `json:"migrate_from_chat_id"`
	TopicCreated present `json:"forum_topic_created"`
}

type entity struct {
	Type     string `json:"type"`
	Offset   int    `json:"offset"` // UTF-16 code units
	Length   int    `json:"length"` // UTF-16 code units
	URL      string `json:"url"`
	Language string `json:"language"`
	User     *user  `json:"user"`
}

type file struct {
	ID       string `json:"file_id"`
	Name     string `json:"file_name"`
	MIME     string `json:"mime_type"`
	Size     int64  `json:"file_size"`
	Width    int    `json:"width"`
	Height   int    `json:"height"`
	Emoji    string `json:"emoji"`
	Animated bool   `json:"is_animated"`
	Video    bool   `json:"is_video"`
}

type origin struct {
	Type       string `json:"type"`
	User       *user  `json:"sender_user"`
	HiddenName string `json:"sender_user_name"`
	SenderChat *chat  `json:"sender_chat"`
	Chat       *chat  `json:"chat"`
	Signature  string `json:"author_signature"`
}

type externalReply struct {
	Origin    *origin `json:"origin"`
	MessageID int64   `json:"message_id"`
	attachments
	things
}

type textQuote struct {
	Text     string   `json:"text"`
	Entities []entity `json:"entities"`
}

type callback struct {
	ID       string   `json:"id"`
	From     *user    `json:"from"`
	Message  *message `json:"message"`
	InlineID string   `json:"inline_message_id"`
	Data     string   `json:"data"`
}

type reaction struct {
	Chat      chat           `json:"chat"`
	MessageID int64          `json:"message_id"`
	User      *user          `json:"user"`
	Actor     *chat          `json:"actor_chat"`
	Date      int64          `json:"date"`
	Old       []reactionType `json:"old_reaction"`
	New       []reactionType `json:"new_reaction"`
}

type reactionType struct {
	Type     string `json:"type"`
	Emoji    string `json:"emoji"`
	CustomID string `json:"custom_emoji_id"`
}

type pollAnswer struct {
	PollID  string `json:"poll_id"`
	User    *user  `json:"user"`
	Options []int  `json:"option_ids"`
}

type memberShift struct {
	Chat chat   `json:"chat"`
	From *user  `json:"from"`
	Date int64  `json:"date"`
	Old  member `json:"old_chat_member"`
	New  member `json:"new_chat_member"`
}

type member struct {
	Status   string `json:"status"`
	User     user   `json:"user"`
	IsMember bool   `json:"is_member"` // only of a restricted member
}

type contact struct {
	Phone     string `json:"phone_number"`
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
}

type location struct {
	Latitude   float64 `json:"latitude"`
	Longitude  float64 `json:"longitude"`
	LivePeriod int64   `json:"live_period"`
}

type venue struct {
	Location location `json:"location"`
	Title    string   `json:"title"`
	Address  string   `json:"address"`
}

type poll struct {
	Question string       `json:"question"`
	Options  []pollOption `json:"options"`
}

type pollOption struct {
	Text string `json:"text"`
}

type dice struct {
	Emoji string `json:"emoji"`
	Value int    `json:"value"`
}

type titled struct {
	Title string `json:"title"`
}

type checklist struct {
	Title string       `json:"title"`
	Tasks []pollOption `json:"tasks"`
}

type webApp struct {
	Data string `json:"data"`
}
