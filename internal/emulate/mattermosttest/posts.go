package mattermosttest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// postJSON is a post as the API has it. The caller holds the lock.
func (s *Server) postJSON(p *Post) map[string]any {
	infos := []any{}
	for _, f := range p.Files {
		infos = append(infos, f.json())
	}
	props := p.props
	if props == nil {
		props = json.RawMessage(`{}`)
	}
	text := p.Text
	if p.Deleted > 0 {
		text = ""
	}
	return map[string]any{
		"id": p.ID, "create_at": p.CreateAt, "update_at": p.UpdateAt, "edit_at": p.EditAt, "delete_at": p.Deleted, "user_id": p.By,
		"channel_id": p.channel.ID, "root_id": p.Root, "message": text, "type": "", "props": props, "file_ids": p.fileIDs,
		"metadata": map[string]any{"files": infos}, "pending_post_id": "",
	}
}

// add makes a post and tells of it. The caller holds the lock.
func (s *Server) add(p *Post, by *User, files []string) *Post {
	at := s.tick()
	p.ID, p.By, p.CreateAt, p.UpdateAt, p.fileIDs = newID(), by.ID, at, at, files
	for _, id := range files {
		if f := s.files[id]; f != nil && !f.attached {
			f.attached = true
			p.Files = append(p.Files, f)
		}
	}
	s.posts[p.ID] = p
	data := map[string]any{
		"channel_type": p.channel.Type, "channel_name": p.channel.Name, "channel_display_name": p.channel.Name,
		"sender_name": "@" + by.Name, "team_id": "", "set_online": true, "post": inner(s.postJSON(p)),
	}
	if m := s.mentioned(p.channel, by, p.Text); len(m) > 0 {
		data["mentions"] = inner(m)
	}
	s.tell(p.channel, "posted", data)
	return p
}

type postIn struct {
	Channel string          `json:"channel_id"`
	Text    *string         `json:"message"`
	Root    string          `json:"root_id"`
	Files   []string        `json:"file_ids"`
	Props   json.RawMessage `json:"props"`
	Pending string          `json:"pending_post_id"`
}

func readPost(w http.ResponseWriter, r *http.Request) (in postIn, ok bool) {
	if json.NewDecoder(r.Body).Decode(&in) != nil {
		refuse(w, http.StatusBadRequest, "api.context.invalid_body_param.app_error")
		return in, false
	}
	if in.Text == nil {
		in.Text = new(string)
	}
	return in, true
}

func (s *Server) create(w http.ResponseWriter, r *http.Request) {
	in, ok := readPost(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.mine(w, in.Channel)
	if c == nil || !s.fits(w, *in.Text, in.Files) {
		return
	}
	if root := s.posts[in.Root]; in.Root != "" && (root == nil || root.channel != c || root.Root != "" || root.Deleted > 0) {
		refuse(w, http.StatusBadRequest, "api.post.create_post.root_id.app_error")
		return
	}
	p := &Post{Root: in.Root, Text: *in.Text, channel: c}
	p.setProps(in.Props)
	s.add(p, s.bot, in.Files)
	answer(w, http.StatusCreated, s.postJSON(p))
}

// setProps reads the buttons of a post.
func (p *Post) setProps(props json.RawMessage) {
	var in struct {
		Attachments []struct {
			Actions []struct {
				ID, Name, Type string
				Integration    struct {
					URL     string          `json:"url"`
					Context json.RawMessage `json:"context"`
				}
			}
		}
	}
	_ = json.Unmarshal(props, &in)
	p.props, p.Buttons = props, nil
	for _, a := range in.Attachments {
		for _, b := range a.Actions {
			if b.Type == "button" || b.Type == "" {
				p.Buttons = append(p.Buttons, Button{ID: b.ID, Label: b.Name, URL: b.Integration.URL, context: b.Integration.Context})
			}
		}
	}
}

// own is a post of the bot; nil if it is none, which then was answered.
func (s *Server) own(w http.ResponseWriter, id string) *Post {
	p := s.posts[id]
	switch {
	case p == nil || p.Deleted > 0:
		refuse(w, http.StatusNotFound, "app.post.get.app_error")
		return nil
	case p.By != s.bot.ID:
		refuse(w, http.StatusForbidden, "api.context.permissions.app_error")
		return nil
	}
	return p
}

func (s *Server) patch(w http.ResponseWriter, r *http.Request) {
	in, ok := readPost(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.own(w, r.PathValue("id"))
	if p == nil || !s.fits(w, *in.Text, nil) {
		return
	}
	p.Text, p.EditAt = *in.Text, s.tick()
	p.UpdateAt = p.EditAt
	if in.Props != nil {
		p.setProps(in.Props)
	}
	s.tell(p.channel, "post_edited", map[string]any{"post": inner(s.postJSON(p))})
	answer(w, http.StatusOK, s.postJSON(p))
}

func (s *Server) remove(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.own(w, r.PathValue("id")); p != nil {
		s.delete(p)
		answer(w, http.StatusOK, map[string]string{"status": "OK"})
	}
}

func (s *Server) delete(p *Post) {
	before := inner(s.postJSON(p))
	p.Deleted = s.tick()
	p.UpdateAt = p.Deleted
	s.tell(p.channel, "post_deleted", map[string]any{"post": before})
}

func (s *Server) reactions(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.posts[r.PathValue("id")]
	if p == nil || s.mine(w, p.channel.ID) == nil {
		return
	}
	all := []any{}
	for _, x := range p.Reactions {
		name, by, _ := strings.Cut(x, " by ")
		all = append(all, map[string]any{"user_id": by, "post_id": p.ID, "emoji_name": name, "create_at": p.UpdateAt})
	}
	answer(w, http.StatusOK, all)
}

func (s *Server) react(w http.ResponseWriter, r *http.Request) {
	var in struct {
		User  string `json:"user_id"`
		Post  string `json:"post_id"`
		Emoji string `json:"emoji_name"`
	}
	_ = json.NewDecoder(r.Body).Decode(&in)
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.posts[in.Post]
	if p == nil || in.User != s.bot.ID || in.Emoji == "" {
		refuse(w, http.StatusBadRequest, "api.reaction.save_reaction.invalid.app_error")
		return
	}
	s.setReaction(p, s.bot, in.Emoji, true)
	answer(w, http.StatusCreated, in)
}

func (s *Server) unreact(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.posts[r.PathValue("id")]
	if p == nil || r.PathValue("user") != s.bot.ID {
		refuse(w, http.StatusForbidden, "api.context.permissions.app_error")
		return
	}
	s.setReaction(p, s.bot, r.PathValue("name"), false)
	answer(w, http.StatusOK, map[string]string{"status": "OK"})
}

// setReaction puts a reaction there or takes it away. The caller holds the lock.
func (s *Server) setReaction(p *Post, by *User, emoji string, on bool) {
	entry := emoji + " by " + by.ID
	had := slices.Contains(p.Reactions, entry)
	if had == on {
		return
	}
	name := "reaction_added"
	if on {
		p.Reactions = append(p.Reactions, entry)
	} else {
		p.Reactions = slices.DeleteFunc(p.Reactions, func(x string) bool { return x == entry })
		name = "reaction_removed"
	}
	p.UpdateAt = s.tick()
	s.tell(p.channel, name, map[string]any{"reaction": inner(map[string]any{
		"user_id": by.ID, "post_id": p.ID, "emoji_name": emoji, "create_at": p.UpdateAt, "channel_id": p.channel.ID,
	})})
}

// Say has somebody write, in the thread below root if there is one.
func (c *Channel) Say(by *User, text string, root *Post) *Post {
	return c.say(by, text, root, nil)
}

// Attach has somebody write, with a file.
func (c *Channel) Attach(by *User, text, name string, content []byte) *Post {
	f := &File{ID: newID(), Name: name, MIME: "application/octet-stream", Bytes: content, Channel: c.ID}
	c.s.mu.Lock()
	c.s.files[f.ID] = f
	c.s.mu.Unlock()
	return c.say(by, text, nil, []string{f.ID})
}

func (c *Channel) say(by *User, text string, root *Post, files []string) *Post {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	p := &Post{Text: text, channel: c}
	if root != nil {
		p.Root = root.ID
		if root.Root != "" {
			p.Root = root.Root
		}
	}
	return c.s.add(p, by, files)
}

// Edit has the author change a post.
func (s *Server) Edit(p *Post, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.Text, p.EditAt = text, s.tick()
	p.UpdateAt = p.EditAt
	s.tell(p.channel, "post_edited", map[string]any{"post": inner(s.postJSON(p))})
}

// Delete has the author remove a post.
func (s *Server) Delete(p *Post) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delete(p)
}

// React has somebody put a reaction.
func (s *Server) React(by *User, p *Post, emoji string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setReaction(p, by, emoji, true)
}

var errButton = errors.New("there is no such button")

// Press has somebody press a button: Mattermost calls its integration. The error
// says that this did not go as it should.
func (s *Server) Press(ctx context.Context, by *User, id, label string) error {
	s.mu.Lock()
	p := s.posts[id]
	if p == nil {
		s.mu.Unlock()
		return errButton
	}
	i := slices.IndexFunc(p.Buttons, func(b Button) bool { return b.Label == label })
	if i < 0 {
		s.mu.Unlock()
		return errButton
	}
	b := p.Buttons[i]
	body, _ := json.Marshal(map[string]any{
		"user_id": by.ID, "user_name": by.Name, "channel_id": p.channel.ID, "channel_name": p.channel.Name, "team_id": "", "team_domain": "",
		"post_id": p.ID, "trigger_id": newID(), "type": "button", "data_source": "", "context": b.context,
	})
	s.mu.Unlock()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || !json.Valid(got) {
		return fmt.Errorf("the integration answers %d %q", resp.StatusCode, got)
	}
	return nil
}

// Answers are copies of what the bot has written in a channel, the oldest first.
func (c *Channel) Answers() []Post {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	var all []Post
	for _, p := range c.s.posts {
		if p.channel == c && p.By == c.s.bot.ID && p.Deleted == 0 {
			all = append(all, *p)
		}
	}
	slices.SortFunc(all, func(a, b Post) int { return int(a.CreateAt - b.CreateAt) })
	return all
}
