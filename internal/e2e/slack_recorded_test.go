package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/slack/slacktest"
)

// named is one payload of a recording.
type namedPayload struct {
	name string
	raw  json.RawMessage
}

// slackRecording is what was recorded of one app, in the order of the file.
type slackRecording struct {
	file, bot string
	payloads  []namedPayload
}

func readSlackRecording(t *testing.T, path string) slackRecording {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := slackRecording{file: strings.TrimSuffix(filepath.Base(path), ".json")}
	d := json.NewDecoder(bytes.NewReader(b))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			t.Fatal(err)
		}
		if key == "botUserId" {
			_ = json.Unmarshal(raw, &r.bot)
		}
		if bytes.Contains(raw, []byte("api_app_id")) {
			r.payloads = append(r.payloads, namedPayload{key.(string), raw})
		}
	}
	return r
}

// of is the team that a payload is for.
func (p namedPayload) of() string {
	var o struct {
		Team   string `json:"team_id"`
		Inside struct {
			ID string `json:"id"`
		} `json:"team"`
	}
	_ = json.Unmarshal(p.raw, &o)
	if o.Team == "" {
		return o.Inside.ID
	}
	return o.Team
}

var (
	slackRoom = regexp.MustCompile(`"([CD][A-Z0-9]{8,11})"`)
	slackPath = regexp.MustCompile(`https://hooks\.slack\.com/[^"]*`)
	slackUser = regexp.MustCompile(`"(U[A-Z0-9]{8,11})"`)
	photoName = regexp.MustCompile(`\[photo [0-9a-f]{8}:`) // it is another one in each run
)

// TestSlackRecordedPayloads sends what was recorded in production through the
// real binary. The golden file says what becomes of each payload: answered, ignored with its reason, or refused.
func TestSlackRecordedPayloads(t *testing.T) {
	t.Parallel()
	eachWay(t, slackRecordedPayloads)
}

func slackRecordedPayloads(t *testing.T, guest bool) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "recorded", "slack", "*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	golden := filepath.Join("testdata", "recorded", "slack", "outcomes.golden")
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, path := range paths {
		rec := readSlackRecording(t, path)
		got.WriteString(rec.outcomes(t, "open", guest, want))
		if strings.HasPrefix(rec.file, "dm--") { // elsewhere the policy of direct chats does not matter
			got.WriteString(rec.outcomes(t, "pairing", guest, want))
		}
	}
	sameOutcomes(t, golden, got.String(), guest)
}

// outcomes is what the gateway does with the payloads of a recording. A team's
// are sent one after the other to one gateway.
func (rec slackRecording) outcomes(t *testing.T, policy string, guest bool, golden []byte) string {
	t.Helper()
	var out strings.Builder
	var r *slackRig
	team := ""
	for _, p := range rec.payloads {
		if p.of() != team {
			if r != nil {
				r.end()
			}
			team = p.of()
			bot := rec.bot
			if team == "T08REALTEAM1" { // the recording's own name is of another app
				bot = "U08REALBOT1"
			}
			r = newSlackRig(t, slackSettings{policy: policy, level: "debug", events: true, guest: guest, install: func(s *slacktest.Server) *slacktest.Team {
				return s.Install(team, "Recorded", bot)
			}, emu: []slacktest.Option{slacktest.WithoutTeam()}})
			r.up()
			if !eventually(patience, func() bool { return r.proc.log.contains("channel=team kind=connected") }) {
				t.Fatalf("the channel is not connected\n%s", r.proc.log)
			}
		}
		head := fmt.Sprintf("%s, %s, dm: %s", rec.file, p.name, policy)
		fmt.Fprintf(&out, "%s\n\t%s\n", head, r.outcome(p.raw, watchFor(golden, head)))
	}
	r.end()
	return out.String()
}

// ignored are the reasons why payloads were ignored so far. What the emulator
// tells the bot of its own messages, at any time, is not among them.
func (r *slackRig) ignored() (reasons []string) {
	for _, x := range whatWasIgnored(r.proc.log.lines()) {
		if !strings.Contains(x.line, "event=EvA00") && !strings.Contains(x.line, "event EvA00") {
			reasons = append(reasons, x.why)
		}
	}
	return reasons
}

// outcome is what the gateway does with one payload.
func (r *slackRig) outcome(raw json.RawMessage, within time.Duration) string {
	r.t.Helper()
	user := r.team.User("U0SOMEBODY", "Somebody")
	for _, m := range slackUser.FindAllStringSubmatch(string(raw), -1) {
		if m[1] != r.team.BotUser {
			r.team.User(m[1], "Person")
		}
	}
	for _, m := range slackRoom.FindAllStringSubmatch(string(raw), -1) {
		if m[1][0] == 'C' {
			r.team.Channel(m[1], "recorded", user)
		} else {
			r.team.Chat(m[1])
		}
	}
	if slackPath.Match(raw) { // which leads to the platform itself
		raw = slackPath.ReplaceAll(raw, []byte(r.team.Channel("C0REPLIES", "replies", user).ReplyPath(user)))
	}
	sent, logged := len(r.srv.Delivered()), len(r.ignored())
	r.srv.Inject(raw)
	what := unsaid
	eventually(within, func() bool {
		if all := r.srv.Delivered()[sent:].Of(slacktest.Sent, slacktest.Answered); len(all) > 0 {
			what = said(all[0].Text)
			if all[0].Thread != "" {
				what += " (in the thread)"
			}
			return true
		}
		if all := r.ignored(); len(all) > logged {
			what = "ignored: " + all[len(all)-1]
			return true
		}
		return false
	})
	if !eventually(patience, func() bool { return r.srv.Pending() == 0 }) {
		r.t.Error("the payload was not acknowledged")
	}
	return photoName.ReplaceAllString(what, "[photo NAME:")
}
