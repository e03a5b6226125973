package telegramtest

import (
	"fmt"
	"net/http"
	"strings"
)

// apiError is an answer with ok=false.
type apiError struct {
	code        int
	description string
	retryAfter  int   // seconds
	migrateTo   int64 // the supergroup that a group became
}

func (e *apiError) Error() string { return fmt.Sprintf("%d %s", e.code, e.description) }

// badRequest makes a 400. Like the platform it writes the first letter of the
// text small, unless the text is a server constant such as BUTTON_DATA_INVALID.
func badRequest(format string, args ...any) *apiError {
	return &apiError{code: http.StatusBadRequest, description: "Bad Request: " + uncapitalise(fmt.Sprintf(format, args...))}
}

func forbidden(text string) *apiError {
	return &apiError{code: http.StatusForbidden, description: "Forbidden: " + text}
}

func conflict(text string) *apiError {
	return &apiError{code: http.StatusConflict, description: "Conflict: " + text}
}

func tooManyRequests(seconds int) *apiError {
	return &apiError{
		code:        http.StatusTooManyRequests,
		description: fmt.Sprintf("Too Many Requests: retry after %d", seconds),
		retryAfter:  seconds,
	}
}

func uncapitalise(s string) string {
	if len(s) < 2 || s[1] == '_' || (s[1] >= 'A' && s[1] <= 'Z') {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
