package slacktest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// delivery is something that the app is to be told of.
type delivery struct {
	id      string // event_id, or one of ours
	message string // the time stamp of the message it is about
	order   string // the conversation
	kind    string // events_api, interactive, slash_commands
	payload json.RawMessage

	attempt int
	busy    bool // under way by HTTP
	on      *conn
	env     string // its envelope's id
	due     time.Time
	acked   bool
}

// queueLocked queues an event of a team.
func (s *Server) queueLocked(t *Team, order string, event object) {
	ts, _ := event["ts"].(string)
	id := s.idLocked("Ev")
	body := object{
		"token": "xAbCdEfGhIjKlMnOpQrStUvW", "team_id": t.ID, "context_team_id": t.ID, "api_app_id": AppID,
		"event": event, "type": "event_callback", "event_id": id, "event_time": time.Now().Unix(),
		"authorizations": []object{{"enterprise_id": nil, "team_id": t.ID, "user_id": t.BotUser, "is_bot": true, "is_enterprise_install": false}},
	}
	b, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	s.pushLocked(&delivery{id: id, message: ts, order: order, kind: "events_api", payload: b})
}

func (s *Server) pushLocked(d *delivery) {
	s.queue = append(s.queue, d)
	s.wakeLocked()
	s.deliverLocked()
}

// deliver looks what can be sent now.
func (s *Server) deliver() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deliverLocked()
}

func (s *Server) deliverLocked() {
	if s.closed {
		return
	}
	if s.opts.requestURL != "" {
		s.postLocked()
		return
	}
	for _, d := range s.queue {
		if d.acked || d.on != nil || time.Now().Before(d.due) {
			continue
		}
		if c := s.connLocked(d.order); c != nil {
			c.sendLocked(d)
		}
	}
}

// postLocked starts the delivery of the oldest of each conversation: Slack
// makes no promise of order, and an app can keep only one that it is given.
func (s *Server) postLocked() {
	seen := map[string]bool{}
	for _, d := range s.queue {
		if d.acked || seen[d.order] {
			continue
		}
		seen[d.order] = true
		if d.busy || time.Now().Before(d.due) {
			continue
		}
		d.busy = true
		to := s.opts.requestURL
		s.work.Go(func() { s.post(d, to) })
	}
}

// post sends one delivery to the request URL.
func (s *Server) post(d *delivery, to string) {
	ok := s.try(d, to)
	s.mu.Lock()
	defer s.mu.Unlock()
	d.busy = false
	if ok {
		s.doneLocked(d)
		s.deliverLocked()
		return
	}
	d.attempt++
	pause := s.opts.pace([]time.Duration{0, time.Minute, 5 * time.Minute}[min(d.attempt-1, 2)])
	d.due = time.Now().Add(pause)
	s.laterLocked(pause)
}

// laterLocked looks again after a pause.
func (s *Server) laterLocked(pause time.Duration) {
	if s.closed {
		return
	}
	s.work.Go(func() {
		sleep(s.ctx, pause+time.Millisecond)
		s.deliver()
	})
}

func (s *Server) try(d *delivery, to string) bool {
	body, kind := []byte(d.payload), "application/json"
	switch d.kind {
	case "interactive":
		body, kind = []byte(url.Values{"payload": {string(d.payload)}}.Encode()), "application/x-www-form-urlencoded"
	case "slash_commands":
		var fields map[string]string
		_ = json.Unmarshal(d.payload, &fields)
		form := url.Values{}
		for k, v := range fields {
			form.Set(k, v)
		}
		body, kind = []byte(form.Encode()), "application/x-www-form-urlencoded"
	}
	header := s.Signed(body, time.Now())
	header.Set("Content-Type", kind)
	if d.attempt > 0 {
		header.Set("X-Slack-Retry-Num", strconv.Itoa(d.attempt))
		header.Set("X-Slack-Retry-Reason", "http_error")
	}
	status, _, err := s.Post(to, header, body)
	return err == nil && status/100 == 2
}

// Signed are the headers with which Slack signs a body.
func (s *Server) Signed(body []byte, at time.Time) http.Header {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(s.opts.signing))
	mac.Write([]byte("v0:" + stamp + ":"))
	mac.Write(body)
	return http.Header{
		"X-Slack-Request-Timestamp": {stamp},
		"X-Slack-Signature":         {"v0=" + hex.EncodeToString(mac.Sum(nil))},
	}
}

// Post sends a request to the app as Slack does, with its patience.
func (s *Server) Post(to string, header http.Header, body []byte) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(s.ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header = header
	client := http.Client{Timeout: s.opts.ack, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// doneLocked takes an acknowledged delivery off the queue.
func (s *Server) doneLocked(d *delivery) {
	d.acked = true
	s.queue = slices.DeleteFunc(s.queue, func(x *delivery) bool { return x == d })
	s.wakeLocked()
}

// Pending is how many deliveries are not acknowledged.
func (s *Server) Pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue)
}

// Acked reports whether everything about a message was acknowledged.
func (s *Server) Acked(ts string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.ContainsFunc(s.queue, func(d *delivery) bool { return d.message == ts })
}

// Inject delivers an event, an interaction or a slash command as it stands.
func (s *Server) Inject(payload []byte) {
	var head struct {
		Type    string `json:"type"`
		Command string `json:"command"`
		ID      string `json:"event_id"`
		Event   struct {
			Channel string `json:"channel"`
			TS      string `json:"ts"`
		} `json:"event"`
	}
	_ = json.Unmarshal(payload, &head)
	d := &delivery{id: head.ID, message: head.Event.TS, order: head.Event.Channel, payload: slices.Clone(payload)}
	switch {
	case head.Command != "":
		d.kind = "slash_commands"
	case head.Type == "event_callback":
		d.kind = "events_api"
	default:
		d.kind = "interactive"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pushLocked(d)
}
