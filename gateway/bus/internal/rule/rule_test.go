package rule_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/internal/rule"
)

func FuzzBeyond(f *testing.F) {
	for _, s := range []string{"", "a", "turn/1/", "é", "\ud7ff", "a\U0010ffff", "\U0010ffff"} {
		f.Add(s, "x")
		f.Add(s, "\U0010ffff")
	}
	f.Fuzz(func(t *testing.T, prefix, rest string) {
		prefix, rest = strings.ToValidUTF8(prefix, ""), strings.ToValidUTF8(rest, "")
		end := rule.Beyond(prefix)
		if end == "" {
			if strings.Trim(prefix, "\U0010ffff") != "" {
				t.Errorf("nothing follows %q", prefix)
			}
			return
		}
		if strings.ToValidUTF8(end, "?") != end {
			t.Errorf("%q is not UTF-8", end)
		}
		if prefix+rest >= end {
			t.Errorf("%q is not below %q", prefix+rest, end)
		}
		// What is not under the prefix and follows it lies beyond.
		if rest > prefix && !strings.HasPrefix(rest, prefix) && rest < end {
			t.Errorf("%q is between %q and %q", rest, prefix, end)
		}
	})
}

func TestHash(t *testing.T) {
	seen := map[[16]byte]bool{}
	for _, k := range [][4]string{
		{"inbox", "c", "a", "k"},
		{"inbox", "ca", "", "k"},
		{"inbox", "c", "ak", ""},
		{"inboxc", "", "a", "k"},
		{"outbox", "c", "a", "k"},
	} {
		h := rule.Hash(k[0], k[1], k[2], k[3])
		if seen[h] {
			t.Errorf("%q has the hash of another", k)
		}
		seen[h] = true
	}
}

func TestKeys(t *testing.T) {
	for _, c := range []struct{ bodies, keys, want time.Duration }{
		{0, 0, 0}, {5, 0, 0}, {5, 3, 5}, {5, 7, 7}, {0, 7, 7},
	} {
		if got := rule.Keys(bus.Retention{Bodies: c.bodies, Keys: c.keys}); got != c.want {
			t.Errorf("bodies %d, keys %d: kept %d, want %d", c.bodies, c.keys, got, c.want)
		}
	}
}
