package channeltest

import "time"

// What Loop's platform and its adapter say to each other. The methods are
// POST /bot{token}/{method} with a JSON body, POST /bot{token}/upload with a
// file's bytes, and GET /bot{token}/file/{id}.
type (
	loopPerson struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}

	// loopUpdate is something that happened. Polls acknowledge every update
	// before their offset.
	loopUpdate struct {
		ID      int64      `json:"id"`
		At      time.Time  `json:"at"`
		Kind    string     `json:"kind"` // message, edit, delete, react, press
		From    loopPerson `json:"from"`
		Chat    string     `json:"chat"`
		Thread  string     `json:"thread,omitempty"`
		Direct  bool       `json:"direct,omitempty"`
		Mention bool       `json:"mention,omitempty"`
		Spoken  bool       `json:"spoken,omitempty"` // the bot has spoken in the thread
		Message string     `json:"message"`
		Text    string     `json:"text,omitempty"`
		ReplyTo string     `json:"reply_to,omitempty"`
		ToBot   bool       `json:"to_bot,omitempty"` // ReplyTo is the bot's
		Files   []loopFile `json:"files,omitempty"`
		Emoji   string     `json:"emoji,omitempty"`
		Data    string     `json:"data,omitempty"`
		Query   string     `json:"query,omitempty"`
	}

	loopFile struct {
		ID   string `json:"id"`
		Kind string `json:"kind"`
		Name string `json:"name"`
		MIME string `json:"mime"`
		Size int64  `json:"size"`
	}

	loopButton struct {
		Label string `json:"label"`
		Data  string `json:"data"`
	}

	loopCommand struct {
		Name string `json:"name"`
		Help string `json:"help"`
		Args string `json:"args"`
	}

	// loopCall is the body of every method; each uses what it needs.
	loopCall struct {
		Offset   int64         `json:"offset,omitempty"`
		Wait     int           `json:"wait,omitempty"` // seconds
		Key      string        `json:"key,omitempty"`
		Chat     string        `json:"chat,omitempty"`
		Thread   string        `json:"thread,omitempty"`
		Message  string        `json:"message,omitempty"`
		Text     string        `json:"text,omitempty"`
		Plain    bool          `json:"plain,omitempty"`
		ReplyTo  string        `json:"reply_to,omitempty"`
		Files    []loopFile    `json:"files,omitempty"`
		Buttons  []loopButton  `json:"buttons,omitempty"`
		Emoji    string        `json:"emoji,omitempty"`
		Query    string        `json:"query,omitempty"`
		Commands []loopCommand `json:"commands,omitempty"`
	}

	loopAnswer struct {
		Error   string       `json:"error,omitempty"`
		Wait    int          `json:"wait,omitempty"` // seconds
		Updates []loopUpdate `json:"updates,omitempty"`
		Message string       `json:"message,omitempty"`
		File    string       `json:"file,omitempty"`
		Name    string       `json:"name,omitempty"`
	}
)

// The limits of Loop's platform.
const (
	loopMaxText    = 2000 // runes of CommonMark
	loopMaxFile    = 8 << 20
	loopMaxAlbum   = 4
	loopMaxButtons = 4
	loopMaxData    = 64
)
