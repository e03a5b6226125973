package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/gateway/audit"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	ctx   = context.Background()
	owner = scope.Principal{Workspace: "home", Member: "owner", Role: scope.Owner}
	start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
)

// outside is a place for checkpoints.
type outside struct {
	mu sync.Mutex
	bytes.Buffer
}

func (o *outside) Append(_ context.Context, line []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, err := o.Write(line)
	return err
}

func (o *outside) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.String()
}

type rig struct {
	t     testing.TB
	store *inprocess.Engine
	out   *outside
	log   *audit.Log
	clock time.Time
}

func newRig(t testing.TB) *rig {
	r := &rig{t: t, store: inprocess.New(inprocess.Options{}), out: &outside{}, clock: start}
	r.log = audit.Open(audit.Options{
		Store: r.store, Sign: audit.NewSigner([]byte("a secret of the workspace")), Outside: r.out,
		Now: func() time.Time { return r.clock },
	})
	return r
}

func act(on string) audit.Entry {
	return audit.Entry{Kind: audit.Admin, Do: "changed", By: owner, On: on}
}

func (r *rig) keep(names ...string) {
	r.t.Helper()
	for _, n := range names {
		if err := r.log.Keep(ctx, act(n)); err != nil {
			r.t.Fatal(err)
		}
	}
}

// mark makes a checkpoint, as a gateway does that stops.
func (r *rig) mark() {
	r.t.Helper()
	done, cancel := context.WithCancel(ctx)
	cancel()
	if err := r.log.Run(done); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) names(q audit.Query) []string {
	r.t.Helper()
	var out []string
	for e, err := range r.log.Read(ctx, q) {
		if err != nil {
			r.t.Fatal(err)
		}
		out = append(out, e.On)
	}
	return out
}

func (r *rig) verify() (audit.Report, error) {
	return r.log.Verify(ctx, bytes.NewReader(r.out.Bytes()))
}

func (r *rig) sound() audit.Report {
	r.t.Helper()
	rep, err := r.verify()
	if err != nil {
		r.t.Fatal(err)
	}
	return rep
}

func (r *rig) rows(space string) []kv.Entry {
	r.t.Helper()
	all, err := r.store.List(ctx, space, "", "", 0)
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

func (r *rig) write(w ...kv.Write) {
	r.t.Helper()
	if err := r.store.Write(ctx, w...); err != nil {
		r.t.Fatal(err)
	}
}

func TestKeepAndRead(t *testing.T) {
	r := newRig(t)
	r.log.Record(act("recorded"))
	r.keep("kept")
	if d := cmp.Diff([]string{"recorded", "kept"}, r.names(audit.Query{})); d != "" {
		t.Error(d) // what was recorded first comes first
	}
	want := audit.Entry{Seq: 2, At: start, Kind: audit.Admin, Do: "changed", By: owner, On: "kept"}
	last, err := r.log.Last(ctx, audit.Query{}, 1)
	if d := cmp.Diff([]audit.Entry{want}, last); d != "" || err != nil {
		t.Error(err, d)
	}
	if rep := r.sound(); rep.Entries != 2 || rep.Last != 2 {
		t.Errorf("%+v", rep)
	}
}

func TestQuery(t *testing.T) {
	r := newRig(t)
	for i, e := range []audit.Entry{
		{Kind: audit.Secret, Do: "used", By: owner, On: "token"},
		{Kind: audit.Secret, Do: "refused", By: scope.Principal{Workspace: "home", Member: "ann"}, On: "token", Err: "no grant"},
		{Kind: audit.Model, Do: "called", By: scope.Principal{Workspace: "home", Member: "ann"}, On: "m"},
	} {
		r.clock = start.Add(time.Duration(i) * time.Hour)
		if err := r.log.Keep(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		q    audit.Query
		want []int64
	}{
		"all":      {audit.Query{}, []int64{1, 2, 3}},
		"after":    {audit.Query{After: 1}, []int64{2, 3}},
		"since":    {audit.Query{Since: start.Add(time.Hour)}, []int64{2, 3}},
		"until":    {audit.Query{Until: start.Add(time.Hour)}, []int64{1}},
		"kind":     {audit.Query{Kinds: []audit.Kind{audit.Model}}, []int64{3}},
		"kinds":    {audit.Query{Kinds: []audit.Kind{audit.Model, audit.Secret}}, []int64{1, 2, 3}},
		"member":   {audit.Query{Member: "ann"}, []int64{2, 3}},
		"on":       {audit.Query{On: "token"}, []int64{1, 2}},
		"failed":   {audit.Query{Failed: true}, []int64{2}},
		"together": {audit.Query{Member: "ann", On: "token"}, []int64{2}},
	} {
		var got []int64
		for e, err := range r.log.Read(ctx, c.q) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e.Seq)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		last, err := r.log.Last(ctx, c.q, 1)
		if err != nil || len(last) != 1 || last[0].Seq != c.want[len(c.want)-1] {
			t.Errorf("%s: the last is %+v, %v", name, last, err)
		}
	}
}

// TestLastOfMany: the newest are found across pages, and an early end is one.
func TestLastOfMany(t *testing.T) {
	r := newRig(t)
	var all []audit.Entry
	for i := range 1234 {
		all = append(all, act(fmt.Sprint(i)))
	}
	if err := r.log.Keep(ctx, all...); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 499, 500, 501, 1234, 2000} {
		last, err := r.log.Last(ctx, audit.Query{}, n)
		n = min(n, len(all))
		if err != nil || len(last) != n || last[n-1].Seq != 1234 || last[0].Seq != int64(1234-n+1) {
			t.Errorf("the last %d are %d, %v", n, len(last), err)
		}
	}
	if got := r.names(audit.Query{}); len(got) != 1234 || got[1233] != "1233" {
		t.Errorf("%d are read", len(got))
	}
}

// TestInvariant08TamperingIsFound: whatever is changed, removed, exchanged or cut
// off in the database, the check says so.
func TestInvariant08TamperingIsFound(t *testing.T) {
	fresh := func(t *testing.T) *rig {
		r := newRig(t)
		r.keep("a", "b", "c", "d", "e")
		r.mark()
		r.sound()
		return r
	}
	row := func(r *rig, i int) kv.Entry { return r.rows("audit")[i] }
	set := func(r *rig, key string, value []byte) { r.write(kv.Write{Space: "audit", Key: key, Value: value}) }
	for name, tamper := range map[string]func(r *rig){
		"a changed name": func(r *rig) {
			x := row(r, 2)
			set(r, x.Key, bytes.Replace(x.Value, []byte(`"on":"c"`), []byte(`"on":"x"`), 1))
		},
		"a removed entry": func(r *rig) { set(r, row(r, 2).Key, nil) },
		"the first entry": func(r *rig) { set(r, row(r, 0).Key, nil) },
		"two exchanged": func(r *rig) {
			a, b := row(r, 1), row(r, 2)
			set(r, a.Key, b.Value)
			set(r, b.Key, a.Value)
		},
		"an entry twice": func(r *rig) { set(r, fmt.Sprintf("%016x", 6), row(r, 4).Value) },
		"the end":        func(r *rig) { set(r, row(r, 4).Key, nil) },
		"the end and the head": func(r *rig) {
			x := row(r, 3)
			set(r, row(r, 4).Key, nil)
			var v struct {
				Hash string `json:"hash"`
			}
			if err := json.Unmarshal(x.Value, &v); err != nil {
				r.t.Fatal(err)
			}
			r.write(kv.Write{Space: "audit-mark", Key: "head", Value: fmt.Appendf(nil, `{"seq":4,"hash":%q}`, v.Hash)})
		},
		"everything": func(r *rig) {
			for _, x := range r.rows("audit") {
				set(r, x.Key, nil)
			}
			r.write(kv.Write{Space: "audit-mark", Key: "head"})
		},
		"everything, and another history": func(r *rig) {
			for _, x := range r.rows("audit") {
				set(r, x.Key, nil)
			}
			r.write(kv.Write{Space: "audit-mark", Key: "head"})
			r.keep("1", "2", "3", "4", "5", "6")
		},
		"a floor that hides the beginning": func(r *rig) {
			set(r, row(r, 0).Key, nil)
			r.write(kv.Write{Space: "audit-mark", Key: "floor", Value: []byte(`{"seq":1,"hash":"` + strings.Repeat("00", 32) + `"}`)})
		},
		"a body buried by hand": func(r *rig) {
			x := row(r, 2)
			var v map[string]any
			if err := json.Unmarshal(x.Value, &v); err != nil {
				r.t.Fatal(err)
			}
			delete(v, "body")
			b, _ := json.Marshal(v)
			set(r, x.Key, b)
		},
		"nonsense": func(r *rig) { set(r, row(r, 2).Key, []byte(`{`)) },
		"a foreign checkpoint": func(r *rig) {
			other := newRig(r.t)
			other.log = audit.Open(audit.Options{Store: other.store, Sign: audit.NewSigner([]byte("another secret")), Outside: other.out})
			other.keep("z")
			other.mark()
			r.out.Write(other.out.Bytes())
		},
		"a forged checkpoint": func(r *rig) {
			s := strings.Replace(r.out.String(), `"seq":5`, `"seq":4`, 1)
			r.out.Reset()
			r.out.WriteString(s)
		},
		"nonsense among the checkpoints": func(r *rig) { r.out.WriteString("nonsense\n") },
	} {
		t.Run(name, func(t *testing.T) {
			r := fresh(t)
			tamper(r)
			if rep, err := r.verify(); !errors.Is(err, audit.ErrTampered) {
				t.Errorf("found nothing: %v, %+v", err, rep)
			}
		})
	}
}

// TestEveryByteCounts: no single changed byte of a kept entry goes unnoticed,
// but for those that change nothing, such as a space in the JSON.
func TestEveryByteCounts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		r.keep("a", "b", "c")
		rows := r.rows("audit")
		x := rows[rapid.IntRange(0, len(rows)-1).Draw(rt, "row")]
		changed := bytes.Clone(x.Value)
		changed[rapid.IntRange(0, len(changed)-1).Draw(rt, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
		r.write(kv.Write{Space: "audit", Key: x.Key, Value: changed})
		if _, err := r.verify(); err != nil {
			return
		}
		// Nobody noticed: then nothing that can be read has changed.
		if d := cmp.Diff([]string{"a", "b", "c"}, r.names(audit.Query{})); d != "" {
			rt.Fatalf("%s became %s unnoticed:\n%s", x.Value, changed, d)
		}
	})
}

// TestReplicas: two gateways append to one chain.
func TestReplicas(t *testing.T) {
	r := newRig(t)
	var all sync.WaitGroup
	const each = 40
	for g := range 2 {
		log := audit.Open(audit.Options{Store: r.store})
		all.Go(func() {
			for i := range each {
				if err := log.Keep(ctx, act(fmt.Sprintf("%d.%d", g, i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if rep := r.sound(); rep.Entries != 2*each {
		t.Errorf("%d entries", rep.Entries)
	}
}

// failing is a store that takes no writes while err is set.
type failing struct {
	*inprocess.Engine
	mu  sync.Mutex
	err error
}

func (f *failing) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *failing) Write(ctx context.Context, w ...kv.Write) error {
	f.mu.Lock()
	err := f.err
	f.mu.Unlock()
	if err != nil {
		return err
	}
	return f.Engine.Write(ctx, w...)
}

// TestRun: what is recorded is kept within a second; acts alike share an entry;
// what the store does not take waits, in order, and beyond that is counted.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &failing{Engine: inprocess.New(inprocess.Options{})}
		out := &outside{}
		log := audit.Open(audit.Options{Store: store, Sign: audit.NewSigner([]byte("s")), Outside: out})
		running, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- log.Run(running) }()
		count := func() (n int, all []audit.Entry) {
			for e, err := range log.Read(ctx, audit.Query{}) {
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, e)
			}
			return len(all), all
		}
		log.Record(act("first"))
		synctest.Wait()
		for range 10 {
			log.Record(act("poll"))
			log.Record(act("model"))
		}
		time.Sleep(time.Second)
		if n, all := count(); n != 3 || all[1].Count != 10 || all[2].Count != 10 {
			t.Errorf("%d entries: %+v", n, all)
		}
		store.set(errors.New("disk full"))
		if err := log.Keep(ctx, act("refused")); err == nil {
			t.Error("kept on a full disk")
		}
		for i := range 5100 {
			log.Record(act(fmt.Sprint(i)))
		}
		time.Sleep(5 * time.Second)
		store.set(nil)
		time.Sleep(5 * time.Second)
		n, all := count()
		if n != 3+5000+1 || all[3].On != "0" || all[n-1].Do != "lost" || all[n-1].Count != 100 {
			t.Errorf("%d entries, %+v at the end", n, all[n-1])
		}
		time.Sleep(11 * time.Minute)
		if marks := strings.Count(out.text(), "\n"); marks != 1 {
			t.Errorf("%d checkpoints", marks)
		}
		time.Sleep(time.Hour)
		if marks := strings.Count(out.text(), "\n"); marks != 1 {
			t.Errorf("%d checkpoints although nothing happened", marks)
		}
		log.Record(act("at the end"))
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n, _ := count(); n != 3+5000+2 {
			t.Errorf("%d entries after the end", n)
		}
		rep, err := log.Verify(ctx, strings.NewReader(out.text()))
		if err != nil || rep.Checkpoints != 2 || rep.Covered != rep.Last {
			t.Errorf("%+v, %v", rep, err)
		}
	})
}

// TestBury: an erased person's entries lose their content and keep their place.
func TestBury(t *testing.T) {
	r := newRig(t)
	r.keep("a", "b", "a")
	r.mark()
	n, err := r.log.Bury(ctx, audit.Entry{By: owner, On: "ann", Err: "erasure"}, func(e audit.Entry) bool { return e.On == "a" })
	if err != nil || n != 2 {
		t.Fatal(n, err)
	}
	if d := cmp.Diff([]string{"", "b", "", "ann"}, r.names(audit.Query{})); d != "" {
		t.Error(d)
	}
	for _, x := range r.rows("audit") {
		if strings.Contains(string(x.Value), `"on":"a"`) || strings.Contains(string(x.Value), "buried") && strings.Contains(string(x.Value), "salt") && !strings.Contains(string(x.Value), "body") {
			t.Errorf("something is left: %s", x.Value)
		}
	}
	if rep := r.sound(); rep.Buried != 2 || rep.Entries != 4 {
		t.Errorf("%+v", rep)
	}
}

// TestForget: retention removes from the beginning on, and the rest still holds.
func TestForget(t *testing.T) {
	r := newRig(t)
	for i := range 700 {
		r.clock = start.Add(time.Duration(i) * time.Minute)
		r.keep(fmt.Sprint(i))
	}
	r.mark()
	n, err := r.log.Forget(ctx, start.Add(600*time.Minute))
	if err != nil || n != 600 {
		t.Fatal(n, err)
	}
	rep := r.sound()
	if rep.First != 601 || rep.Entries != 100 || rep.Checkpoints != 1 {
		t.Errorf("%+v", rep)
	}
	r.keep("on")
	if got := r.names(audit.Query{}); len(got) != 101 || got[0] != "600" {
		t.Errorf("%d are left, from %s on", len(got), got[0])
	}
	if last, err := r.log.Last(ctx, audit.Query{}, 1000); err != nil || len(last) != 101 {
		t.Errorf("%d are found, %v", len(last), err)
	}
	if n, err := r.log.Forget(ctx, start); n != 0 || err != nil {
		t.Error(n, err)
	}
}

// TestTampered: what was tampered with is evidence, and not forgotten.
func TestTamperedIsNotForgotten(t *testing.T) {
	r := newRig(t)
	r.keep("a", "b")
	x := r.rows("audit")[0]
	r.write(kv.Write{Space: "audit", Key: x.Key, Value: bytes.Replace(x.Value, []byte(`"on":"a"`), []byte(`"on":"x"`), 1)})
	if _, err := r.log.Forget(ctx, start.Add(time.Hour)); !errors.Is(err, audit.ErrTampered) {
		t.Errorf("forgot it: %v", err)
	}
}

// TestBounds: an entry is complete, short and valid text, whatever it is given.
func TestBounds(t *testing.T) {
	r := newRig(t)
	if err := r.log.Keep(ctx, audit.Entry{Do: "used"}); err == nil {
		t.Error("an entry without a kind is kept")
	}
	if err := r.log.Keep(ctx, audit.Entry{Kind: audit.Tool}); err == nil {
		t.Error("an entry without an act is kept")
	}
	long := strings.Repeat("\xff", 5000)
	if err := r.log.Keep(ctx, audit.Entry{Kind: audit.Tool, Do: "called", On: long, To: long, Err: long, Facts: audit.Facts{long: long}}); err != nil {
		t.Fatal(err)
	}
	if n := len(r.rows("audit")[0].Value); n > 4500 {
		t.Errorf("%d bytes", n)
	}
	r.sound()
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoints")
	for _, line := range []string{"1\n", "2\n"} {
		if err := audit.File(path).Append(ctx, []byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	info, _ := os.Stat(path)
	if err != nil || string(text) != "1\n2\n" || info.Mode().Perm() != 0o600 {
		t.Errorf("%q %v %v", text, info.Mode(), err)
	}
	if err := audit.File(filepath.Join(path, "x")).Append(ctx, nil); err == nil {
		t.Error("written below a file")
	}
}

// FuzzKept: whatever stands in the database, reading and checking it ends with
// an answer.
func FuzzKept(f *testing.F) {
	r := newRig(f)
	r.keep("a")
	f.Add("0000000000000001", r.rows("audit")[0].Value, []byte(`{"seq":1}`), "")
	f.Add("x", []byte(`{}`), []byte(`{}`), "{}\n")
	f.Add("ffffffffffffffff", []byte(`{"buried":"x"}`), []byte(`{"seq":-1,"hash":"00"}`), `{"seq":1,"hash":"zz"}`)
	f.Fuzz(func(t *testing.T, key string, value, head []byte, marks string) {
		r := newRig(t)
		if r.store.Write(ctx, kv.Write{Space: "audit", Key: key, Value: value}, kv.Write{Space: "audit-mark", Key: "head", Value: head}) != nil {
			return
		}
		_, _ = r.log.Verify(ctx, io.Reader(strings.NewReader(marks)))
		_, _ = r.log.Last(ctx, audit.Query{}, 10)
		for _, err := range r.log.Read(ctx, audit.Query{}) {
			if err != nil && !errors.Is(err, audit.ErrTampered) {
				t.Errorf("read: %v", err)
			}
		}
	})
}
