package gateway_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// TestIdleConversationsHaveNoGoroutines: people who have been answered cost
// no more goroutines when there are a thousand of them than when there is one.
func TestIdleConversationsHaveNoGoroutines(t *testing.T) {
	const people, at = 1000, 250
	bubble(t, plain, func(r *rig) {
		r.accept(said("first", "first", "hello"))
		r.wait(1)
		r.after(5 * time.Minute)
		before := runtime.NumGoroutine()
		for n := 0; n < people; n += at {
			var all []channels.Event
			for i := range at {
				all = append(all, said(fmt.Sprint("person", n+i), fmt.Sprint(n+i), "hello"))
			}
			r.accept(all...)
			r.wait(1 + n + at)
		}
		r.after(5 * time.Minute)
		if got := runtime.NumGoroutine(); got > before+people/50 {
			t.Errorf("%d goroutines with %d idle conversations, %d with one", got, people, before)
		}
	})
}
