package e2e_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/cloudtest"
)

// TestWhatsAppCloud: a message, a file, a quote and a button go through the real
// binary, which registers itself with the platform.
func TestWhatsAppCloud(t *testing.T) {
	t.Parallel()
	r := newCloudRig(t, settings{}, false)
	r.up()
	const who = "15550002222"
	r.ask(who, "hello")
	if app, account := r.shop.Registered(); !app || !account {
		t.Errorf("registered %v, subscribed %v", app, account)
	}
	r.shop.Say(cloudtest.Said{By: who, Text: "what is this?", Kind: "document", File: &cloudtest.File{Name: "a.txt", MIME: "text/plain", Body: []byte("it is a test")}})
	if !eventually(patience, func() bool {
		for _, m := range r.shop.Shown(who) {
			if strings.Contains(m.Text, "what is this?") {
				return true
			}
		}
		return false
	}) {
		t.Errorf("the file is not answered: %+v", r.shop.Shown(who))
	}
	r.shop.Say(cloudtest.Said{By: who, Text: "/whoami"})
	if !eventually(patience, func() bool {
		all := r.shop.Shown(who)
		return strings.Contains(all[len(all)-1].Text, who)
	}) {
		t.Errorf("the command is not answered: %+v", r.shop.Shown(who))
	}
	r.term()
	if bad := r.shop.Problems(); len(bad) > 0 {
		t.Errorf("the platform refused: %q", bad)
	}
}

var timestamps = regexp.MustCompile(`"timestamp": "\d+"`)

// TestRecordedWhatsAppCloud sends what was recorded in production through the
// real binary, under each policy of direct chats. The time of the messages is
// made today's: after 24 hours nothing may be answered.
func TestRecordedWhatsAppCloud(t *testing.T) {
	t.Parallel()
	eachWay(t, recordedWhatsAppCloud)
}

func recordedWhatsAppCloud(t *testing.T, guest bool) {
	t.Helper()
	folder := filepath.Join("testdata", "recorded")
	raw, err := os.ReadFile(filepath.Join(folder, "whatsapp-cloud.json"))
	if err != nil {
		t.Fatal(err)
	}
	raw = timestamps.ReplaceAll(raw, []byte(`"timestamp": "`+strconv.FormatInt(time.Now().Unix(), 10)+`"`))
	var recorded map[string]json.RawMessage
	if err := json.Unmarshal(raw, &recorded); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, policy := range policies(guest) {
		for _, name := range []string{"firstMessage", "secondMessage", "statusUpdate"} {
			fmt.Fprintf(&got, "%s, dm: %s\n\t%s\n", name, policy, cloudOutcome(t, policy, guest, recorded[name]))
		}
	}
	sameOutcomes(t, filepath.Join(folder, "whatsapp-cloud.golden"), got.String(), guest)
}

// cloudOutcome is what the gateway does with one call of a stranger's.
func cloudOutcome(t *testing.T, policy string, guest bool, raw json.RawMessage) string {
	t.Helper()
	const who = "15550002222"
	r := newCloudRig(t, settings{policy: policy, level: "debug"}, guest)
	r.shop.Wrote(who)
	r.up()
	status := 0
	if !eventually(patience, func() bool { // it comes again until the channel is ready
		var err error
		status, err = r.shop.Post(t.Context(), raw)
		return err != nil || status != http.StatusServiceUnavailable
	}) || status != http.StatusOK {
		t.Fatalf("status %d\n%s", status, r.proc.log)
	}
	what := ""
	if !eventually(patience, func() bool {
		if sent := r.shop.Shown(who); len(sent) > 0 {
			what = said(sent[0].Text)
			return true
		}
		if all := whatWasIgnored(r.proc.log.lines()); len(all) > 0 {
			what = "ignored: " + all[0].why
			return true
		}
		return false
	}) {
		t.Fatalf("nothing became of it\n%s", r.proc.log)
	}
	r.term()
	if n := len(r.shop.Shown(who)); n > 1 {
		t.Errorf("it was answered %d times", n)
	}
	return what
}

// TestWhatsAppCloudCrash kills the gateway in the middle of answers. Each
// message is answered, and again only with the mark of a repetition.
func TestWhatsAppCloudCrash(t *testing.T) {
	t.Parallel()
	eachWay(t, crashWhatsAppCloud)
}

func crashWhatsAppCloud(t *testing.T, guest bool) {
	t.Helper()
	r := newCloudRig(t, settings{script: delayed(80 * time.Millisecond)}, guest)
	rng := rand.New(rand.NewPCG(seed(t), 3)) //nolint:gosec // repeatable on purpose
	r.up()
	people, each, kills := 4, 8, 4
	if guest {
		people, each, kills = 3, 4, 2
	}
	texts := map[string][]string{}
	var writing sync.WaitGroup
	for i := range people {
		who := fmt.Sprintf("1555000%04d", i)
		for n := range each {
			texts[who] = append(texts[who], fmt.Sprintf("text %d of %d.", n, i))
		}
		mine := texts[who]
		writing.Go(func() {
			for _, text := range mine {
				r.ask(who, text)
			}
		})
	}
	for range kills {
		<-time.After(time.Duration(50+rng.IntN(400)) * time.Millisecond) // the moment is what is tried out
		r.kill()
		r.up()
	}
	writing.Wait()
	r.term()
	for who, all := range texts {
		for _, text := range all {
			if n, marked := r.answers(who, text); n-marked > 1 || n > 2 || n == 0 {
				t.Errorf("%q has %d answers, of which %d are marked", text, n, marked)
			}
		}
	}
}

// TestWhatsAppCloudOutages: every way in which the platform fails heals by
// itself, and loses nothing.
func TestWhatsAppCloudOutages(t *testing.T) {
	t.Parallel()
	eachWay(t, outagesOfWhatsAppCloud)
}

func outagesOfWhatsAppCloud(t *testing.T, guest bool) {
	t.Helper()
	times := func(f cloudtest.Fault, n int) (out []cloudtest.Fault) {
		for range n {
			out = append(out, f)
		}
		return out
	}
	for i, c := range []struct {
		name   string
		faults []cloudtest.Fault
		most   int // answers to one message
	}{
		{"429 storm", times(cloudtest.Fault{Status: 429, Code: 130429, RetryAfter: time.Second}, 3), 1},
		{"5xx storm", times(cloudtest.Fault{Status: 503}, 4), 1},
		{"half open", []cloudtest.Fault{{Lose: true}}, 2},
		{"malformed", []cloudtest.Fault{{Garbage: true}}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newCloudRig(t, settings{}, guest)
			r.up()
			who := fmt.Sprintf("1555111%04d", i)
			r.ask(who, "before.")
			r.shop.Fail(c.faults...)
			for _, text := range []string{"one.", "two."} {
				r.ask(who, text)
				if n, marked := r.answers(who, text); n > c.most || n-marked > 1 {
					t.Errorf("%q has %d answers, %d of them marked", text, n, marked)
				}
			}
		})
	}
	t.Run("refused and hung", func(t *testing.T) {
		t.Parallel()
		r := newCloudRig(t, settings{}, guest)
		r.up()
		const who = "15552220000"
		r.ask(who, "before.")
		up := r.shop.Down()
		r.shop.Say(cloudtest.Said{By: who, Text: "while you were away."})
		<-time.After(2 * time.Second) // of an outage
		up()
		r.awaitAnswer(who, "while you were away.")
		release := r.shop.Stall()
		r.shop.Say(cloudtest.Said{By: who, Text: "hung."})
		r.awaitAnswer(who, "hung.") // it is there, and the bot does not know
		<-time.After(time.Second)
		release()
		r.ask(who, "after.")
		if n, _ := r.answers(who, "hung."); n != 1 {
			t.Errorf("what hung was sent %d times", n)
		}
	})
}
