package slacktest

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strings"
)

func (s *Server) uploadURL(q *request) (object, *failure) {
	if q.args["filename"] == "" || number(q.args["length"]) <= 0 {
		return nil, fail("invalid_arguments")
	}
	f := &File{ID: s.idLocked("F"), Name: q.args["filename"], team: q.team, shares: map[string]string{}}
	key := strings.ToLower(s.idLocked("up"))
	s.uploads[key] = &upload{file: f, size: number(q.args["length"])}
	return object{"upload_url": s.root + "/upload/" + key, "file_id": f.ID}, nil
}

// upload takes a file's bytes, as they are or in a form.
func (s *Server) upload(w http.ResponseWriter, r *http.Request, key string) {
	s.mu.Lock()
	s.calls["upload"]++
	hit := s.faultLocked("upload")
	s.mu.Unlock()
	if hit != nil {
		hit.meet(w, r)
		return
	}
	var body []byte
	var err error
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "multipart/form-data" {
		part, _, e := r.FormFile("file")
		if e != nil {
			http.Error(w, "no file", http.StatusBadRequest)
			return
		}
		body, err = io.ReadAll(part)
	} else {
		body, err = io.ReadAll(r.Body)
	}
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.uploads[key]
	if u == nil || int64(len(body)) != u.size {
		http.Error(w, "the size does not fit", http.StatusBadRequest)
		return
	}
	u.file.Body, u.done = body, true
	u.file.MIME = http.DetectContentType(body)
	_, _ = io.WriteString(w, "OK - "+u.file.Name)
}

func (s *Server) completeUpload(q *request) (object, *failure) {
	var list []struct {
		ID    string `json:"id"`
		Title string `json:"title"`
	}
	if json.Unmarshal([]byte(q.args["files"]), &list) != nil || len(list) == 0 {
		return nil, fail("invalid_arguments")
	}
	var files []*File
	var out []object
	for _, x := range list {
		f := s.uploadedLocked(x.ID)
		if f == nil {
			return nil, fail("file_not_found")
		}
		f.Title = x.Title
		files = append(files, f)
		out = append(out, object{"id": f.ID, "title": f.Title, "name": f.Name})
	}
	q.args["channel"] = q.args["channel_id"]
	if q.args["channel"] != "" {
		c, wrong := q.place()
		if wrong != nil {
			return nil, wrong
		}
		m := &message{user: q.team.BotUser, files: files, text: q.args["initial_comment"], subtype: "file_share"}
		if b := q.args["blocks"]; b != "" && m.text == "" {
			if word := wrongBlocks(json.RawMessage(b)); word != "" {
				return nil, fail(word)
			}
			m.blocks = json.RawMessage(b)
		}
		if wrong := c.threadLocked(q, m); wrong != nil {
			return nil, wrong
		}
		c.addedLocked(m)
		for _, f := range files {
			f.shares[c.id] = m.ts
		}
	}
	for _, f := range files {
		s.files[f.ID] = f
	}
	return object{"files": out}, nil
}

func (s *Server) uploadedLocked(id string) *File {
	for _, u := range s.uploads {
		if u.file.ID == id && u.done {
			return u.file
		}
	}
	return nil
}

func (s *Server) fileInfo(q *request) (object, *failure) {
	f := s.files[q.args["file"]]
	if f == nil {
		return nil, fail("file_not_found")
	}
	o := s.fileObject(f)
	public, private := object{}, object{}
	for room, ts := range f.shares {
		if strings.HasPrefix(room, "C") {
			public[room] = []object{{"ts": ts}}
		} else {
			private[room] = []object{{"ts": ts}}
		}
	}
	o["shares"] = object{"public": public, "private": private}
	return object{"file": o}, nil
}

func (s *Server) fileDelete(q *request) (object, *failure) {
	f := s.files[q.args["file"]]
	if f == nil {
		return nil, fail("file_not_found")
	}
	delete(s.files, f.ID)
	for room, ts := range f.shares {
		if c := q.team.roomLocked(room); c != nil {
			if m := c.lineLocked(ts); m != nil {
				m.deleted = true
				s.noteLocked(Entry{Kind: Deleted, Team: c.team.ID, Channel: c.id, TS: ts})
			}
		}
	}
	return object{}, nil
}

func (s *Server) fileObject(f *File) object {
	address := s.root + "/files-pri/" + f.ID
	return object{
		"id": f.ID, "name": f.Name, "title": f.Title, "mimetype": f.MIME, "size": len(f.Body), "mode": "hosted",
		"url_private": address, "url_private_download": address + "/download", "file_access": "visible",
	}
}

// download gives a file to whoever shows a token; others are sent to a page
// where they can log in.
func (s *Server) download(w http.ResponseWriter, r *http.Request, rest string) {
	id, _, _ := strings.Cut(rest, "/")
	s.mu.Lock()
	s.calls["download"]++
	hit := s.faultLocked("download")
	_, word := s.byLocked(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	f := s.files[id]
	s.mu.Unlock()
	switch {
	case hit != nil:
		hit.meet(w, r)
	case word != "":
		http.Redirect(w, r, "/login", http.StatusFound)
	case f == nil:
		http.NotFound(w, r)
	default:
		w.Header().Set("Content-Type", f.MIME)
		_, _ = w.Write(f.Body)
	}
}
