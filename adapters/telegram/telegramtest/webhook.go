package telegramtest

type webhook struct{ url string }

func (h *webhook) active() bool { return h.url != "" }
func (h *webhook) stop()        {}

func (s *Server) dispatch(*update) {}
