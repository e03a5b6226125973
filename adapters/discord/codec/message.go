package codec

import (
	"path"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// message decodes a new message.
func (d *decoder) message(m *message) ([]channels.Event, error) {
	if m.ID == "" || m.ChannelID == "" {
		return nil, ignored(IgnoredMalformed)
	}
	if !m.written() {
		return nil, ignored(IgnoredService)
	}
	e, err := d.said(m, "message/"+m.ID)
	if err != nil {
		return nil, err
	}
	d.newest = m.ID
	if e.Who.Self {
		if e.Where.Thread != "" {
			d.state = append(d.state, d.world.joined(string(e.Where.Thread))...)
		}
		return nil, ignored(IgnoredOwn)
	}
	if e.Room.Direct {
		d.state = append(d.state, d.world.met(m.ChannelID, e.At.Format(time.DateOnly))...)
	}
	files := m.files()
	if c := d.command(m, files); c != nil {
		e.Content, e.Addressed = *c, true
		return []channels.Event{e}, nil
	}
	text := d.words(m)
	if text == "" && len(files) == 0 {
		return nil, ignored(IgnoredEmpty)
	}
	e.Content = channels.Message{ID: channels.MessageID(m.ID), Text: text, Files: files, ReplyTo: d.quote(m), Forwarded: m.forwarded()}
	return []channels.Event{e}, nil
}

// edit decodes a changed message. The platform says the same when it has made
// a preview of a link, or when a message is pinned; then the time of the last
// edit is missing or old.
func (d *decoder) edit(m *message) ([]channels.Event, error) {
	if m.ID == "" || m.ChannelID == "" {
		return nil, ignored(IgnoredMalformed)
	}
	if m.Edited == "" || !m.written() {
		return nil, ignored(IgnoredNoChange)
	}
	e, err := d.said(m, "edit/"+m.ID+"/"+m.Edited)
	if err != nil {
		return nil, err
	}
	if e.Who.Self {
		return nil, ignored(IgnoredOwn)
	}
	e.At = when(m.Edited, m.ID)
	text, files := d.words(m), m.files()
	if text == "" && len(files) == 0 {
		return nil, ignored(IgnoredEmpty)
	}
	e.Content = channels.Edit{ID: channels.MessageID(m.ID), Text: text, Files: files}
	return []channels.Event{e}, nil
}

// written reports whether somebody wrote it, and not the platform.
func (m *message) written() bool {
	return m.Type == typeDefault || m.Type == typeReply || m.Type == typeSlash || m.Type == typeContextMenu
}

// said fills in what a message and its edit share.
func (d *decoder) said(m *message, key string) (channels.Event, error) {
	if m.Author == nil || m.Author.ID == "" {
		return channels.Event{}, ignored(IgnoredNobody)
	}
	e, err := d.event(key, m.ChannelID, m.GuildID, m.ChannelType)
	if err != nil {
		return e, err
	}
	e.At = when(m.Timestamp, m.ID)
	e.Who = d.account(m.Author, m.Member)
	e.Who.Bot = e.Who.Bot || m.WebhookID != ""
	e.Addressed = e.Addressed || d.addressed(m)
	return e, nil
}

// addressed reports whether the bot is meant in a room: by its name, by the
// role that is its own, or by a reply to what it said. @everyone means nobody.
func (d *decoder) addressed(m *message) bool {
	if slices.ContainsFunc(m.Mentions, func(u user) bool { return u.ID == d.self.ID }) {
		return true
	}
	for _, r := range m.MentionRoles {
		if slices.Contains(d.world.roles[m.GuildID], r) {
			return true
		}
	}
	r := m.Referenced
	return m.Type == typeReply && r != nil && r.Author != nil && r.Author.ID == d.self.ID
}

// quote is the message that this one answers.
func (d *decoder) quote(m *message) *channels.Quote {
	if m.Type != typeReply || m.Reference == nil || m.Reference.MessageID == "" {
		return nil
	}
	q := &channels.Quote{ID: channels.MessageID(m.Reference.MessageID)}
	if r := m.Referenced; r != nil && r.Author != nil {
		q.Who, q.Text = d.account(r.Author, nil), d.words(r)
		if files := r.files(); q.Text == "" && len(files) > 0 {
			q.Text = "[" + string(files[0].Kind) + ": " + files[0].Name + "]"
		}
	}
	return q
}

// forwarded says from where a message was passed on; the platform does not say
// from whom.
func (m *message) forwarded() string {
	if m.Reference == nil || m.Reference.Type != referForward {
		return ""
	}
	return "another conversation"
}

// words is the text of a message, with what it shows beside it.
func (d *decoder) words(m *message) string {
	var parts []string
	add := func(s string) {
		if s = strings.TrimSpace(s); s != "" {
			parts = append(parts, s)
		}
	}
	add(d.plain(m.Content, m))
	for i := range m.Snapshots {
		add(d.plain(m.Snapshots[i].Message.Content, &m.Snapshots[i].Message))
	}
	for _, s := range m.Stickers {
		add("[sticker: " + s.Name + "]")
	}
	if p := m.Poll; p != nil {
		add("[poll: " + p.Question.Text + "]")
		for _, a := range p.Answers {
			add("- " + a.Media.Text)
		}
	}
	return strings.Join(parts, "\n")
}

// files are what a message carries, or what was passed on with it.
func (m *message) files() (out []channels.File) {
	for i := range m.Attachments {
		a := &m.Attachments[i]
		if a.ID == "" {
			continue
		}
		out = append(out, channels.File{
			Kind: a.kind(m.Flags), Name: a.name(), MIME: a.MIME, Size: a.Size,
			Ref: m.ChannelID + "/" + m.ID + "/" + a.ID,
		})
	}
	for i := range m.Snapshots {
		s := m.Snapshots[i].Message
		s.ID, s.ChannelID, s.Snapshots = m.ID, m.ChannelID, nil
		out = append(out, s.files()...)
	}
	return out
}

// name is the name that the file had on its owner's machine.
func (a *attachment) name() string {
	if a.Title != "" {
		return a.Title + path.Ext(a.Filename)
	}
	return a.Filename
}

func (a *attachment) kind(flags int) channels.FileKind {
	family, _, _ := strings.Cut(a.MIME, "/")
	switch {
	case flags&flagVoice != 0:
		return channels.Voice
	case family == "image":
		return channels.Photo
	case family == "video":
		return channels.Video
	case family == "audio":
		return channels.Audio
	}
	return channels.Document
}

// Located is where an attachment can be had now: the address that it came with
// is good for a day only. message is what the platform says of the message.
func Located(message []byte, attachmentID string) string {
	m, err := parse[wireMessage](message)
	if err != nil {
		return ""
	}
	for _, list := range append(m.snapshots(), m.Attachments) {
		for _, a := range list {
			if a.ID == attachmentID {
				return a.URL
			}
		}
	}
	return ""
}

type wireMessage message

func (m *wireMessage) snapshots() (out [][]attachment) {
	for i := range m.Snapshots {
		out = append(out, m.Snapshots[i].Message.Attachments)
	}
	return out
}

// command reads a text that begins with "/", also after a mention of the bot.
// A text with files stays a message, or the files would be lost.
func (d *decoder) command(m *message, files []channels.File) *channels.Command {
	if len(files) > 0 || len(m.Snapshots) > 0 {
		return nil
	}
	text := strings.TrimSpace(m.Content)
	for _, mention := range []string{"<@" + d.self.ID + ">", "<@!" + d.self.ID + ">"} {
		if rest, ok := strings.CutPrefix(text, mention); ok {
			text = strings.TrimSpace(rest)
		}
	}
	word, ok := strings.CutPrefix(text, "/")
	if !ok {
		return nil
	}
	args := ""
	if i := strings.IndexAny(word, " \t\r\n"); i >= 0 {
		word, args = word[:i], d.plain(strings.TrimSpace(word[i:]), m)
	}
	if !commandName(word) {
		return nil
	}
	return &channels.Command{ID: channels.MessageID(m.ID), Name: strings.ToLower(word), Args: args}
}

func commandName(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}
