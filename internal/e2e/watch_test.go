package e2e_test

import (
	"context"
	"sync"
	"testing"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
)

// watch follows what is delivered and knows which texts have been answered. It
// reads each delivery once, however many wait.
type watch struct {
	mu       sync.Mutex
	answered map[string]chan struct{} // closed when the text has been answered
	left     int                      // texts that somebody has asked about and that are not answered
}

// watching starts a watch that ends with the test.
func watching(t testing.TB, bot *telegramtest.Server) *watch {
	w := &watch{answered: map[string]chan struct{}{}}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { w.follow(ctx, bot) })
	t.Cleanup(func() {
		cancel()
		all.Wait()
	})
	return w
}

func (w *watch) follow(ctx context.Context, bot *telegramtest.Server) {
	for seen := 0; ; {
		more, err := bot.After(ctx, seen)
		if err != nil {
			return
		}
		seen += len(more)
		for _, d := range more.Of(telegramtest.Sent, telegramtest.Edited) {
			if a, err := parseAnswer(d.Text); err == nil && !a.draft {
				w.note(a.texts)
			}
		}
	}
}

func (w *watch) note(texts []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range texts {
		c := w.doneLocked(s)
		select {
		case <-c:
		default:
			close(c)
			w.left--
		}
	}
}

// done is closed when the text has been answered. Ask before it is said.
func (w *watch) done(text string) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.doneLocked(text)
}

func (w *watch) doneLocked(text string) chan struct{} {
	c := w.answered[text]
	if c == nil {
		c = make(chan struct{})
		w.answered[text] = c
		w.left++
	}
	return c
}

// closed counts the texts that are answered.
func (w *watch) closed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.answered) - w.left
}

// open counts the texts that are not answered.
func (w *watch) open() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.left
}
