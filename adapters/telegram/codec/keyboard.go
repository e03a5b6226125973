package codec

import (
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

type keyboard struct {
	Rows [][]button `json:"inline_keyboard"`
}

type button struct {
	Text  string `json:"text"`
	Data  string `json:"callback_data,omitempty"`
	URL   string `json:"url,omitempty"`
	Style string `json:"style,omitempty"`
}

// What fits side by side on a narrow phone: Telegram cuts a label that is too
// wide for its share of the row.
const (
	rowButtons = 4
	rowUnits   = 28 // UTF-16 code units of all labels in a row
)

// buttons lays a part's buttons out in rows; nil for none.
func buttons(list []channels.Button) (*keyboard, error) {
	if len(list) == 0 {
		return nil, nil
	}
	if len(list) > MaxButtons {
		return nil, ErrButtons
	}
	var k keyboard
	var row []button
	width := 0
	for _, b := range list {
		if b.Label == "" || (b.Data == "" && b.URL == "") || len(b.Data) > MaxButtonData {
			return nil, ErrButtons
		}
		w := markup.UTF16.Len(b.Label) + 2
		if len(row) > 0 && (len(row) == rowButtons || width+w > rowUnits) {
			k.Rows = append(k.Rows, row)
			row, width = nil, 0
		}
		row = append(row, asButton(b))
		width += w
	}
	k.Rows = append(k.Rows, row)
	return &k, nil
}

// asButton writes one button. Telegram takes exactly one of data and URL.
func asButton(b channels.Button) button {
	out := button{Text: b.Label, Data: b.Data, URL: b.URL}
	if b.URL != "" {
		out.Data = ""
	}
	switch b.Style {
	case "primary", "success", "danger":
		out.Style = b.Style
	}
	return out
}
