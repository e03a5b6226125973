package vault

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/vault/leak"
)

var _ Vault = (*Store)(nil)

// Where things lie in the durable state.
const (
	space          = "vault"
	keyPrefix      = "key/"
	manifestPrefix = "manifest/"
	secretPrefix   = "secret/"
	tokenPrefix    = "token/"
)

// Options of a vault. State and Key are required.
type Options struct {
	State kv.Store
	Key   KeySource
	// From is the source that Key takes the place of. What is still locked
	// with it is unlocked, and locked with Key. nil: none.
	From  KeySource
	Now   func() time.Time                 // nil: time.Now
	Log   *slog.Logger                     // nil: nothing is logged
	Audit func(ctx context.Context, u Use) // called for every lease given or refused, before Lease returns; nil: none
	// Relocked is called when a workspace's data keys were locked with another
	// key: after a rotation, and at a start that moves to Key or completes what a
	// crash has left. from and to are ids of keys. nil: nobody is told.
	Relocked func(ctx context.Context, workspace, from, to string)
	// Exchange returns the client that asks for access tokens at an address. It
	// follows no redirects and reaches nothing else. nil: secrets that are
	// exchanged for tokens cannot be lent.
	Exchange func(workspace, secret, tokenURL string) *http.Client
	// Strict refuses new values of fewer than MinMatch characters.
	Strict bool
	// AcceptOlder opens a database that is older than the version kept with
	// the key, as after restoring a backup. What was changed or revoked since
	// stands again as it was. Without it such a database is ErrRolledBack.
	AcceptOlder bool
	// Leaks learns every value, so that it finds them in whatever leaves. nil:
	// none does.
	Leaks *leak.Guard
}

// Store is a vault over the durable state. It holds data keys and encrypted
// values in memory, and plaintext only while a lease is used. Its methods may
// be called concurrently.
type Store struct {
	o        Options
	bindings atomic.Pointer[map[string][]Binding] // by workspace
	tokens   sync.Map                             // workspace/name -> *tokenCell

	mu      sync.Mutex                        // held by whoever changes shelves
	shelves atomic.Pointer[map[string]*shelf] // by workspace; replaced, never changed
}

// shelf is one workspace as of one moment. It is never changed.
type shelf struct {
	workspace string
	keys      keychain
	source    string // id of the key that locks them
	keyRow    int64  // version of their row
	serial    int64  // the workspace's counter
	row       int64  // version of the manifest's row
	records   map[string]*record
}

// Open reads and verifies what is stored: ErrNoKey and ErrWrongKey when the
// key does not unlock it, ErrRolledBack when the database is not the newest.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.State == nil || o.Key == nil {
		return nil, errors.New("a vault needs a State and a Key")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Audit == nil {
		o.Audit = func(context.Context, Use) {}
	}
	if o.Relocked == nil {
		o.Relocked = func(context.Context, string, string, string) {}
	}
	s := &Store{o: o}
	s.shelves.Store(&map[string]*shelf{})
	s.bindings.Store(&map[string][]Binding{})
	if err := s.Refresh(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Refresh reads everything again, for a process that shares its database with
// others.
func (s *Store) Refresh(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := map[string]*shelf{}
	after := ""
	for {
		page, err := s.o.State.List(ctx, space, keyPrefix, after, 0)
		if err != nil {
			return fmt.Errorf("read the vault: %w", err)
		}
		if len(page) == 0 {
			s.shelves.Store(&fresh)
			return s.resume(ctx)
		}
		for _, e := range page {
			after = e.Key
			workspace := strings.TrimPrefix(e.Key, keyPrefix)
			sh, err := s.load(ctx, workspace, e)
			switch {
			case errors.Is(err, errGone):
				err = s.sweep(ctx, workspace, e)
			case err == nil:
				fresh[workspace] = sh
			}
			if err != nil {
				return fmt.Errorf("open the vault of workspace %s: %w", workspace, err)
			}
		}
	}
}

// load reads one workspace and verifies that it is whole and the newest.
func (s *Store) load(ctx context.Context, workspace string, row kv.Entry) (*shelf, error) {
	sh := &shelf{workspace: workspace, keyRow: row.Version, records: map[string]*record{}}
	if err := s.unlock(ctx, sh, row.Value); err != nil {
		return nil, err
	}
	entry, err := s.o.State.Get(ctx, space, manifestPrefix+workspace)
	if err != nil {
		return nil, err
	}
	m, err := openManifest(sh.keys.now, workspace, entry.Value)
	if err != nil {
		return nil, err
	}
	sh.serial, sh.row = m.Serial, entry.Version
	if err := s.loadRecords(ctx, sh); err != nil {
		return nil, err
	}
	return sh, s.verify(ctx, sh, m)
}

// unlock decrypts a workspace's data keys.
func (s *Store) unlock(ctx context.Context, sh *shelf, text []byte) error {
	w, err := decodeKeyRow(text)
	if err != nil {
		return fmt.Errorf("the workspace's key: %w", err)
	}
	if w.Gone {
		return errGone
	}
	plain, err := s.unwrap(ctx, w, w.bound(sh.workspace))
	if err != nil {
		return err
	}
	sh.source = w.Source
	sh.keys, err = w.chain(plain)
	return err
}

// unwrap asks the source, and then the one that it takes the place of.
func (s *Store) unwrap(ctx context.Context, w keyRow, bound []byte) ([]byte, error) {
	plain, err := s.o.Key.Unwrap(ctx, w.Wrapped, bound)
	if err == nil {
		return plain, nil
	}
	if s.o.From != nil && (errors.Is(err, ErrWrongKey) || errors.Is(err, ErrNoKey) || errors.Is(err, ErrCorrupt)) {
		return s.o.From.Unwrap(ctx, w.Wrapped, bound)
	}
	have, idErr := s.o.Key.KeyID(ctx)
	switch {
	case idErr != nil || have == w.Source:
		return nil, fmt.Errorf("unlock the workspace's key, which was locked with key %s: %w", w.Source, err)
	case errors.Is(err, ErrWrongKey) || errors.Is(err, ErrCorrupt):
		return nil, fmt.Errorf("%w: it was locked with key %s, this is key %s", ErrWrongKey, w.Source, have)
	}
	return nil, err
}

func (s *Store) loadRecords(ctx context.Context, sh *shelf) error {
	prefix, after := secretPrefix+sh.workspace+"/", ""
	for {
		page, err := s.o.State.List(ctx, space, prefix, after, 0)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return nil
		}
		for _, e := range page {
			name := strings.TrimPrefix(e.Key, prefix)
			r, err := decodeRecord(e.Value)
			if err != nil || r.meta.Name != name {
				return fmt.Errorf("secret %q: %w", name, ErrCorrupt)
			}
			r.row, sh.records[name], after = e.Version, r, e.Key
		}
	}
}

// verify compares what was read with the sealed list, the list with the number
// kept with the key, and each value with its own additional data.
func (s *Store) verify(ctx context.Context, sh *shelf, m manifest) error {
	if digest(sh.records) != m.Digest {
		return fmt.Errorf("%w: its secrets do not agree with its own list of them", ErrRolledBack)
	}
	for name, r := range sh.records {
		plain, err := r.open(sh.keys, sh.workspace)
		if err != nil {
			return fmt.Errorf("secret %q: %w", name, err)
		}
		s.o.Leaks.LearnAs(lesson(sh.workspace, name, r.meta.Version), plain)
		clear(plain)
	}
	kept, err := s.kept(ctx, sh.keys.now.name())
	if err != nil {
		return err
	}
	if err := s.compare(ctx, sh, kept); err != nil {
		return err
	}
	return s.raise(ctx, sh)
}

// kept is the number that was seen of a data key.
func (s *Store) kept(ctx context.Context, id string) (int64, error) {
	n, err := s.o.Key.Highest(ctx, id)
	if err != nil || s.o.From == nil {
		return n, err
	}
	before, err := s.o.From.Highest(ctx, id)
	return max(n, before), err
}

// raise keeps a shelf's number for each of its data keys: a database from
// before a key was replaced is an older one, too.
func (s *Store) raise(ctx context.Context, sh *shelf) error {
	for _, k := range sh.keys.all() {
		if err := s.o.Key.Raise(ctx, k.name(), sh.serial); err != nil {
			return err
		}
	}
	return nil
}

// compare settles a difference between the database's counter and the one kept
// with the key.
func (s *Store) compare(ctx context.Context, sh *shelf, kept int64) error {
	log := s.o.Log.With("workspace", sh.workspace, "stored", sh.serial, "kept", kept)
	switch {
	case kept == shredded && s.o.AcceptOlder:
		log.WarnContext(ctx, "an older database is accepted, but for this workspace: it was deleted")
		return errGone
	case kept == shredded:
		return fmt.Errorf("%w: this workspace was deleted (a backup was restored, or somebody put old data back)", ErrRolledBack)
	case sh.serial == kept:
		return nil
	case sh.serial > kept:
		// A crash between the commit and the counter, or a key that came
		// without its counter. Only the holder of the key makes such a list.
		log.WarnContext(ctx, "the version kept with the key was behind the database")
		return nil
	case !s.o.AcceptOlder:
		return fmt.Errorf("%w: it is at version %d, and version %d was seen (a backup was restored, or somebody put old data back)",
			ErrRolledBack, sh.serial, kept)
	}
	log.WarnContext(ctx, "an older database is accepted: secrets changed or deleted since are as they were")
	return s.catchUp(ctx, sh, kept)
}

// catchUp lets an accepted older database go on above the number that was seen.
func (s *Store) catchUp(ctx context.Context, sh *shelf, kept int64) error {
	next := *sh
	next.serial = kept + 1
	if err := s.commit(ctx, &next); err != nil {
		return err
	}
	*sh = next
	return nil
}

// commit writes the list of a shelf together with w, and raises the number kept
// with the key. It updates the shelf's row version.
func (s *Store) commit(ctx context.Context, sh *shelf, w ...kv.Write) error {
	blob, err := sealManifest(sh.keys.now, sh.workspace, manifest{Serial: sh.serial, Digest: digest(sh.records)})
	if err != nil {
		return err
	}
	cond := sh.row
	if cond == 0 {
		cond = kv.Absent
	}
	w = append(w, kv.Write{Space: space, Key: manifestPrefix + sh.workspace, If: cond, Value: blob})
	if err := s.o.State.Write(ctx, w...); err != nil {
		return err
	}
	sh.row++
	return s.raise(ctx, sh)
}

// shelf returns the workspace as it stands, nil when it holds nothing.
func (s *Store) shelf(workspace string) *shelf { return (*s.shelves.Load())[workspace] }

// put makes a shelf visible. The caller holds s.mu.
func (s *Store) put(sh *shelf) {
	next := maps.Clone(*s.shelves.Load())
	s.unlearn(next[sh.workspace], sh)
	next[sh.workspace] = sh
	s.shelves.Store(&next)
}

// lesson is the name under which the leak guard knows a version of a secret.
func lesson(workspace, name string, version int) string {
	return fmt.Sprintf("%s/%s/%d", workspace, name, version)
}

// tokenLesson is the name for the tokens that a secret was exchanged for.
func tokenLesson(workspace, name string) string { return workspace + "/" + name + "/token" }

// unlearn lets the leak guard forget what was in a workspace and is not in it
// any more; either may be nil.
func (s *Store) unlearn(old, now *shelf) {
	if old == nil || s.o.Leaks == nil {
		return
	}
	for name, r := range old.records {
		var next *record
		if now != nil {
			next = now.records[name]
		}
		if next == nil || next.meta.Version != r.meta.Version {
			s.o.Leaks.Forget(lesson(old.workspace, name, r.meta.Version))
		}
		if next == nil {
			s.o.Leaks.Forget(tokenLesson(old.workspace, name))
		}
	}
}

// ensure returns the workspace's shelf, and makes its data key if it is new.
func (s *Store) ensure(ctx context.Context, workspace string) (*shelf, error) {
	if sh := s.shelf(workspace); sh != nil {
		return sh, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ensureLocked(ctx, workspace)
}

func (s *Store) ensureLocked(ctx context.Context, workspace string) (*shelf, error) {
	if sh := s.shelf(workspace); sh != nil {
		return sh, nil
	}
	if err := checkWorkspace(workspace); err != nil {
		return nil, err
	}
	sh, err := s.found(ctx, workspace)
	if errors.Is(err, kv.ErrConflict) {
		sh, err = s.reload(ctx, workspace)
	}
	if err != nil {
		return nil, fmt.Errorf("make the key of workspace %s: %w", workspace, err)
	}
	s.put(sh)
	return sh, nil
}

// found makes a workspace's data key and its empty list, in one commit.
func (s *Store) found(ctx context.Context, workspace string) (*shelf, error) {
	keys := keychain{now: newDataKey()}
	row, err := s.wrap(ctx, workspace, keys)
	if err != nil {
		return nil, err
	}
	write, err := keyWrite(workspace, row, 0)
	if err != nil {
		return nil, err
	}
	sh := &shelf{workspace: workspace, keys: keys, source: row.Source, keyRow: 1, serial: 1, records: map[string]*record{}}
	return sh, s.commit(ctx, sh, write)
}

// reload reads one workspace again, after another process changed it.
func (s *Store) reload(ctx context.Context, workspace string) (*shelf, error) {
	entry, err := s.o.State.Get(ctx, space, keyPrefix+workspace)
	if err != nil {
		return nil, err
	}
	if entry.Version == 0 {
		return nil, errGone
	}
	return s.load(ctx, workspace, entry)
}

// checkWorkspace refuses ids that could reach into another workspace's keys.
func checkWorkspace(id string) error {
	if id == "" || len(id) > 128 {
		return errors.New("a workspace's id has 1 to 128 characters")
	}
	for _, c := range []byte(id) {
		if c <= ' ' || c == '/' || c >= 0x7f {
			return errors.New("a workspace's id has no spaces, slashes or special characters")
		}
	}
	return nil
}
