package telegramtest

// Join lets people come into a group: a service message, and chat_member
// updates where the bot asked for them and is an administrator.
func (c *Chat) Join(people ...*User) {
	s := c.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range people {
		before := c.standing(u)
		c.members[u.ID] = "member"
		m := c.write(u, &saying{})
		m.NewMembers = []*Profile{u.profile()}
		c.post(m)
		c.announceMember(u, u, before, "member")
	}
}

// Leave lets somebody leave a group.
func (c *Chat) Leave(u *User) {
	s := c.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	before := c.standing(u)
	m := c.write(u, &saying{})
	m.LeftMember = u.profile()
	c.post(m)
	c.members[u.ID] = "left"
	c.announceMember(u, u, before, "left")
}

// SetMember sets the standing of a person in a group, such as "administrator" or
// "creator". Nobody is told.
func (c *Chat) SetMember(u *User, status string) {
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	c.members[u.ID] = status
}

func (c *Chat) standing(u *User) string {
	if status := c.members[u.ID]; status != "" {
		return status
	}
	return "left"
}

func (c *Chat) announceMember(u, by *User, before, after string) {
	if c.botState != "administrator" {
		return
	}
	c.srv.push("chat_member", wireMemberUpdate{
		Chat: c.wire(), From: by.profile(), Date: c.srv.now().Unix(),
		Old: wireStanding(u.profile(), before), New: wireStanding(u.profile(), after),
	}, u.ID+queueMember, updateLife)
}

// AddBot lets by add the bot to the group, as a member or as an administrator.
func (c *Chat) AddBot(by *User, status string) {
	s := c.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	before := c.botState
	if before == "member" && status == "member" {
		before = "left"
	}
	c.botState = status
	c.announceBot(by, before, status)
	bot := s.bot
	m := c.write(by, &saying{})
	m.NewMembers = []*Profile{&bot}
	c.post(m)
}

// RemoveBot lets by throw the bot out.
func (c *Chat) RemoveBot(by *User) {
	s := c.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	before := c.botState
	bot := s.bot
	m := c.write(by, &saying{})
	m.LeftMember = &bot
	c.post(m)
	c.botState = "kicked"
	c.announceBot(by, before, "kicked")
}

// Migrate turns a basic group into a supergroup with a new id. The old chat tells
// of the new one, and sends to it fail with migrate_to_chat_id.
func (c *Chat) Migrate(by *User) *Chat {
	s := c.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	id := supergroupID(1_000_000_000 + abs(c.id))
	next := s.newChat(id, kindSupergroup, c.title)
	next.botState = c.botState
	for user, status := range c.members {
		next.members[user] = status
	}
	farewell := c.write(by, &saying{})
	farewell.MigrateTo = id
	c.post(farewell)
	c.movedTo = id
	welcome := next.write(by, &saying{})
	welcome.MigrateFrom = c.id
	next.post(welcome)
	return next
}

// NewTopic opens a topic in a forum and returns its thread id.
func (c *Chat) NewTopic(by *User, name string) int64 {
	s := c.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.openTopic(c.write(by, &saying{}), name)
}

const topicColour = 0x6FB9F0

func (c *Chat) openTopic(m *stored, name string) int64 {
	m.TopicCreated = &wireTopic{Name: name, IconColor: topicColour}
	c.lastID++
	id := c.lastID // the topic has the id of the message that opens it
	c.lastID--
	m.ThreadID, m.IsTopicMessage = id, true
	c.topics[id] = &topic{name: name}
	c.post(m)
	return id
}

// CloseTopic closes a topic: only administrators may write there.
func (c *Chat) CloseTopic(by *User, thread int64) { c.setTopic(by, thread, true) }

// ReopenTopic ends CloseTopic.
func (c *Chat) ReopenTopic(by *User, thread int64) { c.setTopic(by, thread, false) }

func (c *Chat) setTopic(by *User, thread int64, closed bool) {
	s := c.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := c.topics[thread]
	if !ok {
		return
	}
	t.closed = closed
	m := c.write(by, &saying{thread: thread})
	if closed {
		m.TopicClosed = &struct{}{}
	} else {
		m.TopicReopened = &struct{}{}
	}
	c.post(m)
}

// DeleteTopic deletes a topic and what is in it. Bots are not told.
func (c *Chat) DeleteTopic(thread int64) {
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	delete(c.topics, thread)
	for id, m := range c.messages {
		if m.ThreadID == thread {
			c.drop(id)
		}
	}
}

func (s *Server) createForumTopic(q *query) (any, error) {
	c, err := s.chatOf(q, write)
	if err != nil {
		return nil, err
	}
	switch {
	case !c.isForum:
		return nil, badRequest("the chat is not a forum")
	case c.botState != "administrator":
		return nil, badRequest("not enough rights to create a topic")
	case q.str("name") == "":
		return nil, badRequest("topic name is empty")
	}
	p := placement{chat: c}
	id := c.openTopic(s.compose(q, p), q.str("name"))
	return struct {
		ID int64 `json:"message_thread_id"`
		wireTopic
	}{id, wireTopic{Name: q.str("name"), IconColor: topicColour}}, nil
}
