package codec

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// files are the files of a message that can be fetched.
func (m *message) files() []channels.File {
	var out []channels.File
	add := func(list []file) {
		for i := range list {
			if f, ok := list[i].file(); ok {
				out = append(out, f)
			}
		}
	}
	add(m.Files)
	for _, a := range m.Attachments {
		if a.IsShare || a.IsMsg {
			add(a.Files)
		}
	}
	return out
}

// file describes an upload. What was deleted, or lies with another service,
// cannot be fetched.
func (f *file) file() (channels.File, bool) {
	if !wellFormed(f.ID) || f.Mode == "tombstone" || f.Mode == "hidden_by_limit" || f.Mode == "external" {
		return channels.File{}, false
	}
	address := f.Download
	if address == "" {
		address = f.Private
	}
	if f.Access == "check_file_info" { // of another team: what stands here is not complete
		address = ""
	}
	if strings.ContainsAny(address, " \t\r\n") || len(address) > 2048 {
		address = ""
	}
	name := f.Name
	if name == "" {
		name = f.Title
	}
	ref := f.ID
	if address != "" {
		ref += " " + address
	}
	return channels.File{Kind: f.kind(), Name: name, MIME: f.MIME, Size: max(f.Size, 0), Ref: ref}, true
}

func (f *file) kind() channels.FileKind {
	kind, _, _ := strings.Cut(f.MIME, "/")
	switch {
	case f.Subtype == "slack_audio":
		return channels.Voice
	case kind == "image":
		return channels.Photo
	case kind == "audio":
		return channels.Audio
	case kind == "video":
		return channels.Video
	}
	return channels.Document
}

// FileRef takes a file's reference apart: its id, and where it can be fetched,
// or "" when that has to be asked for.
func FileRef(ref string) (id, address string) {
	id, address, _ = strings.Cut(ref, " ")
	if !wellFormed(id) {
		return "", ""
	}
	return id, address
}

// ErrTooBigToFetch says that a file is larger than MaxFetch.
var ErrTooBigToFetch = fmt.Errorf("the file is larger than %d MB", MaxFetch>>20)

// CutTeam takes what OfTeam wrote apart: the team, and the file's own reference.
func CutTeam(ref string) (team channels.AccountID, own string, err error) {
	account, own, _ := strings.Cut(ref, "/")
	if id, _ := FileRef(own); id == "" {
		return "", "", errors.New("the file has no reference")
	}
	return channels.AccountID(account), own, nil
}

// ClassifyDownload says why a file's address did not give the file.
func ClassifyDownload(status int, retryAfter string) Answer {
	switch {
	case status == missingThere:
		return noFile
	case status/100 == 3: // to the page where people log in
		return Answer{Kind: channels.Rejected, Reason: "the app may not read the file: it needs the scope files:read"}
	}
	return Classify(status, retryAfter, nil, true)
}
