package kek_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/zalando/go-keyring"

	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/kek"
)

// slowRing is a keyring that answers when it is let.
type slowRing struct {
	open chan struct{} // an answer each

	mu    sync.Mutex
	value string
	calls []string
}

func (s *slowRing) Get(string, string) (string, error) {
	s.begins("get")
	<-s.open
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.value == "" {
		return "", keyring.ErrNotFound
	}
	return s.value, nil
}

func (s *slowRing) Set(_, _, value string) error {
	s.begins("set " + value)
	<-s.open
	s.mu.Lock()
	defer s.mu.Unlock()
	s.value = value
	return nil
}

func (s *slowRing) begins(call string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call)
}

func (s *slowRing) kept() (string, []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.value, append([]string{}, s.calls...)
}

// A keyring that does not answer holds nobody for longer than the patience, and
// the person hears once, after a moment, what is waited for.
func TestASilentKeyringIsNotWaitedForForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowRing{open: make(chan struct{})}
		var said []string
		k := kek.NewKeyringOf("hall", s, kek.Patience{Most: 30 * time.Second, Say: func(text string) { said = append(said, text) }})
		begun := time.Now()
		_, err := k.Load(t.Context())
		var silence *kek.Silence
		if !errors.As(err, &silence) || time.Since(begun) != 30*time.Second {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
		if !strings.Contains(err.Error(), "gatehouse/hall") || !strings.Contains(err.Error(), silence.Fix()) {
			t.Errorf("the error says %q", err)
		}
		if len(said) != 1 || !strings.Contains(said[0], "gatehouse/hall") {
			t.Errorf("said %q", said)
		}
		close(s.open)
	})
}

// Without a bound of its own a call waits for as long as its context stands.
func TestAKeyringWaitsAsItsContextSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowRing{open: make(chan struct{})}
		k := kek.NewKeyringOf("hall", s, kek.Patience{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			_, err := k.Load(ctx)
			ended <- err
		}()
		<-time.After(time.Hour) // of the bubble's clock
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
		close(s.open)
	})
}

// A quick answer is nothing to tell of, and what is asked is passed on.
func TestAKeyringThatAnswersIsNotTalkedAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowRing{open: make(chan struct{})}
		close(s.open)
		k := kek.NewKeyringOf("hall", s, kek.Patience{Say: func(text string) { t.Errorf("said %q", text) }})
		if _, err := k.Load(t.Context()); !errors.Is(err, vault.ErrNoKey) {
			t.Errorf("an empty keyring: %v", err)
		}
		if err := k.Create(t.Context(), []byte("one")); err != nil {
			t.Error(err)
		}
		if text, err := k.Load(t.Context()); err != nil || string(text) != "one" {
			t.Errorf("%q, %v", text, err)
		}
	})
}

// A key that is written late, because nobody waited for it, must not replace one
// that was written after it: the data keys are locked with the later one.
func TestALateWriteNeverWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowRing{open: make(chan struct{})}
		k := kek.NewKeyringOf("hall", s, kek.Patience{Most: time.Minute})
		text := []byte("first")
		if err := k.Replace(t.Context(), text); err == nil {
			t.Fatal("a write that nobody answered is kept")
		}
		clear(text) // as its owner does
		second := make(chan error)
		go func() { second <- k.Replace(t.Context(), []byte("second")) }()
		synctest.Wait()
		if _, calls := s.kept(); !cmp.Equal(calls, []string{"set first"}) {
			t.Errorf("while the first is under way: %q", calls)
		}
		s.open <- struct{}{}
		s.open <- struct{}{}
		if err := <-second; err != nil {
			t.Error(err)
		}
		if value, calls := s.kept(); value != "second" || !cmp.Equal(calls, []string{"set first", "set second"}) {
			t.Errorf("kept %q after %q", value, calls)
		}
	})
}

// What gave up before its turn is never asked for.
func TestACallThatGaveUpIsNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowRing{open: make(chan struct{})}
		k := kek.NewKeyringOf("hall", s, kek.Patience{Most: time.Minute})
		for _, value := range []string{"first", "second"} {
			if err := k.Replace(t.Context(), []byte(value)); err == nil {
				t.Fatal("a write that nobody answered is kept")
			}
		}
		close(s.open)
		synctest.Wait()
		if value, calls := s.kept(); value != "first" || !cmp.Equal(calls, []string{"set first"}) {
			t.Errorf("kept %q after %q", value, calls)
		}
	})
}
