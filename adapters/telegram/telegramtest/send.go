package telegramtest

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// Limits of texts, in UTF-16 code units after parsing, and of the request.
const (
	maxText     = 4096
	maxCaption  = 1024
	maxRawBytes = 1 << 15
)

// formattedOf reads a text with its parse_mode or entities.
func formattedOf(q *query, field, entitiesField string) (formatted, error) {
	text := q.str(field)
	if len(text) > maxRawBytes {
		return formatted{}, badRequest("text is too long")
	}
	if !utf8.ValidString(text) {
		return formatted{}, badRequest("strings must be encoded in UTF-8")
	}
	f, err := parseText(text, strings.ToLower(q.str("parse_mode")), q.str(entitiesField))
	if err != nil {
		return formatted{}, err
	}
	return clean(f), nil
}

// Parse reads a text in a parse_mode (HTML, MarkdownV2 or "") as the platform
// does, down to its error texts: it is what sendMessage makes of it.
func Parse(mode, text string) (string, []Entity, error) {
	q := &query{args: map[string]string{"text": text, "parse_mode": mode}}
	f, err := formattedOf(q, "text", "entities")
	return f.text, f.entities, err
}

func parseText(text, mode, entities string) (formatted, error) {
	if text == "" {
		return formatted{}, nil
	}
	var (
		f   formatted
		err error
	)
	switch mode {
	case "", "none":
		return formatted{text: text, entities: givenEntities(entities, text)}, nil
	case "html":
		f, err = parseHTML(text)
	case "markdownv2":
		f, err = parseMarkdown(text)
	case "markdown":
		f, err = parseOldMarkdown(text)
	default:
		return formatted{}, badRequest("unsupported parse_mode")
	}
	if err != nil {
		return formatted{}, badRequest("can't parse entities: %s", err)
	}
	return f, nil
}

// givenEntities reads the entities of a call; those that do not fit the text are
// dropped.
func givenEntities(raw, text string) []Entity {
	var list []Entity
	if raw == "" || json.Unmarshal([]byte(raw), &list) != nil {
		return nil
	}
	total := utf16Len(text)
	kept := list[:0]
	for _, e := range list {
		if e.Offset >= 0 && e.Length > 0 && e.end() <= total && entityOrder(e.Type) != 50 {
			kept = append(kept, e)
		}
	}
	return kept
}

// placement is where a message goes and what it answers.
type placement struct {
	chat   *Chat
	thread int64
	reply  *stored
	quote  string
}

// replyWish is what a call says of the message it answers.
type replyWish struct {
	id       int64
	chat     string
	optional bool
	quote    string
}

func replyOf(q *query) (replyWish, error) {
	raw := q.str("reply_parameters")
	if raw == "" {
		return replyWish{id: q.int("reply_to_message_id"), optional: q.flag("allow_sending_without_reply")}, nil
	}
	var fields struct {
		ID       int64           `json:"message_id"`
		Chat     json.RawMessage `json:"chat_id"`
		Optional bool            `json:"allow_sending_without_reply"`
		Quote    string          `json:"quote"`
	}
	if json.Unmarshal([]byte(raw), &fields) != nil {
		return replyWish{}, badRequest("can't parse reply parameters JSON object")
	}
	chat, _ := argument(fields.Chat)
	return replyWish{id: fields.ID, chat: chat, optional: fields.Optional, quote: fields.Quote}, nil
}

// place finds the chat, the topic and the message to reply to.
func (s *Server) place(q *query) (placement, error) {
	wish, err := replyOf(q)
	if err != nil {
		return placement{}, err
	}
	c, err := s.chatOf(q, write)
	if err != nil {
		return placement{}, err
	}
	p := placement{chat: c}
	if p.thread, err = c.threadOf(q); err != nil {
		return placement{}, err
	}
	if wish.id <= 0 {
		return p, c.checkTopic(p.thread)
	}
	source := c
	if wish.chat != "" {
		if source = s.findChat(wish.chat); source == nil {
			return placement{}, badRequest("chat not found")
		}
	}
	replied, ok := source.messages[wish.id]
	switch {
	case !ok && !wish.optional:
		return placement{}, badRequest("message to be replied not found")
	case ok && source == c:
		p.reply, p.quote = replied, wish.quote
		if q.int("message_thread_id") == 0 && replied.IsTopicMessage {
			p.thread = replied.ThreadID
		}
		if p.quote != "" && !strings.Contains(replied.Text+replied.Caption, p.quote) {
			return placement{}, badRequest("QUOTE_TEXT_INVALID")
		}
	}
	return p, c.checkTopic(p.thread)
}

// threadOf reads message_thread_id. Only forums and private chats have threads;
// elsewhere it means nothing.
func (c *Chat) threadOf(q *query) (int64, error) {
	id := q.int("message_thread_id")
	if id == 0 || (c.kind != kindPrivate && !c.isForum) {
		return 0, nil
	}
	if _, ok := c.topics[id]; !ok || id == generalTopic {
		return 0, badRequest("message thread not found")
	}
	return id, nil
}

func (c *Chat) checkTopic(id int64) error {
	if t, ok := c.topics[id]; ok && t.closed && c.botState != "administrator" {
		return badRequest("TOPIC_CLOSED")
	}
	return nil
}

// compose makes the message that a call sends, without content.
func (s *Server) compose(q *query, p placement) *stored {
	bot := s.bot
	m := &stored{outgoing: true, wireMessage: &wireMessage{
		From: &bot,
		Chat: p.chat.wire(),
		Date: s.now().Unix(),
	}}
	m.HasProtected = q.flag("protect_content")
	p.chat.setThread(m.wireMessage, p.thread)
	if p.reply != nil {
		m.ReplyTo = p.reply.quoted()
		if p.quote != "" {
			position := strings.Index(p.reply.Text+p.reply.Caption, p.quote)
			m.Quote = &wireQuote{Text: p.quote, Position: utf16Len((p.reply.Text + p.reply.Caption)[:position]), IsManual: true}
		}
	}
	return m
}

// setThread puts a message into a topic. What answers nothing there answers the
// message that opened the topic, as on the platform.
func (c *Chat) setThread(m *wireMessage, thread int64) {
	if thread == 0 {
		return
	}
	m.ThreadID, m.IsTopicMessage = thread, true
	if root, ok := c.messages[thread]; ok {
		m.ReplyTo = root.quoted()
	}
}

// deliver stores a message and logs it.
func (s *Server) deliver(q *query, p placement, m *stored) *wireMessage {
	p.chat.add(m)
	d := m.delivery(Sent)
	d.Silent = q.flag("disable_notification")
	d.NoPreview = noPreview(q)
	s.record(q, d)
	return m.wireMessage
}

func noPreview(q *query) bool {
	var preview struct {
		Disabled bool `json:"is_disabled"`
	}
	if raw := q.str("link_preview_options"); raw != "" {
		return json.Unmarshal([]byte(raw), &preview) == nil && preview.Disabled
	}
	return q.flag("disable_web_page_preview")
}

func (m *stored) delivery(kind Kind) Delivery {
	d := Delivery{
		Kind:     kind,
		Chat:     m.Chat.ID,
		Thread:   m.ThreadID,
		Message:  m.ID,
		Text:     m.Text + m.Caption,
		Entities: m.Entities,
		Files:    m.files,
		Album:    m.AlbumID,
		Buttons:  m.buttons(),
	}
	if m.Caption != "" {
		d.Entities = m.CaptionEntities
	}
	if m.ReplyTo != nil && m.ReplyTo.TopicCreated == nil {
		d.ReplyTo = m.ReplyTo.ID
	}
	return d
}

func (s *Server) sendMessage(q *query) (any, error) {
	if q.str("text") == "" {
		return nil, badRequest("message text is empty")
	}
	f, err := formattedOf(q, "text", "entities")
	if err != nil {
		return nil, err
	}
	if f.text == "" {
		return nil, badRequest("text must be non-empty")
	}
	board, err := keyboardOf(q)
	if err != nil {
		return nil, err
	}
	p, err := s.place(q)
	if err != nil {
		return nil, err
	}
	if utf16Len(f.text) > maxText {
		return nil, badRequest("message is too long")
	}
	if err := checkButtons(board); err != nil {
		return nil, err
	}
	m := s.compose(q, p)
	m.Text, m.Entities, m.ReplyMarkup = f.text, s.known(f.entities), board
	if raw := q.str("link_preview_options"); json.Valid([]byte(raw)) {
		m.LinkPreview = json.RawMessage(raw)
	}
	return s.deliver(q, p, m), nil
}

// known fills in the users that text mentions name, and drops mentions of
// strangers, whom the platform does not link.
func (s *Server) known(list []Entity) []Entity {
	out := list[:0:0]
	for _, e := range list {
		if e.Type == "text_mention" {
			if e.User == nil || s.users[e.User.ID] == nil {
				continue
			}
			e.User = s.users[e.User.ID].profile()
		}
		out = append(out, e)
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// sendMessageDraft shows a draft in a private chat until the message comes.
func (s *Server) sendMessageDraft(q *query) (any, error) {
	f, err := formattedOf(q, "text", "entities")
	if err != nil {
		return nil, err
	}
	c, err := s.chatOf(q, write)
	if err != nil {
		return nil, err
	}
	if c.kind != kindPrivate {
		return nil, badRequest("method is available only for private chats")
	}
	thread, err := c.threadOf(q)
	switch {
	case err != nil:
		return nil, err
	case q.int("draft_id") == 0:
		return nil, badRequest("RANDOM_ID_INVALID")
	case utf16Len(f.text) > maxText:
		return nil, badRequest("message is too long")
	}
	s.record(q, Delivery{Kind: Drafted, Chat: c.id, Thread: thread, Message: q.int("draft_id"), Text: f.text, Entities: f.entities})
	return true, nil
}

var chatActions = map[string]bool{
	"typing": true, "upload_photo": true, "record_video": true, "upload_video": true, "record_voice": true,
	"upload_voice": true, "record_audio": true, "upload_audio": true, "upload_document": true,
	"choose_sticker": true, "find_location": true, "record_video_note": true, "upload_video_note": true,
	"cancel": true,
}

func (s *Server) sendChatAction(q *query) (any, error) {
	action := strings.ToLower(q.str("action"))
	if !chatActions[action] {
		return nil, badRequest("wrong parameter action in request")
	}
	c, err := s.chatOf(q, write)
	if err != nil {
		return nil, err
	}
	thread := q.int("message_thread_id")
	if _, ok := c.topics[thread]; thread != 0 && thread != generalTopic && c.isForum && !ok {
		return nil, badRequest("message thread not found")
	}
	s.record(q, Delivery{Kind: Acted, Chat: c.id, Thread: thread, Action: action})
	return true, nil
}
