package telegramtest

import "strconv"

// Attachment is a file that a person sends.
type Attachment struct {
	Kind     string // as in File; "" is a document
	Name     string
	MIME     string
	Duration int64 // seconds, of voice, audio and video
	Bytes    []byte
}

// Photo sends a picture.
func (c *Chat) Photo(u *User, content []byte, opts ...SayOption) Message {
	return c.Send(u, Attachment{Kind: "photo", Bytes: content}, opts...)
}

// Document sends a file.
func (c *Chat) Document(u *User, name, mimeType string, content []byte, opts ...SayOption) Message {
	return c.Send(u, Attachment{Kind: "document", Name: name, MIME: mimeType, Bytes: content}, opts...)
}

// Voice sends a voice note of some seconds.
func (c *Chat) Voice(u *User, content []byte, seconds int64, opts ...SayOption) Message {
	return c.Send(u, Attachment{Kind: "voice", Duration: seconds, Bytes: content}, opts...)
}

// Send sends a file of any kind.
func (c *Chat) Send(u *User, a Attachment, opts ...SayOption) Message {
	o := sayingOf(opts)
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	return c.sendFile(u, a, o)
}

// Album sends several files as one album; the caption goes to the first.
func (c *Chat) Album(u *User, files []Attachment, opts ...SayOption) []Message {
	o := sayingOf(opts)
	s := c.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastAlbum++
	o.album = strconv.FormatInt(13_900_000_000_000_000+s.lastAlbum, 10)
	var out []Message
	for _, a := range files {
		out = append(out, c.sendFile(u, a, o))
		o.caption, o.entities = "", nil
	}
	return out
}

func (c *Chat) sendFile(u *User, a Attachment, o *saying) Message {
	if a.Kind == "" {
		a.Kind = "document"
	}
	m := c.write(u, o)
	caption := clean(formatted{text: o.caption, entities: o.entities})
	c.srv.fill(m, c.srv.files.keep(a.Kind, a.Name, a.MIME, a.Bytes), caption)
	for _, w := range []*wireFile{m.wireMessage.Voice, m.Audio, m.Video, m.VideoNote, m.Animation} {
		if w != nil {
			seconds := a.Duration
			w.Duration = &seconds
		}
	}
	return c.post(m)
}
