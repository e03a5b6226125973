package agenttest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
)

// maxRecording bounds a recording, in bytes.
const maxRecording = 32 << 20

// Heard is what the server writes down of a recording: something else for each.
func Heard(recording []byte) string {
	sum := sha256.Sum256(recording)
	return "the recording " + hex.EncodeToString(sum[:8])
}

// transcribe serves POST /v1/audio/transcriptions.
func (s *Server) transcribe(w http.ResponseWriter, r *http.Request) {
	if !s.allowed(w, r, openAI{}) {
		return
	}
	content, _, err := r.FormFile("file")
	if err != nil || r.FormValue("model") == "" {
		refuse(w, openAI{}, http.StatusBadRequest, "invalid_request_error", "")
		return
	}
	defer func() { _ = content.Close() }()
	b, err := io.ReadAll(io.LimitReader(content, maxRecording))
	if err != nil {
		refuse(w, openAI{}, http.StatusBadRequest, "invalid_request_error", "")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"text": Heard(b)}) // the client is gone; there is nobody to tell
}
