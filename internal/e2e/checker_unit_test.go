package e2e_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
)

// The checker must fail on what the crash test is there to find.
func TestCheckerFindsFaults(t *testing.T) {
	said := ledger{1: {"a", "b", "c"}}
	const mark = "(This may be a repetition: I could not tell whether it reached you.)\n\n"
	const both = "(This answers your 2 messages together.)\n\n"
	many := make([]string, mostGathered+1)
	for i := range many {
		many[i] = strings.Repeat("x", i+1)
	}
	tests := []struct {
		name   string
		said   ledger
		log    telegramtest.Log
		want   finding
		faults []string // words of each fault
	}{
		{"one for each", said, sent(1, "a", "b", "c"), finding{Said: 3, Turns: 3}, nil},
		{"gathered, with a note", said, sent(1, "a", "<"+both+"echo: b | c ∎"), finding{Said: 3, Turns: 2, Gathered: 1}, nil},
		{"gathered, it lists them", said, sent(1, "a | b", "c"), finding{Said: 3, Turns: 2, Gathered: 1}, nil},
		{"a marked repetition", said, sent(1, "a", "<"+mark+"echo: a ∎", "b", "c"), finding{Said: 3, Turns: 3, Repeated: 1}, nil},
		{"a marked repetition of a gathered one", said, sent(1, "a", "<"+both+"echo: b | c ∎", "<"+mark+both+"echo: b | c ∎"), finding{Said: 3, Turns: 2, Gathered: 1, Repeated: 1}, nil},
		{"marked, the first never came", said, sent(1, "<"+mark+"echo: a ∎", "b", "c"), finding{Said: 3, Turns: 3, Doubted: 1}, nil},
		{"a draft that stayed", said, sent(1, "<echo: a", "a", "b", "c"), finding{Said: 3, Turns: 3, Drafts: 1}, nil},
		{"a draft that grew", said, append(grown(1, 7, "<echo: a", "a"), sent(1, "b", "c")...), finding{Said: 3, Turns: 3}, nil},
		{"lost", said, sent(1, "a", "c"), finding{Said: 3, Turns: 2}, []string{"lost"}},
		{"lost, and told", said, sent(1, "<"+unknown+", and cannot tell.", "c"), finding{Said: 3, Turns: 1, Told: 1}, nil},
		{"two lost, told once", said, sent(1, "<"+unknown+", and cannot tell.", "b"), finding{Said: 3, Turns: 1, Told: 1}, []string{"lost"}},
		{"lost at the end", said, sent(1, "a", "b"), finding{Said: 3, Turns: 2}, []string{"lost"}},
		{"only a draft", said, sent(1, "a", "b", "<echo: c"), finding{Said: 3, Turns: 2, Drafts: 1}, []string{"lost"}},
		{"doubled, unmarked", said, sent(1, "a", "a", "b", "c"), finding{Said: 3, Turns: 3}, []string{"doubled"}},
		{"doubled, marked but late", said, sent(1, "a", "b", "<"+mark+"echo: a ∎", "c"), finding{Said: 3, Turns: 4, Doubted: 1}, []string{"doubled"}},
		{"doubled by another turn", said, sent(1, "a", "a | b", "c"), finding{Said: 3, Turns: 3, Gathered: 1}, []string{"doubled"}},
		{"tripled", said, sent(1, "a", "<"+mark+"echo: a ∎", "<"+mark+"echo: a ∎", "b", "c"), finding{Said: 3, Turns: 3, Repeated: 1}, []string{"tripled"}},
		{"reordered", said, sent(1, "b", "a", "c"), finding{Said: 3, Turns: 3}, []string{"reordered"}},
		{"in the wrong chat", ledger{1: {"a"}, 2: {"b"}}, append(sent(1, "a", "b"), sent(2, "b")...), finding{Said: 2, Turns: 3}, []string{"foreign"}},
		{"to a stranger", ledger{1: {"a"}}, append(sent(1, "a"), sent(9, "a")...), finding{Said: 1, Turns: 1}, []string{"nobody wrote"}},
		{"no answer of the model", said, sent(1, "a", "<Something went wrong.", "b", "c"), finding{Said: 3, Turns: 3}, []string{"no answer of the model"}},
		{"it says too much", said, sent(1, "<"+both+"echo: a ∎", "b", "c"), finding{Said: 3, Turns: 3}, []string{"it says"}},
		{"too many in one turn", ledger{1: many}, sent(1, strings.Join(many, " | ")), finding{Said: 21, Turns: 1, Gathered: 1}, []string{"crowded"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := judge(tt.said, tt.log)
			faults := got.Faults
			got.Faults = nil
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			if len(faults) != len(tt.faults) {
				t.Fatalf("faults %q, want %q", faults, tt.faults)
			}
			for i, w := range tt.faults {
				if !strings.Contains(faults[i], w) {
					t.Errorf("fault %q, want %q", faults[i], w)
				}
			}
		})
	}
}

// sent fabricates deliveries: a plain text is the model's whole answer to it,
// one that begins with "<" stands as it is.
func sent(chat int64, texts ...string) telegramtest.Log {
	log := make(telegramtest.Log, 0, len(texts))
	for i, s := range texts {
		text, raw := strings.CutPrefix(s, "<")
		if !raw {
			text = "echo: " + s + closing
		}
		log = append(log, telegramtest.Delivery{Kind: telegramtest.Sent, Chat: chat, Message: int64(100 + i), Text: text})
	}
	return log
}

// grown fabricates one message that is edited.
func grown(chat, id int64, texts ...string) telegramtest.Log {
	log := sent(chat, texts...)
	for i := range log {
		log[i].Message = id
		if i > 0 {
			log[i].Kind = telegramtest.Edited
		}
	}
	return log
}
