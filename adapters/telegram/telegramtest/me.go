package telegramtest

func (s *Server) getMe(*query) (any, error) {
	return wireBot{Profile: s.bot, CanJoinGroups: true, CanReadAllGroupMessages: s.options.readAll}, nil
}
