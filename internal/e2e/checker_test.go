package e2e_test

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
)

// ledger is what was said, chat by chat, in order. Every text is said once.
type ledger map[int64][]string

// finding is what a log of deliveries says about a ledger.
type finding struct {
	Said     int
	Turns    int // answers, repetitions not counted
	Gathered int // answers to several messages
	Repeated int // answers that arrived twice, the second time marked
	Doubted  int // answers that arrived once, marked
	Drafts   int // messages that never became an answer
	Told     int // answers of which nobody can tell, after two tries, whether they arrived; the person is told so
	Faults   []string
}

// what the gateway puts before an answer, on a line of its own.
var (
	repetition = regexp.MustCompile(`^\(This may be a repetition: [^)]*\)\n+`)
	gathered   = regexp.MustCompile(`^\((?:This answers your|Your) (\d+) messages[^)]*\)\n+`)
)

// unknown begins the notice that a reply was sent twice and may not have arrived.
const unknown = "I tried twice to send you an answer"

// closing ends every answer of the scripted model. What stands in the chat
// without it is a draft.
const closing = " ∎"

// answer is one message of the bot, in its last form.
type answer struct {
	texts  []string // that it answers
	note   int      // how many messages it says it answers; 0: it does not say
	marked bool     // it says that it may be a repetition
	draft  bool
}

// parseAnswer reads the scripted model's echo out of a message.
func parseAnswer(text string) (answer, error) {
	var a answer
	rest := text
	if m := repetition.FindString(rest); m != "" {
		a.marked, rest = true, rest[len(m):]
	}
	if m := gathered.FindStringSubmatch(rest); m != nil {
		a.note, _ = strconv.Atoi(m[1])
		rest = rest[len(m[0]):]
	}
	echo, ok := strings.CutPrefix(rest, "echo: ")
	if !ok {
		return a, fmt.Errorf("no answer of the model: %q", text)
	}
	echo, whole := strings.CutSuffix(echo, closing)
	a.draft = !whole
	a.texts = strings.Split(echo, " | ")
	return a, nil
}

// judge compares what was said with what was delivered.
func judge(said ledger, log telegramtest.Log) finding {
	f := finding{}
	for _, chat := range sortedKeys(said) {
		j := judgement{finding: &f, chat: chat, place: map[string]int{}, answered: map[string]bool{}, last: -1}
		j.run(said[chat], log.In(chat))
	}
	for _, d := range log.Of(telegramtest.Sent) {
		if _, ok := said[d.Chat]; !ok {
			f.Faults = append(f.Faults, fmt.Sprintf("chat %d: nobody wrote there, and it got %q", d.Chat, d.Text))
		}
	}
	return f
}

// mostGathered is how many messages one turn answers at most.
const mostGathered = 20

// judgement is the work on one chat.
type judgement struct {
	*finding
	chat     int64
	place    map[string]int // of each text in the order of saying
	answered map[string]bool
	last     int    // place of the last text that was answered
	before   answer // the answer before
	times    int    // how often it arrived
	told     int    // notices of an answer that may not have arrived
}

func (j *judgement) fault(format string, args ...any) {
	j.Faults = append(j.Faults, fmt.Sprintf("chat %d: ", j.chat)+fmt.Sprintf(format, args...))
}

func (j *judgement) run(said []string, log telegramtest.Log) {
	j.Said += len(said)
	for i, s := range said {
		j.place[s] = i
	}
	for _, text := range lastForms(log) {
		a, err := parseAnswer(text)
		switch {
		case strings.HasPrefix(text, unknown):
			j.told++
			j.Told++
		case err != nil:
			j.fault("%v", err)
		case a.draft:
			j.Drafts++
		case j.times > 0 && slices.Equal(a.texts, j.before.texts):
			j.again(a)
		default:
			j.first(a)
		}
	}
	j.unanswered(said)
}

// unanswered finds what was lost. A notice stands for one answer, and so for
// what was said in a row.
func (j *judgement) unanswered(said []string) {
	inRow := false
	for _, s := range said {
		if j.answered[s] {
			inRow = false
			continue
		}
		if !inRow && j.told > 0 {
			j.told--
			inRow = true
		}
		if !inRow {
			j.fault("lost: %q was never answered", s)
		}
	}
}

// again judges an answer that comes a second time.
func (j *judgement) again(a answer) {
	j.times++
	switch {
	case j.times > 2:
		j.fault("tripled: %q came %d times", a.texts, j.times)
	case !a.marked:
		j.fault("doubled: %q came twice, and the second does not say so", a.texts)
	default:
		j.Repeated++
	}
}

// first judges an answer that has not been there yet.
func (j *judgement) first(a answer) {
	j.Turns++
	j.before, j.times = a, 1
	if a.marked {
		j.Doubted++
	}
	if len(a.texts) > 1 {
		j.Gathered++
	}
	if len(a.texts) > mostGathered {
		j.fault("crowded: one turn answers %d messages", len(a.texts))
	}
	if a.note > len(a.texts) {
		j.fault("it says that it answers %d messages and answers %q", a.note, a.texts)
	}
	for _, s := range a.texts {
		at, known := j.place[s]
		switch {
		case !known:
			j.fault("foreign: %q was not said here", s)
			continue
		case j.answered[s]:
			j.fault("doubled: %q was answered by another turn before", s)
		case at < j.last:
			j.fault("reordered: %q was answered after what was said later", s)
		}
		j.answered[s] = true
		j.last = max(j.last, at)
	}
}

// lastForms are the texts of the messages that stand in a chat, in the order in
// which they were sent, each as it was edited last.
func lastForms(log telegramtest.Log) []string {
	type message struct {
		id   int64
		text string
	}
	var all []message
	for _, d := range log.Of(telegramtest.Sent, telegramtest.Edited, telegramtest.Deleted) {
		i := slices.IndexFunc(all, func(m message) bool { return m.id == d.Message })
		switch {
		case d.Kind == telegramtest.Deleted && i >= 0:
			all = slices.Delete(all, i, i+1)
		case d.Kind == telegramtest.Deleted:
		case i >= 0:
			all[i].text = d.Text
		default:
			all = append(all, message{d.Message, d.Text})
		}
	}
	out := make([]string, len(all))
	for i, m := range all {
		out[i] = m.text
	}
	return out
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
