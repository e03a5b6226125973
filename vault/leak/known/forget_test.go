package known_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/vault/leak/known"
)

func TestForget(t *testing.T) {
	const (
		one    = "Zx81-qP44-mmT7-0aWc-9Lr2"
		shared = "Zx81-qP44-mmT7-0aWc-OTHER" // begins as one does
		two    = "kJ93hfQ2lsPq77ybWm01"
	)
	synctest.Test(t, func(t *testing.T) {
		b := known.New()
		b.Learn("a", []byte(one))
		b.Learn("a", []byte(one)) // the same again, as when it is read anew
		b.Learn("b", []byte(shared))
		b.Learn("c", []byte(two))
		b.Learn("", []byte("never-4-gotten-value-x"))
		check := func(when string, want map[string]bool) {
			t.Helper()
			for value, is := range want {
				if b.Holds([]byte("x "+value+" y")) != is || (b.Find([]byte(value)) != nil) != is {
					t.Errorf("%s: %s known %v", when, value, !is)
				}
			}
		}
		b.Forget("a", time.Now().Add(time.Hour))
		b.Forget("c", time.Now().Add(2*time.Hour))
		b.Forget("", time.Now())
		b.Forget("nothing", time.Now())
		time.Sleep(time.Hour - time.Nanosecond)
		check("before", map[string]bool{one: true, one[10:]: true, shared: true, two: true})
		time.Sleep(time.Nanosecond)
		check("after an hour", map[string]bool{one[10:]: false, shared: true, two: true, "never-4-gotten-value-x": true})
		check("what both begin with", map[string]bool{one: true})
		b.Learn("c", []byte(two)) // it is back
		time.Sleep(2 * time.Hour)
		check("after three hours", map[string]bool{two: true, shared: true})
		b.Forget("c", time.Now().Add(time.Hour))
		b.Forget("c", time.Now().Add(5*time.Hour)) // the first word stands
		time.Sleep(time.Hour)
		check("in the end", map[string]bool{two: false, shared: true})
	})
}

// TestWhatIsDueFirst: what is to be forgotten early does not wait for the rest.
func TestWhatIsDueFirst(t *testing.T) {
	const early, late = "Zx81-qP44-mmT7", "kJ93hfQ2lsPq77"
	synctest.Test(t, func(t *testing.T) {
		b := known.New()
		b.Learn("early", []byte(early))
		b.Forget("early", time.Now().Add(time.Hour))
		for i := range 30 {
			b.Learn(fmt.Sprint(i), []byte(late))
			b.Forget(fmt.Sprint(i), time.Now().Add(2*time.Hour))
		}
		time.Sleep(time.Hour)
		if b.Holds([]byte(early)) || !b.Holds([]byte(late)) {
			t.Error("after an hour: the early one is known, or the late one is not")
		}
		time.Sleep(time.Hour)
		if b.Holds([]byte(late)) {
			t.Error("after two hours: the late one is known")
		}
	})
}

// Whatever is learnt and forgotten in whatever order, what is left is known and
// nothing else.
func TestWhatIsLeftIsKnown(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	values := make([]string, 3)
	for i := range values {
		values[i] = random(r, 30)
	}
	names := []string{"a", "b", "c"}
	rapid.Check(t, func(t *rapid.T) {
		b := known.New()
		has := map[string]map[string]bool{} // value -> names
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			name, value := rapid.SampledFrom(names).Draw(t, "name"), rapid.SampledFrom(values).Draw(t, "value")
			if rapid.Bool().Draw(t, "learn") {
				b.Learn(name, []byte(value))
				if has[value] == nil {
					has[value] = map[string]bool{}
				}
				has[value][name] = true
				continue
			}
			b.Forget(name, time.Now()) // which has passed when somebody looks
			for _, all := range has {
				delete(all, name)
			}
			for i, v := range values {
				if got := b.Holds([]byte(v)); got != (len(has[v]) > 0) {
					t.Fatalf("value %d: known %v", i, got)
				}
			}
		}
	})
}
