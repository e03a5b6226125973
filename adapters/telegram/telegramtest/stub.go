package telegramtest

import "net/http"

type fileStore struct{}

// File is a file of a message.
type File struct {
	Kind  string `json:"kind"`
	Name  string `json:"name,omitempty"`
	MIME  string `json:"mime,omitempty"`
	ID    string `json:"id"`
	Bytes []byte `json:"bytes,omitempty"`
}

type limiter struct{}

func (s *Server) limited(*query) error                      { return nil }
func (s *Server) serveFile(w http.ResponseWriter, _ string) {}
func parseMarkdown(text string) (formatted, error)          { return formatted{text: text}, nil }
func parseOldMarkdown(text string) (formatted, error)       { return formatted{text: text}, nil }
