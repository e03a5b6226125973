package sealed_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/bustest"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/sealed"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/sqlite"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/vaulttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// needle is in everything that is written.
const needle = "the cat sleeps on the radiator"

func isContent(space string) bool { return space != "plain" && space != "vault" }

// ownerOf reads keys of the form workspace|rest.
func ownerOf(_, key string) string {
	if w, _, ok := strings.Cut(key, "|"); ok {
		return w
	}
	return ""
}

func wrapped(e bus.Engine, v *vault.Store, on bool) *sealed.Engine {
	return sealed.New(e, sealed.Options{Seals: v, On: on, Home: "home", Content: isContent, Owner: ownerOf})
}

// TestConformance: an engine whose content is sealed is an engine, also where
// another process has made the key.
func TestConformance(t *testing.T) {
	bustest.Run(t, func(t testing.TB) bustest.Harness {
		var clock bustest.Clock
		path, key := filepath.Join(t.TempDir(), "bus.db"), vaulttest.NewKey(t)
		return bustest.Harness{
			Open: func(t testing.TB, limit int) bus.Engine {
				e, err := sqlite.Open(context.Background(), path, sqlite.Options{Now: clock.Now, Limit: limit})
				if err != nil {
					t.Fatal(err)
				}
				return unlisted{wrapped(e, vaulttest.Open(t, e, key), true)}
			},
			Now: clock.Now, Advance: clock.Advance, Shared: true,
		}
	})
}

// unlisted hides the vault's own rows, which the suite does not expect.
type unlisted struct{ *sealed.Engine }

func (u unlisted) Spaces(ctx context.Context) ([]string, error) {
	all, err := u.Engine.Spaces(ctx)
	out := all[:0]
	for _, s := range all {
		if s != "vault" {
			out = append(out, s)
		}
	}
	return out, err
}

// rig is a file and the key of what is in it.
type rig struct {
	t    *testing.T
	path string
	key  vault.KeySource

	file  *sqlite.Engine
	vault *vault.Store
	bus   *sealed.Engine
}

func newRig(t *testing.T, on bool) *rig {
	t.Helper()
	r := &rig{t: t, path: filepath.Join(t.TempDir(), "bus.db"), key: vaulttest.NewKey(t)}
	r.open(on)
	t.Cleanup(r.close)
	return r
}

func (r *rig) open(on bool) {
	r.t.Helper()
	var err error
	if r.file, err = sqlite.Open(context.Background(), r.path, sqlite.Options{Exclusive: true}); err != nil {
		r.t.Fatal(err)
	}
	r.vault = vaulttest.Open(r.t, r.file, r.key)
	r.bus = wrapped(r.file, r.vault, on)
}

func (r *rig) close() { r.must(r.file.Close()) }

func (r *rig) again(on bool) {
	r.close()
	r.open(on)
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func record(workspace, key string) bus.Record {
	return bus.Record{
		Workspace: workspace, Channel: "c", Queue: bus.Inbox, Order: key, Key: key,
		Body: json.RawMessage(`{"text":"` + needle + `"}`),
	}
}

// fill leaves a record in every state, with progress, and rows of every kind.
func (r *rig) fill(workspace string) {
	r.t.Helper()
	ctx := r.t.Context()
	progress := json.RawMessage(`{"said":"` + needle + `"}`)
	fates := map[string]bus.Verdict{
		"ack":   {Fate: bus.Ack, Progress: progress},
		"dead":  {Fate: bus.Dead, Reason: "no", Progress: progress},
		"park":  {Fate: bus.Park, Tag: "t" + workspace, Progress: progress},
		"retry": {Fate: bus.Retry, Progress: progress},
	}
	for key, v := range fates {
		rec := record(workspace, workspace+key)
		r.must(r.bus.Publish(ctx, bus.Batch{Records: []bus.Record{rec}}))
		leases, err := r.bus.Lease(ctx, bus.Want{Queue: bus.Inbox, NoWait: true, N: 100})
		r.must(err)
		for _, l := range leases {
			o := bus.Outcome{Verdicts: map[string]bus.Verdict{}}
			if l.Order == workspace+key {
				o.Verdicts[l.Order] = v
				o.State = []bus.Write{{Space: "step", Key: key + workspace, Value: []byte(needle)}}
			}
			r.must(r.bus.Settle(ctx, l, o))
		}
	}
	r.must(r.bus.Write(ctx,
		kv.Write{Space: "session", Key: workspace + "|a", Value: []byte(needle)},
		kv.Write{Space: "plain", Key: workspace, Value: []byte("names")}))
}

// all is everything that can be read back.
func (r *rig) all() map[string]string {
	r.t.Helper()
	got := map[string]string{}
	for _, space := range []string{"session", "step", "plain"} {
		rows, err := r.bus.List(r.t.Context(), space, "", "", 0)
		r.must(err)
		for _, x := range rows {
			got[space+" "+x.Key] = string(x.Value)
			one, err := r.bus.Get(r.t.Context(), space, x.Key)
			r.must(err)
			if !bytes.Equal(one.Value, x.Value) {
				r.t.Errorf("%s %s reads differently alone", space, x.Key)
			}
		}
	}
	_, err := r.bus.Revise(r.t.Context(), 0, 0, func(l bus.Letter) bus.Revision {
		got[fmt.Sprint(l.State, " ", l.Key)] = string(l.Body) + string(l.Progress)
		return bus.Revision{}
	})
	r.must(err)
	return got
}

// plain reports whether the text stands in the files.
func (r *rig) plain() bool {
	r.t.Helper()
	found := false
	for _, name := range []string{r.path, r.path + "-wal"} {
		b, err := os.ReadFile(name)
		if err != nil && !os.IsNotExist(err) {
			r.t.Fatal(err)
		}
		found = found || bytes.Contains(b, []byte(needle))
	}
	return found
}

func TestNothingReadableInTheFile(t *testing.T) {
	r := newRig(t, true)
	r.fill("home")
	r.fill("other")
	want := r.all()
	if len(want) != 20 {
		t.Errorf("%d things are there: %q", len(want), want)
	}
	if r.plain() {
		t.Error("the text stands in the file or its log")
	}
	r.again(true)
	if d := cmp.Diff(want, r.all()); d != "" {
		t.Errorf("after a restart:\n%s", d)
	}
	r.must(r.vault.RotateData(t.Context(), "home"))
	r.fill("new")
	r.again(true)
	for k, v := range want {
		if got := r.all()[k]; got != v {
			t.Errorf("after the key was replaced, %s is %q", k, got)
		}
	}
	if r.plain() {
		t.Error("the text stands in the file or its log")
	}
}

// TestWatched: whoever keeps what they have read learns it in the clear.
func TestWatched(t *testing.T) {
	r := newRig(t, true)
	var got []string
	if !r.bus.Watch(func(ws []kv.Write) {
		for _, w := range ws {
			if w.Space != "vault" {
				got = append(got, w.Space+" "+w.Key+" "+string(w.Value))
			}
		}
	}) {
		t.Fatal("it cannot be watched")
	}
	r.must(r.bus.Write(t.Context(), kv.Write{Space: "session", Key: "home|1", Value: []byte("x")}, kv.Write{Space: "plain", Key: "1", Value: []byte("y")}))
	r.must(r.bus.Write(t.Context(), kv.Write{Space: "session", Key: "home|1"}))
	if d := cmp.Diff([]string{"session home|1 x", "plain 1 y", "session home|1 "}, got); d != "" {
		t.Error(d)
	}
}

// dying is an engine whose process dies at a commit.
type dying struct {
	*sqlite.Engine
	left int
}

var errDead = errors.New("the process died here")

func (d *dying) Write(ctx context.Context, w ...bus.Write) error {
	if d.left--; d.left < 0 {
		return errDead
	}
	return d.Engine.Write(ctx, w...)
}

func (d *dying) Revise(ctx context.Context, after int64, limit int, f func(bus.Letter) bus.Revision) (int64, error) {
	if d.left--; d.left < 0 {
		return 0, errDead
	}
	return d.Engine.Revise(ctx, after, limit, f)
}

// TestConvertSurvivesEveryDeath: switching it on encrypts what is there, and
// switching it off decrypts it, whenever the process dies on the way.
func TestConvertSurvivesEveryDeath(t *testing.T) {
	r := newRig(t, false)
	r.fill("home")
	r.fill("other")
	want := r.all()
	if !r.plain() {
		t.Fatal("the text does not stand in the file to begin with")
	}
	for _, on := range []bool{true, false, true} {
		deaths := 0
		for {
			r.again(on)
			if need, err := sealed.Needed(t.Context(), r.file, on); err != nil || !need {
				t.Fatalf("needed while converting: %v, %v", need, err)
			}
			_, err := wrapped(&dying{r.file, deaths}, r.vault, on).Convert(t.Context(), nil)
			if d := cmp.Diff(want, r.all()); d != "" {
				t.Fatalf("on %v, after death %d:\n%s", on, deaths, d)
			}
			if err == nil {
				break
			}
			if !errors.Is(err, errDead) {
				t.Fatal(err)
			}
			deaths++
			if deaths > 50 {
				t.Fatal("it never ends")
			}
			if deaths%2 == 0 { // go back to where a first run would begin
				continue
			}
			_, _ = wrapped(&dying{r.file, 1}, r.vault, on).Convert(t.Context(), nil)
		}
		if deaths < 3 {
			t.Errorf("on %v: only %d deaths", on, deaths)
		}
		if r.plain() == on {
			t.Errorf("on %v: the text stands in the file: %v", on, r.plain())
		}
		if need, err := sealed.Needed(t.Context(), r.file, false); err != nil || need != on {
			t.Errorf("on %v: needed afterwards, if switched off: %v, %v", on, need, err)
		}
		did, err := r.bus.Convert(t.Context(), nil)
		if did || err != nil {
			t.Errorf("on %v: it converts again: %v, %v", on, did, err)
		}
	}
}

// TestWrittenMeanwhileStands: what is changed while it is converted is not
// overwritten.
func TestWrittenMeanwhileStands(t *testing.T) {
	r := newRig(t, false)
	r.fill("home")
	r.again(true)
	raced := &racing{Engine: r.file, change: func() {
		r.must(r.bus.Write(t.Context(), kv.Write{Space: "session", Key: "home|a", Value: []byte("newer")}))
	}}
	_, err := wrapped(raced, r.vault, true).Convert(t.Context(), nil)
	r.must(err)
	if got := r.all()["session home|a"]; got != "newer" {
		t.Errorf("it is %q", got)
	}
	if r.plain() {
		t.Error("the text stands in the file")
	}
}

// racing lets somebody write between a read and the write that follows it.
type racing struct {
	*sqlite.Engine
	change func()
}

func (x *racing) List(ctx context.Context, space, prefix, after string, limit int) ([]bus.Entry, error) {
	all, err := x.Engine.List(ctx, space, prefix, after, limit)
	if space == "session" && after == "" {
		x.change()
	}
	return all, err
}

// TestDeletedWorkspace: without its key nobody can read what a workspace has
// left, the others can be listed and worked on, and at last the rows are gone.
func TestDeletedWorkspace(t *testing.T) {
	r := newRig(t, true)
	r.fill("home")
	want := r.all()
	r.fill("gone")
	r.must(r.vault.Shred(t.Context(), "gone"))
	r.again(true)
	for k, v := range r.all() {
		if strings.Contains(k, "gone") && strings.Contains(v, needle) {
			t.Errorf("%s can be read: %q", k, v)
		}
	}
	rows, err := r.bus.List(t.Context(), "session", "", "", 1)
	if err != nil || len(rows) != 1 || rows[0].Key != "home|a" {
		t.Errorf("the first session is %v, %v", rows, err)
	}
	leases, err := r.bus.Lease(t.Context(), bus.Want{Queue: bus.Inbox, N: 10, NoWait: true})
	r.must(err)
	for _, l := range leases {
		if l.Order == "goneretry" && l.Records[0].Body != nil {
			t.Errorf("its record has the body %q", l.Records[0].Body)
		}
		r.must(r.bus.Settle(t.Context(), l, bus.Outcome{}))
	}
	r.must(r.bus.Shred(t.Context(), "gone"))
	r.must(r.bus.Shred(t.Context(), "gone"))
	got := r.all()
	for k := range got {
		if strings.HasSuffix(k, "gone") && k != "plain gone" || strings.HasSuffix(k, "gone|a") || strings.HasSuffix(k, "goneack") {
			t.Errorf("%s is left", k)
		}
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s is %q", k, got[k])
		}
	}
}

// TestExchangedIsNoticed: a sealed value opens in its own place alone.
func TestExchangedIsNoticed(t *testing.T) {
	r := newRig(t, true)
	ctx := t.Context()
	r.must(r.bus.Write(ctx, kv.Write{Space: "session", Key: "home|1", Value: []byte("one")}, kv.Write{Space: "session", Key: "home|2", Value: []byte("two")}))
	one, err := r.file.Get(ctx, "session", "home|1")
	r.must(err)
	r.must(r.file.Write(ctx, kv.Write{Space: "session", Key: "home|2", Value: one.Value}))
	if x, err := r.bus.Get(ctx, "session", "home|2"); !errors.Is(err, vault.ErrCorrupt) {
		t.Errorf("it reads %q, %v", x.Value, err)
	}
	short := one.Value[:9]
	r.must(r.file.Write(ctx, kv.Write{Space: "session", Key: "home|2", Value: short}))
	if x, err := r.bus.Get(ctx, "session", "home|2"); !errors.Is(err, vault.ErrCorrupt) {
		t.Errorf("cut short, it reads %q, %v", x.Value, err)
	}
}
