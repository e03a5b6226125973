package telegramtest

func (s *Server) getChat(q *query) (any, error) {
	c, err := s.chatOf(q, read)
	if err != nil {
		return nil, err
	}
	return wireFullChat{wireChat: c.wire(), MaxReactionCount: 11}, nil
}

func (s *Server) getChatMember(q *query) (any, error) {
	c, err := s.chatOf(q, read)
	if err != nil {
		return nil, err
	}
	id := q.int("user_id")
	switch {
	case id == 0:
		return nil, badRequest("invalid user_id specified")
	case id == s.bot.ID:
		bot := s.bot
		return wireStanding(&bot, c.botState), nil
	case s.users[id] == nil:
		return nil, badRequest("PARTICIPANT_ID_INVALID")
	}
	u := s.users[id]
	return wireStanding(u.profile(), c.standing(u)), nil
}

func (s *Server) getChatMemberCount(q *query) (any, error) {
	c, err := s.chatOf(q, read)
	if err != nil {
		return nil, err
	}
	n := 1 // the bot
	for _, status := range c.members {
		if status != "left" && status != "kicked" {
			n++
		}
	}
	return n, nil
}

func (s *Server) getChatAdministrators(q *query) (any, error) {
	c, err := s.chatOf(q, read)
	if err != nil {
		return nil, err
	}
	if c.kind == kindPrivate {
		return nil, badRequest("there are no administrators in the private chat")
	}
	out := []wireMember{}
	for id, status := range c.members {
		if u := s.users[id]; u != nil && (status == "administrator" || status == "creator") {
			out = append(out, wireStanding(u.profile(), status))
		}
	}
	if c.botState == "administrator" {
		bot := s.bot
		out = append(out, wireStanding(&bot, c.botState))
	}
	return out, nil
}

func (s *Server) leaveChat(q *query) (any, error) {
	c, err := s.chatOf(q, read)
	if err != nil {
		return nil, err
	}
	if c.kind == kindPrivate {
		return nil, badRequest("chat member status can't be changed in private chats")
	}
	c.botState = "left"
	s.record(q, Delivery{Kind: Left, Chat: c.id})
	return true, nil
}
