package telegramtest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// call carries out one method. The server's lock is held.
type call func(s *Server, q *query) (any, error)

// methods is the table of what the emulator knows. It is a function since the
// answers of webhooks may call methods too.
func methods() map[string]call {
	return map[string]call{
		"getme":                  (*Server).getMe,
		"sendmessage":            (*Server).sendMessage,
		"sendmessagedraft":       (*Server).sendMessageDraft,
		"editmessagetext":        (*Server).editMessageText,
		"editmessagereplymarkup": (*Server).editMessageReplyMarkup,
		"deletemessage":          (*Server).deleteMessage,
		"deletemessages":         (*Server).deleteMessages,
		"sendchataction":         (*Server).sendChatAction,
		"setmycommands":          (*Server).setMyCommands,
		"getmycommands":          (*Server).getMyCommands,
		"deletemycommands":       (*Server).deleteMyCommands,
		"editmessagecaption":     (*Server).editMessageCaption,
		"sendphoto":              sendFile("photo"),
		"senddocument":           sendFile("document"),
		"sendvoice":              sendFile("voice"),
		"sendaudio":              sendFile("audio"),
		"sendvideo":              sendFile("video"),
		"sendanimation":          sendFile("animation"),
		"sendvideonote":          sendFile("video_note"),
		"sendsticker":            sendFile("sticker"),
		"sendmediagroup":         (*Server).sendMediaGroup,
		"getfile":                (*Server).getFile,
		"setmessagereaction":     (*Server).setMessageReaction,
		"answercallbackquery":    (*Server).answerCallbackQuery,
		"getchat":                (*Server).getChat,
		"getchatmember":          (*Server).getChatMember,
		"getchatmembercount":     (*Server).getChatMemberCount,
		"getchatadministrators":  (*Server).getChatAdministrators,
		"leavechat":              (*Server).leaveChat,
		"createforumtopic":       (*Server).createForumTopic,
		"setwebhook":             (*Server).setWebhook,
		"deletewebhook":          (*Server).setWebhook,
		"getwebhookinfo":         (*Server).getWebhookInfo,
	}
}

var _ http.Handler = (*Server)(nil)

// ServeHTTP takes one request of the bot. It is there for tests without a
// network; a started server serves itself.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if rest, ok := strings.CutPrefix(r.URL.Path, "/file/bot"); ok {
		s.serveFile(w, r, rest)
		return
	}
	rest, ok := strings.CutPrefix(r.URL.Path, "/bot")
	token, name, found := strings.Cut(rest, "/")
	if !ok || !found || !strings.Contains(token, ":") {
		writeError(w, &apiError{code: http.StatusNotFound, description: "Not Found"})
		return
	}
	q, err := decodeQuery(r, strings.TrimPrefix(name, "/"), s.options.maxUpload)
	switch {
	case errors.Is(err, errBodyTooLarge):
		w.Header().Set("Connection", "close")
		writeError(w, &apiError{code: http.StatusRequestEntityTooLarge, description: "Request Entity Too Large"})
	case errors.Is(err, errBodyBroken):
		writeError(w, badRequest("can't parse the request"))
	case err != nil: // the caller went away while sending
	case token != s.token:
		writeError(w, &apiError{code: http.StatusUnauthorized, description: "Unauthorized"})
	default:
		if q.method == "" {
			q.name = q.str("method")
			q.method = strings.ToLower(q.name)
		}
		s.answer(w, r, q)
	}
}

// answer carries a call out, under the faults and limits that are set.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, q *query) {
	plan := s.plan(q)
	// What has arrived is carried out, whether or not the caller still lives.
	if !s.pause(context.WithoutCancel(r.Context()), plan.wait) {
		cut(w, nil)
		return
	}
	if plan.before != nil {
		plan.before.act(s, w, r, nil)
		s.count(q, plan.before.status())
		return
	}
	result, err := s.run(r, q)
	if errors.Is(err, errGone) {
		cut(w, nil)
		return
	}
	body, status := encodeAnswer(result, err)
	s.count(q, status)
	if err != nil {
		s.refuse(q, err)
	}
	if !s.pause(r.Context(), plan.waitAfter) {
		cut(w, nil)
		return
	}
	if plan.after != nil {
		plan.after.act(s, w, r, body)
		return
	}
	writeAnswer(w, status, body, err)
}

// errGone says that the caller hung up and nobody is left to answer.
var errGone = errors.New("caller is gone")

func (s *Server) run(r *http.Request, q *query) (any, error) {
	if q.method == "getupdates" {
		return s.getUpdates(r.Context(), q)
	}
	do, ok := s.methods[q.method]
	if !ok {
		return nil, &apiError{code: http.StatusNotFound, description: "Not Found: method not found"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.limited(q); err != nil {
		return nil, err
	}
	return do(s, q)
}

// described is a result with a description, which the platform adds here and there.
type described struct {
	result      any
	description string
}

// encodeAnswer writes the envelope round a result or an error.
func encodeAnswer(result any, err error) ([]byte, int) {
	if raw, ok := result.(json.RawMessage); ok && err == nil {
		out := make([]byte, 0, len(raw)+24)
		out = append(out, `{"ok":true,"result":`...)
		return append(append(out, raw...), '}'), http.StatusOK
	}
	answer := wireAnswer{OK: err == nil, Result: result}
	if told, ok := result.(described); ok {
		answer.Result, answer.Description = told.result, told.description
	}
	status := http.StatusOK
	if err != nil {
		failed := asAPIError(err)
		status = failed.code
		answer = wireAnswer{ErrorCode: failed.code, Description: failed.description}
		if failed.retryAfter != 0 || failed.migrateTo != 0 {
			answer.Parameters = &wireParameters{MigrateTo: failed.migrateTo, RetryAfter: failed.retryAfter}
		}
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return []byte(`{"ok":false,"error_code":500,"description":"Internal Server Error"}`), http.StatusInternalServerError
	}
	return body, status
}

func asAPIError(err error) *apiError {
	var failed *apiError
	if errors.As(err, &failed) {
		return failed
	}
	return &apiError{code: http.StatusInternalServerError, description: "Internal Server Error: " + err.Error()}
}

func writeAnswer(w http.ResponseWriter, status int, body []byte, err error) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if err != nil {
		if failed := asAPIError(err); failed.retryAfter > 0 {
			h.Set("Retry-After", strconv.Itoa(failed.retryAfter))
		}
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller may be gone, which is its own business
}

func writeError(w http.ResponseWriter, err *apiError) {
	body, status := encodeAnswer(nil, err)
	writeAnswer(w, status, body, err)
}

// Refusal is a call that was answered with an error.
type Refusal struct {
	At          time.Time `json:"at"`
	Method      string    `json:"method"`
	Chat        string    `json:"chat,omitempty"` // chat_id as sent
	Code        int       `json:"code"`
	Description string    `json:"description"`
}

// keptRefusals bounds the memory of a server that runs for long.
const keptRefusals = 10_000

type callCount struct {
	method string // lower case
	status int
}

func (s *Server) count(q *query, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[callCount{q.method, status}]++
}

func (s *Server) refuse(q *query, err error) {
	failed := asAPIError(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.refused) < keptRefusals {
		s.refused = append(s.refused, Refusal{s.now(), q.name, q.str("chat_id"), failed.code, failed.description})
	}
}

// Calls counts the calls of a method that the server has answered or cut off,
// however they ended; "" counts all.
func (s *Server) Calls(method string) int {
	method = strings.ToLower(method)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for key, times := range s.calls {
		if method == "" || key.method == method {
			n += times
		}
	}
	return n
}

// Refused lists the calls that the server itself answered with an error (not
// those that a fault answered), up to the first 10,000.
func (s *Server) Refused() []Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Refusal(nil), s.refused...)
}
