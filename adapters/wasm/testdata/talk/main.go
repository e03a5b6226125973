//go:build wasip1

// Command talk is a guest whose platform speaks over a WebSocket: it must
// identify with a token that it never sees, beat in time, and resume where it
// was. Files go over HTTP, whole or in parts.
package main

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
)

type frame struct {
	Op      string         `json:"op"`
	Seq     int            `json:"s,omitempty"`
	Session string         `json:"session,omitempty"`
	Text    string         `json:"text,omitempty"`
	Every   int64          `json:"every,omitempty"`
	Key     string         `json:"key,omitempty"`
	File    string         `json:"file,omitempty"`
	Size    int64          `json:"size,omitempty"`
	D       map[string]any `json:"d,omitempty"`
}

type config struct {
	BaseURL   string `json:"base_url"`
	Ticket    bool   `json:"ticket"`
	Elsewhere string `json:"elsewhere"`
	Parts     bool   `json:"parts"`
}

func main() {}

//go:wasmexport gw1_handle
func handle(op, n uint32) int32 {
	return guest.Handle(op, n, guest.Bot{
		Start: start, Open: open, Messages: messages, Closed: closed, Timer: beat, Send: send, Fetch: fetch, Shutdown: shutdown,
	})
}

func settings(c *guest.Call) (s config) {
	_ = json.Unmarshal(c.Config, &s)
	return s
}

func start(*guest.Call) (wire.Out, error) { return wire.Out{As: "@talk"}, nil }

func open(c *guest.Call) (wire.Out, error) {
	s := settings(c)
	if err := say(c, wire.SocketSend{After: "commit"}, frame{Op: "first"}); err != nil {
		return wire.Out{}, err
	}
	switch {
	case c.Socket.Response != nil:
		return wire.Out{}, guest.Errorf(channels.Unauthorized, "no ticket: status "+strconv.Itoa(c.Socket.Response.Status))
	case s.Ticket:
		return wire.Out{
			Request: &wire.Request{Method: "POST", URL: s.BaseURL + "/ticket"}, Socket: &wire.Connect{URLAt: "/url"},
		}, nil
	case s.Elsewhere != "":
		return wire.Out{Socket: &wire.Connect{URL: s.Elsewhere}}, nil
	}
	return wire.Out{}, nil
}

func messages(c *guest.Call) (wire.Out, error) {
	for _, m := range c.SocketMessages() {
		var f frame
		if err := json.Unmarshal(m, &f); err != nil {
			return wire.Out{}, err
		}
		if err := take(c, f); err != nil {
			return wire.Out{}, err
		}
	}
	return wire.Out{}, nil
}

func take(c *guest.Call, f frame) error {
	switch f.Op {
	case "hello":
		if err := c.SetTimer(wire.TimerSet{Name: "beat", EveryMS: f.Every}); err != nil {
			return err
		}
		return identify(c)
	case "ready":
		return c.Put("session", []byte(f.Session))
	case "reconnect":
		return c.HangUp()
	case "event":
		session, err := c.Get("session")
		if err != nil {
			return err
		}
		m := channels.Message{ID: channels.MessageID(strconv.Itoa(f.Seq)), Text: f.Text}
		if f.File != "" {
			m.Files = []channels.File{{Ref: f.File, Name: "file", Size: f.Size, Kind: channels.Document}}
		}
		at := channels.Address{Channel: c.Channel, Account: "talk", Conversation: "room"}
		err = c.Emit(channels.Event{
			Key: string(session) + "/" + strconv.Itoa(f.Seq), At: time.Now(), Account: "talk", Where: at,
			Room: channels.Room{Direct: true}, Addressed: true, Who: channels.Sender{ID: "1", Name: "Ada"}, Content: m,
		})
		if err != nil {
			return err
		}
		if err := c.Put("seq", []byte(strconv.Itoa(f.Seq))); err != nil {
			return err
		}
		return say(c, wire.SocketSend{After: "commit"}, frame{Op: "ack", Seq: f.Seq})
	}
	return nil
}

func identify(c *guest.Call) error {
	session, err := c.Get("session")
	if err != nil {
		return err
	}
	f := frame{Op: "identify", D: map[string]any{"big": json.Number("12345678901234567890")}}
	if session != nil {
		f.Op, f.Session = "resume", string(session)
		f.Seq = place(c)
	}
	return say(c, wire.SocketSend{Credential: true}, f)
}

func place(c *guest.Call) int {
	b, _ := c.Get("seq")
	n, _ := strconv.Atoi(string(b))
	return n
}

func say(c *guest.Call, how wire.SocketSend, f frame) error {
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return c.Say(how, b)
}

func beat(c *guest.Call) (wire.Out, error) {
	return wire.Out{}, say(c, wire.SocketSend{}, frame{Op: "beat", Seq: place(c)})
}

func closed(c *guest.Call) (wire.Out, error) {
	if c.Socket.Code == 4004 {
		return wire.Out{}, guest.Errorf(channels.Unauthorized, "the platform refuses the token")
	}
	return wire.Out{}, nil
}

func shutdown(c *guest.Call) (wire.Out, error) { return wire.Out{}, c.Put("stopped", []byte("yes")) }

func send(c *guest.Call) (wire.Out, error) {
	if c.Part.Text == "what was kept" {
		if err := upload(c, wire.File{Handle: "kept:later/1"}); err != nil {
			return wire.Out{}, err
		}
		if err := c.Put("later/1", nil); err != nil {
			return wire.Out{}, err
		}
	}
	for _, f := range c.Part.Files {
		if c.Part.Text == "keep it" {
			if err := c.Keep("later/1", f.Handle); err != nil {
				return wire.Out{}, err
			}
			continue
		}
		if err := upload(c, f); err != nil {
			return wire.Out{}, err
		}
	}
	err := say(c, wire.SocketSend{}, frame{Op: "say", Text: c.Part.Text, Key: c.Part.Key})
	if err == guest.Unavailable {
		return wire.Out{}, guest.Errorf(channels.Transient, "not connected")
	}
	if err != nil {
		return wire.Out{}, guest.Errorf(channels.Ambiguous, err.Error())
	}
	return wire.Out{Receipt: &channels.Receipt{ID: channels.MessageID("sent-" + c.Part.Key), At: time.Now()}}, nil
}

// upload sends a file as it is, or piece by piece.
func upload(c *guest.Call, f wire.File) error {
	s := settings(c)
	if !s.Parts {
		_, _, err := c.Do(wire.Request{Method: "POST", URL: s.BaseURL + "/upload", File: f.Handle}, nil)
		return err
	}
	for n := 0; ; n++ {
		part, err := c.ReadFile(f.Handle, 2<<20)
		if err != nil {
			return err
		}
		if len(part) == 0 {
			return nil
		}
		if _, _, err := c.Do(wire.Request{Method: "POST", URL: s.BaseURL + "/upload", Repeatable: true}, part); err != nil {
			return err
		}
	}
}

func fetch(c *guest.Call) (wire.Out, error) {
	s := settings(c)
	if !s.Parts {
		resp, _, err := c.Do(wire.Request{URL: s.BaseURL + "/file", Save: true}, nil)
		return wire.Out{File: resp.File}, err
	}
	handle := ""
	for at := 0; ; {
		_, part, err := c.Do(wire.Request{URL: s.BaseURL + "/file?from=" + strconv.Itoa(at)}, nil)
		if err != nil {
			return wire.Out{}, err
		}
		if len(part) == 0 {
			return wire.Out{File: handle}, nil
		}
		at += len(part)
		if handle, err = c.AddFile(handle, part); err != nil {
			return wire.Out{}, err
		}
	}
}
