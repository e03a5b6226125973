// Package pgserver brings up a throw-away Postgres 17 with pgvector for tests,
// without installing anything on the machine.
//
// [Acquire] takes a reference to the one server of a cache folder and starts
// it where it does not run. References are shared locks on a file, which the
// kernel gives up when a process ends, however it ends: so the process that
// supervises the server sees when nobody needs it any more, waits a little
// for the next package of the same run, stops it and removes its data.
//
// The server's files are Debian's own packages, fetched and verified by apt
// with the mirror and keyring that the machine already uses, unpacked into
// the cache folder and run inside it by chroot as an ordinary user. Nothing
// is synced to disk: the data does not outlive the server anyway.
package pgserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// CacheVariable names the environment variable that moves the cache folder.
const CacheVariable = "GATEHOUSE_TEST_CACHE"

const pollInterval = 100 * time.Millisecond

// errBusy says that another process supervises, or is just about to.
var errBusy = errors.New("another process supervises the server")

// places are the files that the processes of a run meet at.
type places struct{ dir string }

// locate finds the cache folder and makes it.
func locate() (places, error) {
	dir := os.Getenv(CacheVariable)
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			user = os.TempDir()
		}
		dir = filepath.Join(user, "gatehouse-test")
	}
	dir, err := filepath.Abs(filepath.Join(dir, "postgres"))
	if err != nil {
		return places{}, fmt.Errorf("cache folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return places{}, fmt.Errorf("cache folder: %w", err)
	}
	return places{dir: dir}, nil
}

func (p places) references() string { return filepath.Join(p.dir, "references.lock") }
func (p places) supervisor() string { return filepath.Join(p.dir, "supervisor.lock") }
func (p places) state() string      { return filepath.Join(p.dir, "server.json") }
func (p places) log() string        { return filepath.Join(p.dir, "server.log") }

// state is what a supervisor tells about the server that it runs.
type state struct {
	URL string `json:"url"`
}

func (p places) readState() (state, bool) {
	text, err := os.ReadFile(p.state())
	if err != nil {
		return state{}, false
	}
	var s state
	if err := json.Unmarshal(text, &s); err != nil {
		return state{}, false
	}
	return s, true
}

// writeState replaces the state in one step: a reader sees all or nothing.
func (p places) writeState(s state) error {
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("server state: %w", err)
	}
	next := p.state() + ".next"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return fmt.Errorf("server state: %w", err)
	}
	if err := os.Rename(next, p.state()); err != nil {
		return fmt.Errorf("server state: %w", err)
	}
	return nil
}

// Reference keeps the server running until it is closed or its process ends.
type Reference struct {
	URL  string // of the maintenance database, as a role that may do everything
	lock *fileLock
}

// Close gives the reference up.
func (r *Reference) Close() error { return r.lock.Close() }

// Acquire takes a reference to the server and waits until it answers. The
// first call on a machine downloads some 50 MB. It starts no goroutine.
//
// Program is the built [Command], for a caller that is that program itself;
// where it is empty, the command is built from source if it is needed.
func Acquire(ctx context.Context, program string) (*Reference, error) {
	p, err := locate()
	if err != nil {
		return nil, err
	}
	lock, err := lockShared(p.references())
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		s, err := p.running(ctx, program)
		if err == nil {
			return &Reference{URL: s.URL, lock: lock}, nil
		}
		if !errors.Is(err, errBusy) {
			return nil, errors.Join(err, lock.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("waiting for the server of another run (%s): %w", p.log(), ctx.Err()), lock.Close())
		case <-tick.C:
		}
	}
}

// running reports the server that a live supervisor looks after, or launches
// a supervisor. A state file alone proves nothing: a supervisor that was
// killed leaves it behind, so the supervisor's lock is what counts.
func (p places) running(ctx context.Context, program string) (state, error) {
	supervised, err := isLocked(p.supervisor())
	if err != nil {
		return state{}, err
	}
	if !supervised {
		return p.launch(ctx, program)
	}
	s, ok := p.readState()
	if !ok || ping(ctx, s.URL) != nil {
		return state{}, errBusy
	}
	return s, nil
}
