//go:build wasip1

package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"

	"teams/gatehouse"
)

// Files exist in personal chats alone. One that comes in lies in its sender's
// OneDrive, and a link to it that needs no sign-in comes with the message. One that
// goes out is offered first; the host keeps it until the person agrees, which is
// when Teams says where it may be uploaded.

const (
	fileInfo    = "application/vnd.microsoft.teams.file.download.info"
	fileConsent = "application/vnd.microsoft.teams.card.file.consent"
	fileCard    = "application/vnd.microsoft.teams.card.file.info"
)

// files are those of a message.
func files(a activity) (all []gatehouse.File) {
	for _, x := range a.Attachments {
		switch {
		case x.Type == fileInfo:
			content, _ := x.Content.(map[string]any)
			link, _ := content["downloadUrl"].(string)
			kind := types[strings.ToLower(path.Ext(x.Name))]
			all = append(all, gatehouse.File{Kind: class(kind), Name: x.Name, MIME: kind, Ref: link})
		case strings.HasPrefix(x.Type, "image/") && x.URL != "":
			all = append(all, gatehouse.File{Kind: "photo", Name: x.Name, MIME: x.Type, Ref: x.URL})
		}
	}
	return all
}

// types are those of files that are shown as something else than a document.
var types = map[string]string{
	".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp",
	".mp3": "audio/mpeg", ".m4a": "audio/mp4", ".wav": "audio/wav", ".ogg": "audio/ogg", ".mp4": "video/mp4", ".mov": "video/quicktime",
}

func class(kind string) string {
	switch before, _, _ := strings.Cut(kind, "/"); before {
	case "image":
		return "photo"
	case "audio", "video":
		return before
	}
	return "document"
}

// fetch saves a file past this guest. The host lets requests go to the
// organisation's files and to the Bot Connector, and to nobody else.
func fetch(c *gatehouse.Call) (gatehouse.Out, error) {
	if c.File == nil || c.File.Ref == "" {
		return gatehouse.Out{}, gatehouse.Failed("gone", "the message named no place for the file")
	}
	resp, answer, err := c.Do(gatehouse.Request{URL: c.File.Ref, Save: true, Repeatable: true, TimeoutMS: 55_000}, nil)
	switch err {
	case nil:
		return gatehouse.Out{File: resp.File}, check(resp, answer, nil)
	case gatehouse.Denied:
		return gatehouse.Out{}, gatehouse.Failed("rejected", "the file does not lie where files_url says")
	}
	return gatehouse.Out{}, gatehouse.Failed("transient", "the file does not come")
}

func offerKey(key, room string) string { return "offer/" + key + "/" + room }

// offer asks whether somebody wants a file, and keeps it until they say.
func offer(c *gatehouse.Call, p gatehouse.Part) ([]attachment, error) {
	f := p.Files[0] // there is one in each part: max_album
	key := offerKey(p.Key, p.To.Conversation)
	if err := c.Keep(key, f.Handle); err != nil {
		return nil, err
	}
	if err := c.Put(key, fmt.Appendf(nil, "%d/%d", f.Size-1, f.Size)); err != nil { // as the upload says it
		return nil, err
	}
	answer := map[string]string{"offer": p.Key}
	return []attachment{{Type: fileConsent, Name: first(f.Name, "file"), Content: map[string]any{
		"description": "", "sizeInBytes": f.Size, "acceptContext": answer, "declineContext": answer,
	}}}, nil
}

// transfer is an upload that was agreed on.
type transfer struct {
	Key  string    `json:"key"` // of the offer
	Room string    `json:"room"`
	Card string    `json:"card"` // the message that offered it
	To   string    `json:"to"`
	URL  string    `json:"url"`
	Name string    `json:"name"`
	ID   string    `json:"id"`
	Type string    `json:"type"`
	From time.Time `json:"from"` // since when it is tried
}

const transfers = "agreed"

// agreed are the uploads that are to be made, by the names of their timers.
func agreed(c *gatehouse.Call) (map[string]transfer, error) {
	all := map[string]transfer{}
	b, err := c.Get(transfers)
	if err == nil && b != nil {
		err = json.Unmarshal(b, &all)
	}
	return all, err
}

func keep(c *gatehouse.Call, all map[string]transfer) error {
	b, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return c.Put(transfers, b)
}

// consent is what the person said. Teams waits for some seconds only, so that the
// upload is made by a timer.
func consent(c *gatehouse.Call, a activity) error {
	var v struct {
		Action  string `json:"action"`
		Context struct {
			Offer string `json:"offer"`
		} `json:"context"`
		Upload struct {
			Content string `json:"contentUrl"`
			Name    string `json:"name"`
			URL     string `json:"uploadUrl"`
			ID      string `json:"uniqueId"`
			Type    string `json:"fileType"`
		} `json:"uploadInfo"`
	}
	room, _ := where(a.Conversation.ID)
	if json.Unmarshal(a.Value, &v) != nil || v.Context.Offer == "" {
		return gatehouse.Failed("rejected", "it is no answer to an offer")
	}
	key := offerKey(v.Context.Offer, room)
	if v.Action != "accept" {
		return c.Put(key, nil)
	}
	all, err := agreed(c)
	if err != nil {
		return err
	}
	name := "upload/" + a.ID
	name = name[:min(len(name), 64)]
	all[name] = transfer{
		Key: key, Room: room, Card: a.ReplyTo, To: v.Upload.URL, URL: v.Upload.Content, Name: v.Upload.Name, ID: v.Upload.ID, Type: v.Upload.Type, From: a.At,
	}
	if err := keep(c, all); err != nil {
		return err
	}
	return c.SetTimer(name, time.Millisecond)
}

// upload makes an upload that was agreed on, shows the file, and takes the offer
// away.
func upload(c *gatehouse.Call) (gatehouse.Out, error) {
	all, err := agreed(c)
	if err != nil {
		return gatehouse.Out{}, err
	}
	t, ok := all[c.Timer]
	if !ok {
		return gatehouse.Out{}, nil
	}
	again, err := deliver(c, t)
	if again {
		c.Log("an upload is tried again")
		return gatehouse.Out{}, c.SetTimer(c.Timer, 30*time.Second)
	}
	if err != nil {
		c.Log("an upload is given up: " + err.Error())
	}
	if all, err = agreed(c); err != nil { // others may have agreed meanwhile
		return gatehouse.Out{}, err
	}
	delete(all, c.Timer)
	if err := keep(c, all); err != nil {
		return gatehouse.Out{}, err
	}
	return gatehouse.Out{}, c.Put(t.Key, nil)
}

// deliver reports whether it may go better later.
func deliver(c *gatehouse.Call, t transfer) (again bool, err error) {
	const day = 24 * time.Hour // an upload's address lives no longer
	to, err := activities(c, t.Room)
	if err != nil {
		return false, err
	}
	size, err := c.Get(t.Key)
	if err != nil || size == nil {
		return false, gatehouse.Failed("gone", "the file is not kept any more")
	}
	r := gatehouse.Request{Method: "PUT", URL: t.To, File: "kept:" + t.Key, Repeatable: true, TimeoutMS: 55_000, Headers: map[string]string{
		"content-type": "application/octet-stream", "content-range": "bytes 0-" + string(size),
	}}
	resp, answer, err := c.Do(r, nil)
	if err == nil {
		err = check(resp, answer, nil)
	}
	if err != nil {
		return time.Since(t.From) < day && (resp.Status == 0 || resp.Status >= 500 || resp.Status == 429), err
	}
	card := outgoing{Type: "message", Attachments: []attachment{{
		Type: fileCard, URL: t.URL, Name: t.Name, Content: map[string]string{"uniqueId": t.ID, "fileType": t.Type},
	}}}
	if err := do(c, gatehouse.Request{Method: "POST", URL: to}, card, nil); err != nil || t.Card == "" {
		return false, err
	}
	return false, do(c, gatehouse.Request{Method: "DELETE", URL: to + "/" + url.PathEscape(t.Card), Repeatable: true}, nil, nil)
}
