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

	"github.com/gatehouse-chat/gatehouse/adapters/discord/discordtest"
)

// TestDiscordRecordedPayloads sends what was recorded in production through the
// real binary. The golden file says what becomes of each payload: answered,
// ignored with its reason, or refused.
func TestDiscordRecordedPayloads(t *testing.T) {
	t.Parallel()
	eachWay(t, discordRecordedPayloads)
}

func discordRecordedPayloads(t *testing.T, guest bool) {
	t.Helper()
	folder := filepath.Join("testdata", "recorded", "discord")
	golden := filepath.Join(folder, "outcomes.golden")
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	r := newRecordedDiscord(t, guest)
	for _, file := range []string{"discord", "channel--discord"} {
		for _, p := range readDiscordRecording(t, filepath.Join(folder, file+".json")) {
			head := file + ", " + p.name
			fmt.Fprintf(&got, "%s\n\t%s\n", head, r.outcome(p, watchFor(want, head)))
		}
	}
	sameOutcomes(t, golden, got.String(), guest)
}

// readDiscordRecording reads the payloads of a recording in the order of the
// file.
func readDiscordRecording(t *testing.T, path string) (list []namedPayload) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
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
		if kind, _ := asDispatch(raw); kind != "" {
			list = append(list, namedPayload{key.(string), raw}) //nolint:forcetypeassert // the key of an object
		}
	}
	return list
}

// asDispatch is a payload in the form in which the gateway sends it.
func asDispatch(raw json.RawMessage) (kind string, data json.RawMessage) {
	var p struct {
		Type  json.RawMessage `json:"type"`
		Data  json.RawMessage `json:"data"`
		Token string          `json:"token"`
	}
	_ = json.Unmarshal(raw, &p)
	if rest, ok := strings.CutPrefix(strings.Trim(string(p.Type), `"`), "GATEWAY_"); ok {
		return rest, p.Data
	}
	if p.Token != "" {
		return "INTERACTION_CREATE", raw
	}
	return "", nil
}

// recordedDiscord is a gateway among the people and places of the recordings.
type recordedDiscord struct {
	*discordRig
	places []*discordtest.Channel
}

func newRecordedDiscord(t *testing.T, guest bool) *recordedDiscord {
	t.Helper()
	const bot, person = "1457469483726668048", "1033044521375764530"
	r := &recordedDiscord{discordRig: newDiscordRig(t, discordSettings{level: "debug", guest: guest, emu: []discordtest.Option{discordtest.WithBot(bot)}})}
	guild, user := r.srv.KnownGuild("1457468924290662599", "Recorded", "1457473602180878604"), r.srv.Known(person, "Test User")
	general, posts := guild.Known("1457510428359004343", "general"), guild.Known("1459213904352645277", "posts")
	r.places = []*discordtest.Channel{
		general, posts, r.srv.KnownDM("DM_CHANNEL_123", user),
		general.KnownThread(r.srv.Bot(), "1457536551830421524", "Thread"), posts.KnownThread(r.srv.Bot(), "1473118766652199044", "Post"),
	}
	r.up()
	if !eventually(patience, func() bool { return len(r.srv.Commands()) > 0 }) {
		t.Fatalf("the channel is not connected\n%s", r.proc.log)
	}
	return r
}

// dispatched finds the kind of dispatch in a line that says that one was ignored.
var dispatched = regexp.MustCompile(` type=([A-Z_]+) |"update ([A-Z_]+) ignored`)

// outcome is what the gateway does with one payload.
func (r *recordedDiscord) outcome(p namedPayload, within time.Duration) string {
	r.t.Helper()
	had := len(whatWasIgnored(r.proc.log.lines()))
	before := map[*discordtest.Channel]int{}
	for _, c := range r.places {
		before[c] = len(c.Said())
	}
	kind, data := asDispatch(p.raw)
	r.srv.Inject(kind, data)
	what := unsaid
	eventually(within, func() bool {
		for _, c := range r.places {
			if all := c.Said(); len(all) > before[c] {
				what = said(discordtest.Read(all[before[c]]))
				if c.Parent != nil {
					what += " (in the thread)"
				}
				return true
			}
		}
		for _, x := range whatWasIgnored(r.proc.log.lines())[had:] {
			if m := dispatched.FindStringSubmatch(x.line); len(m) == 3 && m[1]+m[2] != kind {
				continue // of the connection's beginning
			}
			if !strings.Contains(x.why, "own message") { // of the answer before
				what = "ignored: " + x.why
				return true
			}
		}
		if kind == "MESSAGE_CREATE" && strings.Contains(string(data), `"bot": true`) && strings.Contains(string(data), "Welcome!") {
			what = "ignored: the bot's own message"
			return len(whatWasIgnored(r.proc.log.lines())) > had
		}
		return false
	})
	return what
}
