//go:build wasip1

package telegram

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
)

// send meets a refusal that names what is in the way at once with the same part
// without it, each way once.
func send(c *guest.Call) (wire.Out, error) {
	p, o := guest.PartOf(c.Part), codec.Options{}
	for {
		k, err := codec.Encode(p, o)
		if err != nil {
			return wire.Out{}, guest.Errorf(channels.Rejected, err.Error())
		}
		a, err := call(c, k)
		if err != nil {
			return wire.Out{}, err
		}
		if a.OK {
			return guest.Sent(receipt(p, a)), nil
		}
		next := changed(o, a)
		if next == o {
			return wire.Out{}, refused(a)
		}
		if next.Chat != o.Chat {
			if err := moved(c, p.To.Conversation, next.Chat); err != nil {
				return wire.Out{}, err
			}
		}
		o = next
	}
}

// changed is o with the change that a refusal asks for.
func changed(o codec.Options, a codec.Answer) codec.Options {
	switch a.Again {
	case codec.AgainMoved:
		o.Chat = channels.ConversationID(strconv.FormatInt(a.MovedTo, 10))
	case codec.AgainNoThread:
		o.NoThread = true
	case codec.AgainNoReply:
		o.NoReply = true
	case codec.AgainCaption:
		o.Caption = true
	case codec.AgainAsDocument:
		o.AsDocument = true
	case codec.AgainNot:
	}
	return o
}

// receipt reads what was sent: a message, an album's messages, or true.
func receipt(p channels.Part, a codec.Answer) channels.Receipt {
	type sent struct {
		ID   int64 `json:"message_id"`
		Date int64 `json:"date"`
	}
	var one sent
	if json.Unmarshal(a.Result, &one) != nil {
		var album []sent
		if json.Unmarshal(a.Result, &album) == nil && len(album) > 0 {
			one = album[0]
		}
	}
	r := channels.Receipt{ID: p.Replaces, At: time.Now()}
	if one.ID != 0 {
		r.ID = channels.MessageID(strconv.FormatInt(one.ID, 10))
	}
	if one.Date != 0 && p.Replaces == "" {
		r.At = time.Unix(one.Date, 0)
	}
	return r
}

// small makes a call that was written with err.
func small(c *guest.Call, k codec.Call, err error) (wire.Out, error) {
	if err != nil {
		return wire.Out{}, guest.Errorf(channels.Rejected, err.Error())
	}
	a, err := call(c, k)
	if err == nil && !a.OK {
		err = refused(a)
	}
	return wire.Out{}, err
}

func react(c *guest.Call) (wire.Out, error) {
	k, err := codec.React(*c.At, c.ID, c.Emoji)
	return small(c, k, err)
}

func typing(c *guest.Call) (wire.Out, error) {
	k, err := codec.Typing(*c.At)
	return small(c, k, err)
}

func remove(c *guest.Call) (wire.Out, error) {
	k, err := codec.Delete(*c.At, c.ID)
	return small(c, k, err)
}

// answer ends a press. One that is too old has no spinner any more.
func answer(c *guest.Call) (wire.Out, error) {
	const longest = 200
	err := invoke(c, "answerCallbackQuery", struct {
		ID   string `json:"callback_query_id"`
		Text string `json:"text,omitempty"`
	}{c.Press.Query, cut(c.Text, longest-1)}, nil)
	if e, ok := err.(*guest.Error); ok && e.Code == string(channels.Gone) {
		err = nil
	}
	return wire.Out{}, err
}

func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + "…"
	}
	return s
}

// fetch finds a file's place and has the host open it.
func fetch(c *guest.Call) (wire.Out, error) {
	if c.File.Ref == "" {
		return wire.Out{}, guest.Errorf(channels.Rejected, "the file has no reference")
	}
	if c.File.Size > codec.MaxFetch {
		return wire.Out{}, guest.Errorf(channels.Rejected, "the file is larger than bots may download (20 MB)")
	}
	s, err := config(c)
	if err != nil {
		return wire.Out{}, err
	}
	var meta struct {
		Path string `json:"file_path"`
	}
	if err := invoke(c, "getFile", map[string]string{"file_id": c.File.Ref}, &meta); err != nil {
		return wire.Out{}, err
	}
	if !plainPath(meta.Path) {
		return wire.Out{}, guest.Errorf(channels.Rejected, "the server does not offer the file for download")
	}
	resp, body, err := c.Do(wire.Request{URL: s.BaseURL + "/file/bot{token}/" + meta.Path, Save: true, Repeatable: true}, nil)
	switch {
	case err != nil:
		return wire.Out{}, guest.Lost(err)
	case resp.File != "":
		return wire.Out{File: resp.File}, nil
	case resp.Status == 404:
		return wire.Out{}, guest.Errorf(channels.Gone, "the file no longer exists")
	}
	return wire.Out{}, refused(codec.Classify(resp.Status, body, true))
}

// plainPath reports whether a path stays where it is put. A self-hosted server
// in its local mode gives absolute ones, to files on its own disk.
func plainPath(s string) bool {
	return s != "" && !strings.HasPrefix(s, "/") && path.Clean(s) == s && !strings.HasPrefix(s, "..") && !strings.ContainsAny(s, "?#%\\{}")
}

func probe(c *guest.Call) (wire.Out, error) {
	u, err := getMe(c)
	if err != nil {
		return wire.Out{}, err
	}
	who := channels.Identity{
		Account: channels.AccountID(strconv.FormatInt(u.ID, 10)),
		Name:    strings.TrimSpace(u.FirstName + " " + u.LastName), Handle: u.Username, Link: "https://t.me/" + u.Username,
	}
	if !u.Groups {
		who.Notes = append(who.Notes, "The bot cannot be added to groups. To change that: @BotFather, /setjoingroups, Enable.")
	}
	if !u.ReadsAll {
		who.Notes = append(who.Notes, "Privacy mode is on: in groups the bot sees only commands, replies to it and messages that mention it. "+
			"To change that: @BotFather, /setprivacy, Disable; then remove the bot from each group and add it again.")
	}
	return wire.Out{Identity: &who}, nil
}

func startLink(c *guest.Call) (wire.Out, error) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
	if n := len(c.Code); n == 0 || n > 64 || strings.Trim(c.Code, letters) != "" {
		return wire.Out{}, guest.Errorf(channels.Rejected, "a start code is 1 to 64 letters, digits, _ and -")
	}
	me, err := self(c)
	return wire.Out{Link: "https://t.me/" + me.Username + "?start=" + c.Code}, err
}

// commands asks the platform only when the list has changed since it was last
// set for this bot.
func commands(c *guest.Call) (wire.Out, error) {
	me, err := self(c)
	if err != nil {
		return wire.Out{}, err
	}
	type command struct {
		Name string `json:"command"`
		Help string `json:"description"`
	}
	list := make([]command, 0, len(c.In.Commands))
	for _, s := range c.In.Commands {
		help := strings.TrimSpace(s.Help)
		if s.Args != "" {
			help = s.Args + " " + help
		}
		list = append(list, command{strings.ToLower(s.Name), cut(help, 255)})
	}
	in := map[string]any{"commands": list}
	b, err := json.Marshal(in)
	if err != nil {
		return wire.Out{}, err
	}
	sum := sha256.Sum256(b)
	key, hash := "commands/"+strconv.FormatInt(me.ID, 10), hex.EncodeToString(sum[:])
	if old, err := c.Get(key); err == nil && string(old) == hash {
		return wire.Out{}, nil
	}
	if err := invoke(c, "setMyCommands", in, nil); err != nil {
		return wire.Out{}, err
	}
	return wire.Out{}, c.Put(key, []byte(hash))
}
