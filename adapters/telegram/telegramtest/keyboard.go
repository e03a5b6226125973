package telegramtest

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// Button is one button of an inline keyboard.
type Button struct {
	Text         string          `json:"text"`
	URL          string          `json:"url,omitempty"`
	Data         string          `json:"callback_data,omitempty"`
	CopyText     json.RawMessage `json:"copy_text,omitempty"`
	WebApp       json.RawMessage `json:"web_app,omitempty"`
	LoginURL     json.RawMessage `json:"login_url,omitempty"`
	SwitchInline *string         `json:"switch_inline_query,omitempty"`
	SwitchHere   *string         `json:"switch_inline_query_current_chat,omitempty"`
	Style        string          `json:"style,omitempty"`
}

// maxCallback is the most that a button may carry, in bytes.
const maxCallback = 64

// keyboardOf reads reply_markup: nil unless it is an inline keyboard. What the
// platform's server itself refuses is refused by checkButtons, later.
func keyboardOf(q *query) (*wireInlineKeyboard, error) {
	raw := q.str("reply_markup")
	if raw == "" {
		return nil, nil
	}
	if !json.Valid([]byte(raw)) {
		return nil, badRequest("can't parse reply keyboard markup JSON object")
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal([]byte(raw), &fields) != nil {
		return nil, badRequest("object expected as reply markup")
	}
	inline, ok := fields["inline_keyboard"]
	if !ok || string(inline) == "null" {
		return nil, nil
	}
	var rows [][]json.RawMessage
	if json.Unmarshal(inline, &rows) != nil {
		return nil, badRequest(`field "inline_keyboard" of the InlineKeyboardMarkup must be an Array of Arrays`)
	}
	board := &wireInlineKeyboard{}
	for _, row := range rows {
		var buttons []Button
		for _, one := range row {
			b, err := parseButton(one)
			if err != nil {
				return nil, err
			}
			buttons = append(buttons, b)
		}
		if len(buttons) > 0 {
			board.Rows = append(board.Rows, buttons)
		}
	}
	if len(board.Rows) == 0 {
		return nil, nil
	}
	return board, nil
}

func parseButton(raw json.RawMessage) (Button, error) {
	const prefix = "can't parse inline keyboard button: "
	var b Button
	if len(raw) == 0 || raw[0] != '{' {
		return b, badRequest(prefix + "InlineKeyboardButton must be an Object")
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &b) != nil || json.Unmarshal(raw, &fields) != nil {
		return b, badRequest(prefix + "Field of a wrong type")
	}
	if _, ok := fields["text"]; !ok {
		return b, badRequest(prefix + `Can't find field "text"`)
	}
	acts := b.URL != "" || b.Data != "" || len(b.CopyText) > 0 || len(b.WebApp) > 0 || len(b.LoginURL) > 0 ||
		b.SwitchInline != nil || b.SwitchHere != nil
	for _, other := range []string{"pay", "callback_game", "switch_inline_query_chosen_chat"} {
		_, ok := fields[other]
		acts = acts || ok
	}
	if !acts {
		return b, badRequest(prefix + "Text buttons are unallowed in the inline keyboard")
	}
	return b, nil
}

// checkButtons applies the rules of the platform's server.
func checkButtons(board *wireInlineKeyboard) error {
	if board == nil {
		return nil
	}
	count := 0
	for _, b := range slices.Concat(board.Rows...) {
		count++
		switch {
		case strings.TrimSpace(b.Text) == "":
			return badRequest("BUTTON_TEXT_INVALID")
		case len(b.Data) > maxCallback:
			return badRequest("BUTTON_DATA_INVALID")
		case b.URL != "" && !validButtonURL(b.URL):
			return badRequest("BUTTON_URL_INVALID")
		}
	}
	if count > 100 {
		return badRequest("reply markup is too long")
	}
	return nil
}

func validButtonURL(raw string) bool {
	if strings.HasPrefix(strings.ToLower(raw), "tg:") {
		return true
	}
	u, err := url.Parse(raw)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && strings.Contains(u.Hostname(), ".")
}

func (m *stored) buttons() []Button {
	if m.ReplyMarkup == nil {
		return nil
	}
	return slices.Concat(m.ReplyMarkup.Rows...)
}

func sameKeyboard(a, b *wireInlineKeyboard) bool {
	left, _ := json.Marshal(a)
	right, _ := json.Marshal(b)
	return string(left) == string(right)
}
